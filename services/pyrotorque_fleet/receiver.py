"""The receiver's part of placement: takes each claim of this group one step further, as `handovers` decides.

The fence: an item is loaded held, and its permission is given to the watcher only by `RELEASE`, which needs the
stored claim to be granted to this group for the assignment that the item was loaded for.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pyrotorque import logs
from pyrotorque.text import printable
from pyrotorque_fleet import claims, handovers
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import MISSING, Claim
from pyrotorque_fleet.handovers import HandOver, HandOverStep, Load
from pyrotorque_fleet.inbox import BadContent, BadOffer, Inbox
from pyrotorque_fleet.local_group import LocalWatcher
from pyrotorque_fleet.messages import BadValue, Question, SoughtItem, decode_held, encode
from pyrotorque_fleet.swaps import ClaimSwaps

log = logging.getLogger(__name__)

_ANSWERS_WITHIN: Final = 2.0
_RETRY: Final = 2.0
_ASK_AGAIN: Final = 60.0
_RECORDS_MAX: Final = 2000
_CONFLICTS_MAX: Final = 10_000
_LOOK_AGAIN: Final = 300.0
"""Seconds after which a metafile without a row in the ledger is put into the inbox again."""


@dataclass
class ClaimReceiver:
    """`group` is the name of this one; `present` returns how many groups are there. `now` is CLOCK_MONOTONIC."""

    group: str
    table: ClaimTable
    swaps: ClaimSwaps
    inbox: Inbox
    watcher: LocalWatcher
    present: Callable[[], int]
    bad_value: Callable[[], None]
    placed: Callable[[], None] = lambda: None
    unwanted: Callable[[Claim], str] = lambda _: ""
    """Why this group takes no such metafile: any group can write a claim that assigns one to it."""
    _put_at: dict[str, float] = field(default_factory=dict[str, float])
    _free: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    """By info-hash: the generation for which the answers of all groups are there, and which one has the item."""
    _conflicts: set[str] = field(default_factory=set[str])

    def step(self, now: float) -> bool:
        """One step of each claim of this group; whether some of them wait for the watcher. Raises StateError."""
        records = self.table.handovers()
        mine = {claim.info_hash: (revision, claim) for revision, claim in self.table.open_of(self.group)}
        if not records and not mine:
            self._put_at.clear()
            self._free.clear()
            return False
        hashes = [*records, *(each for each in mine if each not in records)]
        loads = self.inbox.loads({each: record[1:] for each, record in records.items()})
        steps: dict[HandOverStep, list[tuple[int, Claim, HandOver | None]]] = {}
        for info_hash in hashes:
            found = mine.get(info_hash) or self.table.get(info_hash)
            record = records[info_hash][0] if info_hash in records else None
            if found is None or not self.swaps.is_free(info_hash, now):
                continue
            step = self._next(found[1], record, loads.get(info_hash, "none"))
            if (
                step is HandOverStep.FETCH
                and record is not None
                and record.stage == "handed"
                and not self._is_due(info_hash, now)
            ):
                continue
            steps.setdefault(step, []).append((found[0], found[1], record))
        for step, entries in steps.items():
            self._do(step, entries, now)
        return True

    def _next(self, claim: Claim, record: HandOver | None, load: Load) -> HandOverStep:
        return handovers.next_step(claim, record, load, self.group)

    def _is_due(self, info_hash: str, now: float) -> bool:
        """The watcher finds a new file at once; without a row after a while, it is put there again."""
        return now - self._put_at.setdefault(info_hash, now) >= _LOOK_AGAIN

    def _do(self, step: HandOverStep, entries: list[tuple[int, Claim, HandOver | None]], now: float) -> None:
        match step:
            case HandOverStep.NOTHING:
                pass
            case HandOverStep.RECORD:
                for revision, claim, _ in entries:
                    self._record(revision, claim, now)
            case HandOverStep.FETCH:
                for revision, claim, _ in entries:
                    self._fetch(revision, claim)
            case HandOverStep.GRANT:
                self._grant(entries, now)
            case HandOverStep.RELEASE:
                self._release(entries, now)
            case HandOverStep.REPORT | HandOverStep.REPORT_FOREIGN:
                for revision, claim, _ in entries:
                    self._report(revision, claim, is_foreign=step is HandOverStep.REPORT_FOREIGN)
            case HandOverStep.GIVE_BACK | HandOverStep.GIVE_UP:
                for revision, claim, _ in entries:
                    self._give_back(revision, claim, is_bad=step is HandOverStep.GIVE_UP)
            case HandOverStep.DISCARD:
                self._discard(entries, now)
            case HandOverStep.FORGET:
                for _, claim, _ in entries:
                    self.table.forget(claim.info_hash)
            case HandOverStep.CONFLICT:
                for _, claim, _ in entries:
                    self._report_conflict(claim)

    def _record(self, revision: int, claim: Claim, now: float) -> None:
        if not (reason := self.unwanted(claim)):
            if len(self.table.handovers()) < _RECORDS_MAX:
                self.table.record(claim, "taken", b"")
            return
        self.swaps.pause(claim.info_hash, _ASK_AGAIN)
        if claim.state == "assigned":
            log.warning("gave back %s: %s", printable(claim.facts.name), reason)
            back = claims.give_back(claim, self.group, claim.generation, reason, is_bad=False)
            self.swaps.swap(back, revision)

    def _fetch(self, revision: int, claim: Claim) -> None:
        if not self.inbox.is_ready(claim.job):
            self.swaps.pause(claim.info_hash, _RETRY)  # the watcher makes it
            return

        def fetched(content: Any, error: BaseException | None) -> None:
            if error is not None:
                return
            if content is None:
                self._return(revision, claim, MISSING)
                return
            # The record before the effect: what is in the inbox is known after a kill.
            self.table.record(claim, "handed", bytes(self.inbox.path_of(claim)))
            self._put_at.pop(claim.info_hash, None)
            try:
                self.inbox.put(claim, content)
            except BadContent as bad:
                log.warning("%s is not loaded: %s", printable(claim.facts.name), bad)
                self.bad_value()
                self._return(revision, claim, MISSING)
            except BadOffer as bad:
                log.warning("%s is loaded by no group: %s", printable(claim.facts.name), bad)
                self.bad_value()
                back = claims.give_back(claim, self.group, claim.generation, str(bad), is_bad=True)
                if not self.swaps.swap(back, revision):
                    self._report_stuck(claim, str(bad))
            except OSError as failed:
                log.warning("cannot write into the inbox of %s: %s", claim.job, failed.strerror)
                self.swaps.pause(claim.info_hash, _RETRY)
            else:
                log.info("taking %s, which %s offered", printable(claim.facts.name), claim.sender)

        self.swaps.run(claim.info_hash, self.swaps.link.fetch(claim.info_hash, claim.sha256, claim.length), fetched)

    def _return(self, revision: int, claim: Claim, reason: str) -> None:
        """Offer it again, also to this group; its sender stores its content again."""
        if not self.swaps.swap(claims.take_back(claim, reason), revision):
            self._report_stuck(claim, reason)

    def _report_stuck(self, claim: Claim, reason: str) -> None:
        """It was granted, so nothing but a request of the owner takes it from this group."""
        self.swaps.pause(claim.info_hash, _ASK_AGAIN)
        if claim.info_hash not in self._conflicts and len(self._conflicts) < _CONFLICTS_MAX:
            self._conflicts.add(claim.info_hash)
            log.warning(
                "%s was granted to this group and cannot be loaded: %s; `pyrotorque fleet release %s` offers it again",
                printable(claim.facts.name), reason, claim.info_hash,
            )  # fmt: skip

    def _grant(self, entries: list[tuple[int, Claim, HandOver | None]], now: float) -> None:
        """Ask all groups whether one of them has the item, then ask for the permission."""
        unknown: list[Claim] = []
        for revision, claim, record in entries:
            # Used once: after an outage of the fleet, an earlier answer says nothing.
            generation, holder = self._free.pop(claim.info_hash, (-1, ""))
            if record is None or self.table.lost_holder(claim.info_hash) not in ("", self.group):
                continue  # an older assignment, which the servers had left: another group was granted it since
            if generation != record.generation and self.present() > 1:
                unknown.append(claim)
            elif holder:
                has_it = msgspec.structs.replace(claim, state="done", owner=holder, reason="the item was there before")
                self.swaps.swap(has_it, revision)
            else:
                self.swaps.swap(claims.grant(claim, self.group, record.generation), revision)
        if unknown and self.swaps.is_free("holds", now):
            self._ask_groups(unknown[:64])

    def _ask_groups(self, asked: list[Claim]) -> None:
        sought = tuple(SoughtItem(info_hash=claim.info_hash) for claim in asked)

        def answered(bodies: Any, error: BaseException | None) -> None:
            if error is not None:
                return
            holders: dict[str, str] = {}
            for body in bodies:
                try:
                    held = decode_held(body)
                except BadValue:
                    self.bad_value()
                    continue
                if held.group != self.group:
                    holders.update(dict.fromkeys(held.items, held.group))
            for claim in asked:
                self._free[claim.info_hash] = (claim.generation, holders.get(claim.info_hash, ""))

        question = encode(Question(kind="holds", sought=sought))
        self.swaps.run("holds", self.swaps.link.ask_all(question, _ANSWERS_WITHIN, self.present()), answered)

    def _release(self, entries: list[tuple[int, Claim, HandOver | None]], now: float) -> None:
        """The claim is granted to this group: the watcher may let the item go."""
        for _, claim, _ in entries:
            self.table.record(claim, "released", bytes(self.inbox.path_of(claim)))
        self.watcher.permit([claim.info_hash for _, claim, _ in entries], now)

    def _report(self, revision: int, claim: Claim, *, is_foreign: bool) -> None:
        def reported() -> None:
            self._free.pop(claim.info_hash, None)
            self.placed()

        if is_foreign:
            self.swaps.swap(claims.has_item(claim, self.group), revision, reported)
        else:
            self.swaps.swap(claims.report(claim, self.group, claim.generation), revision, reported)

    def _give_back(self, revision: int, claim: Claim, *, is_bad: bool) -> None:
        reason = f"{self.group} could not load it (pyrotorque watched --state failed)"
        back = claims.give_back(claim, self.group, claim.generation, reason, is_bad=is_bad)
        if self.swaps.swap(back, revision):
            log.warning("gave back %s: it could not be loaded here", printable(claim.facts.name))

    def _discard(self, entries: list[tuple[int, Claim, HandOver | None]], now: float) -> None:
        found = self.watcher.discard([claim.info_hash for _, claim, _ in entries], now)
        if found is None:
            return
        for _, claim, _ in entries:
            if reason := found.get(claim.info_hash, ""):
                self.swaps.pause(claim.info_hash, _ASK_AGAIN if "by hand" in reason else _RETRY)
                if claim.info_hash not in self._conflicts and len(self._conflicts) < _CONFLICTS_MAX:
                    self._conflicts.add(claim.info_hash)
                    log.warning(
                        "%s, which %s has now: %s", printable(claim.facts.name), claim.owner or "no group", reason
                    )
            else:
                self.table.forget(claim.info_hash)

    def _report_conflict(self, claim: Claim) -> None:
        text = (
            f"{printable(claim.facts.name)} ({claim.info_hash}) was released by hand while this group had it, and "
            f"{claim.owner or 'no other group'} has it now: erase the item in one of them"
        )
        log.error("%s", text)
        logs.owner_event("fleet conflict", text)
        self.table.forget(claim.info_hash)
