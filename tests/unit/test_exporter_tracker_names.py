"""A tracker is shown by alias or domain, never by its announce URL, which contains the passkey."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque.trackers import host_of
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.tracker_names import REFRESH_AFTER, TrackerNames, enabled_urls, shown_domain, tracker_name
from tests.exporter_fakes import FakeRTorrent

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        pytest.param(f"http://tracker.example.org:2710/{SECRET}/announce", "example.org", id="the registered domain"),
        pytest.param(f"https://{SECRET}.example.org/announce", "example.org", id="a passkey as subdomain is cut off"),
        pytest.param(f"http://user:{SECRET}@example.org/a", "example.org", id="user and password are left out"),
        pytest.param("udp://tracker.example.co.uk:80", "example.co.uk", id="a suffix of two parts"),
        pytest.param("http://10.0.0.1:80/announce", "10.0.0.1", id="an IPv4 address"),
        pytest.param("http://[2001:db8::1]:80/announce", "2001:db8::1", id="an IPv6 address"),
        pytest.param("http://localhost/announce", "localhost", id="a bare host"),
        pytest.param("dht://", "none", id="the DHT is no tracker"),
        pytest.param("http://[broken/announce", "none", id="what is no URL"),
        pytest.param(SECRET, "none", id="what has no host"),
        pytest.param(f"http://{SECRET}/announce", "none", id="a passkey as host"),
        pytest.param(f"http://{SECRET}.org/announce", "none", id="a passkey as domain"),
        pytest.param("http://k3yWithM4nyL3tters9q.org/announce", "none", id="a passkey of all letters as domain"),
        pytest.param(f"http://tracker.org:{SECRET}/", "tracker.org", id="a passkey as port"),
        pytest.param(f"http://tracker.org/?passkey={SECRET}", "tracker.org", id="a passkey in the query"),
        pytest.param(f"http://tracker.org#{SECRET}", "tracker.org", id="a passkey as fragment"),
        pytest.param(f"http://{SECRET}@[::1]:80/x", "::1", id="a passkey as user of an IPv6 address"),
        pytest.param(f"http://[fe80::1%{SECRET}]/a", "fe80::1", id="a passkey as zone of an IPv6 address"),
        pytest.param(f"http://tracker.org\\{SECRET}/a", "none", id="a backslash"),
        pytest.param(f"http://tracker.org;{SECRET}/a", "none", id="a semicolon"),
        pytest.param(f"http://tracker.org {SECRET}/a", "none", id="a blank"),
        pytest.param(f"http://tracker.org%2F{SECRET}/a", "tracker.org", id="a quoted slash"),
        pytest.param(f"http://трекер.рф/{SECRET}", "трекер.рф", id="an international name"),
        pytest.param(f"http://xn--h1ahnbr.xn--p1ai/{SECRET}", "xn--h1ahnbr.xn--p1ai", id="the same in ASCII"),
        pytest.param(f"http://{SECRET}\u3002tracker.org/", "tracker.org", id="an ideographic full stop"),
        pytest.param(f"HTTP://TRACKER.ORG./{SECRET}", "tracker.org", id="capitals and a last dot"),
        pytest.param("http://tracker.foo.ne.jp/a", "foo.ne.jp", id="a suffix of two parts in Japan"),
        pytest.param(f"http://{'a2' * 28}.onion/a", f"{'a2' * 28}.onion", id="a hidden service"),
        pytest.param(f"http://{'a2' * 26}.b32.i2p/a", f"{'a2' * 26}.b32.i2p", id="an address in I2P"),
        pytest.param(f"http://{SECRET}.onion/a", "none", id="a passkey that is no address of a hidden service"),
        pytest.param(f"http://{SECRET}.ck/a", "none", id="a passkey as public suffix"),
        pytest.param("http://256.1.1.1/announce", "none", id="no address, though it refreshes like one"),
        pytest.param("http://academictorrents2020.com/announce.php", "academictorrents2020.com", id="a long name"),
    ],
)
def test_a_tracker_is_shown_by_its_domain(url: str, name: str) -> None:
    assert tracker_name([url], {}) == name


def test_an_alias_may_stand_for_a_url_a_host_or_a_domain() -> None:
    aliases = {"http://a.example.org/x": "URL", "b.example.org": "HOST", "example.net": "DOMAIN"}
    urls = ["http://a.example.org/x", "http://b.example.org/y", "http://c.example.net/z"]
    assert [tracker_name([url], aliases) for url in urls] == ["URL", "HOST", "DOMAIN"]


def test_the_first_tracker_with_an_alias_wins() -> None:
    assert tracker_name(["http://a.org/1", "http://b.org/2"], {"b.org": "B"}) == "B"


def test_disabled_trackers_count_only_when_all_are_disabled() -> None:
    assert enabled_urls("0http://a/>1http://b/>") == ["http://b/"]
    assert enabled_urls("0http://a/>") == ["http://a/"]
    assert enabled_urls("") == []


@given(st.text(max_size=80))
def test_no_url_breaks_host_parsing(path: str) -> None:
    host = host_of(f"http://tracker.example.org/{path}")
    assert host in ("", "tracker.example.org")
    assert host_of(path) is not None


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_name_contains_a_passkey_wherever_it_is_in_the_url(before: str, after: str) -> None:
    for scheme in ("http", "udp", ""):
        assert SECRET not in tracker_name([f"{scheme}://{before}{SECRET}{after}"], {})


@given(st.from_regex(r"[a-z0-9.-]{1,60}", fullmatch=True))
def test_a_domain_is_never_longer_than_its_host(host: str) -> None:
    assert shown_domain(host) == "none" or len(shown_domain(host)) <= len(host)


def _fake(*items: tuple[str, str, str]) -> FakeRTorrent:
    command = 't.multicall=,t.is_enabled=,t.url=,"cat=>"'
    rows = [{"d.hash=": one, "d.custom=memo_alias": alias, command: urls} for one, alias, urls in items]
    return FakeRTorrent(
        answers={"t.multicall": [["1", "http://late.example.com/x"]], "d.custom": "Late"}, tables={("main", ""): rows}
    )


def _update(names: TrackerNames, fake: FakeRTorrent, hashes: list[str], now: float) -> dict[str, str]:
    calls = RTorrentCalls(fake, fake)
    calls.begin(float("inf"))
    return dict(names.update(calls, "trackers", hashes, now))


def test_all_items_are_read_once_then_only_new_ones() -> None:
    names, fake = TrackerNames({}), _fake(("AA", "", "1http://a.org/x>"), ("BB", "Memo", "1http://b.org/x>"))
    assert _update(names, fake, ["AA", "BB"], 0.0) == {"AA": "a.org", "BB": "Memo"}
    assert _update(names, fake, ["AA", "BB"], 1.0) == {"AA": "a.org", "BB": "Memo"}
    assert len(fake.asked) == 1
    assert _update(names, fake, ["AA", "CC"], 2.0)["CC"] == "Late"
    assert len(fake.asked) == 2


def test_after_some_hours_all_items_are_read_again() -> None:
    names, fake = TrackerNames({}), _fake(("AA", "", "1http://a.org/x>"))
    _update(names, fake, ["AA"], 0.0)
    _update(names, fake, ["AA"], REFRESH_AFTER + 1)
    assert len(fake.asked) == 2
