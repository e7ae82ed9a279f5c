"""Requests to the watcher of this group: what became of offers, permissions, and items that another group has."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyrotorque.bus import ask
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.fleet_requests import DiscardLoads, PermitLoads, SettledOffer, SettleOffers
from pyrotorque.layout import Layout
from pyrotorque.limits import in_parts
from pyrotorque.requests import Request

log = logging.getLogger(__name__)

_TIMEOUT: Final = 2.0
_PAUSE: Final = 1.0
_PAUSE_MAX: Final = 15.0


@dataclass
class LocalWatcher:
    """Each request may be repeated; while the watcher does not answer, pauses grow. `now` is CLOCK_MONOTONIC."""

    layout: Layout
    _retry_at: float = 0.0
    _pause: float = _PAUSE

    def settle(self, offers: Sequence[SettledOffer], now: float) -> bool:
        """Record what became of these offers; whether that is done."""
        return all(self._ask(SettleOffers(offers=part), now) is not None for part in in_parts(offers))

    def permit(self, hashes: Sequence[str], now: float) -> bool:
        """Release these held items; whether the ledger has that."""
        return all(self._ask(PermitLoads(info_hashes=part), now) is not None for part in in_parts(hashes))

    def discard(self, hashes: Sequence[str], now: float) -> dict[str, str] | None:
        """Erase these held items; why one is not erased, by info-hash; None without an answer."""
        reasons: dict[str, str] = {}
        for part in in_parts(hashes):
            if (found := self._ask(DiscardLoads(info_hashes=part), now)) is None:
                return None
            reasons |= {str(key): str(value) for key, value in found.items()}
        return reasons

    def _ask(self, request: Request, now: float) -> Any:
        if now < self._retry_at:
            return None
        try:
            answer = ask(self.layout, "watcher", request, timeout=_TIMEOUT)
        except ServiceUnreachable as error:
            log.debug("%s", error)
            self._retry_at, self._pause = now + self._pause, min(_PAUSE_MAX, 2 * self._pause)
            return None
        self._pause = _PAUSE
        if not answer.ok:
            log.debug("the watcher refused %s: %s", type(request).__name__, answer.text)
            self._retry_at = now + _PAUSE
            return None
        return answer.data or {}
