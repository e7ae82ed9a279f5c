"""Events of housekeeping are published once, whichever job or command made them, and however often a run is killed."""

import os
from pathlib import Path

from pyrotorque.events import QuarantinePurged, TorrentRemoved, UniqueEvent
from pyrotorque.housekeeping import pending_events
from pyrotorque.housekeeping.pending_events import PendingEvents
from tests.worker_bench import bench, custom, write_job

REMOVED = TorrentRemoved(
    at=1.0, info_hash="A" * 40, name="One", job="began", reason="ratio 2", data="delete", size=9, freed=9, files=1,
    kept_files=0,
)  # fmt: skip
PURGED = QuarantinePurged(at=2.0, info_hash="B" * 40, name="Two", job="tidy", freed=5)


def test_an_event_stays_until_the_next_run_after_it_was_published(tmp_path: Path) -> None:
    found: list[tuple[str, UniqueEvent]] = []
    events = PendingEvents(tmp_path / "events", lambda identity, event: found.append((identity, event)))
    events.add("removed-1", REMOVED)
    events.add("removed-1", REMOVED)  # after a kill
    events.send()
    assert found == [("removed-1", REMOVED)]
    killed = PendingEvents(tmp_path / "events", lambda identity, event: found.append((identity, event)))
    killed.begin_run()
    killed.send()
    assert len(found) == 2, "the scheduler may not have stored it"
    events.begin_run()
    assert list((tmp_path / "events").iterdir()) == []


def test_without_a_scheduler_events_wait_and_are_not_too_many(tmp_path: Path) -> None:
    alone = PendingEvents(tmp_path / "events")
    for number in range(pending_events.KEPT + 2):
        path = tmp_path / "events" / f"e-{number}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
        os.utime(path, (number, number))
    alone.send()
    left = {path.name for path in (tmp_path / "events").iterdir()}
    assert len(left) == pending_events.KEPT
    assert not left & {"e-0.json", "e-1.json"}


def test_a_damaged_file_is_dropped(tmp_path: Path) -> None:
    found: list[str] = []
    events = PendingEvents(tmp_path, lambda identity, _: found.append(identity))
    (tmp_path / "half.json").write_text('{"type":"Torrent')
    events.add("purged-x", PURGED)
    events.send()
    assert found == ["purged-x"]
    assert not (tmp_path / "half.json").exists()


def test_a_file_that_cannot_be_read_now_is_published_later(tmp_path: Path) -> None:
    found: list[str] = []
    events = PendingEvents(tmp_path, lambda identity, _: found.append(identity))
    events.add("purged-x", PURGED)
    (tmp_path / "purged-x.json").rename(tmp_path / "aside")
    (tmp_path / "purged-x.json").mkdir()
    events.send()
    assert not found
    (tmp_path / "purged-x.json").rmdir()
    (tmp_path / "aside").rename(tmp_path / "purged-x.json")
    events.send()
    assert found == ["purged-x"]


PUBLISH = """
from pyrotorque.events import QuarantinePurged, TorrentRemoved

REMOVED = TorrentRemoved(at=1.0, info_hash="A" * 40, name="One", job="began", reason="", data="delete", size=9,
                         freed=9, files=1, kept_files=0)
PURGED = QuarantinePurged(at=2.0, info_hash="B" * 40, name="Two", job="tidy", freed=5)

"""


def test_the_scheduler_stores_and_counts_each_once_for_the_job_that_began(tmp_path: Path) -> None:
    body = """
        def run(self, event=None):
            self._context.publish_once("removed-1", REMOVED)
            self._context.publish_once("purged-1", PURGED)
    """
    write_job(tmp_path, "tidy", body, PUBLISH)
    with bench(tmp_path, custom("tidy")) as made:
        assert made.run("tidy").ok
        assert made.run("tidy").ok
        assert [event.job for event in made.events() if isinstance(event, TorrentRemoved | QuarantinePurged)] == [
            "began",
            "tidy",
        ]
        totals = made.job_table.metrics.totals
        values = {(each.name, *sample.labels): sample.value for each in totals.families() for sample in each.samples}
    assert values["pyrotorque_cleanup_removed_items_total", "began", "delete"] == 1
    assert values["pyrotorque_cleanup_freed_bytes_total", "began"] == 9
    assert values["pyrotorque_cleanup_freed_bytes_total", "tidy"] == 5
    assert values["pyrotorque_cleanup_purged_entries_total", "tidy"] == 1
