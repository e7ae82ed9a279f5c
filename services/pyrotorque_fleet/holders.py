"""Which items this group has, and which are siblings of others, for the questions of other groups."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyrotorque.errors import RTorrentError, RTorrentFault, SessionNotKnown, StateError
from pyrotorque.rtorrent import Call, Identity, RTorrent, Value
from pyrotorque.rtorrent.identity import IDENTITY_COMMANDS, identity_from
from pyrotorque.rtorrent.recognition import SessionGate
from pyrotorque.rtorrent.session import Session
from pyrotorque.store import read_rows_of_other
from pyrotorque.text import printable
from pyrotorque_fleet.messages import Held, SoughtItem

log = logging.getLogger(__name__)

_HELD: Final = "SELECT info_hash FROM metafiles WHERE hold = 1 AND gone = 0"
_NAMES_AGE: Final = 10.0
_TIMEOUT: Final = 2.0
_NAME_MAX: Final = 512


@dataclass
class ItemHolders:
    """Items that are held for the fleet count as absent: they may be another group's next.

    With `gate`, another rTorrent than the known one is like none: what it lacks, the known one may have.
    """

    group: str
    ledger: Path
    rtorrent: RTorrent | None
    gate: SessionGate | None = None
    _session: Session = field(default_factory=Session)
    _names: dict[tuple[str, str], bool] = field(default_factory=dict[tuple[str, str], bool])
    _names_at: float = -1e9

    def held(self) -> set[str]:
        """Raises StateError: an item that is held must not look like one that is there."""
        return {info_hash for (info_hash,) in read_rows_of_other(self.ledger, _HELD)}

    def answer(self, sought: tuple[SoughtItem, ...]) -> Held:
        """Of these items, which are here, which of them are complete and saved, and of which a sibling is here."""
        looked = self._look([each.info_hash for each in sought]) if sought else None
        if looked is None or self.rtorrent is None:
            return Held(group=self.group)
        identity, there = looked
        try:
            items = there.keys() - self.held()
            siblings = self._siblings([each for each in sought if each.name and each.info_hash not in there])
            self._session.locate(self.rtorrent, identity)
        except (RTorrentError, StateError) as error:
            log.debug("%s", error)
            return Held(group=self.group)
        kept = [each for each in items if there[each] == 0 and self._session.holds(each) is not False]
        return Held(
            group=self.group, items=tuple(sorted(items)), siblings=tuple(sorted(siblings)), kept=tuple(sorted(kept))
        )

    def present(self, hashes: Sequence[str]) -> set[str] | None:
        """Those of these items that rTorrent has, held or not; None if it does not answer, or is not the known one."""
        looked = self._look(hashes)
        return None if looked is None else set(looked[1])

    def _look(self, hashes: Sequence[str]) -> tuple[Identity, dict[str, Value]] | None:
        """Which rTorrent it is, and whether each item that it has is a magnet link without its metadata (1)."""
        if self.rtorrent is None:
            return None
        calls: list[Call] = [*((name, ()) for name in IDENTITY_COMMANDS), *(("d.is_meta", (each,)) for each in hashes)]
        try:
            answers = self.rtorrent.multicall(calls, timeout=_TIMEOUT, label="fleet")
            identity = identity_from(answers[: len(IDENTITY_COMMANDS)], self.rtorrent.call)
            if reason := self.gate.why_unknown(self.rtorrent, identity) if self.gate else "":
                raise SessionNotKnown(reason)
        except (RTorrentError, SessionNotKnown) as error:
            log.debug("%s", error)
            return None
        found = zip(hashes, answers[len(IDENTITY_COMMANDS) :], strict=True)
        return identity, {each: answer for each, answer in found if not isinstance(answer, RTorrentFault)}

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
