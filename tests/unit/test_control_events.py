"""Events are printed so that people and programs can read them, whatever is in a name."""

import json
from datetime import datetime

import msgspec
import pytest

from pyrotorque.errors import UserError
from pyrotorque.events import Delivery, Durable, Envelope, LoadFailed, ServiceStateChanged, TorrentStarted
from pyrotorque_control import terminal
from pyrotorque_control.commands.events import fields, line, moment

NOON = datetime(2026, 11, 23, 12, 0, 0).timestamp()


def delivery(event: Durable) -> Delivery:
    return Delivery(Envelope(source="scheduler", epoch="e", seq=7), event)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", NOON - 600),
        ("90", NOON - 90),
        ("2h", NOON - 7200),
        ("3d", NOON - 259_200),
        ("1w", NOON - 604_800),
        ("1795000000", 1_795_000_000),
        ("2026-11-23 11:59", NOON - 60),
        ("2026-11-23", NOON - 43_200),
    ],
)
def test_a_time_is_read(text: str, expected: float) -> None:
    assert moment(text, NOON) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "10x", "-5m", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not a time"):
        moment(text, NOON)


def test_an_event_as_json_has_its_place_and_all_its_fields() -> None:
    event = TorrentStarted(at=NOON, info_hash="AB", name="x\ny", job="queue", waited=1.5, durable=True)
    found = json.loads(terminal.json_line(fields(delivery(event))))
    assert found == {
        "source": "scheduler",
        "seq": 7,
        "at": NOON,
        "type": "TorrentStarted",
        "info_hash": "AB",
        "name": "x\ny",
        "job": "queue",
        "waited": 1.5,
        "durable": True,
    }


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            TorrentStarted(at=NOON, info_hash="AB", name="x", job="queue", waited=1.23456),
            "2026-11-23 12:00:00 scheduler TorrentStarted: x, queue info_hash=AB waited=1.235",
        ),
        (
            ServiceStateChanged(at=NOON, service="watcher", state="RUNNING", before="STARTING"),
            "2026-11-23 12:00:00 scheduler ServiceStateChanged: watcher, RUNNING before=STARTING",
        ),
        (
            LoadFailed(at=NOON, metafile="/w/x.torrent", job="treewatch", kind="invalid", reason="no\x1b[31m good"),
            "2026-11-23 12:00:00 scheduler LoadFailed: /w/x.torrent, treewatch, no\\x1b[31m good, invalid",
        ),
    ],
)
def test_an_event_is_one_line_for_people(event: Durable, expected: str) -> None:
    assert line(delivery(event)) == expected


@pytest.mark.parametrize(
    "name",
    [
        "\x9b31m",
        "\x85",
        "\u2028a\u2029",
        "\u202egnp.exe",
        "\u2066\u200b",
        "\x7f",
        "\U000e0041",
        "\x1b[2J\n",
        "caf\u00e9 \u5b57",
    ],
)
def test_json_is_printable_and_has_each_name_as_it_is(name: str) -> None:
    """U+009B begins a command of a terminal, U+202E turns a line around, and readers end lines at U+0085 and U+2028."""
    printed = terminal.json_line({name: [name, {"name": name}]})
    assert printed.isprintable()
    assert json.loads(printed) == msgspec.json.decode(printed) == {name: [name, {"name": name}]}
    assert ("\u5b57" in printed) == ("\u5b57" in name)


def test_odd_text_never_breaks_json() -> None:
    assert json.loads(terminal.json_line({"a": "caf\udce9", "b": b"\xff", "c": {"y", "x"}, "d": object})) == {
        "a": "caf\\xe9",
        "b": "\\xff",
        "c": ["x", "y"],
        "d": "<class 'object'>",
    }
