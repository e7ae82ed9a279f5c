"""Which groups are there, decided without clocks of other machines; and what other groups write."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque.settings.schema import FleetSettings
from pyrotorque_fleet.heartbeat import interval
from pyrotorque_fleet.membership import FORGOTTEN_AFTER, Echo, Membership
from pyrotorque_fleet.messages import (
    BadValue,
    DiskRoom,
    FoundItem,
    GroupFacts,
    decode_facts,
    decode_found,
    decode_question,
    encode,
)


def facts(name: str = "two", started: int = 1, number: int = 1) -> GroupFacts:
    return GroupFacts(name=name, started=started, number=number, version="1.0.0", beat=2)


def joins(started: int, number: int) -> GroupFacts:
    return msgspec.structs.replace(facts("one", started, number), joining=True)


def echo(found: Membership, times: int, at: float = 0.0, apart: float = 2.0) -> None:
    for number in range(times):
        found.receive(facts("one", started=found.started, number=found.echoes + 1), at + number * apart)


def test_a_group_is_gone_by_the_clock_and_by_echoes_only() -> None:
    found = Membership("one", 5, silent=15)
    found.receive(facts(), 100)
    assert not found.is_gone("two", 1000)  # an outage of all servers: no echo came back
    echo(found, 5)
    assert not found.is_gone("two", 114)
    assert found.is_gone("two", 116)
    found.receive(facts(number=2), 120)
    assert not found.is_gone("two", 121)


def test_the_same_value_read_again_is_no_sign_of_life() -> None:
    found = Membership("one", 5, silent=15)
    found.receive(facts(), 100)
    echo(found, 5)
    found.receive(facts(), 200)
    assert found.is_gone("two", 200)


def test_after_an_outage_no_group_is_gone() -> None:
    found = Membership("one", 5, silent=15)
    found.receive(facts(), 100)
    echo(found, 4)
    assert not found.is_gone("two", 10_000)


def test_echoes_that_a_hanging_server_returns_in_a_burst_count_once() -> None:
    found = Membership("one", 5, silent=15)
    found.receive(facts(), 100)
    echo(found, 20, at=200, apart=0.01)
    assert not found.is_gone("two", 201)
    echo(found, 4, at=202)
    echo(found, 4, at=210)
    assert found.is_gone("two", 216)


@pytest.mark.parametrize("outage", [8.0, 20.0, 10_000.0])
def test_after_an_outage_another_group_has_all_of_its_time_to_return(outage: float) -> None:
    found = Membership("one", 5, silent=15)
    echo(found, 10)
    found.receive(facts(), 19)
    back = 18 + outage
    echo(found, 8, at=back)
    assert not found.is_gone("two", back + 14.9)
    assert found.is_gone("two", back + 15.1)


def test_echoes_that_are_rare_on_purpose_are_no_outage() -> None:
    found = Membership("one", 5, silent=3)
    found.receive(facts(), 0)
    for number in range(6):
        found.receive(msgspec.structs.replace(facts("one", started=5, number=number + 1), beat=20), number * 20.0)
    assert found.is_gone("two", 101)


@given(st.lists(st.tuples(st.sampled_from(["other", "echo"]), st.floats(0, 30)), max_size=60))
def test_a_group_whose_heartbeats_arrive_is_never_gone(steps: list[tuple[str, float]]) -> None:
    found = Membership("one", 5, silent=15)
    now, number = 0.0, 1
    found.receive(facts(), now)
    last = now
    for kind, passed in steps:
        now += passed
        if kind == "other":
            number += 1
            found.receive(facts(number=number), now)
            last = now
        else:
            echo(found, 1, at=now)
        assert not (found.is_gone("two", now) and now - last <= 15)


def test_an_older_process_that_lives_takes_our_name() -> None:
    found = Membership("one", 5, silent=15)
    assert found.receive(facts("one", started=5, number=1), 0) is Echo.OURS
    assert found.receive(facts("one", started=4, number=7), 0) is Echo.OLDER  # left behind by an earlier process
    assert found.receive(facts("one", started=4, number=7), 0) is Echo.OLDER  # the same value, read again
    assert found.receive(facts("one", started=4, number=8), 0) is Echo.TAKEN


def test_a_younger_process_with_our_name_does_not_end_us() -> None:
    found = Membership("one", 5, silent=15)
    echo(found, 9)
    for number in range(1, 5):
        assert found.receive(facts("one", started=6, number=number), 16) is Echo.OLDER


@pytest.mark.parametrize("started", [4, 6])
def test_a_process_that_joins_ends_where_another_one_acts_whatever_their_clocks_say(started: int) -> None:
    found = Membership("one", 5, silent=15)
    echo(found, 3)
    assert found.receive(facts("one", started=started, number=1), 6) is Echo.OLDER
    assert found.receive(facts("one", started=started, number=2), 8) is Echo.TAKEN


@pytest.mark.parametrize("started", [4, 6])
def test_a_process_that_acts_stays_where_another_one_joins_whatever_their_clocks_say(started: int) -> None:
    found = Membership("one", 5, silent=15)
    echo(found, 9)
    for number in range(1, 5):
        assert found.receive(joins(started, number), 16) is Echo.OLDER
        assert found.holds_name(16)


def test_of_two_that_join_the_older_one_stays_and_waits_again() -> None:
    older, younger = Membership("one", 4, silent=15), Membership("one", 5, silent=15)
    echo(older, 5)
    assert older.receive(joins(5, 1), 9) is Echo.OLDER
    assert older.receive(joins(5, 2), 10) is Echo.OLDER
    echo(older, 6, at=11)
    assert not older.holds_name(21)
    echo(older, 4, at=22)
    assert older.holds_name(28)
    younger.receive(joins(4, 1), 9)
    assert younger.receive(joins(4, 2), 10) is Echo.TAKEN


def test_of_two_that_act_both_stop_to_act_and_the_younger_one_ends() -> None:
    """One hung until the other one had the name."""
    for started, ends in ((4, True), (6, False)):
        found = Membership("one", 5, silent=15)
        echo(found, 9)
        found.receive(facts("one", started=started, number=1), 16)
        assert not found.holds_name(16)
        assert (found.receive(facts("one", started=started, number=2), 17) is Echo.TAKEN) == ends


def test_a_name_is_held_after_a_while_alone_and_not_after_a_while_without_echoes() -> None:
    found = Membership("one", 5, silent=15)
    assert not found.holds_name(0)
    found.receive(facts("one", started=4, number=7), 0)  # left behind by an earlier process
    echo(found, 8)
    assert not found.holds_name(14.9)
    assert found.holds_name(15)
    echo(found, 1, at=16)
    assert found.holds_name(31)
    assert not found.holds_name(31.1)
    echo(found, 1, at=40)
    assert not found.holds_name(40)
    echo(found, 8, at=41)
    assert found.holds_name(55)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.1, 40)), max_size=40))
def test_two_processes_of_one_name_never_act_at_one_moment(turns: list[tuple[bool, float]]) -> None:
    """Each writes when it has its turn, however long it was stopped before; both read what was written."""
    both = (Membership("one", 4, silent=15), Membership("one", 5, silent=15))
    now, lives = 0.0, [True, True]
    for number, (is_second, passed) in enumerate(turns):
        writer = both[is_second]
        now += passed
        if not lives[is_second]:
            continue
        written = GroupFacts(
            name="one", started=writer.started, number=number, version="1.1.0", beat=2,
            joining=not writer.holds_name(now),
        )  # fmt: skip
        for at, reader in enumerate(both):
            if lives[at] and reader.receive(written, now) is Echo.TAKEN:
                lives[at] = False
        assert sum(alive and each.holds_name(now) for alive, each in zip(lives, both, strict=True)) <= 1
        assert any(lives)


@pytest.mark.parametrize(("groups", "seconds"), [(1, 2.0), (3, 2.0), (40, 2.0), (60, 3.0), (100, 5.0), (1000, 5.0)])
def test_many_groups_write_less_often(groups: int, seconds: float) -> None:
    assert interval(FleetSettings(beat=2.0, silent=15.0), groups) == pytest.approx(seconds)


def test_groups_that_are_gone_are_forgotten_after_a_day() -> None:
    found = Membership("one", 5, silent=15)
    found.receive(facts(), 0)
    found.forget(FORGOTTEN_AFTER + 1)
    assert "two" in found.members
    echo(found, 5)
    found.forget(FORGOTTEN_AFTER - 1)
    assert "two" in found.members
    found.forget(FORGOTTEN_AFTER + 1)
    assert found.members == {}


@pytest.mark.parametrize(
    "value",
    [
        b"", b"null", b"[]", b"{}", b'{"name":"two"}', b"\xff", b'{"name":"two"' * 1000, b"x" * 9000,
        encode(facts("three")),
        encode(facts(number=-1)),
        encode(facts(started=2**60)),
        encode(GroupFacts(name="two", started=1, number=1, version="x" * 65, beat=2)),
        encode(GroupFacts(name="two", started=1, number=1, version="1", beat=0)),
        encode(GroupFacts(name="two", started=1, number=1, version="1", beat=1, problems=("x",) * 9)),
        encode(msgspec.structs.replace(facts(), rooms=(DiskRoom(path="/", free=-1, size=1),))),
    ],
)  # fmt: skip
def test_what_is_no_heartbeat_of_this_group_is_refused(value: bytes) -> None:
    with pytest.raises(BadValue):
        decode_facts("two", value)


def test_a_heartbeat_of_a_newer_version_is_read() -> None:
    value = encode(facts()).replace(b'{"name"', b'{"something":[1,{}],"name"')
    assert decode_facts("two", value) == facts()


def test_requests_and_answers_are_bounded() -> None:
    with pytest.raises(BadValue):
        decode_question(b'{"text":""}')
    with pytest.raises(BadValue):
        decode_question(b'{"text":"%s"}' % (b"x" * 300))
    item = FoundItem(info_hash="../../etc", name="a", size=1, left=0, is_active=True)
    with pytest.raises(BadValue):
        decode_found(b'{"group":"two","items":[%s]}' % msgspec.json.encode(item))
