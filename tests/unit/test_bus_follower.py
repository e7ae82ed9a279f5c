"""A follower hands out each event of its source once and in order, and decides when to request a replay."""

import random

from pyrotorque.bus.follower import Follower
from pyrotorque.outbox import BEGINNING, Cursor


def follower(seq: int = 3) -> Follower:
    found = Follower("watcher", position=Cursor("e", seq), saved=Cursor("e", seq))
    found.begin_replay(0.0)
    found.is_current_reply(found.replay_number)
    found.replayed(Cursor("e", seq), 0)
    return found


def test_the_next_event_is_handed_out_and_an_old_one_is_not() -> None:
    under = follower(3)
    assert under.accept(Cursor("e", 4))
    assert not under.accept(Cursor("e", 4))
    assert not under.accept(Cursor("e", 2))
    assert not under.needs_replay(1.0)


def test_an_event_too_early_is_held_back_until_the_replay_brings_it() -> None:
    under = follower(3)
    assert not under.accept(Cursor("e", 6))
    assert under.needs_replay(1.0)
    number = under.begin_replay(1.0)
    assert not under.needs_replay(1.5)
    assert under.is_current_reply(number)
    under.replayed(Cursor("e", 6), 3)
    assert under.position == Cursor("e", 6)
    assert not under.needs_replay(2.0)


def test_a_lost_last_event_is_noticed_by_a_heartbeat() -> None:
    under = follower(3)
    under.note_head(Cursor("e", 3))
    assert not under.needs_replay(1.0)
    under.note_head(Cursor("e", 4))
    assert under.needs_replay(1.0)


def test_another_epoch_is_noticed_by_a_heartbeat_even_when_it_is_empty() -> None:
    under = follower(3)
    under.note_head(Cursor("f", 0))
    assert under.needs_replay(1.0)


def test_a_replay_is_requested_again_without_a_reply() -> None:
    under = follower(3)
    under.note_head(Cursor("e", 9))
    first = under.begin_replay(1.0)
    assert not under.needs_replay(2.9)
    assert under.needs_replay(3.1)
    second = under.begin_replay(3.1)
    assert not under.is_current_reply(first)
    assert under.is_current_reply(second)


def test_a_reply_is_discarded_when_events_arrived_meanwhile() -> None:
    under = follower(3)
    under.note_head(Cursor("e", 4))
    number = under.begin_replay(1.0)
    assert under.accept(Cursor("e", 4))
    assert not under.is_current_reply(number)
    assert not under.needs_replay(2.0)


def test_a_new_follower_requests_a_replay_unless_it_begins_with_the_newest() -> None:
    assert Follower("watcher", position=BEGINNING).needs_replay(0.0)
    assert Follower("watcher", position=Cursor("e", 3)).needs_replay(0.0)
    newest = Follower("watcher", position=BEGINNING, from_newest=True)
    assert not newest.needs_replay(0.0)
    newest.note_head(Cursor("e", 7))
    assert newest.position == Cursor("e", 7)
    assert newest.accept(Cursor("e", 8))


def test_fast_retries_end_so_that_an_absent_source_costs_nothing() -> None:
    under = Follower("watcher", position=BEGINNING)
    assert under.needs_replay(10.0)
    assert under.should_retry_soon(10.5)
    assert not under.should_retry_soon(12.5)


def test_a_failed_effect_takes_everything_back_to_the_cursor() -> None:
    under = follower(3)
    for seq in (4, 5):
        assert under.accept(Cursor("e", seq))
        under.unapplied.append(Cursor("e", seq))
    under.applied(Cursor("e", 4))
    under.rewind(under.saved)
    assert (under.position, list(under.unapplied)) == (Cursor("e", 4), [])
    assert under.needs_replay(1.0)


def test_each_event_is_handed_out_once_despite_losses_and_duplicates() -> None:
    for seed in range(50):
        chance, under, delivered = random.Random(seed), follower(0), list[int]()
        for seq in range(1, 101):
            for _ in range(chance.choice((0, 1, 1, 1, 2))):
                if under.accept(Cursor("e", seq)):
                    delivered.append(seq)
            if under.needs_replay(float(seq)) and chance.random() < 0.5:
                delivered += _replay(under, seq, chance)
        under.note_head(Cursor("e", 100))
        while under.needs_replay(1000.0):
            delivered += _replay(under, 100, chance)
        assert delivered == list(range(1, 101)), seed


def _replay(under: Follower, newest: int, chance: random.Random) -> list[int]:
    number, after = under.begin_replay(1000.0), under.position.seq
    if not under.is_current_reply(number):
        return []
    found = list(range(after + 1, newest + 1))[: chance.randrange(1, 20)]
    under.replayed(Cursor("e", found[-1] if found else after), len(found))
    return found
