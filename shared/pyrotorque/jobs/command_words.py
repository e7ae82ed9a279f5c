"""Words of a command line, and which of the values in them are texts of a torrent."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

from pyrotorque.events import Durable

_SAFE_KINDS: Final = ("bool", "number", "size", "time", "time or never", "duration")
# Texts that are no names: of the owner, or from a fixed set.
_SAFE: Final = frozenset(["type", "job_name", "job", "info_hash", "hash", "service", "state", "before", "kind", "mode"])
_VALUE: Final = re.compile(r"\{\{|%\(")
# What begins with the output of a command, or is a file with it.
_OUTPUT: Final = ("$(", "`", "<(")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command line: its text with the template expressions in it, and the fields that these insert."""

    text: str
    fields: frozenset[str] = frozenset()

    @property
    def program(self) -> str:
        return os.path.basename(self.text)

    @property
    def literal(self) -> str:
        """The text before the first value."""
        return _VALUE.split(self.text, maxsplit=1)[0]

    @property
    def is_unsafe(self) -> bool:
        return any(not is_safe(name) for name in self.fields)

    @property
    def names_program(self) -> bool:
        """Whether a torrent's text is the beginning of its path; custom values are the owner's."""
        is_custom = all(name.startswith("custom") for name in self.fields)
        return self.is_unsafe and self.text.startswith(("{{", "%(", *_OUTPUT)) and not is_custom


def unsafe_fields(words: Sequence[Word]) -> frozenset[str]:
    """The fields in these words that are texts of a torrent."""
    return frozenset(name for word in words for name in word.fields if not is_safe(name))


def is_safe(name: str) -> bool:
    """Whether values of this field are numbers or words of a fixed set, never a text from a torrent."""
    if name in _SAFE or name in _event_numbers():
        return True
    # Imported for such commands only: a worker then loads no fields (10 MiB).
    from pyrotorque.fields import field

    found = field(name)
    return found is not None and found.kind in _SAFE_KINDS


def _event_numbers() -> frozenset[str]:
    """Fields of events that are not a text in any event."""
    kinds = [kind for event in get_args(Durable) for kind in event.__annotations__.items()]
    texts = {name for name, kind in kinds if "str" in str(kind)}
    return frozenset(name for name, _ in kinds if name not in texts) | {"at"}
