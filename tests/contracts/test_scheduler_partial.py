"""Items with deselected files: they free their slot when what is wanted is there, and are published once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.conditions import parse
from pyrotorque.fields import room_field
from pyrotorque.items import ItemReader
from pyrotorque.linux.filesystems import disk_space
from pyrotorque.rtorrent import RTorrent
from pyrotorque_scheduler.item_comparison import PartialItem
from pyrotorque_scheduler.queue.explain import explain_item
from tests.contracts.test_scheduler_completion import detect
from tests.partial_items import CHUNK, is_partial, load_without, select
from tests.scheduling import BEGIN, QueueScene, moment, queue_job, queue_scene
from tests.waiting import eventually

ONE_SLOT = queue_job(downloading_max=1, start_at_once=9)


def values(client: RTorrent, *names: str) -> dict[str, tuple[object, ...]]:
    found = ItemReader(client).read("main", None, ("name", *names), BEGIN)
    return {item["name"]: tuple(item[name] for name in names) for item in found}


def test_the_fields_say_what_is_wanted_and_left(rtorrent: PrivateRTorrent, client: RTorrent) -> None:
    load_without(client, rtorrent.downloads, "part", "b")
    whole = load_without(client, rtorrent.downloads, "whole", start=False)
    client.call("d.start", whole)
    eventually(lambda: client.call("d.complete", whole) == 1)
    names = ("is_complete", "is_wanted_done", "is_partial", "left")
    assert values(client, *names) == {"part": (False, True, True, 0), "whole": (True, True, False, 0)}


def test_left_does_not_count_deselected_files_of_an_item_that_was_never_opened(
    rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    load_without(client, rtorrent.downloads, "fresh", "a", "c", start=False)
    load_without(client, rtorrent.downloads, "all", start=False)
    load_without(client, rtorrent.downloads, "none", "a", "b", "c", start=False)
    assert values(client, "left") == {"fresh": (2 * CHUNK,), "all": (6 * CHUNK,), "none": (0,)}


def test_conditions_find_partial_items_as_rtorrent_filters_them(rtorrent: PrivateRTorrent, client: RTorrent) -> None:
    load_without(client, rtorrent.downloads, "part", "b")
    load_without(client, rtorrent.downloads, "fresh", "b", start=False)
    reader = ItemReader(client)

    def found(text: str) -> set[str]:
        return {item["name"] for item in reader.read("main", parse(text), ("name",), BEGIN)}

    for _ in range(2):
        assert found("is_wanted_done=yes") == found("is_partial=yes") == found("left=0") == {"part"}
        assert found("is_wanted_done=no") == found("left=64k") == {"fresh"}


def test_an_item_whose_wanted_files_are_there_frees_its_slot(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, ONE_SLOT) as d:
        load_without(d.rtorrent, rtorrent.downloads, "part", "b")
        waiting = d.load("waits")
        result = d.check(at=0)
        assert (result.started, result.downloading) == (1, 1)
        assert waiting in d.running()
        assert "all that is wanted of it is complete" in explain_item(d.queue, "part", moment(1)).text


def test_an_item_with_a_file_selected_again_takes_a_slot(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, ONE_SLOT) as d:
        part = load_without(d.rtorrent, rtorrent.downloads, "part", "b")
        d.load("waits")
        select(d.rtorrent, part, "b")
        assert d.check(at=0).hold.reason == "no_slot"


def test_it_is_published_as_completed_once_and_again_after_a_file_was_selected(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        part = load_without(d.rtorrent, rtorrent.downloads, "part", "b", start=False)
        detect(d)
        d.rtorrent.call("d.start", part)
        eventually(lambda: is_partial(d.rtorrent, part))
        assert [detect(d, at) for at in (15, 30, 100, 500)] == [1, 0, 0, 0]
        select(d.rtorrent, part, "b")
        assert [detect(d, at) for at in (515, 530)] == [0, 0]
        select(d.rtorrent, part, "b", priority=0)
        assert [detect(d, at) for at in (545, 560)] == [1, 0]
        assert d.event_types() == ["TorrentCompleted"] * 2


def test_it_is_published_after_a_downtime_and_after_a_kill_before_the_event_is_stored(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        part = load_without(d.rtorrent, rtorrent.downloads, "part", "b", start=False)
        detect(d)
        d.rtorrent.call("d.start", part)
        eventually(lambda: is_partial(d.rtorrent, part))
    with queue_scene(rtorrent, tmp_path) as d:
        assert [detect(d, at) for at in (60, 75)] == [1, 0]


def test_another_check_of_its_data_completes_it_no_second_time(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        items = [load_without(d.rtorrent, rtorrent.downloads, name, "b", start=False) for name in ("one", "other")]
        detect(d)
        for item in items:
            d.rtorrent.call("d.start", item)
            eventually(lambda item=item: is_partial(d.rtorrent, item))  # type: ignore[misc]
        assert detect(d, 15) == 2
        d.rtorrent.multicall([("d.check_hash", (item,)) for item in items])
        looks = 0
        while not all(is_partial(d.rtorrent, item) for item in items) or not looks:
            looks += 1
            assert detect(d, 15 + 60 * looks) == 0
        assert [detect(d, 10_000 + at) for at in (0, 60, 400)] == [0, 0, 0]


def test_a_check_that_ends_between_two_readings_is_no_completion(
    rtorrent: PrivateRTorrent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real check ends there only by chance: the row is replaced by that of an item whose check has begun."""
    with queue_scene(rtorrent, tmp_path) as d:
        item = load_without(d.rtorrent, rtorrent.downloads, "one", "b", start=False)
        detect(d)
        d.rtorrent.call("d.start", item)
        eventually(lambda: is_partial(d.rtorrent, item))
        assert detect(d, 15) == 1
        scan_rows = RTorrent.scan_rows

        def in_check(self: RTorrent, view: str, commands: Sequence[str], **more: Any) -> list[tuple[str, ...]]:
            rows = list(scan_rows(self, view, commands, **more))
            return [(row[0], row[1], "0", "0", "0") if len(row) == 5 and row[0] == item else row for row in rows]

        with monkeypatch.context() as patched:
            patched.setattr(RTorrent, "scan_rows", in_check)
            assert detect(d, 100) == 0
        assert [detect(d, at) for at in (200, 300)] == [0, 0]


def test_a_check_that_finds_a_deselected_file_is_no_completion(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        detect(d)
        item = load_without(d.rtorrent, rtorrent.downloads, "part", "b")
        assert [detect(d, at) for at in (15, 30)] == [0, 0], "it was added with its data"
        (rtorrent.downloads / "part/b").write_bytes(b"part b".ljust(2 * CHUNK, b"."))
        d.rtorrent.call("d.check_hash", item)
        eventually(lambda: d.rtorrent.call("d.complete", item) == 1)
        assert [detect(d, at) for at in (45, 60, 400)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("chunks", "downloaded", "follows"),
    [("6", "200", True), ("4", "200", False), ("6", "100", False), ("6", "50", True), ("3", "100", False)],
    ids=["loaded", "late blocks", "found by a check", "loaded, and restarted after a kill", "lost"],
)
def test_what_is_a_transfer_between_two_looks(chunks: str, downloaded: str, follows: bool) -> None:
    assert PartialItem("x", chunks, downloaded).follows(PartialItem("x", "4", "100")) is follows


@pytest.mark.parametrize("others", [True, False])
def test_what_was_there_before_an_upgrade_is_stored_without_an_event(
    rtorrent: PrivateRTorrent, tmp_path: Path, others: bool
) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        part = load_without(d.rtorrent, rtorrent.downloads, "part", "b")
        _store_as_1_0_0(d, {part: "part"} if others else {})
        assert [detect(d, at) for at in (0, 15, 400)] == [0, 0, 0]
        select(d.rtorrent, part, "b")
        detect(d, 415)
        select(d.rtorrent, part, "b", priority=0)
        assert [detect(d, at) for at in (430, 445)] == [1, 0]


def _store_as_1_0_0(d: QueueScene, items: dict[str, str]) -> None:
    """The state after the comparisons of a version that did not look at deselected files."""
    with d.store.transaction() as db:
        db.executemany("INSERT INTO known_items VALUES (?, ?, 0)", items.items())
        db.execute("INSERT INTO compared (one, at) VALUES (1, ?)", (BEGIN - 10,))


def test_an_item_of_which_nothing_is_wanted_takes_no_slot_and_is_not_published(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path, ONE_SLOT) as d:
        detect(d)
        nothing = load_without(d.rtorrent, rtorrent.downloads, "nothing", "a", "b", "c", start=False)
        d.rtorrent.call("d.start", nothing)
        eventually(lambda: d.rtorrent.call("d.is_active", nothing) == 1)
        assert [detect(d, at) for at in (15, 30, 400)] == [0, 0, 0]
        waiting = d.load("waits")
        assert d.check(at=0).started == 1
        assert waiting in d.running()


def test_min_free_and_has_room_count_what_is_wanted_only(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    """Deselected files do not count, also before the first start."""
    space = disk_space(str(rtorrent.downloads))
    assert space is not None
    min_free = space.free - (1 << 30)
    with queue_scene(rtorrent, tmp_path, queue_job(min_free=min_free)) as d:
        item = d.load("huge", files=[("a", 2 << 30), ("b", 10 * CHUNK)], piece_length=4 << 20)
        result = d.check(at=0)
        assert (result.started, result.hold.reason) == (0, "disk")
        assert "would leave" in explain_item(d.queue, item, moment(1)).text
        has_room = {"has_room": room_field(min_free)}
        reader, wanted = ItemReader(d.rtorrent), parse("has_room=yes", custom=has_room)
        assert not reader.read("main", wanted, (), BEGIN, table=has_room)
        d.rtorrent.multicall([("f.priority.set", (f"{item}:f0", 0)), ("d.update_priorities", (item,))])
        assert len(reader.read("main", wanted, (), BEGIN, table=has_room)) == 1
        assert "starts now" in explain_item(d.queue, item, moment(14)).text
        assert d.check(at=15).started == 1
