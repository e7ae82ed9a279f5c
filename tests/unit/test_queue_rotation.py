"""What rotation observes, closes, retries and shows, over facts that a test makes: no rTorrent."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pyrotorque.conditions import Condition
from pyrotorque.logs import job_logger
from pyrotorque.store import open_in_memory
from pyrotorque.totals import Totals
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue import rotation as rotation_module
from pyrotorque_scheduler.queue.groups import GroupLimits, GroupRoom
from pyrotorque_scheduler.queue.line import Line
from pyrotorque_scheduler.queue.model import Instant
from pyrotorque_scheduler.queue.parked_items import ParkedItem, ParkedItems
from pyrotorque_scheduler.queue.rotation import Rotation
from pyrotorque_scheduler.queue.rules import read_rules
from pyrotorque_scheduler.queue.stall import NEVER, RunningItem
from pyrotorque_scheduler.state import MIGRATIONS, DecisionHistory, DecisionRecord
from tests.scheduling import queue_job

M = 1 << 20
WALL = 1_000_000.0
FREE = GroupRoom(GroupLimits())


def now(seconds: float) -> Instant:
    """So many seconds after the first look; the clock of uptime is another one."""
    return Instant(WALL + seconds, 5_000.0 + seconds, "boot")


def item(name: str, done: int = 0, **more: Any) -> dict[str, Any]:
    """An item as it is read from rTorrent, started long ago."""
    values: dict[str, Any] = {
        "hash": name,
        "name": f"the {name}",
        "d_bytes_done": str(done),
        "d_left_bytes": str(100 * M),
        "d_state_changed": "5",
        "prio": 2,
        "is_ignored": False,
        "done": 0.0,
        "message": "",
        "group": "",
        "is_started": False,
    }
    return {**values, **more}


class Items:
    """The items of the queue, as far as rotation reads them."""

    def __init__(self) -> None:
        self.forced: set[str] = set()
        self.stopped: dict[str, dict[str, Any]] = {}
        self.reads: list[str] = []

    def groups(self, items: Sequence[Mapping[str, Any]]) -> list[str]:
        return [str(each["group"]) for each in items]

    def untouchable(self, items: Sequence[Mapping[str, Any]], at: float) -> set[str]:
        return self.forced

    def ordered(self, items: list[Any]) -> list[Any]:
        return sorted(items, key=lambda each: str(each["hash"]))

    def read(self, condition: Condition, fields: Collection[str], at: float) -> list[dict[str, Any]]:
        """Only the fields that were requested."""
        found = [each for each in self.stopped.values() if condition.matches({"hash": each["hash"]}, at)]
        self.reads += [str(each["hash"]) for each in found]
        return [{name: each.get(name, "") for name in fields} for each in found]


class Parking:
    """Closes what `stuck` does not name."""

    def __init__(self, parked: ParkedItems) -> None:
        self.known, self.asked = True, 0
        self.stuck: set[str] = set()
        self._parked = parked

    def is_known(self) -> bool:
        self.asked += 1
        return self.known

    def close(self, row: ParkedItem) -> ParkedItem | None:
        if row.info_hash in self.stuck:
            return None
        row = replace(row, bytes_done=row.bytes_done // 2)
        self._parked.put(row)
        return row


class Calls:
    """An rTorrent whose trackers allow an announce every `interval` seconds."""

    interval = 0

    def __init__(self) -> None:
        self.looks = 0

    def multicall(self, calls: Sequence[object]) -> list[int]:
        self.looks += 1
        return [self.looks, 0]

    def call(self, *call: object) -> list[list[int]]:
        return [[1, self.interval]]


class Scene:
    """A rotation and all that is around it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.rules = read_rules(queue_job(**settings), "is_started=no")
        store = open_in_memory(MIGRATIONS, "a test")
        self.items, self.rtorrent, self.rows = Items(), Calls(), ParkedItems(store)
        self.parking, self.history = Parking(self.rows), DecisionHistory(store)
        self.metrics = SchedulerMetrics(Totals())
        self.checked: set[str] = set()
        self.is_up = True

        def on_checked_disks(_: object, found: Sequence[RunningItem]) -> set[str]:
            return self.checked.intersection(hashes(found))

        def is_up(*_: object) -> bool:
            return self.is_up

        monkeypatch.setattr(rotation_module, "on_checked_disks", on_checked_disks)
        monkeypatch.setattr(Line, "is_up", is_up)
        self.rotation = Rotation(
            self.rules,
            self.rtorrent,  # type: ignore[arg-type]
            self.items,  # type: ignore[arg-type]
            self.rows,
            self.parking,  # type: ignore[arg-type]
            self.history,
            self.metrics,
        )

    def look(self, seconds: float, *items: Mapping[str, Any]) -> None:
        self.rotation.observe(items, now(seconds))  # type: ignore[arg-type]

    def candidates(self, seconds: float, *, full: bool = True) -> list[str]:
        return hashes(self.rotation.candidates(now(seconds), slots_full=full))

    def swap(self, seconds: float, waiting: Iterable[str] = ("",), room: GroupRoom = FREE) -> list[str]:
        """Those that give up their slot to `waiting`, while all slots are taken."""
        found = self.rotation.candidates(now(seconds), slots_full=True)
        return hashes(self.rotation.swap(found, waiting, room, 0, 9, now(seconds)))

    def stalled(self) -> float:
        return self.metrics.stalled.get("queue")


def hashes(found: Iterable[RunningItem]) -> list[str]:
    return [each.info_hash for each in found]


def scene(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Scene:
    return Scene(monkeypatch, **{"stall_after": 100.0, "stall_grace": 0.0, **settings})


@pytest.fixture
def s(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return scene(monkeypatch)


def test_an_item_is_a_candidate_when_it_stood_still_for_stall_after(s: Scene) -> None:
    for at in (0, 60, 99):
        s.look(at, item("a", done=at))
        assert s.candidates(at) == []
        assert s.rotation.waits_for == "no item stands still long enough"
    s.look(100, item("a"))
    assert s.candidates(100) == ["a"]
    assert s.rotation.waits_for == ""


def test_progress_begins_the_time_again(s: Scene) -> None:
    s.look(0, item("a"))
    s.look(50, item("a", done=M))
    s.look(149, item("a", done=M))
    assert s.candidates(149) == []
    assert s.candidates(150) == ["a"]


def test_what_a_check_reads_of_a_running_item(s: Scene) -> None:
    s.items.forced = {"c"}
    more: dict[str, Any] = {"d_bytes_done": "7", "d_left_bytes": "x", "d_state_changed": "", "prio": 1, "group": "g"}
    s.look(0, item("a", **more), item("b", is_ignored=True), item("c"))
    a, b, c = s.rotation.running
    assert a == RunningItem("a", "the a", 7, 0, 0.0, "g", 1, False, False)
    assert (b.ignored, b.forced, c.ignored, c.forced) == (True, False, False, True)
    assert b.started == 5.0


def test_without_rotation_the_line_is_not_read(monkeypatch: pytest.MonkeyPatch, s: Scene) -> None:
    s.look(0, item("a"))
    assert s.rtorrent.looks == 1
    off = scene(monkeypatch, stall_after=0.0)
    off.look(0, item("a"))
    assert off.rtorrent.looks == 0


def test_the_session_is_examined_only_if_a_row_has_to_change(s: Scene) -> None:
    s.look(0, item("a"))
    assert s.parking.asked == 0
    s.rows.put(ParkedItem("a", "queue", "the a", 2, 0, WALL, WALL + 9))
    s.rows.put(ParkedItem("z", "queue", "the z", 2, 0, WALL, WALL + 9))
    s.parking.known = False
    s.look(1, item("a"))
    assert s.rows.of("queue")["a"].is_parked
    s.parking.known = True
    s.look(2, item("a"))
    assert not s.rows.of("queue")["a"].is_parked
    assert not s.rotation.rows["a"].is_parked
    assert s.rows.of("queue")["z"].is_parked


@pytest.mark.parametrize(("done", "forgiven"), [(50 * M - 1, False), (50 * M, True)])
def test_strikes_are_forgiven_after_progress(s: Scene, done: int, forgiven: bool) -> None:
    s.rows.put(ParkedItem("a", "queue", "the a", 2, 0, WALL, WALL, is_parked=False))
    s.look(0, item("a", done=done))
    assert ("a" not in s.rows.of("queue")) is forgiven
    assert ("a" not in s.rotation.rows) is forgiven


def test_gauges_of_stalled_and_parked_items(monkeypatch: pytest.MonkeyPatch, s: Scene) -> None:
    s.rows.put(ParkedItem("p", "queue", "p", 1, 0, WALL, WALL))
    s.rows.put(ParkedItem("q", "queue", "q", 1, 0, WALL, WALL, is_parked=False))
    for at, count in ((0, 0.0), (99, 0.0), (100, 1.0)):
        s.look(at, item("a"), item("b", done=at * M))
        assert s.stalled() == count
    assert s.metrics.parked.get("queue") == 1.0
    off = scene(monkeypatch, stall_after=0.0)
    for at, count in ((0, 0.0), (299, 0.0), (300, 1.0)):
        off.look(at, item("a"))
        assert off.stalled() == count


def test_the_gauge_of_a_group_counts_its_items_and_goes_with_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    s = scene(monkeypatch, group_by="custom_1", group_maxima=(("named", 2),))
    long = "x" * 3000
    s.look(0, item("a", group="g\x07"), item("b", group="g\x07"), item("c", group=long))
    found = {sample.labels[1]: sample.value for sample in s.metrics.group_downloading.family().samples}
    assert found["named"] == 0.0
    assert found["g\\x07"] == 2.0
    assert len(found) == 3
    s.look(1, item("a", group="named"))
    found = {sample.labels[1]: sample.value for sample in s.metrics.group_downloading.family().samples}
    assert found == {"named": 1.0}


def test_without_groups_there_is_no_gauge_of_groups(s: Scene) -> None:
    s.look(0, item("a"))
    assert not s.metrics.group_downloading.family().samples


def test_an_item_gives_up_its_slot(s: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    s.look(0, item("a", done=8), item("b"))
    s.look(120, item("a", done=8), item("b", done=M))
    assert s.swap(120) == ["a"]
    row = s.rows.of("queue")["a"]
    assert row == ParkedItem("a", "queue", "the a", 1, 4, WALL + 120, WALL + 120 + 1800)
    assert s.rotation.rows["a"] == row
    assert s.rotation.held_until == {"a": WALL + 1920}
    assert hashes(s.rotation.running) == ["b"]
    assert s.rotation.waits_for == ""
    assert s.metrics.strikes.get("queue") == 1.0
    (record,) = s.history.latest()
    text = "no progress for 2 min: gave up its slot, strike 1, tried again in 30 min"
    assert (record.verdict, record.text, record.info_hash, record.name) == ("stalled", text, "a", "the a")
    (line,) = [each for each in caplog.records if each.name == job_logger("queue").name]
    assert (line.levelname, line.getMessage()) == ("INFO", f"closed the a (a): {text}")


def test_each_strike_waits_longer_and_the_last_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reported: list[tuple[object, ...]] = []

    def owner_event(*what: object, **_: object) -> None:
        reported.append(what)

    monkeypatch.setattr(rotation_module, "owner_event", owner_event)
    s = scene(monkeypatch, stall_strikes=3)
    s.rtorrent.interval = 2700
    retries, text = list[float](), ""
    for round_ in range(3):
        at = round_ * 1000.0
        s.look(at, item("a"))
        s.look(at + 100, item("a"))
        assert s.swap(at + 100) == ["a"]
        assert len(reported) == (round_ == 2)
        retries.append(s.rows.of("queue")["a"].retry_at - WALL - at - 100)
        text = s.history.latest()[0].text
        s.rotation.started("a")
        s.history.record(DecisionRecord(at=WALL, job="queue", verdict="started", text="", info_hash="a"))
        assert not s.rows.of("queue")["a"].is_parked
    assert retries[:2] == [2700.0, 3600.0]
    assert s.rows.of("queue")["a"].retry_at == NEVER
    assert text == "no progress for 35 min: gave up its slot, strike 3, not tried again"
    assert reported[0][0] == "item gave up"
    assert caplog.records[-1].levelname == "WARNING"


def test_a_start_of_an_item_without_a_row_changes_none(s: Scene) -> None:
    s.rows.put(ParkedItem("a", "queue", "the a", 1, 0, WALL, WALL))
    s.rows.put(ParkedItem("b", "other", "of another queue", 1, 0, WALL, WALL))
    s.look(0)
    s.rotation.started("b")
    assert s.rows.of("queue")["a"].is_parked
    assert s.rows.of("other")["b"].is_parked


def test_one_that_rtorrent_does_not_close_keeps_its_slot(s: Scene) -> None:
    s.parking.stuck = {"a"}
    s.look(0, item("a"))
    s.look(100, item("a"))
    assert s.swap(100) == []
    assert hashes(s.rotation.running) == ["a"]
    assert not s.history.latest()
    assert s.metrics.strikes.get("queue") == 0.0


def test_dry_run_says_what_it_would_close(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    s = scene(monkeypatch, dry_run=True)
    s.look(0, item("a"))
    s.look(100, item("a"))
    assert s.swap(100) == []
    assert caplog.messages == ["WOULD close the a (a): no progress for 1 min 40 s"]
    assert not s.rows.of("queue")


@pytest.mark.parametrize(
    ("waiting", "up", "checked", "why"),
    [
        pytest.param((), True, "", "no item waits that could start", id="nothing waits"),
        pytest.param((), False, "", "no item waits that could start", id="nothing waits, and the line is down"),
        pytest.param(("",), False, "", "the line seems down: no byte moved and no tracker answered", id="line"),
        pytest.param(("",), True, "a", "a hash check runs on their disk", id="hash check"),
    ],
)
def test_why_no_item_gives_up_its_slot(s: Scene, waiting: tuple[str, ...], up: bool, checked: str, why: str) -> None:
    s.is_up, s.checked = up, set(checked)
    s.look(0, item("a"))
    s.look(100, item("a"))
    assert s.swap(100, waiting) == []
    assert s.rotation.waits_for == why
    assert s.candidates(159.9) == [], "the waiting items were read a short time ago"
    assert s.candidates(159.9, full=False) == ([] if checked else ["a"])
    s.checked = set()
    assert s.candidates(160) == ([] if checked else ["a"]), "the time begins again after a hash check"
    assert s.candidates(200) == ["a"]


def test_an_item_on_another_disk_gives_up_its_slot_while_one_is_checked(s: Scene) -> None:
    s.checked = {"a"}
    s.look(0, item("a"), item("b"))
    s.look(100, item("a"), item("b"))
    assert s.swap(100) == ["b"]
    assert s.candidates(101) == [], "one stands still no longer, the other is closed"


def test_a_swap_that_worked_does_not_delay_the_next(s: Scene) -> None:
    s.look(0, item("a"), item("b"))
    s.look(100, item("a"), item("b"))
    assert s.swap(100) == ["a"]
    assert s.candidates(100) == ["b"]


def test_rows_for_another_reason_are_parked_as_well(s: Scene) -> None:
    s.look(0, item("a"), item("b"))
    s.rotation.parked([ParkedItem("a", "queue", "the a", 0, 0, WALL, WALL)])
    assert hashes(s.rotation.running) == ["b"]
    assert s.rotation.held_until == {"a": WALL}
    s.rows.put(ParkedItem("b", "queue", "the b", 0, 0, WALL, WALL + 5))
    s.rotation.reread()
    assert hashes(s.rotation.running) == []
    assert s.rotation.held_until == {"a": WALL, "b": WALL + 5}


def parked(s: Scene, name: str, retry_at: float, strikes: int = 1, **more: Any) -> None:
    s.rows.put(ParkedItem(name, "queue", name, strikes, 0, WALL, WALL + retry_at))
    s.items.stopped[name] = item(name, **more)


def due(s: Scene, count: int, seconds: float) -> list[str]:
    s.look(seconds)
    return [str(each["hash"]) for each in s.rotation.due(count, WALL + seconds)]


def test_parked_items_are_tried_again_when_their_time_has_come(s: Scene) -> None:
    parked(s, "late", 50)
    parked(s, "first", 10)
    parked(s, "now", 30)
    s.rows.put(ParkedItem("runs", "queue", "runs", 1, 0, WALL, WALL, is_parked=False))
    s.items.stopped["runs"] = item("runs")
    assert due(s, 9, 29.9) == ["first"]
    assert due(s, 9, 30) == ["first", "now"]
    assert due(s, 1, 60) == ["first"]
    assert due(s, 0, 60) == []


def test_what_cannot_start_does_not_keep_others_from_being_tried_again(s: Scene) -> None:
    for number in range(7):
        parked(s, f"off{number}", number, prio=0)
    parked(s, "good", 8)
    parked(s, "full", 7)
    assert due(s, 1, 60) == [], "six are read at once"
    assert s.items.reads == [f"off{number}" for number in range(6)]
    assert due(s, 1, 61) == due(s, 1, 62) == ["full"]
    s.rotation.retries.postpone(["full"])
    assert due(s, 1, 63) == ["good"]
    s.items.reads.clear()
    assert due(s, 2, 64) == ["good"]
    assert due(s, 2, 65) == ["good", "full"]
    assert s.items.reads == ["good", *(f"off{number}" for number in range(6)), "good", "off6", "full"]
    s.rows.delete("full")
    del s.items.stopped["good"]
    assert due(s, 9, 66) == []
    s.items.stopped["good"] = item("good")
    assert due(s, 9, 67) == ["good"], "it was loaded again"


def test_an_adopted_item_that_was_never_closed_may_be_adopted_again(s: Scene) -> None:
    """The scheduler was killed after it had written the row: the item runs since before."""
    s.rows.put(ParkedItem("runs", "queue", "runs", 0, 0, WALL, WALL, is_parked=False))
    for name, strikes in (("before", 0), ("long before", 0), ("after", 0), ("unknown", 0), ("stalled", 1)):
        s.rows.put(ParkedItem(name, "queue", name, strikes, 0, WALL + 0.9, WALL))
    s.look(
        5,
        item("before", d_state_changed=f"{WALL - 1:.0f}"),
        item("long before", d_state_changed="1"),
        item("after", d_state_changed=f"{WALL:.0f}"),
        item("unknown", d_state_changed="0"),
        item("stalled", d_state_changed=f"{WALL - 1:.0f}"),
        item("runs", d_state_changed=f"{WALL - 1:.0f}"),
    )
    assert s.rotation.rows.keys() == s.rows.of("queue").keys() == {"after", "unknown", "stalled", "runs"}
    assert not s.rotation.held_until


@pytest.mark.parametrize(
    ("more", "is_due"),
    [
        pytest.param({"done": 50.0, "message": 'Tracker: [Failure reason "no"]'}, True, id="done and message"),
        pytest.param({"prio": 0}, False, id="turned off"),
        pytest.param({"is_ignored": True}, False, id="ignored"),
        pytest.param({"is_started": True}, False, id="started"),
    ],
)
def test_what_startable_says_about_done_and_message_is_ignored(s: Scene, more: dict[str, Any], is_due: bool) -> None:
    parked(s, "a", 0, **more)
    assert due(s, 9, 0) == (["a"] if is_due else [])


def test_all_that_a_start_needs_is_read_of_a_parked_item(monkeypatch: pytest.MonkeyPatch, s: Scene) -> None:
    grouped = scene(monkeypatch, group_by="custom_1")
    for each in (s, grouped):
        parked(each, "a", 0)
        each.look(0)
        (found,) = each.rotation.due(9, WALL)
        assert {"hash", "name", "loaded", "prio", "d_left_bytes", "directory", "is_started"} <= found.keys()
        assert ("custom_1" in found) is (each is grouped)
        assert "" not in found


def test_adopted_items_keep_their_place_and_those_with_strikes_are_last(s: Scene) -> None:
    parked(s, "m", 0, strikes=0)
    parked(s, "b", 0, strikes=2)
    s.look(0)
    found = s.rotation.due(9, WALL)
    waiting: list[Any] = [item("a"), item("b"), item("z")]
    assert [each["hash"] for each in s.rotation.merged(waiting, found)] == ["a", "m", "z", "b"]
    assert s.rotation.merged(waiting, []) is waiting
    waiting = [item("m"), item("a")]
    assert [each["hash"] for each in s.rotation.merged(waiting, found)] == ["m", "a", "b"]


def test_the_sentence_about_stalled_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    s = scene(monkeypatch, downloading_max=5)
    assert s.rotation.sentence(now(0)) == ""
    s.look(0, item("a"))
    s.look(40, item("a"), item("b"))
    assert s.rotation.sentence(now(99)) == ""
    s.candidates(99)
    one = "1 of 5 slots stalled for 1 min 40 s; each gives up its slot to a waiting item after 1 min 40 s"
    assert s.rotation.sentence(now(100)) == f"{one}; no item stands still long enough"
    s.candidates(100)
    assert s.rotation.sentence(now(100)) == one
    both = "2 of 5 slots stalled for 2 min; each gives up its slot to a waiting item after 1 min 40 s"
    assert s.rotation.sentence(now(160)) == both
    off = scene(monkeypatch, stall_after=0.0, downloading_max=5)
    off.look(0, item("a"))
    assert off.rotation.sentence(now(299)) == ""
    text = "1 of 5 slots stalled for 5 min; rotation is off: job.queue.stall_after = 20m gives them to waiting items"
    assert off.rotation.sentence(now(300)) == text
    long = scene(monkeypatch, stall_after=900.0)
    long.look(0, item("a"))
    assert long.rotation.sentence(now(299)) == ""
    assert long.rotation.sentence(now(300))


def test_all_slots_stand_still_only_if_all_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    s = scene(monkeypatch, downloading_max=2)
    s.look(0, item("a"))
    assert s.rotation.stalled_for(now(500)) == 0.0
    s.look(100, item("a"), item("b"))
    assert s.rotation.stalled_for(now(500)) == 400.0
    none = scene(monkeypatch, downloading_max=0)
    assert none.rotation.stalled_for(now(500)) == 0.0
    none.look(0, item("a"))
    assert none.rotation.stalled_for(now(500)) == 500.0


def test_evidence_that_the_queue_moves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    s = scene(monkeypatch, downloading_max=1)
    assert s.rotation.moves_since(WALL, now(0)), "a slot is free"
    s.look(0, item("a"))
    assert not s.rotation.moves_since(WALL - 100, now(0)), "the first look is none"
    assert not s.rotation.moves_since(WALL - 100, now(50))
    s.look(60, item("a", done=M))
    assert s.rotation.moves_since(WALL - 100, now(60)), "progress since then"
    assert s.rotation.moves_since(WALL + 59, now(60)), "progress now"
    assert not s.rotation.moves_since(WALL + 60, now(60)), "progress before"
    assert not s.rotation.moves_since(WALL + 65, now(70))
    started = f"{WALL + 70:.0f}"
    s.look(80, item("a", done=M, d_state_changed=started))
    assert s.rotation.moves_since(WALL + 69, now(80)), "a start since then"
    assert not s.rotation.moves_since(WALL + 70, now(80))
    two = scene(monkeypatch, downloading_max=2)
    two.look(0, item("a"), item("b"))
    two.look(10, item("a"), item("b", done=M))
    assert two.rotation.moves_since(WALL, now(10)), "one of them is enough"
    none = scene(monkeypatch, downloading_max=0)
    assert none.rotation.moves_since(WALL, now(0))
    none.look(0, item("a"))
    assert not none.rotation.moves_since(WALL, now(0))


def test_a_look_may_wait_where_it_closes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    s = Scene(monkeypatch)
    assert not s.rotation.may_wait(now(0))
    s.look(10)
    assert [s.rotation.may_wait(now(seconds)) for seconds in (9, 10, 14, 15)] == [False, True, True, False]


@pytest.mark.parametrize("settings", [{"stall_after": "10m"}, {"adopt": "prio=2"}, {"group_by": "alias"}])
def test_a_look_that_may_close_items_or_counts_groups_never_waits(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    s = Scene(monkeypatch, **settings)
    s.look(10)
    assert not s.rotation.may_wait(now(11))
