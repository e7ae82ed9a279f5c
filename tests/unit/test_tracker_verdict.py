"""What a tracker's message says about a torrent: an outage, or a word about the user, never that it is gone."""

import pytest

from pyrotorque.tracker_verdict import Verdict, failure_reason, is_announced, verdict


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
        (message("Unregistered torrent 50012"), "gone"),
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
        *((message(each), "down") for each in (
            "Internal error: torrent not found", "MySQL error: torrent not found", "SQLSTATE[HY000] torrent not found",
            "Torrent not found (500)", "Info hash not found: tracker restarting", "torrent unknown: cache warming up",
            "Torrent was deleted from cache", "Unregistered Torrent, tracker under DDoS", "unregistered (error 521)",
            "Unregistered torrent - we are having issues", "read-only mode: Unregistered torrent",
            "Torrent not registered yet", "Torrent not found on this node", "unregistered, out of sync",
            "Torrent does not exist on this backup tracker", "Datenbankfehler: Torrent nicht gefunden",
        )),
        # about the user
        *((message(each), "user") for each in (
            "Unregistered IP", "Unregistered torrent pass", "Torrent unregistered for your class",
            "Unregistered torrent: VIP only", "freeleech ended: torrent has been removed from freeleech",
        )),
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


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], False),
        ([["http://a/", "1", "0", "100"]], False),
        ([["http://a/", "1", "99", "100"]], False),
        ([["http://a/", "1", "99", "100"], ["http://b/", "1", "90", "80"]], True),
        ([["http://a/", "1", "99", "100"], ["http://b/", "0", "90", "80"]], False),
        ([["http://a/", "1", "99", "100"], ["dht://", "1", "90", "0"]], False),
        ([["http://a/", "1", "100", "100"]], False),
    ],
)
def test_a_tracker_that_has_the_torrent_wins_over_one_that_has_not(rows: list[list[str]], expected: bool) -> None:
    assert is_announced(rows) is expected
