"""Compare-and-sets of claims in flight: one for each info-hash; a missing answer is resolved by another look."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import Claim, encode_claim
from pyrotorque_fleet.exchange import Conflict, LinkError, StoredClaim
from pyrotorque_fleet.losses import LossWatch
from pyrotorque_fleet.messages import BadValue, decode_claim

log = logging.getLogger(__name__)

_RETRY_AFTER: Final = 1.0
IN_FLIGHT_MAX: Final = 64


class ClaimLink(Protocol):
    """The part of the link that placement needs."""

    def swap(self, info_hash: str, value: bytes, revision: int) -> Future[int]: ...
    def read_claim(self, info_hash: str) -> Future[StoredClaim | None]: ...
    def store(self, info_hash: str, sha256: str, content: bytes) -> Future[None]: ...
    def fetch(self, info_hash: str, sha256: str, length: int) -> Future[bytes | None]: ...
    def ask_all(self, payload: bytes, timeout: float, expected: int = ...) -> Future[list[bytes]]: ...


@dataclass
class ClaimSwaps:
    """`now` is CLOCK_MONOTONIC. A claim is decided about again only when what is in flight for it has ended."""

    table: ClaimTable
    link: ClaimLink
    wake: Callable[[], None]
    lost: Callable[[], None] = lambda: None
    """Is called when the servers lost a claim that they had acknowledged."""
    _running: dict[str, tuple[Future[Any], Callable[[Any, BaseException | None], None]]] = field(
        default_factory=dict[str, tuple["Future[Any]", Callable[[Any, "BaseException | None"], None]]]
    )
    _losses: LossWatch = field(default_factory=LossWatch)
    _not_before: dict[str, float] = field(default_factory=dict[str, float])

    def is_free(self, key: str, now: float) -> bool:
        """Whether nothing is in flight for this info-hash, and no pause lasts."""
        return key not in self._running and now >= self._not_before.get(key, 0.0)

    @property
    def is_full(self) -> bool:
        return len(self._running) >= IN_FLIGHT_MAX

    @property
    def is_busy(self) -> bool:
        return bool(self._running)

    def pause(self, key: str, seconds: float) -> None:
        self._not_before[key] = time.monotonic() + seconds

    def run(self, key: str, future: Future[Any], then: Callable[[Any, BaseException | None], None]) -> None:
        """Call `then(result, error)` in the service's loop when it is done; `error` is LinkError or Conflict."""
        self._running[key] = (future, then)
        future.add_done_callback(lambda _: self.wake())

    def finish(self, now: float) -> bool:
        """Take what is done; whether there was something."""
        done = [key for key, (future, _) in self._running.items() if future.done()]
        for key in done:
            future, then = self._running.pop(key)
            try:
                result, error = future.result(), None
            except (LinkError, Conflict) as found:
                result, error = None, found
            except Exception as found:
                log.debug("a call about %s failed: %r", key, found)
                result, error = None, LinkError(str(found))
            if isinstance(error, LinkError):
                self._not_before[key] = now + _RETRY_AFTER
            then(result, error)
        if len(self._not_before) > 10_000:
            self._not_before = {key: at for key, at in self._not_before.items() if at > now}
        return bool(done)

    def swap(self, claim: Claim | None, revision: int, then: Callable[[], None] | None = None) -> bool:
        """Write the claim if its revision is still this one; `then` is called if that is certain."""
        if claim is None:
            return False
        claim = msgspec.structs.replace(claim, changed=round(time.time(), 3))
        value = encode_claim(claim)

        def swapped(result: Any, error: BaseException | None) -> None:
            if error is None:
                self.table.apply([(int(result), claim, value)])
                if then is not None:
                    then()
            else:
                self.read(claim.info_hash)

        self.run(claim.info_hash, self.link.swap(claim.info_hash, value, revision), swapped)
        return True

    def read(self, info_hash: str) -> None:
        """Read a claim again: another one wrote it, or it is not known whether we did."""

        def received(result: Any, error: BaseException | None) -> None:
            if error is not None:
                return
            if self._is_lost(info_hash, result):
                log.warning("the servers lost their claim on %s: it is created again", info_hash)
                self._losses.forget(info_hash)
                self.table.lose(info_hash)
                self.lost()
            if result is None:
                return
            try:
                claim = decode_claim(info_hash, result.value)
            except BadValue:
                return
            self.table.apply([(result.revision, claim, result.value)])

        self.run(info_hash, self.link.read_claim(info_hash), received)

    def _is_lost(self, info_hash: str, stored: StoredClaim | None) -> bool:
        """Whether the servers have nothing, or an older value, since they lost what they acknowledged."""
        known = self.table.get(info_hash)
        is_behind = known is not None and (stored is None or stored.revision < known[0])
        return self._losses.is_lost(info_hash, time.monotonic(), is_behind=is_behind)
