"""Action and ItemCommand on a real rTorrent: what they are for is done to the items that are meant, and to no other."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.events import LoadFailed, TorrentCompleted
from pyrotorque.items import Item
from pyrotorque.jobs import Job, JobConfig, context
from pyrotorque.jobs.action import Action
from pyrotorque.jobs.itemcommand import ItemCommand
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.item_texts import ItemText, equal_call
from pyrotorque.rtorrent.packed_rows import Form
from tests.waiting import eventually


@pytest.fixture
def items(rtorrent: PrivateRTorrent) -> dict[str, str]:
    """Two stopped items: hashes by name."""
    client = RTorrent(rtorrent.url)
    context.set_context(context.JobContext(url=rtorrent.url))
    made = {}
    for name in ("one", "two"):
        metafile = make_metafile(name, announce="udp://127.0.0.1:1/announce")
        made[name] = info_hash(metafile)
        client.call("load.raw", "", metafile)
    eventually(lambda: len(client.rows("main", ["d.hash="])) == 2)
    return made


def config(**settings: Any) -> JobConfig:
    return JobConfig({"job_name": "x", "condition": "name=one", **settings})


@pytest.mark.parametrize(
    ("settings", "command", "before", "after"),
    [
        ({"action": "start"}, "d.state=", "0", "1"),
        ({"action": "ignore"}, "d.ignore_commands=", "0", "1"),
        ({"action": "priority", "value": 3}, "d.priority=", "2", "3"),
        ({"action": "custom", "value": "place=/done/{{name}}"}, "d.custom=place", "", "/done/one"),
        ({"action": "tag", "value": "New good"}, "d.custom=tags", "", "good new"),
        ({"action": "throttle", "value": "NULL"}, "d.throttle_name=", "", "NULL"),
        ({"action": "hash_check"}, "d.custom=none", "", ""),
        ({"action": "save"}, "d.custom=none", "", ""),
    ],
    ids=["start", "ignore", "priority", "custom", "tag", "throttle", "hash check", "save"],
)
def test_an_action_is_done_to_the_items_of_the_condition(
    rtorrent: PrivateRTorrent, items: dict[str, str], settings: dict[str, Any], command: str, before: str, after: str
) -> None:
    Action(config(**settings)).run()
    rows: dict[str, str] = dict(RTorrent(rtorrent.url).rows("main", ["d.name=", command]))  # type: ignore[arg-type]
    assert rows == {"one": after, "two": before}


def test_tags_that_rtorrent_prints_altered_are_not_overwritten(
    rtorrent: PrivateRTorrent, items: dict[str, str]
) -> None:
    client = RTorrent(rtorrent.url)
    client.call("d.custom.set", items["one"], "tags", "😀 ü")
    action = Action(config(action="tag", value="good"))
    if client.known("d.name.base64"):
        action.run()
        assert client.text(items["one"], "d.custom=tags") == ItemText("good ü 😀", Form.EXACT)
        return
    with pytest.raises(UserError, match="prints its tags altered"):
        action.run()
    method, params = equal_call(items["one"], "d.custom=tags", "😀 ü".encode())
    assert client.call(method, *params) == 1


def test_a_started_item_is_stopped_and_closed(rtorrent: PrivateRTorrent, items: dict[str, str]) -> None:
    client = RTorrent(rtorrent.url)
    Action(config(action="start", condition="name=/./")).run()
    Action(config(action="close")).run()
    rows = {tuple(row) for row in client.rows("main", ["d.name=", "d.state=", "d.is_open="])}
    assert rows == {("one", "0", "0"), ("two", "1", "1")}


def test_deleting_is_refused_where_a_handler_may_remove_the_data(
    rtorrent: PrivateRTorrent, items: dict[str, str]
) -> None:
    client = RTorrent(rtorrent.url)
    client.call("method.insert", "", "drop_data", "simple", "execute2=rm,-rf,--,$d.base_path=")
    client.call("method.set_key", "", "event.download.erased", "own", "drop_data=")
    with pytest.raises(UserError, match="no item is deleted: rTorrent runs `drop_data=`"):
        Action(config(action="delete")).run()
    assert len(client.rows("main", ["d.hash="])) == 2
    client.call("method.set_key", "", "event.download.erased", "own", "print=erased")
    Action(config(action="delete")).run()
    assert len(client.rows("main", ["d.hash="])) == 1


def test_deleting_takes_the_item_and_leaves_its_data(rtorrent: PrivateRTorrent, items: dict[str, str]) -> None:
    (rtorrent.downloads / "one").write_text("data")
    Action(config(action="delete")).run()
    eventually(lambda: [row[0] for row in RTorrent(rtorrent.url).rows("main", ["d.name="])] == ["two"])
    assert (rtorrent.downloads / "one").exists()


def test_a_dry_run_does_nothing(
    rtorrent: PrivateRTorrent, items: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        Action(config(action="delete", dry_run=True)).run()
    assert "would delete: one" in caplog.text
    assert len(RTorrent(rtorrent.url).rows("main", ["d.hash="])) == 2


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"action": "dance"}, "dance is not one of start, stop"),
        ({"action": "cull"}, "deletes data"),
        ({"action": "priority"}, "job.x.value is not set"),
        ({"action": "tag", "value": "{{nothing}}"}, "there is no field `nothing`"),
        ({"action": "stop", "condition": ""}, "job.x.condition is not set"),
        ({"action": "stop", "condition": "nothing=1"}, "nothing"),
    ],
)
def test_errors_in_the_settings_are_raised_by_the_constructor(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        Action(config(**settings))


def test_a_command_is_run_for_each_item_in_order(items: dict[str, str], tmp_path: Path) -> None:
    made = tmp_path / "made"
    command = f'printf "%s %s\\n" {{{{name}}}} {{{{hash}}}} >> {made}'
    job = ItemCommand(config(condition="name=/./", sort="-name", command=command, shell=True))
    job.run()
    assert made.read_text() == f"two {items['two']}\none {items['one']}\n"


def test_one_item_that_fails_does_not_keep_the_others_waiting(items: dict[str, str], tmp_path: Path) -> None:
    command = f"test {{{{name}}}} != one && touch {tmp_path}/{{{{name}}}}"
    job = ItemCommand(config(condition="name=/./", sort="name", command=command, shell=True))
    with pytest.raises(UserError, match="1 of the items failed: one: /bin/sh exited with status 1"):
        job.run()
    assert (tmp_path / "two").exists()


def test_an_event_is_about_its_item_only(items: dict[str, str], tmp_path: Path) -> None:
    job = ItemCommand(JobConfig(job_name="x", on=["TorrentCompleted"], command=f"touch {tmp_path}/{{{{name}}}}"))
    job.run(TorrentCompleted(at=0.0, info_hash=items["two"], name="two"))
    assert [path.name for path in tmp_path.iterdir()] == ["two"]
    with pytest.raises(UserError, match="LoadFailed is not about an item"):
        job.run(LoadFailed(at=0.0, metafile="m", job="w", kind="io", reason="r"))


def test_a_job_of_ones_own_reads_items_with_their_fields(items: dict[str, str]) -> None:
    job = Job(config())
    found = job.items("name=one", ["prio", "size"])
    assert [(item["hash"], item.prio, item.size) for item in found] == [(items["one"], 2, 65536)]
    assert {item["name"] for item in job.items()} == {"one", "two"}


DURING: list[tuple[str, Callable[[RTorrent, str], object]]] = [
    ("protected", lambda client, other: client.call("d.custom.set", other, "tags", "keep")),
    ("erased", lambda client, other: client.call("d.erase", other)),
    ("added again", lambda client, other: load_again(client, other)),
]


def load_again(client: RTorrent, erased: str) -> None:
    """The same torrent, as another program loads it, without what the condition asks for."""
    client.call("d.erase", erased)
    client.call("load.raw", "", make_metafile("two", announce="udp://127.0.0.1:1/announce"))
    eventually(lambda: (erased,) in client.rows("main", ["d.hash="]))


@pytest.mark.parametrize(("settings", "is_slow"), [({"action": "delete"}, False), ({"action": "stop"}, True)])
@pytest.mark.parametrize(("what", "change"), DURING, ids=[what for what, _ in DURING])
def test_an_item_that_changed_since_the_run_began_is_left_as_it_is(
    rtorrent: PrivateRTorrent,
    items: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    settings: dict[str, Any],
    is_slow: bool,
    what: str,
    change: Callable[[RTorrent, str], object],
) -> None:
    client = RTorrent(rtorrent.url)
    Action(config(action="custom", value="old=1", condition="name=/./")).run()
    Action(config(action="start", condition="name=/./")).run()
    job = Action(config(condition="custom_old=1 tagged!=keep", sort="name", **settings))
    acted: list[str] = []
    run_item = job.run_item

    def changed_meanwhile(item: Item) -> None:
        acted.append(str(item["name"]))
        run_item(item)
        change(client, items["two"])
        if is_slow:
            monkeypatch.setattr(job, "fresh_for", 0.0)  # as if a second had passed

    monkeypatch.setattr(job, "run_item", changed_meanwhile)
    with caplog.at_level(logging.INFO):
        job.run()
    assert acted == ["one"]
    assert "two is left as it is" in caplog.text
    assert (items["two"] in {row[0] for row in client.rows("main", ["d.hash="])}) == (what != "erased")


def stopped(client: RTorrent, item: str) -> None:
    client.call("d.stop", item)


def tagged(client: RTorrent, item: str) -> None:
    client.call("d.custom.set", item, "tags", "keep seen")


def placed(client: RTorrent, item: str) -> None:
    client.call("d.custom.set", item, "place", "new")


@pytest.mark.parametrize(
    ("settings", "change", "command", "expected"),
    [
        ({"action": "tag", "value": "good"}, tagged, "d.custom=tags", "good keep seen"),
        ({"action": "untag", "value": "seen"}, tagged, "d.custom=tags", "keep"),
        ({"action": "throttle", "value": "NULL"}, stopped, "d.state=", "0"),
        ({"action": "custom", "value": "copy={{custom_place}}"}, placed, "d.custom=copy", "new"),
    ],
    ids=["tag", "untag", "throttle", "a value with a field"],
)
def test_what_an_owner_changes_right_before_the_turn_of_an_item_is_not_lost(
    rtorrent: PrivateRTorrent,
    items: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    change: Callable[[RTorrent, str], object],
    command: str,
    expected: str,
) -> None:
    client = RTorrent(rtorrent.url)
    Action(config(action="start", condition="name=/./")).run()
    job = Action(config(condition="name=/./", sort="name", **settings))
    run_item = job.run_item

    def changed_meanwhile(item: Item) -> None:
        run_item(item)
        if item["name"] == "one":
            change(client, items["two"])

    monkeypatch.setattr(job, "run_item", changed_meanwhile)
    job.run()
    rows: dict[str, str] = dict(client.rows("main", ["d.name=", command]))  # type: ignore[arg-type]
    assert rows["two"] == expected


def test_a_program_runs_for_items_that_match_at_its_turn(
    items: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program for the first item changes what is true of the second one."""
    client = RTorrent(str(context.current_context().url))
    job = ItemCommand(config(condition="tagged!=done", sort="name", command=f"touch {tmp_path}/{{{{name}}}}"))
    ran = job.program.run

    def changing(values: Mapping[str, object]) -> None:
        ran(values)
        client.call("d.custom.set", items["two"], "tags", "done")

    monkeypatch.setattr(job.program, "run", changing)
    job.run()
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_many_items_are_read_again_in_few_calls(rtorrent: PrivateRTorrent, monkeypatch: pytest.MonkeyPatch) -> None:
    client = RTorrent(rtorrent.url)
    context.set_context(context.JobContext(url=rtorrent.url))
    for number in range(120):
        client.call("load.raw", "", make_metafile(f"n{number:03}"))
    eventually(lambda: len(client.rows("main", ["d.hash="])) == 120)
    job = Action(config(action="tag", value="seen", condition="name=/./", sort="name"))
    monkeypatch.setattr(job, "fresh_for", 1e-9)
    calls: list[int] = []
    rows_of = job.rtorrent.rows_of

    def counted(hashes: Sequence[str], commands: Sequence[str]) -> list[tuple[str, ...]]:
        calls.append(len(hashes))
        monkeypatch.setattr(job, "fresh_for", 60.0)
        return rows_of(hashes, commands)

    monkeypatch.setattr(job.rtorrent, "rows_of", counted)
    job.run()
    assert calls == [50, 50, 20]
    assert {row[0] for row in client.rows("main", ["d.custom=tags"])} == {"seen"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"action": "throttle", "value": "NULL"}, ("1", "1", "NULL")),
        ({"action": "close"}, ("0", "0", "")),
        ({"action": "delete"}, None),
    ],
    ids=["throttle", "close", "delete"],
)
def test_an_rtorrent_that_hangs_in_an_action_does_all_of_it_later(
    rtorrent: PrivateRTorrent, items: dict[str, str], settings: dict[str, Any], expected: tuple[str, ...] | None
) -> None:
    client = RTorrent(rtorrent.url)
    Action(config(action="start")).run()
    job = Action(config(**settings))
    multicall = job.rtorrent.multicall

    def hanging(calls: Sequence[Any], *words: Any, **more: Any) -> Any:
        if calls[0][0] == "d.stop":
            job.rtorrent.read_timeout = 0.5
            rtorrent.pause()
        return multicall(calls, *words, **more)

    job.rtorrent.multicall = hanging  # type: ignore[method-assign]
    with pytest.raises(UserError, match="did not answer within"):
        job.run()
    rtorrent.resume()

    def found() -> tuple[str, ...] | None:
        commands = ["d.hash=", "d.state=", "d.is_active=", "d.throttle_name="]
        return next((row[1:] for row in client.rows("main", commands) if row[0] == items["one"]), None)

    eventually(lambda: found() == expected)


def test_an_item_that_has_the_throttle_is_not_stopped_for_it(rtorrent: PrivateRTorrent, items: dict[str, str]) -> None:
    client = RTorrent(rtorrent.url)
    Action(config(action="start")).run()
    for value, starts in (("NULL", "2"), ("NULL", "2"), ("NONE", "3"), ("none", "3")):
        Action(config(action="throttle", value=value)).run()
        wanted = ("1", "" if value.upper() == "NONE" else value, starts)
        commands = ["d.name=", "d.is_active=", "d.throttle_name=", "d.state_counter="]
        assert [row[1:] for row in client.rows("main", commands) if row[0] == "one"] == [wanted]
