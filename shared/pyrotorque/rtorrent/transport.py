"""Sends requests to one rTorrent: each has a deadline, is repeated where that is safe, and is counted."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from pyrotorque.errors import RequestTooLarge, RTorrentFault, RTorrentPermission, RTorrentUnavailable
from pyrotorque.rtorrent.address import Address
from pyrotorque.rtorrent.answers import Deadline, ExchangeFailed
from pyrotorque.rtorrent.scgi import ANSWER_MAX, exchange, shown_size_fault
from pyrotorque.rtorrent.stats import CallStats
from pyrotorque.rtorrent.xml import Param, Unreadable, decode_answer, encode_call

T = TypeVar("T")

# After a minute without a call, rTorrent after 0.16.20 resets the next connection. A read is then repeated; an effect
# must not be, so a read is sent before it.
_IDLE_MAX: Final = 45.0


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """Options of one request: its name in the statistics, its deadline, whether it may be repeated.

    `meanwhile` runs while rTorrent works on the request.
    """

    label: str
    timeout: float
    repeatable: bool = True
    meanwhile: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """The deadline of a connect in seconds, the largest answer in bytes, and whether rTorrent must refuse effects."""

    connect_timeout: float = 3.0
    untrusted: bool = False
    answer_max: int = ANSWER_MAX


class Transport:
    """Requests to the rTorrent at `address`; no connection stays open between them."""

    def __init__(self, address: Address, settings: TransportSettings) -> None:
        self.address = address
        self.settings = settings
        self.stats = CallStats()
        self._answered_at = float("-inf")

    def request(self, method: str, params: Sequence[Param], read: Callable[[bytes], T], options: RequestOptions) -> T:
        """The result of `read` for the answer.

        Raises RTorrentUnavailable, RTorrentPermission, RTorrentFault, RequestTooLarge, and what `meanwhile` raises.
        """
        if not options.repeatable and time.monotonic() - self._answered_at > _IDLE_MAX:
            self.request("system.pid", (), decode_answer, RequestOptions("wake", options.timeout))
        body = encode_call(method, params)
        answer = self._exchanged(body, options)
        began = time.monotonic()
        try:
            return read(answer)
        except RTorrentFault as fault:
            raise self._as_request_error(fault, method, body) from None
        except Unreadable as error:
            raise self.unreadable(str(error)) from error
        finally:
            self.stats.parsed(options.label, time.monotonic() - began)

    def unreadable(self, text: str) -> RTorrentUnavailable:
        """The error for an answer that does not match the request; counted."""
        self.stats.failed("parse")
        return RTorrentUnavailable(f"rTorrent at {self.address}: {text}")

    def _exchanged(self, body: bytes, options: RequestOptions) -> bytes:
        deadline = Deadline.after(options.timeout, connect=self.settings.connect_timeout)
        began = time.monotonic()
        self.stats.requested(options.label, len(body))
        try:
            answer = self._answer(body, deadline, options)
        except ExchangeFailed as error:
            self.stats.failed(error.reason)
            raise
        except RTorrentPermission:
            self.stats.failed("permission")
            raise
        except RequestTooLarge:
            self.stats.failed("too_large")
            raise
        finally:
            self.stats.finished(options.label, time.monotonic() - began)
        self._answered_at = time.monotonic()
        self.stats.response_bytes += len(answer)
        return answer

    def _answer(self, body: bytes, deadline: Deadline, options: RequestOptions) -> bytes:
        untrusted, limit = self.settings.untrusted, self.settings.answer_max
        try:
            return exchange(self.address, body, deadline, untrusted=untrusted, limit=limit, meanwhile=options.meanwhile)
        except ExchangeFailed as error:
            if not (error.unanswered and options.repeatable):
                raise
            self.stats.retries += 1
            return exchange(self.address, body, deadline, untrusted=untrusted, limit=limit)

    def _as_request_error(self, fault: RTorrentFault, method: str, body: bytes) -> RTorrentFault | RequestTooLarge:
        if "too large" in str(fault) and "XML-RPC" in str(fault):
            self.stats.failed("too_large")
            return RequestTooLarge(shown_size_fault(str(fault), body))
        self.stats.failed("fault")
        return RTorrentFault(f"{method}: {fault}", fault.code)
