"""Filters for rTorrent: short, sound against a model of its commands, and with exactly these texts."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrotorque.conditions import parse
from tests.filter_model import passes
from tests.made_conditions import TEXT

NOW = 1_780_000_000.0
FLAG = st.sampled_from(("0", "1"))
TEXTS = st.sampled_from(("", "foo", "ghost", "0", " ", "12 b", "/data/x", "new audio", "7"))
TIME = st.sampled_from(("0", "1700000000", str(int(NOW) - 30)))
WHOLE = st.sampled_from(("0", "1", "3", "1024", "65536", "65535", "100001", "10000000000"))
RAW = st.fixed_dictionaries(
    {
        **{f"d.{name}=": FLAG for name in ("complete", "is_active", "is_open", "is_private", "is_multi_file")},
        "d.ignore_commands=": FLAG,
        "d.hashing_failed=": FLAG,
        "d.priority=": st.sampled_from(("0", "1", "2", "3")),
        **{f"d.{name}=": WHOLE for name in ("down.rate", "up.rate", "up.total", "size_bytes", "size_files")},
        "d.completed_chunks=": st.sampled_from(("0", "1", "4")),
        "d.size_chunks=": st.just("4"),
        "d.ratio=": st.sampled_from(("0", "499", "500", "999", "1000", "1500", "2001")),
        **{f"d.{name}=": TEXTS for name in ("message", "tied_to_file", "name", "directory", "throttle_name")},
        **{f"d.custom={key}": TEXTS for key in ("x", "tags")},
        "d.hash=": st.just("A" * 40),
        **{f"d.custom=tm_{key}": st.just("") | TIME for key in ("loaded", "started", "completed")},
        **{f"d.{name}=": TIME for name in ("load_date", "timestamp.started", "timestamp.finished")},
        "d.custom=activations": st.just(""),
    }
)


@given(text=TEXT, raw=RAW)
@settings(max_examples=400, deadline=None)
def test_a_filter_never_excludes_a_match(text: str, raw: dict[str, str]) -> None:
    condition = parse(text)
    item: dict[str, Any] = {
        name: each.read(raw, {"files": [("a.mkv", 5)], "trackers": [("http://x.org/", 1)], "views": ["main"]}, NOW)
        for name, each in condition.table.items()
    }
    if condition.matches(item, NOW):
        for where in condition.filters(NOW):
            assert passes(where, raw), where


FILTERS = [
    ("is_complete=no", "not=$d.complete="),
    ("is_complete=yes,no", ""),
    ("[ NOT is_open=yes ]", "not=$d.is_open="),
    ("prio>0", "d.priority="),
    ("prio>2", "greater=d.priority=,value=2"),
    ("prio=0", "not=$d.priority="),
    ("prio=0,3", ""),
    ("prio<2", "less=d.priority=,value=2"),
    ("message=", "not=$d.message="),
    ("message=!", "d.message="),
    ("message=*ghost*", "d.message="),
    ("message=,*ghost*", ""),
    ("message=/^$|ghost/", ""),
    ("message=!ghost", ""),
    ("tagged=new", "d.custom=tags"),
    ("tagged=", ""),
    ("custom_x=foo", "d.custom=x"),
    ("custom_1=foo", "d.custom1="),
    ("custom_x>5", "d.custom=x"),
    ("done=0", "not=$d.completed_chunks="),
    ("done>50", "d.completed_chunks="),
    ("done=100", "d.completed_chunks="),
    ("down>3", "d.down.rate="),
    ("size>1k", "greater=d.size_bytes=,value=1024"),
    ("size<=1k", "less=d.size_bytes=,value=1025"),
    ("size=1.5", ""),
    ("ratio>=1", "greater=d.ratio=,value=998"),
    ("hash=" + "a" * 40, "equal=d.hash=,cat=" + "A" * 40),
    ("hash=a*", ""),
    ("loaded<2i", ""),
    ("started=0", "not=$d.timestamp.started="),
    ("name=foo", ""),
    ("traits=audio", ""),
    ("is_open=1 OR prio>0", "or={d.is_open=,d.priority=}"),
    ("is_open=1 OR name=foo", ""),
    ("[ NOT [ is_open=1 OR prio>0 ] ]", "and={not=$d.is_open=,not=$d.priority=}"),
    ("size>1k is_open=1", 'and={d.is_open=,"greater=d.size_bytes=,value=1024"}'),
    ("is_active=1 is_complete=0 [ down>3 OR started<2i ]", "and={d.is_active=,not=$d.complete=}"),
]


@pytest.mark.parametrize(("text", "where"), FILTERS)
def test_a_condition_has_this_filter(text: str, where: str) -> None:
    assert parse(text).filters(NOW)[:1] == ((where,) if where else ())


def test_the_default_of_the_queue_is_filtered_by_what_excludes_most_in_the_order_of_its_cost() -> None:
    base = parse("is_open=no is_active=no is_complete=no")
    whole = base.also(parse("is_ignored=no done=0 message=/^$|ghost/ prio>0"))
    cheap = ("not=$d.is_active=", "not=$d.is_open=", "not=$d.completed_chunks=")
    parts = (*cheap, "not=$d.complete=", "d.priority=", "not=$d.ignore_commands=")
    assert whole.filters(NOW) == (f"and={{{','.join(parts)}}}", *parts)
    assert whole.filters(NOW, {"is_complete"})[1:] == (*parts[:3], *parts[4:])


@pytest.mark.parametrize(
    ("text", "excluded"),
    [
        ("is_complete=no prio>0", True),
        ("[ NOT [ is_complete=yes OR prio>2 ] ]", True),
        ("[ NOT is_complete=yes prio>2 ]", False),
        ("is_complete=no OR prio>0", False),
        ("is_complete=yes", False),
        ("is_complete=yes,no", False),
        ("prio>0", False),
    ],
)
def test_a_condition_says_what_it_excludes_for_certain(text: str, excluded: bool) -> None:
    assert parse(text).excludes("is_complete", True, NOW) is excluded


def test_a_filter_stays_short_however_long_the_condition_is() -> None:
    many = " ".join(f"[ prio>{number % 9} OR size>{number} ]" for number in range(500))
    assert 0 < len(parse(many).filters(NOW)[0]) < 300
