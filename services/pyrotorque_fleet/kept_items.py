"""Whether a group of the fleet has an item at this moment, so that a metafile of it may be removed.

A claim says what was once: since then the item may have been erased, or its rTorrent replaced. So a question goes to
all groups right before each removal. An answer is used once, and a group that could not look has not said that it
lacks an item.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

from pyrotorque_fleet.messages import BadValue, Held, Question, SoughtItem, decode_held, encode
from pyrotorque_fleet.swaps import ClaimSwaps

_KEY: Final = "kept items"
_ANSWERS_WITHIN: Final = 2.0
_ASKED_MAX: Final = 64
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between two questions that decide nothing; after the last one that is the result."""
_About: TypeAlias = tuple[str, int]
"""An item, and the revision of its claim."""


class Keeping(Enum):
    """What the answers of the groups say about an item."""

    KEPT = "a group has it: its metadata and its session files are complete"
    INCOMPLETE = "a group has an item of a magnet link without its metadata, or one that is not saved"
    GONE = "the group that had it has looked, and no group has it"
    UNKNOWN = "the group that had it did not answer, or could not look"


class KeepingAnswer(NamedTuple):
    """`group` has the item, or is the one that had it."""

    keeping: Keeping
    group: str


def verdict(answers: Sequence[Held], info_hash: str, owner: str) -> KeepingAnswer:
    """What these answers say about an item that `owner` had."""
    for each in answers:
        # A group with version 1.1.0 does not say what it keeps.
        if info_hash in (each.items if each.kept is None else each.kept):
            return KeepingAnswer(Keeping.KEPT, each.group)
    for each in answers:
        if info_hash in each.items:
            return KeepingAnswer(Keeping.INCOMPLETE, each.group)
    has_looked = any(each.group == owner and each.kept is not None for each in answers)
    return KeepingAnswer(Keeping.GONE if has_looked else Keeping.UNKNOWN, owner)


@dataclass
class KeptItems:
    """Used by the service's loop; `present` returns how many groups are there. `now` is CLOCK_MONOTONIC."""

    swaps: ClaimSwaps
    present: Callable[[], int]
    bad_value: Callable[[], None]
    _wanted: dict[_About, None] = field(default_factory=dict[_About, None])
    _asked: frozenset[_About] = frozenset()
    """The questions that wait for answers."""
    _answers: dict[_About, tuple[Held, ...]] = field(default_factory=dict[_About, tuple[Held, ...]])
    _tries: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])
    """By info-hash: how many questions decided nothing, and when the next one is due."""

    def of(self, info_hash: str, revision: int, owner: str, now: float) -> KeepingAnswer | None:
        """What the groups just answered about an item that `owner` had by this revision of its claim (0: none); None
        until they have answered. An answer to a question from before that revision does not count."""
        about = (info_hash, revision)
        answers = self._answers.get(about)
        tries, due = self._tries.get(info_hash, (0, 0.0))
        if answers is None:
            if now >= due and about not in self._asked:
                self._wanted[about] = None
            return None
        found = verdict(answers, info_hash, owner)
        if found.keeping in (Keeping.KEPT, Keeping.GONE):
            self._tries.pop(info_hash, None)
            return found
        if tries < len(_PAUSES):
            self._tries[info_hash] = (tries + 1, now + _PAUSES[tries])
            return None
        return found

    def ask(self, now: float) -> None:
        """The end of a turn, in which all answers were used: ask about what `of` was called for. The end of the call
        wakes the service."""
        self._answers.clear()
        if not self._wanted or not self.swaps.is_free(_KEY, now):
            return
        about = tuple(self._wanted)[:_ASKED_MAX]
        self._asked = frozenset(about)
        self._wanted.clear()  # the others are wanted again

        def answered(bodies: Any, error: BaseException | None) -> None:
            self._asked = frozenset()
            if error is None:
                self._answers = dict.fromkeys(about, tuple(self._decoded(bodies)))

        question = encode(Question(kind="holds", sought=tuple(SoughtItem(info_hash=each) for each, _ in about)))
        self.swaps.run(_KEY, self.swaps.link.ask_all(question, _ANSWERS_WITHIN, self.present()), answered)

    def forget(self, info_hash: str) -> None:
        """Its offer is settled or gone."""
        self._tries.pop(info_hash, None)

    def _decoded(self, bodies: Sequence[bytes]) -> list[Held]:
        found: list[Held] = []
        for body in bodies:
            try:
                found.append(decode_held(body))
            except BadValue:
                self.bad_value()
        return found
