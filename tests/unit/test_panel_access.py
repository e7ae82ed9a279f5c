"""Sessions, tokens and logins of the panel over time; nothing that is stored is a secret."""

import msgspec
import pytest

from pyrotorque.passwords import password_hash, password_matches
from pyrotorque_panel.access import LINK_SECONDS, SESSION_IDLE, SESSION_MAX, Access, AccessState
from pyrotorque_panel.cleaning import cleaned

NOW = 1_800_000_000.0


def access(state: AccessState | None = None) -> Access:
    return Access(state or AccessState(), lambda: None)


def login(made: Access, now: float = NOW) -> str:
    secret = made.login_by_link(made.make_link(now), "127.0.0.1", "test", now)
    assert secret is not None
    return secret


def test_a_session_ends_when_it_is_not_used_or_too_old() -> None:
    made = access()
    secret = login(made)
    assert made.session([secret], NOW + SESSION_IDLE - 1) is not None
    assert made.session([secret], NOW + 2 * SESSION_IDLE) is None
    at = NOW
    while at < NOW + SESSION_MAX:
        assert made.session([secret], at) is not None
        at += SESSION_IDLE / 2
    assert made.session([secret], NOW + SESSION_MAX + 1) is None


def test_a_new_password_ends_all_sessions_and_a_restart_none() -> None:
    made = access()
    secret = login(made)
    again = access(msgspec.json.decode(made.snapshot(), type=AccessState))
    assert again.session([secret], NOW) is not None
    again.set_password(password_hash("correct horse"))
    assert again.session([secret], NOW) is None
    assert again.login_by_password("correct horse", "a", "b", NOW) is not None
    assert again.login_by_password("wrong", "a", "b", NOW) is None


def test_without_a_password_none_is_right() -> None:
    for password in ("", "0", "x"):
        assert access().login_by_password(password, "a", "b", NOW) is None


def test_a_link_ends_after_its_time_and_with_its_use() -> None:
    made = access()
    link = made.make_link(NOW)
    assert made.login_by_link(link, "a", "b", NOW + LINK_SECONDS) is None
    link = made.make_link(NOW)
    assert made.login_by_link(link, "a", "b", NOW + 1) is not None
    assert made.login_by_link(link, "a", "b", NOW + 1) is None
    assert made.login_by_link("", "a", "b", NOW + 1) is None


def test_failures_from_many_addresses_are_limited_together() -> None:
    made = access()
    for number in range(20):
        assert made.take_attempt(f"192.0.2.{number}", NOW)
        assert made.login_by_link("wrong", f"192.0.2.{number}", "b", NOW) is None
    assert not made.take_attempt("198.51.100.1", NOW)
    assert made.take_attempt("198.51.100.1", NOW + 61)


def test_attempts_at_the_same_time_are_counted_before_they_are_checked() -> None:
    made = access()
    assert [made.take_attempt("192.0.2.1", NOW) for _ in range(6)] == [True] * 5 + [False]


def test_logins_that_succeed_are_no_failures() -> None:
    made = access()
    made.set_password(password_hash("right"))
    for _ in range(7):
        assert made.take_attempt("192.0.2.1", NOW)
        assert made.login_by_password("right", "192.0.2.1", "b", NOW) is not None


def test_an_address_with_a_session_is_not_locked_out_by_others() -> None:
    made = access()
    made.set_password(password_hash("right"))
    login(made)
    for number in range(20):
        assert made.take_attempt(f"192.0.2.{number}", NOW)
    assert not made.take_attempt("198.51.100.1", NOW)
    assert made.take_attempt("127.0.0.1", NOW)


def test_all_links_end_with_all_sessions() -> None:
    made = access()
    first = made.make_link(NOW)
    made.end_all()
    assert made.login_by_link(first, "192.0.2.1", "b", NOW) is None
    second = made.make_link(NOW)
    made.set_password("")
    assert made.login_by_link(second, "192.0.2.1", "b", NOW) is None


def test_a_clock_that_was_set_back_locks_no_one_out_and_makes_no_link_older() -> None:
    made, year = access(), 365 * 86_400.0
    link = made.make_link(NOW + year)
    for _ in range(5):
        made.take_attempt("192.0.2.1", NOW + year)
    assert made.take_attempt("192.0.2.1", NOW)
    assert made.login_by_link(link, "192.0.2.1", "b", NOW) is None


def test_nothing_that_is_stored_is_a_secret() -> None:
    made = access()
    secrets = [login(made), made.make_token("phone", "act", NOW), "correct horse"]
    made.set_password(password_hash(secrets[-1]))
    secrets.append(login(made))
    stored = made.snapshot().decode()
    assert not [secret for secret in secrets if secret in stored]


def test_tokens_are_replaced_and_removed_by_name() -> None:
    made = access()
    first, second = made.make_token("phone", "act", NOW), made.make_token("phone", "read", NOW)
    assert made.token(first, NOW) is None
    found = made.token(second, NOW)
    assert found is not None
    assert (found.name, found.scope) == ("phone", "read")
    assert made.remove_token("phone")
    assert not made.remove_token("phone")
    assert made.token(second, NOW) is None
    for name in ("", "x" * 41, "a\nb"):
        with pytest.raises(ValueError, match="printable"):
            made.make_token(name, "read", NOW)


def test_passwords_match_their_own_hash_only() -> None:
    stored = password_hash("pässword\udcff")
    assert password_matches("pässword\udcff", stored)
    assert not password_matches("pässword", stored)
    assert not password_matches("", "")
    assert stored != password_hash("pässword\udcff")


KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"http://tracker.example/announce?passkey={KEY}", "http://tracker.example/…"),
        (f"https://ann:{KEY}@tracker.example:443/{KEY}/announce failed", "https://tracker.example:443/… failed"),
        (f"udp://{KEY}.tracker.example:80/a", "udp://….tracker.example:80/…"),
        (f"Failure reason: passkey {KEY} is unknown", "Failure reason: passkey … is unknown"),
        ("torrent_pass=abc&x=1", "torrent_pass=…&x=1"),
        ("/data/watch/announce", "/data/watch/announce"),
        ("A" * 40, "A" * 40),
        ("/data/My.Release.2026", "/data/My.Release.2026"),
    ],
)
def test_no_passkey_is_shown(text: str, shown: str) -> None:
    assert cleaned(text) == shown
    assert cleaned({"a": [text, {text: 1}]}) == {"a": [shown, {shown: 1}]}
