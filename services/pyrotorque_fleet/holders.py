"""Which items this group has, and which are siblings of others, for the questions of other groups."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyrotorque.errors import RTorrentError, RTorrentFault
from pyrotorque.rtorrent import RTorrent
from pyrotorque.store import rows_of_other
from pyrotorque.text import printable
from pyrotorque_fleet.messages import Held, SoughtItem

_HELD: Final = "SELECT info_hash FROM metafiles WHERE hold = 1 AND gone = 0"
_NAMES_AGE: Final = 10.0
_TIMEOUT: Final = 2.0
_NAME_MAX: Final = 512


@dataclass
class ItemHolders:
    """Items that are held for the fleet count as absent: they may be another group's next."""

    group: str
    ledger: Path
    rtorrent: RTorrent | None
    _names: dict[tuple[str, str], bool] = field(default_factory=dict[tuple[str, str], bool])
    _names_at: float = -1e9

    def held(self) -> set[str]:
        return {info_hash for (info_hash,) in rows_of_other(self.ledger, _HELD)}

    def answer(self, sought: tuple[SoughtItem, ...]) -> Held:
        """Of these items, which are here, and of which a sibling is."""
        if self.rtorrent is None or not sought:
            return Held(group=self.group)
        try:
            calls = [("d.hash", (each.info_hash,)) for each in sought]
            answers = self.rtorrent.multicall(calls, timeout=_TIMEOUT, label="fleet")
            there = {each.info_hash for each, answer in zip(sought, answers, strict=True) if not _is_fault(answer)}
            siblings = self._siblings([each for each in sought if each.name and each.info_hash not in there])
        except RTorrentError:
            return Held(group=self.group)
        return Held(group=self.group, items=tuple(sorted(there - self.held())), siblings=tuple(sorted(siblings)))

    def _siblings(self, sought: list[SoughtItem]) -> set[str]:
        """Those with an item of the same name and size here. Names of others are never a part of a command."""
        if not sought or self.rtorrent is None:
            return set()
        now = time.monotonic()
        if now - self._names_at > _NAMES_AGE:
            rows = self.rtorrent.rows("main", ("d.name=", "d.size_bytes="), timeout=_TIMEOUT, label="fleet")
            self._names = {(printable(name)[:_NAME_MAX], size): True for name, size in rows}
            self._names_at = now
        return {each.info_hash for each in sought if (each.name, str(each.size)) in self._names}


def _is_fault(answer: object) -> bool:
    return isinstance(answer, RTorrentFault)
