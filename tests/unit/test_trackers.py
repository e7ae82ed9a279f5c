"""The site of a tracker: one answer for labels, conditions and templates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque.fields import FIELDS
from pyrotorque.trackers import alias, alias_of_host, domain, host_of, registered_domain
from pyrotorque_exporter.tracker_names import tracker_name

SITES = [
    ("http://tracker.example.org:80/announce?passkey=1", "example.org"),
    ("udp://a.b.example.co.uk:6969", "example.co.uk"),
    ("udp://tracker.foo.ne.jp:80/announce", "foo.ne.jp"),
    ("http://tracker.foo.or.kr/announce", "foo.or.kr"),
    ("http://tracker.example.com.br/announce", "example.com.br"),
    ("http://t.example.me.uk/announce", "example.me.uk"),
    ("http://a.city.kawasaki.jp/announce", "city.kawasaki.jp"),
    ("http://t.mine.duckdns.org/announce", "mine.duckdns.org"),
    ("https://example.com/x", "example.com"),
    ("http://co.uk/announce", "co.uk"),
    ("http://tracker.internal.lan/announce", "internal.lan"),
    ("http://user:secret@Tracker.Example.ORG.:80/", "example.org"),
    ("http://127.0.0.1:1/announce", "127.0.0.1"),
    ("http://[::1]:80/a", "::1"),
    ("http://[2001:db8::1%25eth0]/a", "2001:db8::1"),
    ("http://localhost:6969/announce", "localhost"),
    ("http://tracker:6969/announce", "tracker"),
    ("http://www.bücher.example/a", "bücher.example"),
    ("http://трекер.пример.рф/a", "пример.рф"),
    ("http://xn--e1afmkfd.xn--h1ahnbr.xn--p1ai/a", "xn--h1ahnbr.xn--p1ai"),
    ("http://a。example。org/x", "example.org"),
    ("http://sub.expyuzz4wqqyqhjn.onion/a", "expyuzz4wqqyqhjn.onion"),
    ("http://tracker2.postman.i2p/announce.php", "postman.i2p"),
    ("http://x." + "a2" * 26 + ".b32.i2p/a", "a2" * 26 + ".b32.i2p"),
]


@pytest.mark.parametrize(("url", "site"), SITES)
def test_the_site_of_a_tracker_is_its_registered_domain(url: str, site: str) -> None:
    assert domain(url) == site


@pytest.mark.parametrize(("url", "site"), SITES)
def test_labels_conditions_and_templates_have_one_answer(url: str, site: str) -> None:
    assert tracker_name([url], {}) == site
    assert alias(url, {}) == site
    assert FIELDS["alias"].read({}, {"trackers": [(url, 1)]}) == site


@pytest.mark.parametrize("url", ["", "http://", "http://[broken/a", "dht://", "tracker.org", "http://a b/", "x" * 40])
def test_what_has_no_host_has_no_site(url: str) -> None:
    assert host_of(url) == ""
    assert domain(url) == ""


def test_an_alias_is_found_by_host_or_by_any_domain_above_it() -> None:
    aliases = {"t.example.org": "T", "example.org": "E", "duckdns.org": "D", "ne.jp": "J"}
    assert alias("http://t.example.org/a", aliases) == "T"
    assert alias("http://u.example.org/a", aliases) == "E"
    assert alias("http://x.t.example.org/a", aliases) == "T"
    assert alias("http://t.mine.duckdns.org/a", aliases) == "D", "as in 1.0.0"
    assert alias("http://tracker.foo.ne.jp/a", aliases) == "J", "as in 1.0.0"
    assert alias("http://u.example.com/a", aliases) == "example.com"
    assert alias_of_host("", aliases) == ""


@given(st.from_regex(r"[a-z0-9_-]{1,9}(\.[a-z0-9_-]{1,9}){0,5}", fullmatch=True))
def test_a_registered_domain_is_the_end_of_its_host(host: str) -> None:
    assert host.endswith(registered_domain(host))
