"""Our mark in rTorrent's items: whose they are, whether all load commands ran, and what to do where one failed."""

import os
from collections.abc import Sequence

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import RTorrent
from pyrotorque_watcher.ledger import Row
from pyrotorque_watcher.load.plan import MARK, Plan


def marks_of(rtorrent: RTorrent, rows: Sequence[Row]) -> list[str | None]:
    """Our mark in the items of each row, empty where there is none; None where there is no such item (yet)."""
    hashes = [(row, info_hash) for row in rows for info_hash in (row.info_hash, *row.others.split())]
    answers = rtorrent.multicall([("d.custom", (info_hash, MARK)) for _, info_hash in hashes])
    found: dict[int, list[str | None]] = {row.turn: [] for row in rows}
    for (row, _), answer in zip(hashes, answers, strict=True):
        found[row.turn].append(None if isinstance(answer, RTorrentFault) else str(answer))
    return [one_mark(found[row.turn], row.token) for row in rows]


def disarm(rtorrent: RTorrent, rows: Sequence[Row]) -> list[str]:
    """Items whose commands failed stay where their owner sees them, but nothing starts them; why they failed."""
    reasons: list[str] = []
    for row in rows:
        calls = [(name, (row.info_hash,)) for name in ("d.message", "d.stop", "d.close")]
        answers = rtorrent.multicall([*calls, ("d.priority.set", (row.info_hash, 0))])
        message = "" if isinstance(answers[0], RTorrentFault) else str(answers[0])
        reasons.append(f"a load command failed: {message or 'rTorrent does not say which'}")
    return reasons


def replace_broken(rtorrent: RTorrent, row: Row, plan: Plan) -> None:
    """An item whose commands failed is ours to take out again, and never its metafile with it."""
    for torrent in plan.torrents:
        mark = rtorrent.multicall([("d.custom", (torrent.info_hash, MARK))])[0]
        if mark == f"{row.broken}.":
            rtorrent.multicall([("d.tied_to_file.set", (torrent.info_hash, "")), ("d.erase", (torrent.info_hash,))])


def cut_tie(rtorrent: RTorrent, info_hash: str, theirs: bytes) -> None:
    """The metafile at `theirs` is another's now: who erases the item that it was of must not delete it."""
    tie = rtorrent.multicall([("d.tied_to_file", (info_hash,))])[0]
    if not isinstance(tie, RTorrentFault) and os.fsencode(str(tie)) == theirs:
        rtorrent.multicall([("d.tied_to_file.set", (info_hash, ""))])


def one_mark(marks: Sequence[str | None], token: str) -> str | None:
    """The marks of several items as one: not there while one is missing, broken if one is, ours if one is."""
    if None in marks:
        return None
    for mark in (f"{token}.", token):
        if mark in marks:
            return mark
    return marks[0]
