"""The sender's part of placement: offers the metafiles in trees of the fleet, and reports what became of them.

Each file goes through: the content is stored, the claim is created, a group has it, the watcher records that. What is
interrupted continues from the records in the file and from the claim. A file is given up only when a group says at
that moment that it has the item, see `kept_items`.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pyrotorque.errors import MetafileError, StateError
from pyrotorque.fleet_requests import SettledOffer
from pyrotorque.text import printable
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import Claim, KnownClaim, encode_claim, is_missing, is_same_offer, offer, withdraw
from pyrotorque_fleet.inbox import Inbox, OfferedFile
from pyrotorque_fleet.kept_items import Keeping, KeepingAnswer, KeptItems
from pyrotorque_fleet.local_group import LocalWatcher
from pyrotorque_fleet.messages import BadValue, Question, SoughtItem, decode_held, encode
from pyrotorque_fleet.swaps import ClaimSwaps

log = logging.getLogger(__name__)

_LOOK_EVERY: Final = 5.0
_NEW_MAX: Final = 64
_WORK_MAX: Final = 256
_ANSWERS_WITHIN: Final = 2.0
_STORE_AGAIN: Final = 30.0
_VERIFY_EVERY: Final = 30.0


@dataclass
class OfferSender:
    """`group` is the name of this one; `present` returns how many groups are there. `now` is CLOCK_MONOTONIC."""

    group: str
    table: ClaimTable
    swaps: ClaimSwaps
    inbox: Inbox
    watcher: LocalWatcher
    present: Callable[[], int]
    bad_value: Callable[[], None]
    _look_at: float = 0.0
    _after: int = 0
    _asked: dict[int, str] = field(default_factory=dict[int, str])
    """By turn of the offers for which the answers of all groups are there: the group that has the item, or nothing."""
    _unreadable: dict[int, float] = field(default_factory=dict[int, float])
    _verified: dict[int, float] = field(default_factory=dict[int, float])
    """By turn: when an offer that waits was compared with that of the servers."""

    def __post_init__(self) -> None:
        self._kept = KeptItems(self.swaps, self.present, self.bad_value)

    def notice(self) -> None:
        """The watcher has something to offer."""
        self._look_at = 0.0

    @property
    def has_news(self) -> bool:
        return not self._look_at

    def step(self, now: float) -> None:
        """Do what can be done without waiting for the fleet; raises StateError if the ledger cannot be read."""
        if now >= self._look_at:
            self._look(now)
        offers = self.table.offers()[:_WORK_MAX]
        if not offers:
            return
        self._ask_groups([each for each in offers if each[0] not in self._asked], now)
        settled: list[SettledOffer] = []
        for turn, token, claim, is_stored in offers:
            if (found := self._advance(turn, token, claim, is_stored, now)) is not None:
                settled.append(found)
        self._kept.ask(now)
        if settled and self.watcher.settle(settled, now):
            self._forget([each.turn for each in settled])

    def _look(self, now: float) -> None:
        """Record new offers of the ledger, and withdraw those whose files are gone."""
        self._look_at = now + _LOOK_EVERY
        known = {turn: (token, claim) for turn, token, claim, _ in self.table.offers()}
        waiting = self.inbox.waiting(min(known, default=0)) if known else {}
        gone = [turn for turn, (token, _) in known.items() if waiting.get(turn) != token]
        done = [turn for turn in gone if self._withdrawn(known[turn][1], now)]
        self._forget(done)
        room = _WORK_MAX - len(known)
        found, after = 0, 0
        while room > 0 and found < _NEW_MAX:
            files = self.inbox.offers(after, _NEW_MAX)
            if not files:
                break
            after = files[-1].turn
            for file in files:
                if known.get(file.turn, ("", None))[0] != file.token and found < room:
                    found += self._add(file, now)
        if found == _NEW_MAX:
            self._look_at = 0.0

    def _add(self, file: OfferedFile, now: float) -> bool:
        if self._unreadable.get(file.turn, 0.0) > now:
            return False
        try:
            claim, _ = self.inbox.claim_for(file, self.group, round(time.time(), 3))
        except (MetafileError, OSError) as error:
            # The watcher finds a file that is gone or was changed.
            log.debug("%s is not offered: %s", printable(file.path), error)
            self._unreadable[file.turn] = now + _STORE_AGAIN
            return False
        self.table.add_offer(file.turn, file.token, file.path, claim, encode_claim(claim))
        return True

    def _withdrawn(self, mine: Claim, now: float) -> bool:
        """Whether nothing is left to do about an offer whose file is gone."""
        found = self.table.get(mine.info_hash)
        if found is None or not is_same_offer(found[1], self.group, mine.offer) or found[1].state != "offered":
            return True
        if self.swaps.is_free(mine.info_hash, now):
            self.swaps.swap(withdraw(found[1], self.group), found[0])
        self._look_at = min(self._look_at, now + 1.0)
        return False

    def _ask_groups(self, offers: list[tuple[int, str, Claim, bool]], now: float) -> None:
        """Which groups have the items already, or their siblings; by best effort."""
        key = "offers"
        fresh = [each for each in offers if self.table.get(each[2].info_hash) is None][:_NEW_MAX]
        for turn, *_ in offers:
            if turn not in {each[0] for each in fresh}:
                self._asked.setdefault(turn, "")
        if not fresh or not self.swaps.is_free(key, now):
            return
        sought = tuple(
            SoughtItem(info_hash=claim.info_hash, name=claim.facts.name, size=claim.facts.size)
            for _, _, claim, _ in fresh
        )

        def answered(bodies: Any, error: BaseException | None) -> None:
            holders: dict[str, str] = {}
            siblings: dict[str, list[str]] = {}
            for body in bodies or ():
                try:
                    held = decode_held(body)
                except BadValue:
                    self.bad_value()
                    continue
                for each in held.items:
                    holders.setdefault(each, held.group)
                for each in held.siblings:
                    siblings.setdefault(each, []).append(held.group)
            if error is not None:
                return
            for turn, token, claim, _ in fresh:
                self._asked[turn] = holders.get(claim.info_hash, "")
                if found := siblings.get(claim.info_hash):
                    changed = msgspec.structs.replace(claim, siblings=tuple(sorted(found)[:16]))
                    path = self.table.offer_path(turn)
                    self.table.add_offer(turn, token, path, changed, encode_claim(changed))

        question = encode(Question(kind="holds", sought=sought))
        self.swaps.run(key, self.swaps.link.ask_all(question, _ANSWERS_WITHIN, self.present()), answered)

    def _advance(self, turn: int, token: str, mine: Claim, is_stored: bool, now: float) -> SettledOffer | None:
        """The next step of one offer; what became of it when it has ended."""
        if turn not in self._asked or not self.swaps.is_free(mine.info_hash, now):
            return None
        found = self.table.get(mine.info_hash)
        revision, known = found or (0, None)
        if known is not None and is_same_offer(known, self.group, mine.offer):
            if is_missing(known):
                self._store(turn, mine, lambda: self._offer_again(mine.info_hash))
                return None
            if known.state in ("offered", "assigned") and now >= self._verified.setdefault(turn, now) + _VERIFY_EVERY:
                self._verified[turn] = now
                self.swaps.read(mine.info_hash)  # the servers may have lost it
                return None
            if known.state != "done":
                return _outcome(turn, token, known)
            found_now = self._kept.of(mine.info_hash, revision, known.owner, now)
            return None if found_now is None else _placed(turn, token, found_now, known.reason)
        if holder := self._asked[turn]:
            if (found_now := self._kept.of(mine.info_hash, revision, holder, now)) is None:
                return None
            if found_now.keeping is Keeping.GONE:
                del self._asked[turn]
                return None
            # Stored: the bucket of its claim was lost, and its holder has not created it again yet.
            return (_placed if is_stored else _duplicate)(turn, token, found_now)
        if self.table.lost_holder(mine.info_hash):
            return None  # the servers lost the claim of the group that has it
        new = offer(mine, known)
        if isinstance(new, KnownClaim):
            # Until a group has the item, that offer may be withdrawn or lost, and this file may be the only copy.
            if (
                new.claim.state != "done"
                or (found_now := self._kept.of(mine.info_hash, revision, new.claim.owner, now)) is None
            ):
                return None
            if found_now.keeping is not Keeping.GONE:
                return _duplicate(turn, token, found_now)
            new = offer(mine, known, is_gone=True)
            assert isinstance(new, Claim)
        if self.swaps.is_full:
            return None
        if not is_stored:
            self._store(turn, mine, lambda: self.table.mark_stored(turn))
            return None
        generation = max(new.generation, self.table.lost_generation(mine.info_hash))
        new = msgspec.structs.replace(new, generation=generation)
        self.swaps.swap(new, revision, lambda: log.info("offered %s", printable(mine.facts.name)))
        return None

    def _store(self, turn: int, mine: Claim, then: Callable[[], None]) -> None:
        file = OfferedFile(
            turn, mine.offer.partition("-")[2], self.table.offer_path(turn), b"", mine.job, mine.info_hash
        )
        try:
            _, content = self.inbox.claim_for(file, self.group, 0.0)
        except (MetafileError, OSError) as error:
            log.debug("%s is not stored: %s", printable(file.path), error)
            self.swaps.pause(mine.info_hash, _STORE_AGAIN)
            return

        def stored(_: Any, error: BaseException | None) -> None:
            if error is None:
                then()

        self.swaps.run(mine.info_hash, self.swaps.link.store(mine.info_hash, mine.sha256, content), stored)

    def _offer_again(self, info_hash: str) -> None:
        found = self.table.get(info_hash)
        if found is not None and found[1].state == "offered":
            self.swaps.swap(msgspec.structs.replace(found[1], reason=""), found[0])

    def _forget(self, turns: list[int]) -> None:
        if turns:
            for turn, _, claim, _ in self.table.offers():
                if turn in turns:
                    self._kept.forget(claim.info_hash)
            self.table.forget_offers(turns)
            for turn in turns:
                self._asked.pop(turn, None)
                self._verified.pop(turn, None)


_STAYS: Final = {
    Keeping.INCOMPLETE: "{} has it without its metadata, or has not saved it: the metafile stays where it is",
    Keeping.GONE: "{} had it, and has it no more: the metafile stays where it is",
    Keeping.UNKNOWN: "{} had it, and did not say whether it has it still: the metafile stays where it is",
}


def _placed(turn: int, token: str, found: KeepingAnswer, reason: str = "") -> SettledOffer:
    stays = _STAYS.get(found.keeping, "").format(found.group)
    return SettledOffer(
        turn=turn, token=token, state="placed", group=found.group, reason=stays or reason, keeps_file=bool(stays)
    )


def _duplicate(turn: int, token: str, found: KeepingAnswer) -> SettledOffer:
    stays = _STAYS.get(found.keeping, "").format(found.group)
    reason = stays or f"{found.group} has it"
    return SettledOffer(turn=turn, token=token, state="duplicate", reason=reason, keeps_file=bool(stays))


def _outcome(turn: int, token: str, claim: Claim) -> SettledOffer | None:
    match claim.state:
        case "failed":
            return SettledOffer(turn=turn, token=token, state="failed", reason=claim.reason or "no group can load it")
        case "withdrawn":
            reason = claim.reason or "it was withdrawn"
            return SettledOffer(turn=turn, token=token, state="failed", reason=reason)
        case _:
            return None


__all__ = ["OfferSender", "StateError"]
