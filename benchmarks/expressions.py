"""Expressions that pyrosimple's rtcontrol and our conditions both read, and items of all kinds to try them on."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until
from pyrotorque.rtorrent import RTorrent

DAY: Final = 86_400

# Both languages give these the same meaning: case as in the names, no lists, no unit of time that only one of them has.
ALIKE: Final = (
    *("name=alpha*", "alpha*", "name=*-2*", "name=item-?", "name=[ab]*", "name=[!ab]*", "name!=alpha*", "name=*"),
    *("name=/2$/", "name=/^(alpha|beta)/", "name!=/a/", r"name=/\d/", r"name=/^\D+-1\d$/", "alpha* OR beta*"),
    *("is_open=yes", "is_open=no", "is_active=yes", "is_active=no is_open=yes", "is_complete=yes", "is_complete=no"),
    *("is_private=yes", "is_multi_file=yes", "is_ignored=yes", "is_ignored=0", "is_ghost=yes", "is_ghost=no"),
    *("prio=0", "prio>0", "prio>2", "prio<2", "prio=+1", "prio>=2", "prio<=1", "prio!=2", "prio<>2", "prio=2"),
    *("size>50k", "size<50k", "size=+1m", "size>=100k", "size<=100k", "size=65536", "fno>1", "fno=3", "fno=1"),
    *("done=100", "done=0", "done>0", "done<100", "ratio=0", "ratio>0", "ratio<1", "uploaded=0", "down=0", "xfer=0"),
    *('message=""', "message=ghost", 'message!=""', "message=/^Tracker/", "throttle=slow", "throttle!=slow"),
    *("tagged=new", "tagged!=new", "tagged=old", "custom_x=foo", 'custom_x=""', "custom_1=tv", "custom_x=/o$/"),
    *("loaded>1w", "loaded<1w", "loaded=+3d", "loaded<1y", "loaded>60h", "loaded>2020-01-01", "loaded<1.1.2020"),
    *("kind=mkv", "kind_50=mkv", "kind!=mkv", "files=*.nfo", "metafile=*.torrent", 'metafile=""', 'metafile!=""'),
    *("tracker=*one*", "tracker!=*one*", "[ prio>2 OR is_complete=yes ]", "directory=*downloads*"),
    *("is_complete=no [ prio>2 OR size>1m ]", "prio>0 is_open=no OR tagged=old", "prio>1 OR prio=0 tagged=new"),
    *("is_open=no is_complete=no is_ignored=no prio>0", "tagged==new", "files=*/*.nfo"),
)
# What the other program reads otherwise, or not at all; docs/conditions.md gives the reasons to follow the manual.
OTHERWISE: Final = (
    *("prio=-1", "message=*host*", "name=delta*", "tagged=new,old", "kind=mkv,flac", "prio=1,3", "done="),
    *("loaded>2d12h", "completed>0", "started=0", "throttle=NONE", "name=!alpha*", "tagged=!new", "loaded<2i"),
    *("[ NOT prio>1 ]", "[ is_open=yes prio>1 ] OR [ is_open=no prio=0 ]"),
)


def load_all(rtorrent: PrivateRTorrent) -> None:
    """Some 36 items: stopped, running, paused, seeding, closed; with tags, customs, messages, throttles, files."""
    client = RTorrent(rtorrent.url)
    client.call("throttle.up", "", "slow", "10")
    wanted = [_load(client, number, rtorrent.downloads) for number in range(36)]

    def complete() -> bool:
        rows = client.rows("main", ["d.hash=", "d.complete=", "d.hashing="])
        return len(rows) == len(wanted) and sum(row[1] == "1" for row in rows) == 9

    wait_until(complete, 30, lambda: "the complete items are not")
    for number, made in enumerate(wanted):
        for method in _AFTERWARDS.get(number % 12, ()):
            client.call(method, made)
        # rTorrent takes messages of its own when an item starts: ours come last.
        client.call("d.message.set", made, ("", "ghost", "", "Tracker: [Failure]", "GHOST town")[number % 5])


_AFTERWARDS: Final = {3: ("d.stop",), 7: ("d.stop", "d.close"), 5: ("d.open",), 9: ("d.pause",)}


def _load(client: RTorrent, number: int, downloads: Path) -> str:
    name = f"{('alpha', 'beta', 'gamma', 'item', 'Delta')[number % 5]}-{number}"
    tracker = f"http://{('one', 'two')[number % 2]}.invalid:1/announce"
    files = (("a.mkv", 70_000), ("sub/b.nfo", 10), ("c.jpg", 30_000 * (number % 3 + 1))) if number % 6 == 1 else None
    content = downloads / name if number % 4 == 3 else None
    if content:
        content.write_bytes(name.encode() * 4_000)
    size = (65_536, 1_000, 102_400, 3_000_000)[number % 4]
    metafile = make_metafile(
        name, size=size, files=None if content else files, content=content, announce=tracker, private=number % 7 == 0
    )
    commands = (
        f"d.priority.set={number % 4}",
        f"d.custom.set=tm_loaded,{time.time() - (number + 0.5) * DAY / 2:.0f}",
        f"d.custom.set=tags,{('', 'new', 'new old', 'old')[number % 4]}",
        f"d.custom.set=x,{('', 'foo', 'bar')[number % 3]}",
        f"d.custom1.set={('tv', '')[number % 2]}",
        f"d.throttle_name.set={('', 'slow', '')[number % 3]}",
        f"d.ignore_commands.set={int(number % 9 == 0)}",
        *((f"d.tied_to_file.set=/tmp/{number}.torrent",) if number % 5 == 0 else ()),
    )
    client.call("load.raw_start" if number % 3 == 0 or content else "load.raw", "", metafile, *commands)
    return info_hash(metafile)


Answer: TypeAlias = Callable[[str], set[str] | None]


def differences(expressions: Sequence[str], theirs: Answer, ours: Answer) -> list[str]:
    """The expressions that are not answered alike, with the numbers of items; None stands for "refused"."""
    lines: list[str] = []
    for text in expressions:
        expected, found = theirs(text), ours(text)
        if expected != found:
            lines.append(f"{text} ({_count(expected)} theirs, {_count(found)} ours)")
    return lines


def _count(found: set[str] | None) -> str:
    return "refused" if found is None else str(len(found))
