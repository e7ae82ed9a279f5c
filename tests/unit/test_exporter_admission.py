"""No client crowds out another one, nor what is scraped regularly."""

from dataclasses import dataclass

import pytest

from pyrotorque_exporter.admission import (
    FORGOTTEN_AFTER,
    REGULAR_AFTER,
    REGULAR_MAX,
    RegularChoices,
    client_of,
    displaced,
)


@dataclass(frozen=True)
class Waiting:
    client: str
    has_begun: bool = False
    number: int = 0


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::5", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_a_client_is_an_address_or_its_network(address: str, client: str) -> None:
    assert client_of(address) == client


@pytest.mark.parametrize(
    ("pending", "client", "loser"),
    [
        ("aaaaaaaa", "b", 7),
        ("aaaaaaab", "b", 6),
        ("aaaabbbb", "b", None),
        ("aaaaabbb", "c", 4),
        ("abcdefgh", "i", None),
        ("aabcdefg", "h", 1),
        ("", "a", None),
        ("aaaaaaaa", "a", None),
    ],
)
def test_who_has_the_most_gives_its_newest_to_who_has_fewer(pending: str, client: str, loser: int | None) -> None:
    scrapes = [Waiting(each, number=number) for number, each in enumerate(pending)]
    assert displaced(scrapes, client) == (None if loser is None else scrapes[loser])


def test_a_scrape_that_has_begun_continues() -> None:
    scrapes = [Waiting("a", has_begun=True, number=number) for number in range(3)]
    assert displaced(scrapes, "b") is None
    assert displaced([*scrapes, Waiting("a", number=4)], "b") == Waiting("a", number=4)


def _scraped(choices: RegularChoices, name: str, minutes: int, start: float = 0.0) -> None:
    for minute in range(minutes):
        choices.requested(frozenset({name}), start + 60.0 * minute)


def test_what_is_requested_in_several_minutes_is_regular() -> None:
    choices = RegularChoices()
    for second in range(50):
        choices.requested(frozenset({"often"}), float(second))
    assert not choices.include(frozenset({"often"})), "in one minute only"
    _scraped(choices, "mine", REGULAR_AFTER)
    assert choices.include(frozenset({"mine"}))


def test_later_choices_do_not_crowd_out_the_first_ones_however_often_they_are_requested() -> None:
    choices = RegularChoices()
    _scraped(choices, "mine", REGULAR_AFTER)
    for number in range(100):
        _scraped(choices, f"hostile {number}", 50, start=240.0)
    assert choices.include(frozenset({"mine"}))
    hostile = sum(choices.include(frozenset({f"hostile {number}"})) for number in range(100))
    assert hostile == REGULAR_MAX - 1


def test_a_choice_that_is_requested_no_more_is_forgotten() -> None:
    choices = RegularChoices()
    _scraped(choices, "before", 10)
    choices.requested(frozenset({"now"}), FORGOTTEN_AFTER + 900.0)
    assert not choices.include(frozenset({"before"}))
