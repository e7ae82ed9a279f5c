"""Whether an rTorrent is the known one: a table of situations."""

import msgspec
import pytest

from pyrotorque.rtorrent.recognition import (
    LOADING_SECONDS,
    STAYS_SECONDS,
    HeldSession,
    ItemCounts,
    KnownSession,
    Recognition,
    SessionFacts,
    decode_record,
    encode_record,
    recognize,
)
from pyrotorque.rtorrent.session_mark import SessionMark

KNOWN = SessionFacts("a", 1, "host", "/session/", True, 1, 10, "m", 5)
UNSEEN = SessionFacts("a", 1, "host", "/session/")
ALL, FEW, TENTH, HALF, NONE = (ItemCounts(100, missing) for missing in (0, 5, 11, 50, 100))


def found(of: SessionFacts = KNOWN, **changes: object) -> SessionFacts:
    return msgspec.structs.replace(of, incarnation="b", **changes)


CASES = {
    "the same process": (KNOWN, KNOWN, NONE, Recognition.SAME),
    "a restart": (KNOWN, found(), ALL, Recognition.RESTARTED),
    "a restart, all erased meanwhile": (KNOWN, found(), NONE, Recognition.RESTARTED),
    "a moved session": (KNOWN, found(session_path="/new/", inode=11), TENTH, Recognition.RESTARTED),
    "another host": (KNOWN, found(hostname="container-2", pid=7), TENTH, Recognition.RESTARTED),
    "an older copy": (KNOWN, found(generation=4), ALL, Recognition.CHANGED),
    "an older copy, from before this group": (KNOWN, found(generation=-1), ALL, Recognition.CHANGED),
    "killed before the mark was recorded": (KNOWN, found(generation=6), FEW, Recognition.RESTARTED),
    "our database is the older copy": (KNOWN, found(generation=7), FEW, Recognition.CHANGED),
    "another session": (KNOWN, found(mark="x", inode=11), NONE, Recognition.OTHER),
    "another session with some items for cross-seeding": (
        KNOWN,
        found(mark="x"),
        ItemCounts(100, 51),
        Recognition.OTHER,
    ),
    "another session with most items": (KNOWN, found(mark="x", inode=11), HALF, Recognition.CHANGED),
    "the mark was removed": (KNOWN, found(mark="", generation=-1), ALL, Recognition.RESTARTED),
    "a folder restored without its mark": (KNOWN, found(mark="", generation=-1), FEW, Recognition.CHANGED),
    "an empty folder at the same path": (KNOWN, found(mark="", inode=11), NONE, Recognition.OTHER),
    "nothing to lose": (KNOWN, found(mark="x", inode=11), ItemCounts(0, 0), Recognition.CHANGED),
    "unseen, few missing": (UNSEEN, found(UNSEEN), FEW, Recognition.RESTARTED),
    "unseen, more missing": (UNSEEN, found(UNSEEN), TENTH, Recognition.LOADING),
    "unseen, most missing": (UNSEEN, found(UNSEEN), ItemCounts(100, 51), Recognition.OTHER),
    "unseen, elsewhere, of few items": (UNSEEN, found(UNSEEN, hostname="x"), ItemCounts(3, 3), Recognition.OTHER),
    "no longer seen": (KNOWN, found(UNSEEN), FEW, Recognition.RESTARTED),
}


@pytest.mark.parametrize("case", CASES)
def test_an_rtorrent_is_recognized(case: str) -> None:
    known, facts, items, expected = CASES[case]
    assert recognize(KnownSession(known, "group"), facts, items, 0.0) is expected


def test_the_first_one_is_known() -> None:
    assert recognize(None, KNOWN, ALL, 0.0) is Recognition.FIRST


def test_what_its_owner_accepts_is_known() -> None:
    other = found(mark="x", inode=11)
    assert recognize(KnownSession(KNOWN, "group"), other, NONE, 0.0, accepted=True) is Recognition.CHANGED


def test_another_one_is_accepted_after_a_day_and_a_loading_one_after_ten_minutes() -> None:
    other, loading = found(mark="x", inode=11), found(UNSEEN)
    held = KnownSession(KNOWN, "group", held=HeldSession(other, 0.0, ""))
    assert recognize(held, other, NONE, STAYS_SECONDS - 1) is Recognition.OTHER
    assert recognize(held, msgspec.structs.replace(other, incarnation="c"), NONE, STAYS_SECONDS) is Recognition.CHANGED
    third = msgspec.structs.replace(other, incarnation="c", mark="y", inode=12)
    assert recognize(held, third, NONE, STAYS_SECONDS) is Recognition.OTHER
    held = KnownSession(UNSEEN, "group", held=HeldSession(loading, 0.0, ""))
    assert recognize(held, loading, HALF, LOADING_SECONDS - 1) is Recognition.LOADING
    assert recognize(held, loading, HALF, LOADING_SECONDS) is Recognition.CHANGED


def test_a_record_survives_its_file() -> None:
    record = KnownSession(KNOWN, "group", 3, HeldSession(found(mark="x"), 1.5, "why"))
    assert decode_record(encode_record(record)) == record
    assert decode_record(b"{") is None


def test_a_mark_keeps_the_generations_of_other_groups_in_bounds() -> None:
    mark = SessionMark("m")
    for number in range(100):
        mark = mark.at(f"group {number}", 1).at("ours", number)
    assert mark.generation("ours") == 99
    assert mark.generation("group 0") == -1
    assert len(mark.generations) <= 20
