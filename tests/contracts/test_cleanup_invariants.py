"""What a clean-up guarantees: some invariants, and that docs/cleanup-guarantees.md names tests that exist."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from demo.group import REPOSITORY
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentError, UserError
from pyrotorque.jobs import JobConfig, context
from pyrotorque.jobs.orphans import Orphans
from pyrotorque.rtorrent import RTorrent
from tests.cleaning import CleanupScene, days_later
from tests.contracts.test_cleanup_disks import disk, free
from tests.waiting import eventually

__all__ = ["disk"]  # a fixture


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def orphans(scene: CleanupScene) -> Orphans:
    values = {"job_name": "orphans", "schedule": "hour=5", "below": str(scene.downloads), "others": "none"}
    return Orphans(JobConfig({**values, "max_percent": 100}))


def test_each_sentence_has_tests_that_exist() -> None:
    page = (REPOSITORY / "docs/cleanup-guarantees.md").read_text()
    rows = [line.rpartition(" | ") for line in page.splitlines() if re.match(r"\| .* \| `test_", line)]
    invariants = [row[0].split(" | ")[0].strip("| ") for row in rows if re.match(r"\| I\d+ ", row[0])]
    assert invariants == [f"I{number}" for number in range(1, 18)]
    assert len(rows) > len(invariants) + 20
    text = "".join(path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py"))
    exist = set(re.findall(r"^def (test_\w+)", text, re.MULTILINE))
    assert set(re.findall(r"`(test_\w+)`", page)) - exist == set()
    assert page.count("`test_") == len(re.findall(r"`(test_\w+)`", page))


@pytest.mark.parametrize(
    ("reason", "minimum"),
    [
        ("ratio", {"min_ratio": "0.1"}),
        ("seedtime", {"min_seedtime": "1h"}),
        ("seeds", {"min_seeds": "1"}),
        ("idle", {"min_idle": "1h"}),
        ("fresh", {"matched_for": "1h"}),
        ("never", {"rule.1.condition": "name=*", "rule.1.never": True}),
    ],
)
def test_all_minima_hold_on_a_full_disk(scene: CleanupScene, reason: str, minimum: dict[str, Any]) -> None:
    one = scene.item("One")
    job = scene.job(data="delete", min_free="1000t", **minimum)
    with pytest.raises(UserError, match="less than needed can be freed"):
        job.run()
    assert job.preview().plan.kept[one].reason == reason
    assert scene.is_intact(one)


def test_a_session_loaded_by_half_moves_and_removes_nothing(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [scene.item(f"Item-{number}", ("a",)) for number in range(4)]
    job = scene.job(condition="name=None", data="delete")
    job.run()
    orphans(scene).run()
    scene.running.stop(timeout=5)
    aside = scene.folder / "aside"
    aside.mkdir()
    for item in found[:2]:
        for path in scene.running.session.glob(f"{item}*"):
            os.rename(path, aside / path.name)
    scene.running.start()
    eventually(lambda: scene.seeds(found[3]), 20)
    days_later(monkeypatch, 10)
    for each in (scene.job(data="delete"), orphans(scene)):
        with pytest.raises(UserError, match="has 2 items, 4 at the last time"):
            each.run()
    scene.running.stop(timeout=5)
    for path in aside.iterdir():
        os.rename(path, scene.running.session / path.name)
    scene.running.start()
    eventually(lambda: all(map(scene.seeds, found)), 20)
    assert all(map(scene.is_intact, found))


def test_an_empty_rtorrent_on_the_socket_moves_and_removes_nothing(
    scene: CleanupScene, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [scene.item(f"Item-{number}", ("a",)) for number in range(2)]
    scene.job(condition="name=None", data="delete").run()
    orphans(scene).run()
    days_later(monkeypatch, 10)
    with PrivateRTorrent(short_folder / "other") as other:
        context.set_context(context.JobContext(state_dir=scene.state, url=other.url))
        with pytest.raises(UserError, match="has 0 items, 2 at the last time"):
            scene.job(data="delete").run()
        with pytest.raises(UserError, match="has no items"):
            orphans(scene).run()
    assert all(map(scene.is_intact, found))


@pytest.mark.parametrize("method", ["branch", "d.stop", "d.close"])
def test_an_rtorrent_that_ends_between_two_calls_loses_nothing(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    found = [scene.item("One"), scene.item("Other")]
    call, multicall = RTorrent.call, RTorrent.multicall

    def killing_call(self: RTorrent, name: str, *params: Any, **keywords: Any) -> Any:
        if name == method:
            scene.running.kill()
        return call(self, name, *params, **keywords)

    def killing_multicall(self: RTorrent, calls: Any, *params: Any, **keywords: Any) -> Any:
        if any(each[0] == method for each in calls):
            scene.running.kill()
        return multicall(self, calls, *params, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(RTorrent, "call", killing_call)
        patch.setattr(RTorrent, "multicall", killing_multicall)
        with pytest.raises((UserError, RTorrentError)):
            scene.job(condition="name=One", data="quarantine").run()
    scene.running.start()
    scene.job(condition="name=None", data="quarantine").run()
    eventually(lambda: all(map(scene.seeds, found)), 20)
    assert scene.quarantined() == {}


def test_freed_bytes_are_those_of_the_preview(scene: CleanupScene, disk: Path) -> None:
    """Names of every kind, sparse, preallocated, linked, shared and half-loaded files."""
    size = 1 << 20
    names: list[str | bytes] = ["plain", b"L\xe9", "\N{PILE OF POO}", "%41", "a\nb", " spaced ", "$(rm)", "..x"]
    paths = [scene.write(name, ("a", b"sub/\xff"), size=size) for name in names]
    sparse, allocated = disk / "sparse", disk / "allocated"
    sparse.write_bytes(b"")
    os.truncate(sparse, 4 * size)
    with allocated.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 2 * size)
    linked = scene.write("linked", ("a",), size=size)
    os.link(linked / "a", disk / "linked-outside")
    (disk / "second").mkdir()
    os.link(paths[0] / "a", disk / "second/a")
    for path in (*paths, sparse, allocated, linked, disk / "second"):
        scene.add(path, salt="second" if path.name == "second" else "")
    shared = scene.add(paths[1], salt="shared")
    half = scene.write("half", (), size=4 * size)
    halved = scene.add(half, start=False)
    half.write_bytes(half.read_bytes()[: 2 * size])
    job = scene.job(condition="name=*", data="delete", shared="together", linked="ignore", max_items=0)
    before, plan = free(disk), job.preview().plan
    assert {each.candidate.info_hash for each in plan.removals} >= {shared, halved}
    assert not plan.kept
    job.run()
    assert scene.client.call("view.size", "", "main") == 0
    blocks = 4096 * 2 * len(plan.removals)
    eventually(lambda: abs(free(disk) - before - plan.frees) <= blocks, why="what was planned is free")
    assert [path.name for path in disk.iterdir() if not path.name.startswith(".")] == ["linked-outside"]
    assert (disk / "linked-outside").stat().st_size == size
