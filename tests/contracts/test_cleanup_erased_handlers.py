"""Nothing is erased while rTorrent runs a program for erased items, as it may remove data, unless that is accepted."""

from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.housekeeping.erased_handlers import foreign_erased_handlers
from pyrotorque.jobs import JobConfig
from pyrotorque.jobs.action import Action
from pyrotorque.rtorrent import RTorrent
from tests.cleaning import CleanupScene
from tests.waiting import eventually

REMOVES = "execute.nothrow=rm,-rf,$d.base_path="


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def handler(scene: CleanupScene, text: str = REMOVES) -> None:
    scene.client.call("method.set_key", "", "event.download.erased", "of_its_owner", text)


def delete(condition: str, **more: Any) -> Action:
    values = {"job_name": "delete", "schedule": "hour=4", "action": "delete", "condition": condition}
    return Action(JobConfig({**values, **more}))


@pytest.mark.parametrize(
    "text",
    [REMOVES, "execute2={rm,-rf,$d.base_path=}", 'branch=d.complete=,"execute.throw=rm,-f,/x"', "harmless=", "my_rm="],
)
def test_programs_are_found_also_in_methods_of_the_user(scene: CleanupScene, text: str) -> None:
    scene.client.call("method.insert", "", "my_rm", "simple", REMOVES)
    scene.client.call("method.insert", "", "harmless", "simple", "d.custom.set=erased,yes")
    handler(scene, text)
    assert bool(foreign_erased_handlers(scene.client)) == (text != "harmless=")


def test_an_action_deletes_only_where_the_data_stays(scene: CleanupScene) -> None:
    one, other = scene.item("One"), scene.item("Other")
    twin = scene.add(scene.downloads / "One", salt="twin")
    handler(scene)
    with pytest.raises(UserError, match="no item is deleted: rTorrent runs `execute"):
        delete(f"hash={one}").run()
    assert scene.is_intact(one)
    scene.client.call("method.set_key", "", "event.download.erased", "of_its_owner", "d.custom.set=erased,yes")
    delete(f"hash={one}").run()
    assert not scene.has(one)
    assert scene.is_intact(twin)
    assert scene.is_intact(other)


def test_a_handler_that_is_set_during_the_run_stops_it(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [scene.item("One"), scene.item("Two")]
    calls = Action.calls

    def set_after_first(self: Action, *args: Any) -> Any:
        result = calls(self, *args)
        handler(scene)
        return result

    monkeypatch.setattr(Action, "calls", set_after_first)
    with pytest.raises(UserError, match="no item is deleted"):
        delete("name=*").run()
    assert sum(map(scene.has, found)) >= 1
    monkeypatch.undo()


def test_a_handler_that_is_set_while_an_item_stops_keeps_it(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene.item("One")
    call = RTorrent.call

    def set_at_stop(self: RTorrent, method: str, *params: Any, **keywords: Any) -> Any:
        if method == "d.close":
            handler(scene)
        return call(self, method, *params, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(RTorrent, "call", set_at_stop)
        with pytest.raises(UserError, match="One stays: rTorrent runs `execute"):
            scene.job(data="quarantine").run()
    eventually(lambda: scene.seeds(one), 20, why="it is started again")
    assert scene.is_intact(one)


def test_an_accepted_handler_stops_nothing(scene: CleanupScene) -> None:
    one, two = scene.item("One"), scene.item("Two")
    handler(scene, "execute.nothrow=true")
    scene.job(condition="name=One", data="quarantine", erased_handler="accept").run()
    delete("name=Two", erased_handler="accept").run()
    assert [scene.has(one), scene.has(two)] == [False, False]
    assert (scene.downloads / "Two/a").exists()
    assert list(scene.quarantined()) == [one]
    with pytest.raises(UserError, match="expected refuse or accept"):
        delete("name=Two", erased_handler="perhaps")
