"""A key is replaced where it is one, and in no other word of an address."""

import pytest

from pyrotorque.errors import UserError
from pyrotorque.tracker_change import _replaced, check_texts  # pyright: ignore[reportPrivateUsage]

OLD, NEW = "0123456789abcdef", "fedcba9876543210"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"http://t.org/{OLD}/announce", f"http://t.org/{NEW}/announce"),
        (f"http://t.org/announce.php?passkey={OLD}&x=1", f"http://t.org/announce.php?passkey={NEW}&x=1"),
        (f"http://t.org?k={OLD}", f"http://t.org?k={NEW}"),
        (f"http://user:{OLD}@t.org:1/a", f"http://user:{NEW}@t.org:1/a"),
        (f"http://{OLD}.t.org/a", f"http://{OLD}.t.org/a"),
        (f"http://t.org/x{OLD}/a", f"http://t.org/x{OLD}/a"),
        (f"http://t.org/{OLD}0/a", f"http://t.org/{OLD}0/a"),
        (f"udp://{OLD}:80", f"udp://{OLD}:80"),
        ("dht://", "dht://"),
    ],
)
def test_a_key_is_a_whole_part_outside_of_the_host(before: str, after: str) -> None:
    assert _replaced(before, OLD, NEW) == after


@pytest.mark.parametrize("old", ["announce", "Announce.php", "scrape.php", "torrent_pass", "short", "with spaces"])
def test_what_is_no_key(old: str) -> None:
    with pytest.raises(UserError):
        check_texts(old, NEW)
