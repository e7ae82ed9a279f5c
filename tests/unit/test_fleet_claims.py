"""The life of a claim: each step, and random interleavings of three groups with kills and lost answers."""

import random
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pyrotorque_fleet.claims import (
    MISSING,
    Claim,
    KnownClaim,
    Metafacts,
    assign,
    encode_claim,
    folder_error,
    give_back,
    grant,
    has_item,
    may_start,
    offer,
    release,
    report,
    take_back,
    withdraw,
)
from pyrotorque_fleet.handovers import HandOver, HandOverStep, Load, next_step
from pyrotorque_fleet.messages import BadValue, decode_claim

HASH = "A" * 40
GROUPS = ("one", "two", "three")


def a_claim(**changes: object) -> Claim:
    claim = Claim(
        info_hash=HASH, sha256="0" * 64, length=100, job="treewatch", facts=Metafacts(name="n", size=5),
        sender="one", offered=1.0, offer="7", state="offered",
    )  # fmt: skip
    return replace(claim, **changes)


# -- single steps


def test_a_metafile_goes_from_its_tree_to_one_group() -> None:
    claim = a_claim()
    assert offer(claim, None) is claim
    taken = assign(claim, "two")
    assert taken is not None
    assert (taken.state, taken.owner, taken.generation) == ("assigned", "two", 1)
    assert not may_start(taken, "two", 1)
    granted = grant(taken, "two", 1)
    assert may_start(granted, "two", 1)
    assert granted is not None
    done = report(granted, "two", 1)
    assert done is not None
    assert done.state == "done"


@pytest.mark.parametrize("state", ["assigned", "granted", "done", "failed", "withdrawn"])
def test_only_an_offer_is_taken(state: str) -> None:
    assert assign(a_claim(state=state, owner="one"), "two") is None


def test_a_group_that_could_not_load_it_does_not_take_it_again() -> None:
    taken = assign(a_claim(), "two")
    assert taken is not None
    back = give_back(taken, "two", 1, "disk full", is_bad=False)
    assert back is not None
    assert (back.state, back.tried, back.reason) == ("offered", ("two",), "disk full")
    assert assign(back, "two") is None
    again = assign(back, "three")
    assert again is not None
    assert again.generation == 2


@pytest.mark.parametrize(("group", "generation"), [("one", 1), ("two", 2), ("two", 0)])
def test_no_permission_for_another_group_or_assignment(group: str, generation: int) -> None:
    taken = assign(a_claim(), "two")
    assert taken is not None
    assert grant(taken, group, generation) is None
    granted = grant(taken, "two", 1)
    assert not may_start(granted, group, generation)
    assert granted is not None
    assert report(granted, group, generation) is None


@pytest.mark.parametrize("state", ["granted", "done", "failed", "withdrawn", "offered"])
def test_only_an_assignment_is_taken_back(state: str) -> None:
    assert take_back(a_claim(state=state, owner="one"), "it is gone") is None


def test_only_an_order_takes_back_what_may_have_started() -> None:
    released = release(a_claim(state="granted", owner="two", generation=4))
    assert released is not None
    assert (released.state, released.owner, released.generation) == ("offered", "", 4)
    assert release(a_claim(state="assigned", owner="two")) is None


def test_what_is_known_is_not_offered_again() -> None:
    for state in ("offered", "assigned", "granted", "done"):
        assert isinstance(offer(a_claim(), a_claim(state=state, owner="one")), KnownClaim)
    for state in ("withdrawn", "failed"):
        again = offer(a_claim(), a_claim(state=state, generation=6))
        assert isinstance(again, Claim)
        assert (again.state, again.generation) == ("offered", 6)


def test_an_offer_whose_content_is_gone_may_be_offered_by_another_group() -> None:
    gone = a_claim(reason=MISSING, generation=4)
    again = offer(a_claim(sender="two", offer="9"), gone)
    assert isinstance(again, Claim)
    assert (again.sender, again.generation, again.reason) == ("two", 4, "")
    assert isinstance(offer(a_claim(sender="two"), a_claim()), KnownClaim)


def test_only_the_sender_withdraws_and_only_an_offer() -> None:
    assert withdraw(a_claim(), "two") is None
    assert withdraw(a_claim(state="assigned", owner="two"), "one") is None
    gone = withdraw(a_claim(), "one")
    assert gone is not None
    assert gone.state == "withdrawn"


def test_a_group_that_has_the_item_needs_no_load() -> None:
    done = has_item(a_claim(), "two")
    assert done is not None
    assert (done.state, done.owner) == ("done", "two")
    assert has_item(a_claim(state="granted", owner="one"), "two") is None


# -- what other groups write


@pytest.mark.parametrize(
    "folder", ["..", "a/../b", "/a", "a//b", ".hidden", "a/.b", "a/b/c/d/e", "x" * 65, "a\nb", "a\x00"]
)
def test_folders_that_lead_elsewhere_are_refused(folder: str) -> None:
    assert folder_error(folder)
    with pytest.raises(BadValue):
        decode_claim(HASH, encode_claim(a_claim(folder=folder)))


@pytest.mark.parametrize("folder", ["", "tv", "tv/shows", "ünï/cödé", "a b"])
def test_folders_that_are_used(folder: str) -> None:
    assert not folder_error(folder)
    assert decode_claim(HASH, encode_claim(a_claim(folder=folder))).folder == folder


@pytest.mark.parametrize(
    "change",
    [
        {"state": "running"}, {"info_hash": "B" * 40}, {"info_hash": "a"}, {"sha256": "x"}, {"length": 0},
        {"length": (16 << 20) + 1}, {"job": "../x"}, {"job": ""}, {"owner": "A b"}, {"sender": ""},
        {"tried": ["two"] * 33}, {"generation": -1}, {"flags": ["exec"]}, {"v": 2}, {"state": "granted", "owner": ""},
        {"reason": "x" * 201}, {"facts": {"name": "n" * 513}}, {"facts": {"name": "n", "size": -1}}, {"offer": None},
    ],
)  # fmt: skip
def test_claims_that_are_not_valid(change: dict[str, object]) -> None:
    value = msgspec.to_builtins(a_claim()) | change
    with pytest.raises(BadValue):
        decode_claim(HASH, msgspec.json.encode(value))


@given(st.binary(max_size=300))
def test_no_bytes_raise_another_error(value: bytes) -> None:
    with pytest.raises(BadValue):
        decode_claim(HASH, value)


def test_a_claim_reserves_its_room() -> None:
    small = encode_claim(a_claim())
    assert len(small) % 512 == 0
    assert len(encode_claim(a_claim(state="assigned", owner="two", generation=12))) == len(small)
    largest = a_claim(
        facts=Metafacts(name="n" * 512, tracker="t" * 253, size=2**53), tried=tuple("g" * 63 for _ in range(32)),
        siblings=tuple("g" * 63 for _ in range(16)), reason="r" * 200, folder="/".join(["f" * 64] * 4),
        offer="o" * 64, job="j" * 64, owner="g" * 63, sender="g" * 63,
    )  # fmt: skip
    assert len(encode_claim(largest)) <= 8192


# -- interleavings


@dataclass
class Register:
    """One key with compare-and-set, whose answers are lost, and whose reads may be old."""

    chance: random.Random
    loss: float
    values: list[tuple[int, Claim]] = field(default_factory=list)

    def swap(self, claim: Claim, revision: int) -> int | None:
        """The new revision; None: refused, or no answer."""
        if self.chance.random() < self.loss / 2:
            return None
        current = self.values[-1][0] if self.values else 0
        if current != revision:
            return None
        self.values.append((current + 1, claim))
        return None if self.chance.random() < self.loss else current + 1

    def read(self) -> tuple[int, Claim]:
        old = self.chance.randrange(4) if self.chance.random() < self.loss else 0
        return self.values[max(0, len(self.values) - 1 - old)]


@dataclass
class SimulatedGroup:
    """`mine` and `known` are in its database: a kill loses neither; what rTorrent and the watcher have is not in it."""

    name: str
    register: Register
    chance: random.Random
    fence: bool
    mine: HandOver | None = None
    load: Load = "none"
    started: int = 0
    known: tuple[int, Claim] | None = None
    conflicts: int = 0
    is_sure: bool = True

    def kill(self) -> None:
        """What was to be done next is not done."""
        self.is_sure = False

    def lose_database(self) -> None:
        self.known = self.mine = None

    def see(self) -> None:
        found = self.register.read()
        if self.known is None or found[0] >= self.known[0]:
            self.known, self.is_sure = found, True

    def swap(self, claim: Claim | None) -> bool:
        assert self.known is not None
        if claim is None:
            return False
        found = self.register.swap(claim, self.known[0])
        if found is None:
            self.is_sure = False  # it is read again
            return False
        self.known = (found, claim)
        return True

    def watch(self) -> None:
        """The watcher and rTorrent go on."""
        if self.load == "pending":
            self.load = "failed" if self.chance.random() < 0.1 else "held"
        elif self.load == "open" and not self.started:
            self.started = 1

    def bid(self) -> None:
        if self.known is not None and self.is_sure and self.known[1].state == "offered" and self.mine is None:
            claim = assign(self.known[1], self.name)
            if self.swap(claim):
                assert claim is not None
                if self.chance.random() < 0.1:
                    self.kill()
                    return
                self.mine = HandOver(HASH, claim.generation, "taken")

    def suspect(self) -> None:
        """Takes another group for gone, with or without reason."""
        if self.known is not None and self.known[1].owner != self.name:
            self.swap(take_back(self.known[1], "gone"))

    def step(self) -> None:
        if self.known is None or not self.is_sure:
            return
        claim = self.known[1]
        mine = self.mine
        match next_step(claim, mine, self.load, self.name, fence=self.fence):
            case HandOverStep.RECORD:
                self.mine = HandOver(HASH, claim.generation, "taken")
            case HandOverStep.FETCH:
                assert mine is not None
                self.mine = HandOver(HASH, mine.generation, "handed")
                if self.chance.random() < 0.1:
                    self.kill()
                    return
                self.load = "pending"
            case HandOverStep.GRANT:
                assert mine is not None
                self.swap(grant(claim, self.name, mine.generation))
            case HandOverStep.RELEASE:
                assert mine is not None
                self.mine = HandOver(HASH, mine.generation, "released")
                if self.chance.random() < 0.1:
                    self.kill()
                    return
                self.load = "open"
            case HandOverStep.REPORT:
                assert mine is not None
                self.swap(report(claim, self.name, mine.generation))
            case HandOverStep.REPORT_FOREIGN:
                self.swap(has_item(claim, self.name))
            case HandOverStep.GIVE_BACK | HandOverStep.GIVE_UP:
                assert mine is not None
                if self.swap(give_back(claim, self.name, mine.generation, "no", is_bad=False)):
                    self.mine, self.load = None, "none"
            case HandOverStep.DISCARD:
                assert not self.started
                self.load = "none"
                if self.chance.random() < 0.1:
                    self.kill()
                    return
                self.mine = None
            case HandOverStep.FORGET:
                self.mine = None
            case HandOverStep.CONFLICT:
                self.conflicts += 1
                self.mine = None
            case HandOverStep.NOTHING:
                pass


def play(seed: int, *, fence: bool, lossy: bool = False) -> list[SimulatedGroup]:
    """With `lossy`, databases are lost too."""
    chance = random.Random(seed)
    register = Register(chance, loss=0.25)
    register.values.append((1, a_claim()))
    groups = [SimulatedGroup(name, register, chance, fence) for name in GROUPS]
    for _ in range(chance.randrange(40, 200)):
        group = chance.choice(groups)
        actions = ("see", "bid", "step", "watch", "suspect", "kill", "lose_database")
        action = chance.choices(actions, (4, 2, 6, 4, 1, 1, 0.2 if lossy else 0))[0]
        getattr(group, action)()
        assert not fence or sum(each.started for each in groups) <= 1
    register.loss = 0.0
    for _ in range(60):
        for group in groups:
            group.known, group.is_sure = register.values[-1], True
            group.step()
            group.watch()
            group.known, group.is_sure = register.values[-1], True
            group.bid()
        claim = register.values[-1][1]
        if claim.state == "offered" and len(claim.tried) == len(GROUPS):
            break  # no group can load it
    return groups


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_a_metafile_is_started_at_most_once_and_not_lost(seed: int) -> None:
    groups = play(seed, fence=True)
    claim = groups[0].register.values[-1][1]
    assert sum(each.conflicts for each in groups) == 0
    if claim.state == "offered":
        assert set(claim.tried) == set(GROUPS)
        assert sum(each.started for each in groups) == 0
        return
    assert claim.state == "done"
    assert [each.name for each in groups if each.started] == [claim.owner]
    assert [each.name for each in groups if each.load != "none"] == [claim.owner]
    assert all(each.mine is None for each in groups)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_a_metafile_is_started_at_most_once_also_when_databases_are_lost(seed: int) -> None:
    groups = play(seed, fence=True, lossy=True)
    assert sum(each.started for each in groups) <= 1


def test_without_the_fence_the_same_play_starts_it_twice() -> None:
    assert any(sum(each.started for each in play(seed, fence=False)) > 1 for seed in range(400))
