"""What housekeeping publishes when it is killed: each fact once, as it was, whatever step the kill was at."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.events import OrphansMoved, QuarantinePurged, TorrentRemoved
from pyrotorque.housekeeping import inventory, moved_files, quarantine
from pyrotorque.housekeeping.journal import RemovalJournal, RemovedFile
from pyrotorque.housekeeping.pending_events import PendingEvents
from pyrotorque.jobs.orphans import Orphans
from tests.cleaning import SILENT, CleanupScene, days_later, without_awaited_loads
from tests.contracts.test_cleanup_kills import KillNow, killed_at
from tests.contracts.test_cleanup_orphans import job as orphans
from tests.waiting import eventually


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> CleanupScene:
    without_awaited_loads(monkeypatch, inventory)
    return CleanupScene(rtorrent, short_folder)


def run_nothing(scene: CleanupScene) -> None:
    scene.job(condition="name=Nothing", data="quarantine").run()


@pytest.mark.parametrize("first", range(2))
def test_a_purge_is_published_whatever_step_it_is_killed_at(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    step = 0
    for step in range(first, 1000, 4):
        one = scene.item(f"One{step}")
        scene.job(data="quarantine", condition=f"name=One{step}", max_items=0).run()
        with monkeypatch.context() as later:
            days_later(later, 15)
            with killed_at(step, monkeypatch) as done:
                try:
                    run_nothing(scene)
                except KillNow:
                    ended = False
                else:
                    ended = True
            run_nothing(scene)
        purged = [each for each in scene.events.values() if isinstance(each, QuarantinePurged)]
        assert [each.info_hash for each in purged].count(one) == 1, f"{step}: {done[-3:]}"
        assert not any(scene.quarantined().values()), "an empty folder may be left"
        if "remove_exactly" not in done:
            assert purged[-1].freed >= 80_000
        if ended:
            break
    assert step > 16


def before(real: Callable[..., Any], *_: object, **__: object) -> None:
    raise KillNow


def after(real: Callable[..., Any], *arguments: Any, **keywords: Any) -> None:
    real(*arguments, **keywords)
    raise KillNow


@pytest.mark.parametrize(
    ("owner", "name", "kill"),
    [(quarantine, "discard", before), (quarantine, "discard", after), (RemovalJournal, "remove", before)],
    ids=["before the entry is gone", "after it", "before the journal is gone"],
)
def test_a_removal_whose_data_was_deleted_is_published_as_that(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, kill: Callable[..., None]
) -> None:
    """The next run finishes a removal without a deletion, as its facts are no longer certain: not what is done."""
    one, real = scene.item("One"), getattr(owner, name)
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, partial(kill, real))
        with pytest.raises(KillNow):
            scene.job(data="delete").run()
    run_nothing(scene)
    (removed,) = scene.events.values()
    assert isinstance(removed, TorrentRemoved)
    assert (removed.info_hash, removed.data, removed.quarantine) == (one, "delete", "")
    assert removed.freed >= 80_000


MOVE = moved_files.move


def move_one(source: int, target: int, files: Sequence[RemovedFile]) -> None:
    MOVE(source, target, files[:1])
    raise KillNow


def after_adding(events: PendingEvents, identity: str, event: Any) -> None:
    ADD(events, identity, event)
    raise KillNow


ADD = PendingEvents.add


def die(*_: object, **__: object) -> None:
    raise KillNow


@pytest.mark.parametrize(
    ("owner", "name", "effect", "files"),
    [
        (moved_files, "move", die, [2]),
        (moved_files, "move", move_one, [1, 1]),
        (Orphans, "_claimed", die, [2]),
        (PendingEvents, "add", die, [2]),
        (PendingEvents, "add", after_adding, [2]),
    ],
    ids=["before the first file", "after one", "after both", "before the event", "after it"],
)
def test_orphans_are_published_when_the_job_is_killed_in_between(
    scene: CleanupScene,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    effect: Callable[..., None],
    files: list[int],
) -> None:
    scene.item("One")
    for loose in ("first", "second"):
        (scene.downloads / loose).write_text("loose")
    orphans(scene).run()
    days_later(monkeypatch, 4)
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, effect)
        with pytest.raises(KillNow):
            orphans(scene).run()
    orphans(scene).run()
    moved = [each.files for each in scene.events.values() if isinstance(each, OrphansMoved)]
    assert moved == files
    assert sum(len(each.removal.files) for each in quarantine.entries(scene.downloads / quarantine.NAME)) == 2
    orphans(scene).run()
    assert sum(isinstance(each, OrphansMoved) for each in scene.events.values()) == len(files)


def test_files_of_a_killed_job_that_an_item_claims_come_back(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.item("One")
    path = scene.write("Two")
    orphans(scene, max_percent=100).run()
    days_later(monkeypatch, 4)
    with monkeypatch.context() as patched:
        patched.setattr(Orphans, "_claimed", die)
        with pytest.raises(KillNow):
            orphans(scene, max_percent=100).run()
    assert not (path / "a").exists()
    (entry,) = quarantine.entries(scene.downloads / quarantine.NAME)
    for file in entry.removal.files:  # the same data, for the metafile
        target = scene.folder / "copy" / os.fsdecode(file.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((entry.folder / "data" / os.fsdecode(file.path)).read_bytes())
    metafile = make_metafile("Two", content=scene.folder / "copy/Two", announce=SILENT)
    scene.client.call("load.raw", "", metafile)
    eventually(lambda: scene.has(info_hash(metafile)), 20)
    with pytest.raises(UserError, match="Two may have one of the files that were just moved: all are back"):
        orphans(scene, max_percent=100).run()
    assert scene.is_intact(info_hash(metafile))
    assert scene.quarantined() == {}
