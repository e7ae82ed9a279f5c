"""A kill at any step of a removal loses no byte: the item is untouched, or gone with its files in quarantine."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.housekeeping import inventory, moved_files, quarantine, restore
from pyrotorque.housekeeping.journal import RemovalJournal
from pyrotorque.linux import files
from pyrotorque.rtorrent import RTorrent
from tests.cleaning import CleanupScene, without_awaited_loads
from tests.contracts.test_cleanup import entry_of
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def no_other_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    without_awaited_loads(monkeypatch, inventory)


class KillNow(BaseException):
    """What a kill looks like from inside: nothing after it is run."""


# Everything that changes something outside of the process.
EFFECTS: tuple[tuple[Any, str], ...] = (
    (RemovalJournal, "write"),
    (RemovalJournal, "remove"),
    (moved_files, "rename_noreplace"),
    (moved_files, "remove_exactly"),
    (quarantine, "_write_new"),
    (os, "mkdir"),
    (os, "rmdir"),
    (RTorrent, "call"),
)


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Generator[list[str]]:
    """Kill before the effect number `step / 2`, or after it if `step` is odd; yields the effects until then."""
    done: list[str] = []

    def wrapped(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def effect(*args: Any, **keywords: Any) -> Any:
            done.append(name)
            is_last = len(done) - 1 == step // 2
            if is_last and step % 2 == 0:
                raise KillNow
            try:
                return real(*args, **keywords)
            finally:
                if is_last:
                    raise KillNow

        return effect

    with monkeypatch.context() as patch:
        for owner, name in EFFECTS:
            patch.setattr(owner, name, wrapped(getattr(owner, name), name))
        yield done


def check_untouched_or_gone(scene: CleanupScene, one: str, content: dict[Path, bytes], after: str) -> None:
    """After the next run of a job that removes nothing by itself."""
    scene.job(condition="name=Nothing", data="quarantine").run()
    assert not list((scene.state / "housekeeping/removals").glob("*.json")), after
    if scene.has(one):
        eventually(lambda: scene.seeds(one), 20, why=f"it seeds again, killed after {after}")
        assert {path: path.read_bytes() for path in content} == content, after
        assert scene.quarantined() == {}, after
    else:
        assert not any(path.exists() for path in content), after
        restore.restore(scene.client, entry_of(scene, one))
        eventually(lambda: scene.seeds(one), 20, why="it is restored")
    assert {path: path.read_bytes() for path in content} == content, after


@pytest.mark.parametrize("data", ["quarantine", "delete"])
@pytest.mark.parametrize("first", range(5))
def test_a_kill_at_each_step(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch, data: str, first: int
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    other = scene.item("Other")
    path = scene.write("One")
    one = scene.add(path)
    content = {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}
    step = 0
    for step in range(first, 1000, 5):
        with killed_at(step, monkeypatch) as done:
            try:
                scene.job(condition="name=One", data=data, max_items=0).run()
            except KillNow:
                ended = False
            else:
                ended = True
        if ended:
            break
        if "remove_exactly" in done:  # verified, erased, and its deletion had begun
            scene.job(condition="name=Nothing", data="quarantine").run()
            assert not scene.has(one)
            assert not any(each.exists() for each in content)
            assert not list((scene.state / "housekeeping/removals").glob("*.json"))
            for each, data_of in content.items():
                each.parent.mkdir(parents=True, exist_ok=True)
                each.write_bytes(data_of)
            assert scene.add(path) == one
            continue
        check_untouched_or_gone(scene, one, content, f"{len(done)}: {done[-3:]}")
    assert step > 60
    assert scene.is_intact(other)


@pytest.mark.parametrize("effect", ["rename_noreplace", "branch", "after branch"])
def test_a_kill_of_rtorrent_in_between_loses_nothing(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch, effect: str
) -> None:
    """Job and rTorrent are killed together; rTorrent must not start the item again and create its files empty."""
    scene = CleanupScene(rtorrent, short_folder)
    other = scene.item("Other")
    path = scene.write("One")
    one = scene.add(path)
    content = {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}
    call, rename = RTorrent.call, files.rename_noreplace

    def killing_call(self: RTorrent, method: str, *params: Any, **keywords: Any) -> Any:
        if method == "branch" and effect != "rename_noreplace":
            if effect == "after branch":
                call(self, method, *params, **keywords)
            rtorrent.kill()
            raise KillNow
        return call(self, method, *params, **keywords)

    def killing_rename(*places: Any) -> None:
        rename(*places)
        if effect == "rename_noreplace":
            rtorrent.kill()
            raise KillNow

    with monkeypatch.context() as patch:
        patch.setattr(RTorrent, "call", killing_call)
        patch.setattr(moved_files, "rename_noreplace", killing_rename)
        with pytest.raises(KillNow):
            scene.job(condition="name=One", data="quarantine").run()
    rtorrent.start()
    eventually(lambda: scene.has(other), 20)
    eventually(lambda: scene.seeds(other), 20)
    check_untouched_or_gone(scene, one, content, effect)
    assert scene.is_intact(other)


def test_a_removal_that_another_job_finishes_counts_for_the_one_that_began_it(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All jobs of a group share the journal, but each has its own limits of a day."""
    scene = CleanupScene(rtorrent, short_folder)
    found = [scene.item(name) for name in ("One", "Two", "Three")]
    call = RTorrent.call

    def killing_call(self: RTorrent, method: str, *params: Any, **keywords: Any) -> Any:
        if method == "branch":
            raise KillNow
        return call(self, method, *params, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(RTorrent, "call", killing_call)
        with pytest.raises(KillNow):
            scene.job(data="quarantine", max_items=2).run()
    (scene.state / "jobs/tidy/cleanup").write_bytes(
        (scene.state / "jobs/tidy/cleanup").read_bytes().replace(b'"spent":[[', b'"spent":[],"was":[[')
    )
    scene.job(job_name="other", condition="name=None", data="quarantine").run()
    assert sum(map(scene.has, found)) == 2
    for _ in range(3):
        scene.job(data="quarantine", max_items=2).run()
    assert sum(map(scene.has, found)) == 1


@pytest.mark.parametrize("step", range(14))
def test_a_restore_that_is_killed_while_it_ends_is_repeated(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The metafile may be gone from the entry, and the entry still be listed."""
    scene = CleanupScene(rtorrent, short_folder)
    one = scene.item("One")
    scene.job(data="quarantine").run()
    entry = entry_of(scene, one)
    unlink, count = os.unlink, 0

    def killing_unlink(*args: Any, **keywords: Any) -> None:
        nonlocal count
        count += 1
        if count == step + 1:
            raise KillNow
        unlink(*args, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", killing_unlink)
        with suppress(KillNow):
            restore.restore(scene.client, entry)
    for each in list(quarantine.entries(scene.downloads / quarantine.NAME)):
        restore.restore(scene.client, each)
    eventually(lambda: scene.seeds(one), 20)
    assert not list(quarantine.entries(scene.downloads / quarantine.NAME))
