"""Login links and the limit of failed passwords over time, whatever the wall clock does."""

from collections.abc import Collection

import pytest

from pyrotorque_panel.logins import LINK_SECONDS, LoginLimit, LoginLinks, TooManyFailures, network_of


class Clock:
    """A monotonic clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fails(limit: LoginLimit, address: str, known: str = "", networks: Collection[str] = ()) -> bool:
    """A failed attempt; False if it was not permitted."""
    try:
        limit.take(address, known, networks)
    except TooManyFailures:
        return False
    return True


def test_a_link_ends_after_its_time_and_with_its_use() -> None:
    clock = Clock()
    links = LoginLinks(clock)
    old, new = links.make(), links.make()
    clock.now = LINK_SECONDS - 1
    assert [links.use(new), links.use(new), links.use("")] == [True, False, False]
    clock.now = LINK_SECONDS
    assert not links.use(old)


def test_wrong_links_are_not_limited() -> None:
    links = LoginLinks(Clock())
    link = links.make()
    assert not any(links.use(f"wrong {number}") for number in range(1000))
    assert links.use(link)


def test_failures_from_many_networks_are_limited_together() -> None:
    clock = Clock()
    limit = LoginLimit(clock)
    assert all(fails(limit, f"192.0.2.{number}") for number in range(20))
    assert not fails(limit, "198.51.100.1")
    assert fails(limit, "198.51.100.1", "a known browser")
    assert fails(limit, "203.0.113.1", networks=["203.0.113.1"]), "it has a session"
    clock.now = 61
    assert fails(limit, "198.51.100.1")


def test_attempts_at_the_same_time_are_counted_before_they_are_checked() -> None:
    limit = LoginLimit(Clock())
    assert [fails(limit, "192.0.2.1") for _ in range(6)] == [True] * 5 + [False]
    assert [fails(limit, "192.0.2.1", "known") for _ in range(6)] == [True] * 5 + [False]


def test_logins_that_succeed_are_no_failures() -> None:
    limit = LoginLimit(Clock())
    for _ in range(30):
        limit.take("192.0.2.1", "")()
    assert [fails(limit, "192.0.2.1") for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("127.0.0.1", "127.255.1.2", True), ("127.0.0.1", "::1", True), ("127.0.0.1", "::ffff:127.0.0.9", True),
        ("192.0.2.1", "192.0.2.2", False), ("192.0.2.1", "::ffff:192.0.2.1", True), ("fe80::1%eth0", "fe80::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True), ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("unix", "127.0.0.1", False), ("unix", "", False), ("not an address", "not an address", True),
    ],
)  # fmt: skip
def test_addresses_that_one_caller_has_many_of_are_one(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same
