"""A removal that fails again and again: the item is stopped for it ever more rarely, and reported once."""

import errno
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.housekeeping import inventory, moved_files
from pyrotorque.housekeeping.journal import RemovalPhase
from pyrotorque.housekeeping.removal import Remover
from pyrotorque.rtorrent import RTorrent
from tests.cleaning import CleanupScene, days_later, without_awaited_loads
from tests.contracts.test_cleanup_interplay import journals, kill_at
from tests.waiting import eventually


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> CleanupScene:
    without_awaited_loads(monkeypatch, inventory)
    return CleanupScene(rtorrent, short_folder)


def refused(*_: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted", "b")  # as for a file with `chattr +i`


@pytest.mark.parametrize("data", ["quarantine", "delete"])
def test_an_item_that_cannot_be_removed_is_not_stopped_at_each_run(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    item, other = scene.item("Some Name"), scene.item("Other")
    stops, call = list[str](), RTorrent.call

    def counted(self: RTorrent, method: str, *params: Any, **more: Any) -> Any:
        stops.extend([method] if method == "d.stop" else [])
        return call(self, method, *params, **more)

    monkeypatch.setattr(RTorrent, "call", counted)
    job = scene.job(data=data, condition=f"hash={item}")
    with monkeypatch.context() as patched:
        patched.setattr(moved_files, "rename_noreplace", refused)
        with pytest.raises(UserError, match=r"Some Name stays: .*Operation not permitted"):
            job.run()
        for _ in range(5):
            job.run()  # reported once
        assert len(stops) == 2
        eventually(lambda: scene.seeds(item), 20, why="it seeds")
        days_later(monkeypatch, 0.05)
        job.run()
        assert len(stops) == 3
        days_later(monkeypatch, 0.05)
        job.run()
        assert len(stops) == 3, "the second pause is longer"
        kept = job.preview().plan.kept[item]
        assert kept.reason == "failed"
        assert "its removal failed 3 times" in kept.text
    scene.job(data=data, condition=f"hash={other}").run()  # as before for each other item
    assert not scene.has(other)
    days_later(monkeypatch, 1)
    job.run()
    assert not scene.has(item)


@pytest.mark.parametrize("killed", [False, True], ids=["refused", "killed"])
@pytest.mark.parametrize("phase", ["stopping", "erasing"])
def test_a_magnet_link_whose_removal_is_not_carried_out_runs_on(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, phase: RemovalPhase, killed: bool
) -> None:
    pending = "A" * 40
    scene.client.call("load.start", "", f"magnet:?xt=urn:btih:{pending}&tr=udp://127.0.0.1:1/announce")
    eventually(lambda: scene.client.call("d.state", pending) == 1, 20, why="it is started")
    if killed:
        kill_at(scene, monkeypatch, phase, condition="is_complete=no")
        scene.job(condition="name=None").run()
    else:
        with monkeypatch.context() as patched:
            patched.setattr(Remover, "_stop" if phase == "stopping" else "_erase", refused)
            with pytest.raises(UserError, match=r"stays: .*Operation not permitted"):
                scene.job(condition="is_complete=no").run()
    assert scene.client.call("d.state", pending) == 1
    assert scene.events == {}
    assert journals(scene) == []
