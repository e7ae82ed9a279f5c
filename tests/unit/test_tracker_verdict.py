"""What a tracker's message says about a torrent: an outage, or a word about the user, never that it is gone."""

import pytest

from pyrotorque.tracker_verdict import Verdict, failure_reason, verdict


def message(reason: str) -> str:
    return f'Tracker: [Failure reason "{reason}"]'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (message("Unregistered torrent"), "gone"),
        (message("torrent not registered with this tracker."), "gone"),
        (message("Torrent nicht registriert"), "gone"),
        (message("InfoHash not found."), "gone"),
        (message("Unknown torrent"), "gone"),
        (message("Torrent has been nuked: bad audio"), "gone"),
        (message("Torrent is not authorized for use on this tracker"), "gone"),
        (message("Trumped: see https://example.org/unregistered"), "replaced"),
        (message("Duplicate of 4711"), "replaced"),
        (message("Season pack is available"), "replaced"),
        # outages, also with a word of the list
        (message("Database error: unregistered torrent, try again later"), "down"),
        (message("tracker is down for maintenance"), "down"),
        (message("503 Service Unavailable: torrent not found"), "down"),
        (message("Too many requests"), "down"),
        # about the user
        (message("Unregistered user"), "user"),
        (message("Passkey not found"), "user"),
        (message("Your client is not registered here"), "user"),
        (message("You already are downloading the same torrent. Unregistered"), "user"),
        # too little
        (message("not found"), "none"),
        (message("unknown"), "none"),
        (message("see https://example.org/torrent-not-found/unregistered"), "none"),
        # not the tracker's words
        ("Tracker: [Could not parse bencoded data: Unregistered torrent]", "down"),
        ("Tracker: [Could not parse bencoded data, empty reply]", "down"),
        ("Tracker: [Couldn't connect to server]", "down"),
        ("Unregistered torrent", "none"),
        ("Download registered as completed, but hash check returned unfinished chunks.", "none"),
        ("Low diskspace.", "none"),
        ("", "none"),
        # hostile
        (message("x" * 10_000 + "unregistered"), "down"),
        (message("Unregistered\\ntorrent"), "gone"),
    ],
)  # fmt: skip
def test_the_verdict(text: str, expected: Verdict) -> None:
    assert verdict(text).verdict == expected


def test_the_words_of_the_tracker_alone() -> None:
    assert failure_reason(message('a "quoted" reason')) == 'a "quoted" reason'
    assert failure_reason("Tracker: [Could not connect to server]") == ""


def test_phrases_of_the_owner_count_first() -> None:
    assert verdict(message("Torrent pruned"), ["pruned"]).verdict == "gone"
    assert verdict(message("down for pruning"), ["pruned"]).verdict == "down"
