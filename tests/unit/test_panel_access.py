"""Sessions, tokens and logins of the panel over time; nothing that is stored is a secret."""

from collections.abc import Callable

import msgspec
import pytest

from pyrotorque.passwords import password_hash, password_matches
from pyrotorque_panel.access import SESSION_IDLE, SESSION_MAX, Access, AccessState, PanelIdentity
from pyrotorque_panel.cleaning import cleaned
from pyrotorque_panel.logins import TooManyFailures

NOW = 1_800_000_000.0


def access(state: AccessState | None = None) -> Access:
    return Access(state or AccessState(), lambda: None)


def login(made: Access, now: float = NOW) -> str:
    secret = made.login_by_link(made.make_link(), "127.0.0.1", "test", now)
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


def test_forms_are_valid_as_long_as_sessions_are() -> None:
    made = access()
    again = access(msgspec.json.decode(made.snapshot(), type=AccessState))
    assert again.form_secret == made.form_secret
    assert len(made.form_secret) == 64
    assert access().form_secret != made.form_secret
    again.log_out("another")
    assert again.form_secret == made.form_secret
    again.end_all_sessions()
    assert again.form_secret != made.form_secret


def test_the_secret_of_forms_is_stored_before_one_is_shown() -> None:
    made = access()
    assert made.changed, "with the next times of use"
    assert not access(msgspec.json.decode(made.snapshot(), type=AccessState)).changed


def test_without_a_password_none_is_right() -> None:
    for password in ("", "0", "x"):
        assert access().login_by_password(password, "a", "b", NOW) is None


ENDS: tuple[Callable[[Access], object], ...] = (
    lambda made: made.end_all_sessions(),
    lambda made: made.set_password("a$b"),
    lambda made: made.set_password(""),
)


@pytest.mark.parametrize("end", ENDS, ids=["logout of all", "new password", "no password"])
def test_links_that_were_made_before_all_sessions_ended_do_not_work(end: Callable[[Access], object]) -> None:
    made = access()
    link, secret = made.make_link(), login(made)
    end(made)
    assert made.session([secret], NOW) is None
    assert made.login_by_link(link, "a", "b", NOW) is None


def test_a_session_of_a_clock_that_was_ahead_gets_no_older_than_others() -> None:
    made = access()
    secret = login(made, NOW + 400 * 86_400)
    assert made.session([secret], NOW) is not None
    assert made.session([secret], NOW + 2 * SESSION_IDLE) is None
    made = access(AccessState(password=password_hash("correct horse")))
    at, secret = NOW, login(made, NOW + 400 * 86_400)
    while made.session([secret], at) is not None:
        at += SESSION_IDLE / 2
    assert at - NOW <= SESSION_MAX + SESSION_IDLE


@pytest.mark.parametrize("unset", [0.0, 3_600.0, 1_577_836_800.0], ids=["1970", "an hour later", "2020"])
def test_a_clock_that_is_not_set_yet_ends_no_session(unset: float) -> None:
    made = access()
    before, during = login(made), login(made, unset)
    for secret in (before, during):
        assert made.session([secret], unset + 5) is not None
        assert made.session([secret], NOW + 60) is not None
    # Afterwards each ends as others do.
    assert len(made.sessions(NOW + 61)) == 2
    assert made.sessions(NOW + 2 * SESSION_IDLE) == []


def test_unknown_callers_do_not_lock_out_a_browser_that_has_logged_in() -> None:
    made = access(AccessState(password=password_hash("correct horse")))
    before, logged_out = login(made), login(made)
    session = made.session([logged_out], NOW)
    assert session is not None
    made.log_out(session.key)
    made = access(msgspec.json.decode(made.snapshot(), type=AccessState))
    for number in range(20):
        assert made.login_by_password("wrong", f"192.0.2.{number}", "b", NOW) is None
    for cookies in ((), ("made up",), ("",)):
        with pytest.raises(TooManyFailures):
            made.login_by_password("correct horse", "198.51.100.1", "b", NOW, cookies)
    assert made.login_by_link(made.make_link(), "192.0.2.1", "b", NOW) is not None
    for cookie in (before, logged_out):
        assert made.session([logged_out], NOW) is None
        assert made.login_by_password("correct horse", "192.0.2.1", "b", NOW, ["x", cookie]) is not None
        for _ in range(5):
            assert made.login_by_password("wrong", "192.0.2.1", "b", NOW, [cookie]) is None
        with pytest.raises(TooManyFailures):
            made.login_by_password("correct horse", "192.0.2.77", "b", NOW, [cookie])


def test_a_browser_whose_session_was_ended_by_its_owner_is_not_known() -> None:
    made = access(AccessState(password=password_hash("correct horse")))
    secret = login(made)
    session = made.session([secret], NOW)
    assert session is not None
    assert made.end_session(session.number)
    for _ in range(5):
        assert made.login_by_password("wrong", "192.0.2.1", "b", NOW, [secret]) is None
    with pytest.raises(TooManyFailures):
        made.login_by_password("wrong", "192.0.2.1", "b", NOW, [secret])


def test_what_has_ended_is_not_current() -> None:
    made = access()
    kept = [identity(made, token=made.make_token("kept", "read", NOW)), identity(made, session=login(made))]
    changes: list[int] = []
    made.on_change = lambda: changes.append(len(changes))
    gone = [identity(made, token=made.make_token("gone", "read", NOW))]
    made.remove_token("gone")
    gone.append(identity(made, token=made.make_token("replaced", "act", NOW)))
    made.make_token("replaced", "read", NOW)
    gone.append(identity(made, session=login(made)))
    made.log_out(gone[-1].session)
    assert [made.is_current(each, NOW) for each in (*kept, *gone)] == [True, True, False, False, False]
    assert len(changes) == 6
    assert not made.is_current(kept[1], NOW + SESSION_IDLE + 1)
    made.end_all_sessions()
    assert [made.is_current(each, NOW) for each in kept] == [True, False]
    assert made.is_current(PanelIdentity(name="user of a proxy", scope="act"), NOW)


def identity(made: Access, token: str = "", session: str = "") -> PanelIdentity:
    found, used = made.token(token, NOW), made.session([session], NOW)
    return PanelIdentity(name="x", scope="act", session=used.key if used else "", token=found.key if found else "")


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
