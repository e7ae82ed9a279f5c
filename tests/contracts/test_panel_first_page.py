"""The first page answers in the order in which people ask, and counts, names and explains what they see."""

import re
import time

import pytest

from pyrotorque.layout import Layout
from pyrotorque_panel.page_texts import age, event_row, failed_first, hold_sentence, verdict
from tests.panel_states import STATES, panel_in

ORDER = ["verdict", "rtorrent", "queue-queue", "queue-slow", "lately", "jobs", "disks", "processes", "add"]


def page(layout: Layout, state: str, path: str = "/g/main/") -> str:
    layout.prepare()
    with panel_in(STATES[state](), layout) as scene:
        reply = scene.request("GET", path, {"Cookie": scene.login()})
        assert reply.status == 200
        return reply.text


def test_the_cards_are_in_the_order_of_questions(layout: Layout) -> None:
    assert re.findall(r'id="card-([\w-]+)"', page(layout, "well")) == ORDER


def test_a_new_group_begins_with_the_form_for_torrents(layout: Layout) -> None:
    assert re.findall(r'id="card-([\w-]+)"', page(layout, "empty"))[:2] == ["verdict", "add"]


def test_everything_that_needs_a_person_is_counted_and_can_be_reached(layout: Layout) -> None:
    text = page(layout, "many")
    assert "<title>43 things need you – main – pyrotorque</title>" in text
    assert text.count('<li id="n-') == 5
    assert "And 38 more: see" in text
    assert 'href="/g/main/metafiles?state=failed">failed metafiles</a>' in text


def test_what_went_wrong_has_its_reason_and_what_can_be_done(layout: Layout) -> None:
    text = page(layout, "trouble").partition('class="needs"')[2].partition("</ul>")[0]
    assert "supervisord starts it no more" in text
    assert "no space left on the device" in text
    buttons = re.findall(r'aria-label="([\w ]+): ', text)
    assert buttons == ["Restart", "Run now", "Try again", "Forget", "Try again", "Forget"]


def test_an_item_is_explained_with_each_clause_and_its_value(layout: Layout) -> None:
    text = page(layout, "well", "/g/main/items?item=Fedora-Workstation-Live-44.iso")
    rows = re.findall(r"<tr><td><code>(.*?)</code></td><td><bdi>(.*?)</bdi></td><td>(\w+)</td>", text)
    assert ("prio&gt;0", "prio = 2", "yes") in rows
    assert len(rows) == 4
    assert "Start now: Fedora" in text


@pytest.mark.parametrize(("count", "text"), [(0, "All is well"), (1, "1 thing needs you"), (7, "7 things need you")])
def test_the_verdict_counts(count: int, text: str) -> None:
    assert verdict([{"count": count}] if count else []) == text


def test_times_are_short() -> None:
    assert age(time.time() - 7500) == "2 h ago"
    assert age(time.time() + 1) == "now"


def test_slots_are_not_explained_twice() -> None:
    queue = {"hold": {"reason": "no_slot", "text": "3 of 3 slots are taken"}, "startable": 2}
    assert hold_sentence(queue) == "The next one starts when a slot is free."
    assert hold_sentence(queue | {"hold": {"reason": "disk", "text": "would leave 1 GiB"}}) == "Would leave 1 GiB."
    assert hold_sentence({"hold": None}) == ""


def test_failed_jobs_come_first_in_their_order() -> None:
    jobs = [
        {"job": name, "last_run": {"ok": ok}} for name, ok in (("a", True), ("b", False), ("c", True), ("d", False))
    ]
    assert [job["job"] for job in failed_first(jobs)] == ["b", "d", "a", "c"]


EVENTS: dict[str, tuple[dict[str, object], str]] = {
    "removal": (
        {"type": "TorrentRemoved", "job": "tidy", "data": "quarantine", "reason": "old"},
        "to quarantine by tidy",
    ),
    "restoration": ({"type": "TorrentRestored"}, "restored from quarantine"),
    "purge": ({"type": "QuarantinePurged", "job": "tidy", "freed": 1 << 30}, "1.0 GiB"),
    "orphans": ({"type": "OrphansMoved", "job": "tidy", "files": 3, "size": 2048}, "3 files without an item"),
    "offer": ({"type": "MetafileOffered"}, "offered to the fleet"),
    "placement": ({"type": "MetafilePlaced", "group": "two"}, "placed on two"),
}


@pytest.mark.parametrize("name", EVENTS)
def test_events_are_sentences(name: str) -> None:
    event, words = EVENTS[name]
    assert words in event_row({"at": 0.0, "name": "One"} | event)["text"]
