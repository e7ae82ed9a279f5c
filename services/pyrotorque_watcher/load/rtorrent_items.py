"""Asks rTorrent to load metafiles, several in one request: a request of its own costs as much as a load itself."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pyrotorque.errors import RequestTooLarge, RTorrentFault
from pyrotorque.rtorrent import Call, RTorrent
from pyrotorque.text import printable
from pyrotorque_watcher.load.marks import cut_tie, replace_broken
from pyrotorque_watcher.load.plan import globs, mapped, verb
from pyrotorque_watcher.load.prepare import Ready, Refused
from pyrotorque_watcher.load.visibility import Sight

PARCEL: Final = 8  # loads in one request: some milliseconds of rTorrent's time
PARCEL_BYTES: Final = 192 * 1024  # of metafiles in it, so that it stays far below rTorrent's default limit
# Requests with one metafile in them that got no answer, all but the first with nothing else in them. Once more, and
# rTorrent might die once more, and nothing else would ever be loaded.
UNANSWERED_MAX: Final = 3


def parcel(ready: deque[Ready]) -> list[Ready]:
    """Take from `ready` what may travel in one request; a large one goes alone, and so does a suspect."""
    taken = [ready.popleft()]
    size = taken[0].size
    if taken[0].suspect:
        return taken
    while ready and not ready[0].suspect and len(taken) < PARCEL and size + ready[0].size <= PARCEL_BYTES:
        taken.append(ready.popleft())
        size += taken[-1].size
    return taken


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends what is ready; whoever sends has it in the ledger as sent before."""

    rtorrent: RTorrent
    sight: Sight

    def send(self, together: Sequence[Ready], meanwhile: Callable[[], None]) -> list[Refused | None]:
        """For each: None when rTorrent took it, else why not. `meanwhile` is done while rTorrent works."""
        for ready in together:
            if ready.row.broken:
                replace_broken(self.rtorrent, ready.row, ready.plan)
            if ready.plan.tied and ready.row.was not in ("", ready.row.info_hash):
                cut_tie(self.rtorrent, ready.row.was, mapped(ready.row.path, ready.settings.path_map))
        if len(together) == 1:
            return [self._alone(together[0], meanwhile)]
        calls: list[Call] = [
            (ready.verb, ("", torrent.data, *torrent.commands)) for ready in together for torrent in ready.plan.torrents
        ]
        try:
            slots = iter(self.rtorrent.multicall(calls, label=together[0].verb, meanwhile=meanwhile))
        except (RequestTooLarge, RTorrentFault):
            # One of them, or this rTorrent's way with many: what it took already, it does not take again.
            return [self._alone(ready, meanwhile) for ready in together]
        return [_refusal([next(slots) for _ in ready.plan.torrents]) for ready in together]

    def _alone(self, ready: Ready, meanwhile: Callable[[], None]) -> Refused | None:
        try:
            for torrent in ready.plan.torrents:
                self.rtorrent.call(ready.verb, "", torrent.data, *torrent.commands, meanwhile=meanwhile)
        except RequestTooLarge as error:
            return self._by_path(ready, error)
        except RTorrentFault as fault:
            return _refusal([fault])
        return None

    def _by_path(self, ready: Ready, limit: RequestTooLarge) -> Refused | None:
        """rTorrent reads the file itself: only where it sees this very file, under a name that is no pattern."""
        row, plan, settings = ready.row, ready.plan, ready.settings
        theirs = mapped(row.path, settings.path_map)
        if globs(theirs) or not self.sight.sees(row.path, theirs):
            reason = f"{limit}; and rTorrent cannot be shown to read {printable(theirs)} itself"
            return Refused("too_large", reason)
        untied = () if plan.tied else (b"d.tied_to_file.set=",)
        name = verb(plan.load, quiet=settings.quiet, by_path=True)
        try:
            self.rtorrent.call(name, "", theirs, *untied, *plan.torrents[0].commands)
        except RTorrentFault as fault:
            return _refusal([fault])
        return None


def enough(ready: deque[Ready], count: int) -> bool:
    """Whether `ready` holds `count` metafiles to send, or fewer large ones: these wait on disk, not in memory."""
    return len(ready) >= count or sum(each.size for each in ready) > PARCEL_BYTES


def why_given_up(times: int) -> str:
    """The reason of a metafile that was sent so often in vain."""
    return (
        f"rTorrent ended or hung each of the {times} times it was asked to load this, at last with nothing else in the "
        "request: it may be what rTorrent dies of"
    )


def _refusal(answers: Sequence[object]) -> Refused | None:
    faults = [answer for answer in answers if isinstance(answer, RTorrentFault)]
    return Refused("rpc", f"rTorrent refused it: {faults[0]}") if faults else None
