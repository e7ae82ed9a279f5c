"""Recognizes items whose load was cut off: rTorrent was killed after it saved their metafile, before their attributes.

rTorrent 0.16.6 and later rename a saved metafile first and the attributes last (DownloadStorer::save_and_move_streams).
Killed in between, it restores an item without our mark, tie, label or directory, stopped. Such an item is erased and
loaded again if it is provably ours: rTorrent did not have it right before the load (`Absence`), it is restored from the
same session by another process, and nothing about it was changed since. Any other item stays as it is.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.open_loads import mark_of
from pyrotorque.rtorrent import Call, RTorrent, Value
from pyrotorque.rtorrent.identity import INCARNATION
from pyrotorque_watcher.rows import Absence, Row

log = logging.getLogger(__name__)

_INCARNATION: Final[Call] = (INCARNATION, ())
_CLOCK: Final[Call] = ("system.time", ("",))
_SESSION: Final[Call] = ("session.path", ("",))
_PROCESS: Final[tuple[Call, ...]] = (_INCARNATION, _SESSION, ("directory.default", ("",)))
_EMPTY: Final = (
    *("d.custom1", "d.custom2", "d.custom3", "d.custom4", "d.custom5"),
    *("d.tied_to_file", "d.throttle_name"),
)
_ZERO: Final = (
    *("d.state", "d.state_counter", "d.is_open", "d.is_active", "d.hashing", "d.ignore_commands"),
    *("d.complete", "d.completed_chunks", "d.timestamp.started", "d.timestamp.finished"),
)
_OTHERS: Final = (
    *("d.custom.keys", "d.views", "d.priority", "d.state_changed", "d.loaded_file"),
    *("d.directory", "d.is_meta"),
)
_FACTS: Final = (*_EMPTY, *_ZERO, *_OTHERS)
_NORMAL_PRIORITY: Final = 2
_RECENT: Final = 600  # seconds

Answer = Value | RTorrentFault


@dataclass(frozen=True, slots=True)
class Absences:
    """What an rTorrent process does not have: for each of some rows, the evidence that its items are absent or, where
    an earlier load may have left them, that of the earlier load."""

    of_rows: list[Absence | None]
    incarnation: str
    read_at: float
    """Monotonic; rTorrent answered after that."""


def absence_calls(rows: Sequence[Row]) -> list[Call]:
    """The calls for `absences_in`; they may be a part of any request."""
    states: list[Call] = [("d.state", (info_hash,)) for row in rows for info_hash in row.load.info_hashes]
    return [_INCARNATION, _SESSION, _CLOCK, *states, _INCARNATION]


def absences_in(answers: Sequence[Answer], rows: Sequence[Row], read_at: float) -> Absences | None:
    """None if no identified process answered all of it: a request that is too large is divided."""
    incarnation, session, time, *states, last = answers
    if any(isinstance(fact, RTorrentFault) for fact in (incarnation, session, time)) or last != incarnation:
        return None
    answered = iter(states)
    absences: list[Absence | None] = []
    for row in rows:
        pairs = zip(row.load.info_hashes, islice(answered, len(row.load.info_hashes)), strict=True)
        absent = tuple(info_hash for info_hash, state in pairs if isinstance(state, RTorrentFault))
        if _still_holds(row, absent, int(str(time))):
            absences.append(row.absence)
        elif absent:
            absences.append(Absence(str(incarnation), str(session), int(str(time)), absent))
        else:
            absences.append(None)
    return Absences(absences, str(incarnation), read_at)


def _still_holds(row: Row, absent: tuple[str, ...], now: int) -> bool:
    """Whether the evidence of an earlier load of this row is kept: what is there now may be what that load left."""
    earlier, hashes = row.absence, set(row.load.info_hashes)
    if earlier is None or not hashes <= set(earlier.info_hashes):
        return False
    # An rTorrent that just started may answer before it has restored its items.
    return not hashes <= set(absent) or 0 <= now - earlier.at < _RECENT


def find_cut_off(rtorrent: RTorrent, rows: Sequence[Row]) -> dict[int, tuple[str, ...]]:
    """The items without our mark that a load of these rows left, by the turn of the row; none where erasing them may
    remove data."""
    pairs = [(row, h) for row in rows if row.absence is not None for h in row.load.info_hashes]
    if not pairs:
        return {}
    calls: list[Call] = [(fact, (info_hash,)) for _, info_hash in pairs for fact in _FACTS]
    marks: list[Call] = [mark_of(info_hash) for _, info_hash in pairs]
    answers = iter(rtorrent.multicall([*_PROCESS, *marks, *calls], label="d.state"))
    process = list(islice(answers, len(_PROCESS)))
    unmarked = [mark == "" for mark in islice(answers, len(pairs))]
    found: dict[int, tuple[str, ...]] = {}
    for (row, info_hash), is_unmarked in zip(pairs, unmarked, strict=True):
        facts = dict(zip(_FACTS, islice(answers, len(_FACTS)), strict=True))
        if is_unmarked and row.absence and is_cut_off(row.absence, info_hash, process, facts):
            found[row.turn] = (*found.get(row.turn, ()), info_hash)
    # Such an item is erased, and its folder may have had data before.
    return found if found and keeps_data(rtorrent) else {}


def is_cut_off(absence: Absence, info_hash: str, process: Sequence[Answer], facts: Mapping[str, Answer]) -> bool:
    """Whether the item is what a load left that was cut off after `absence`, and nothing was changed since.

    `process` has the answers for `_PROCESS`, `facts` those for `_FACTS`.
    """
    incarnation, session, default = process
    if not _is_other_process(incarnation, absence.incarnation) or session != absence.session:
        return False
    keys = facts["d.custom.keys"]
    return (
        info_hash in absence.info_hashes
        and all(facts[name] == "" for name in _EMPTY)
        and all(facts[name] == 0 for name in _ZERO)
        # rTorrent has no map for custom values before the first is set. (An item that is gone fails the other terms.)
        and (keys == [] or isinstance(keys, RTorrentFault))
        and facts["d.views"] == []
        and facts["d.priority"] == _NORMAL_PRIORITY
        and _number(facts["d.state_changed"]) >= absence.at
        and _is_below(facts["d.loaded_file"], session)
        and (facts["d.is_meta"] == 1 or _is_default(facts["d.directory"], default))
    )


def _is_other_process(incarnation: Answer, known: str) -> bool:
    """An rTorrent that was restarted just now has no incarnation yet: it is not the one whose incarnation is known."""
    if isinstance(incarnation, RTorrentFault):
        return bool(known) and "not defined" in str(incarnation)
    return isinstance(incarnation, str) and incarnation != known


def erase_cut_off(rtorrent: RTorrent, hashes: Sequence[str]) -> None:
    """Erase items that `find_cut_off` found, unless one was started just now. They have no data and no metafile."""
    rtorrent.multicall([("branch", (info_hash, "d.state=", "cat=", "d.erase=")) for info_hash in hashes])


def keeps_data(rtorrent: RTorrent) -> bool:
    """Whether rTorrent removes no data when an item is erased; logs which handler may."""
    from pyrotorque.housekeeping.erased_handlers import erased_handler_refusal

    if refusal := erased_handler_refusal(rtorrent):
        log.warning("an item that a load left without its commands stays so: %s", refusal)
    return not refusal


def _number(value: Answer) -> int:
    return value if isinstance(value, int) else 0


def _is_below(path: Answer, folder: Answer) -> bool:
    return (
        isinstance(path, str)
        and isinstance(folder, str)
        and folder != ""
        and os.path.dirname(path) == folder.rstrip("/")
    )


def _is_default(directory: Answer, default: Answer) -> bool:
    """Whether the item is where rTorrent puts it: in the default folder, with one of its own for several files."""
    if not isinstance(directory, str) or not isinstance(default, str):
        return False
    default = default.rstrip("/")
    folders = (directory.rstrip("/"), os.path.dirname(directory.rstrip("/")))
    # rTorrent replaces a leading ~ (and prepends nothing to a relative path) when it sets the folder of an item.
    return any(each == default or (default[:1] == "~" and each.endswith(default[1:])) for each in folders)
