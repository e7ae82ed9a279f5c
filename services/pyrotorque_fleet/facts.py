"""Reads what this group says about itself, and which of its items other groups ask for, from rTorrent."""

import os
from collections.abc import Sequence
from typing import Final

from pyrotorque.errors import RTorrentError, RTorrentFault
from pyrotorque.rtorrent import RTorrent, Value
from pyrotorque.rtorrent.client import Call
from pyrotorque.settings.schema import QueueSettings, Settings
from pyrotorque.text import is_hash_of, printable
from pyrotorque_fleet.messages import DiskRoom, Found, FoundItem, GroupFacts, Question

_CALLS: Final[tuple[Call, ...]] = (
    ("system.client_version", ()),
    ("view.size", ("", "main")),
    ("view.size", ("", "leeching")),
    ("view.size", ("", "seeding")),
    ("throttle.global_down.rate", ("",)),
    ("throttle.global_up.rate", ("",)),
    ("directory.default", ()),
)
_ITEM: Final = ("d.hash=", "d.name=", "d.size_bytes=", "d.left_bytes=", "d.is_active=")
_HASH: Final = 40
_FOUND_MAX: Final = 50
_NAME_MAX: Final = 512
_LINE_MAX: Final = 200
_TIMEOUT: Final = 2.0


def with_rtorrent(facts: GroupFacts, rtorrent: RTorrent, settings: Settings) -> GroupFacts:
    """`facts` with the present values of rTorrent; raises RTorrentError."""
    answers = rtorrent.multicall(_CALLS, timeout=_TIMEOUT, label="fleet")
    version, items, downloading, seeding, down, up, folder = answers
    queues = settings.active_jobs(QueueSettings)
    return GroupFacts(
        name=facts.name, started=facts.started, number=facts.number, version=facts.version, beat=facts.beat,
        problems=facts.problems, metrics=facts.metrics, jobs=facts.jobs,
        rtorrent=printable(str(version))[:64], items=_count(items), downloading=_count(downloading),
        seeding=_count(seeding), down_rate=_count(down), up_rate=_count(up),
        slots=sum(queue.downloading_max for queue in queues) if queues else None,
        rooms=tuple(_rooms([str(folder)])),
    )  # fmt: skip


def _rooms(folders: Sequence[str]) -> list[DiskRoom]:
    found: dict[int, DiskRoom] = {}
    for folder in folders:
        path = os.path.expanduser(folder)
        try:
            space, device = os.statvfs(path), os.stat(path).st_dev
        except (OSError, ValueError):
            continue
        found.setdefault(
            device,
            DiskRoom(
                path=printable(path)[:_LINE_MAX],
                free=space.f_bavail * space.f_frsize,
                size=space.f_blocks * space.f_frsize,
            ),
        )
    return list(found.values())


def find(question: Question, group: str, rtorrent: RTorrent | None) -> Found:
    """The items of this group with that info-hash or the beginning of one, or with that text in their name."""
    if rtorrent is None:
        return Found(group=group, problem="the address of its rTorrent is not known")
    text = question.text
    try:
        if len(text) == _HASH and all(char in "0123456789abcdefABCDEF" for char in text):
            rows = _one(rtorrent, text.upper())
        else:
            wanted = text.casefold()
            rows = [
                row
                for row in rtorrent.rows("main", _ITEM, label="fleet")
                if wanted in row[1].casefold() or is_hash_of(row[0], text)
            ]
    except RTorrentError as error:
        return Found(group=group, problem=printable(str(error))[:_LINE_MAX])
    items = tuple(map(_item, rows[:_FOUND_MAX]))
    return Found(group=group, items=items, more=len(rows) - len(items))


def _one(rtorrent: RTorrent, info_hash: str) -> list[tuple[str, ...]]:
    answers = rtorrent.multicall([(name.rstrip("="), (info_hash,)) for name in _ITEM], label="fleet")
    if any(isinstance(answer, RTorrentFault) for answer in answers):
        return []
    return [(info_hash, str(rtorrent.text(info_hash, "d.name=")), *map(str, answers[2:]))]


def _item(row: tuple[str, ...]) -> FoundItem:
    info_hash, name, size, left, active = row
    return FoundItem(
        info_hash=info_hash, name=printable(name)[:_NAME_MAX], size=_number(size), left=_number(left),
        is_active=active == "1",
    )  # fmt: skip


def _count(value: Value | RTorrentFault) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
