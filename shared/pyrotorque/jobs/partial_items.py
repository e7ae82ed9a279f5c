"""Items with deselected files that had all their wanted data before a job first ran: the job leaves them alone."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from pyrotorque.json_input import decode_json
from pyrotorque.linux.regular_files import RECORDS_MAX, read_regular_file
from pyrotorque.options import write_atomically


class EarlierPartialItems:
    """Stored at the first run of a job, so that an upgrade, or a new job, does not act on items of long ago.

    An item is forgotten when it is no longer partial, or when its completion is published.
    """

    def __init__(self, folder: Path) -> None:
        # Not *.json: these are the journal of the mover.
        self._path = folder / "earlier-partial"
        self._hashes: frozenset[str] | None = None
        with suppress(FileNotFoundError, msgspec.DecodeError):
            self._hashes = frozenset(decode_json(read_regular_file(self._path, limit=RECORDS_MAX), type=list[str]))

    @property
    def needs_update(self) -> bool:
        """Whether `update` has to be called: nothing is stored yet, or stored items may have changed."""
        return self._hashes is None or bool(self._hashes)

    def update(self, partial: Iterable[str], completed: str) -> None:
        """`partial` are the hashes of all partial items now, `completed` is that of a published completion or empty."""
        now = frozenset(partial) - {completed}
        kept = now if self._hashes is None else self._hashes & now
        if kept != self._hashes:
            write_atomically(self._path, msgspec.json.encode(sorted(kept)))
            self._hashes = kept

    def __contains__(self, info_hash: str) -> bool:
        return info_hash in (self._hashes or ())
