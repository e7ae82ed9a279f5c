"""Texts and names use plain English."""

import pytest

from tests.prose import findings, rejected_words


def test_no_text_uses_a_rejected_word() -> None:
    assert list(findings()) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("The service shall start anew.", ["shall", "anew"]),
        ("def test_nobody_is_killed() -> None:", ["nobody"]),
        ("class ToldTwice:", ["Told"]),
        ("a crash takes the others down", ["takes the others down"]),
        ("the daemons of old", ["of old"]),
        ("supervisord runs as user=nobody, `nobody` or nobody:nogroup", []),
        ("marshalled, told_off_by_one is found, toldo is not", ["told"]),
        ("The service starts again after a crash.", []),
        ("the watcher knows it, and rTorrent says no", ["watcher knows", "r Torrent says"]),
        ("A service takes up a file; it takes up to 2 s.", ["takes up"]),
    ],
)
def test_words_are_found_in_text_and_in_names(line: str, words: list[str]) -> None:
    assert rejected_words(line) == words
