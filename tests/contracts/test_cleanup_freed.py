"""The freed bytes of a preview beside those of the disk, in each hostile case, on both rTorrents.

Each case makes items on a disk of its own. The preview says what becomes free; then the job runs, and the filesystem
itself and the events say what did.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.events import QuarantinePurged, TorrentRemoved
from tests.cleaning import CleanupScene, days_later
from tests.contracts.test_cleanup_disks import free, mounted, unmounted_later
from tests.waiting import eventually

SIZE = 1 << 20
BLOCK = 4096


@dataclass
class Case:
    """What a case made: settings of the job, what must become free, and what must stay."""

    scene: CleanupScene
    mounts: ExitStack
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    stays: list[str] = field(default_factory=list[str])
    """Items that stay, and whose data must be complete."""
    later: int = 0
    """What becomes free with the purge of the quarantine."""
    refused: str = ""
    """Why no item goes."""

    @property
    def disk(self) -> Path:
        return self.scene.downloads

    def bind(self, source: Path, point: Path) -> None:
        point.mkdir()
        mounted("--bind", str(source), str(point))
        self.mounts.enter_context(unmounted_later(point))

    def new_disk(self, point: Path) -> None:
        point.mkdir()
        mounted("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(point))
        self.mounts.enter_context(unmounted_later(point))


def plain(case: Case) -> int:
    case.scene.add(case.scene.write("One", size=SIZE))
    return 2 * SIZE


def linked_from_outside(case: Case) -> int:
    """A library on the same disk keeps one of two files."""
    path = case.scene.write("One", size=SIZE)
    os.link(path / "a", case.disk / "library")
    case.scene.add(path)
    case.settings["linked"] = "ignore"
    return SIZE


def linked_inside_alone(case: Case) -> int:
    """Two items have one inode under two names: the first one alone frees nothing of it."""
    path = case.scene.write("One", size=SIZE)
    twin = case.disk / "Two"
    twin.mkdir()
    os.link(path / "a", twin / "a")
    one = case.scene.add(path)
    case.stays.append(case.scene.add(twin, salt="two"))
    case.settings |= {"shared": "keep", "condition": f"hash={one}"}
    return SIZE


def linked_inside_together(case: Case) -> int:
    path = case.scene.write("One", size=SIZE)
    twin = case.disk / "Two"
    twin.mkdir()
    os.link(path / "a", twin / "a")
    for each in (path, twin):
        case.scene.add(each, salt=each.name)
    case.settings["shared"] = "together"
    return 2 * SIZE


def shared_alone(case: Case) -> int:
    path = case.scene.write("One", size=SIZE)
    one = case.scene.add(path)
    case.stays.append(case.scene.add(path, salt="two"))
    case.settings |= {"shared": "keep", "condition": f"hash={one}"}
    return 0


def shared_together(case: Case) -> int:
    path = case.scene.write("One", size=SIZE)
    for salt in ("one", "two", "three"):
        case.scene.add(path, salt=salt)
    case.settings["shared"] = "together"
    return 2 * SIZE


def shared_in_part(case: Case) -> int:
    """The second item has one of the two files, and the first one goes with `shared = keep`."""
    path = case.scene.write("One", ("a",), size=SIZE)
    case.stays.append(case.scene.add(path, salt="two"))
    one = case.scene.add(case.scene.write("One", size=SIZE))
    case.settings |= {"shared": "keep", "condition": f"hash={one}"}
    return SIZE


def through_a_linked_folder(case: Case) -> int:
    path = case.scene.write("One", size=SIZE)
    (case.scene.folder / "linked").symlink_to(case.disk)
    one = case.scene.add(path)
    case.stays.append(case.scene.add(case.scene.folder / "linked/One", salt="two"))
    case.settings |= {"shared": "keep", "condition": f"hash={one}"}
    return 0


def through_a_bind_mount(case: Case) -> int:
    path = case.scene.write("One", size=SIZE)
    case.bind(case.disk, case.scene.folder / "bound")
    one = case.scene.add(path)
    case.stays.append(case.scene.add(case.scene.folder / "bound/One", salt="two"))
    case.settings |= {"shared": "keep", "condition": f"hash={one}"}
    return 0


def through_a_bind_mount_together(case: Case) -> int:
    path = case.scene.write("One", size=SIZE)
    case.bind(case.disk, case.scene.folder / "bound")
    for each in (path, case.scene.folder / "bound/One"):
        case.scene.add(each, salt=each.parent.name)
    case.settings |= {"shared": "together", "below": f"{case.disk}:{case.scene.folder / 'bound'}"}
    return 2 * SIZE


def quarantine_on_the_disk(case: Case) -> int:
    case.scene.add(case.scene.write("One", size=SIZE))
    case.settings |= {"data": "quarantine", "keep_for": "1d"}
    case.later = 2 * SIZE
    return 0


def quarantine_with_a_link(case: Case) -> int:
    path = case.scene.write("One", size=SIZE)
    os.link(path / "a", case.disk / "library")
    case.scene.add(path)
    case.settings |= {"data": "quarantine", "keep_for": "1d", "linked": "ignore"}
    case.later = SIZE
    return 0


def quarantine_on_another_disk(case: Case) -> int:
    case.scene.add(case.scene.write("One", size=SIZE))
    case.new_disk(case.scene.folder / "other")
    case.settings |= {"data": "quarantine", "quarantine": str(case.scene.folder / "other/kept")}
    case.refused = "different mounts"
    return 0


def deselected(case: Case) -> int:
    """One of two files was never wanted: rTorrent has made it as far as it shares pieces with the other."""
    shared = 7_232  # bytes of its first piece, which begins in the other file
    path = case.scene.write("One", ("a", "b"), size=SIZE - shared)
    one = case.scene.add(path, start=False)
    content = (path / "b").read_bytes()
    with (path / "b").open("wb") as file:
        file.write(content[:shared])
        file.truncate(SIZE - shared)
    case.scene.client.call("f.priority.set", f"{one}:f1", 0)
    case.scene.client.call("d.update_priorities", one)
    case.scene.client.call("d.check_hash", one)
    eventually(lambda: case.scene.client.call("d.is_hash_checked", one) == 1, 20, why="it is checked")
    case.settings["condition"] = "name=One"
    # A check reads the holes, too, which makes pages of them in memory.
    return sum(each.stat().st_blocks * 512 for each in path.iterdir())


def deselected_and_missing(case: Case) -> int:
    path = case.scene.write("One", ("a", "b"), size=SIZE)
    one = case.scene.add(path, start=False)
    (path / "b").unlink()
    case.scene.client.call("f.priority.set", f"{one}:f1", 0)
    case.scene.client.call("d.update_priorities", one)
    case.settings["condition"] = "name=One"
    return SIZE


def sparse(case: Case) -> int:
    """Half of it was never written."""
    path = case.disk / "One"
    path.write_bytes(bytes(2 * SIZE))
    case.scene.add(path, start=False)
    with path.open("wb") as file:
        file.write(os.urandom(SIZE))
        file.truncate(2 * SIZE)
    case.settings["condition"] = "name=One"
    return SIZE


def preallocated(case: Case) -> int:
    path = case.disk / "One"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 2 * SIZE)
    case.scene.add(path)
    return 2 * SIZE


def empty_files(case: Case) -> int:
    path = case.scene.write("One", ("a",), size=SIZE)
    case.scene.write("One", ("empty",), size=0)
    case.scene.add(path)
    return SIZE


def of_another_program(case: Case) -> int:
    """What no torrent lists stays in the item's folder, and so does the folder."""
    path = case.scene.write("One", size=SIZE)
    case.scene.add(path)
    (path / "subtitles.srt").write_bytes(bytes(SIZE))
    return 2 * SIZE


CASES: list[Callable[[Case], int]] = [
    *(plain, linked_from_outside, linked_inside_alone, linked_inside_together, shared_alone, shared_together),
    *(shared_in_part, through_a_linked_folder, through_a_bind_mount, through_a_bind_mount_together),
    *(quarantine_on_the_disk, quarantine_with_a_link, quarantine_on_another_disk),
    *(deselected, deselected_and_missing, sparse, preallocated, empty_files, of_another_program),
]


@pytest.fixture
def case(rtorrent: PrivateRTorrent, short_folder: Path) -> Iterator[Case]:
    """The downloads of rTorrent are a disk of 64 MiB."""
    mounted("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(rtorrent.downloads))
    with unmounted_later(rtorrent.downloads), ExitStack() as mounts:
        yield Case(CleanupScene(rtorrent, short_folder), mounts)


@pytest.mark.parametrize("make", CASES, ids=[each.__name__.replace("_", " ") for each in CASES])
def test_the_disk_has_what_the_preview_promises(
    case: Case, make: Callable[[Case], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make(case)
    scene = case.scene
    job = scene.job(**{"data": "delete", "max_items": 0, "max_bytes": 0, **case.settings})
    plan = job.preview().plan
    assert plan.frees == expected
    if case.refused:
        assert [each for each in plan.kept.values() if case.refused not in each.text] == []
        assert plan.removals == ()
    else:
        assert plan.kept == {}
        assert plan.removals
    before = free(case.disk)
    job.run()
    # The quarantine's own folders and descriptions, where they stay.
    slack = 8 * BLOCK * (1 + len(plan.removals)) if case.settings.get("data") == "quarantine" else BLOCK
    eventually(lambda: abs(free(case.disk) - before - expected) <= slack, why="what was planned is free")
    removed = [each for each in scene.events.values() if isinstance(each, TorrentRemoved)]
    assert sum(each.freed for each in removed) == expected
    assert {each.info_hash for each in removed} == {each.candidate.info_hash for each in plan.removals}
    if case.later:
        days_later(monkeypatch, 2)
        scene.job(**{**case.settings, "condition": "name=None"}).run()
        eventually(lambda: abs(free(case.disk) - before - case.later) <= slack, why="the purge frees it")
        purged = [each for each in scene.events.values() if isinstance(each, QuarantinePurged)]
        assert sum(each.freed for each in purged) == case.later == sum(each.size for each in removed)
    assert all(map(scene.is_intact, case.stays))
