"""Client of rTorrent: single calls, many calls in one request, rows of a view, and the identity of its process."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

from pyrotorque.errors import RequestTooLarge, RTorrentFault
from pyrotorque.rtorrent.address import Address, parse_url
from pyrotorque.rtorrent.answers import ExchangeFailed
from pyrotorque.rtorrent.effects import changes_something
from pyrotorque.rtorrent.identity import IDENTITY_COMMANDS, Identity, identity_from
from pyrotorque.rtorrent.item_texts import (
    ExactRows,
    ItemText,
    SingleTexts,
    decoded_rows,
    exact_command,
    exact_commands,
    item_text,
    restore_rows,
)
from pyrotorque.rtorrent.packed_rows import packed_command, separator, split_row
from pyrotorque.rtorrent.scgi import ANSWER_MAX
from pyrotorque.rtorrent.stats import CallStats
from pyrotorque.rtorrent.transport import RequestOptions, Transport, TransportSettings
from pyrotorque.rtorrent.xml import (
    Param,
    Value,
    as_fault,
    decode_answer,
    decode_packed,
    encode_call,
    scan_packed,
    size_bound,
)
from pyrotorque.text import printable

log = logging.getLogger(__name__)

T = TypeVar("T")
Call = tuple[str, Sequence[Param]]

# A multicall is cut in two above this size; rTorrent's default limit for a request is 512 KiB.
_MULTICALL_MAX: Final = 384 * 1024


class ConnectionSettings(Protocol):
    """How to reach rTorrent; without a `url` no address is known."""

    @property
    def url(self) -> str | None: ...
    @property
    def connect_timeout(self) -> float: ...
    @property
    def read_timeout(self) -> float: ...


class RTorrent:
    """A client of one rTorrent; it belongs to one thread, and each call opens and closes its own connection.

    `read_timeout` is the deadline in seconds of calls without one; it may be changed between calls.
    Calls raise RTorrentUnavailable (absent, hung, or no XML-RPC), RTorrentPermission, RTorrentFault or RequestTooLarge.
    A call that timed out may still be carried out later.
    """

    def __init__(
        self,
        url: str,
        *,
        connect_timeout: float = 3.0,
        read_timeout: float = 10.0,
        untrusted: bool = False,
        answer_max: int = ANSWER_MAX,
    ) -> None:
        self.read_timeout = read_timeout
        self._transport = Transport(parse_url(url), TransportSettings(connect_timeout, untrusted, answer_max))
        self.stats: CallStats = self._transport.stats
        self._methods: frozenset[str] | None = None
        self._single_texts = SingleTexts()
        self._incarnation: str | None = None
        self._items_method = "d.multicall2"

    @classmethod
    def from_settings(cls, settings: ConnectionSettings, *, untrusted: bool = False) -> "RTorrent | None":
        """A client with the address and the deadlines of the configuration; None where no address is known."""
        if settings.url is None:
            return None
        return cls(
            settings.url,
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            untrusted=untrusted,
        )

    @property
    def address(self) -> Address:
        return self._transport.address

    def call(
        self,
        method: str,
        *params: Param,
        timeout: float | None = None,
        label: str = "",
        meanwhile: Callable[[], None] | None = None,
    ) -> Value:
        """The value of `method`; a target (`""` or an info-hash), where the method has one, is the first of `params`.

        `label` names the call in `stats` instead of the method. `meanwhile` runs while rTorrent works; it must be
        short, because the deadline continues.
        """
        repeatable = not changes_something(method, params)
        options = self._options(label or method, timeout, repeatable, meanwhile)
        return self._request(method, params, decode_answer, options)

    def multicall(
        self,
        calls: Sequence[Call],
        timeout: float | None = None,
        *,
        label: str = "",
        meanwhile: Callable[[], None] | None = None,
    ) -> list[Value | RTorrentFault]:
        """The values of `calls`, in their order, a fault in its own slot; `meanwhile` as for `call`.

        They are sent in one request, so rTorrent does nothing in between; only a request that is too large is divided.
        """
        if not calls:
            return []
        packed: list[Param] = [{"methodName": name, "params": list(params)} for name, params in calls]
        if len(calls) > 1 and _bound(calls) > _MULTICALL_MAX and _is_large(packed):
            return self._in_halves(calls, timeout, label, meanwhile)
        repeatable = not any(changes_something(name, params) for name, params in calls)
        options = self._options(label or "system.multicall", timeout, repeatable, meanwhile)
        try:
            slots = self._request("system.multicall", [packed], decode_answer, options)
        except RequestTooLarge:
            # The limit is configured lower; rTorrent checks the size before it does anything.
            if len(calls) == 1:
                raise
            return self._in_halves(calls, timeout, label, meanwhile)
        if not isinstance(slots, list) or len(slots) != len(calls):
            shown = printable(repr(slots)[:80])
            raise self._transport.unreadable(f"system.multicall of {len(calls)} calls returned {shown}")
        return [self._slot(name, slot) for (name, _), slot in zip(calls, slots, strict=True)]

    def _in_halves(
        self, calls: Sequence[Call], timeout: float | None, label: str, meanwhile: Callable[[], None] | None
    ) -> list[Value | RTorrentFault]:
        half = len(calls) // 2
        return self.multicall(calls[:half], timeout, label=label) + self.multicall(
            calls[half:], timeout, label=label, meanwhile=meanwhile
        )

    def rows(
        self,
        view: str,
        commands: Sequence[str],
        *,
        where: str = "",
        timeout: float | None = None,
        label: str = "",
        meanwhile: Callable[[], None] | None = None,
    ) -> list[tuple[str, ...]]:
        """One row for each item of `view` (for which `where` is true), with the results of `commands` as text.

        Commands are written as in rTorrent's configuration (`d.hash=`, `d.custom=tm_loaded`); numbers come as decimal
        text, lists with their parts joined. An unknown command in `where` counts as false. Texts are exact as far
        as rTorrent offers them, see `item_texts`; altered texts are only restored if there are several commands.
        `meanwhile` as for `call`.
        """
        if not commands:
            raise ValueError("rows() needs at least one command")
        exact, between = exact_commands(commands, self.known), separator()
        texts = self._items(view, where, [packed_command(exact, between)], decode_packed, timeout, label, meanwhile)
        whole = self._split(texts, exact, between)
        if len(whole) < len(texts):
            log.debug("%d rows of view %s are cut at a NUL: reading them unpacked", len(texts) - len(whole), view)
            answer = self._items(view, where, exact, decode_answer, timeout, label)
            whole = self._unpacked(answer, len(exact))
        return decoded_rows(whole, exact)

    def rows_of(self, hashes: Sequence[str], commands: Sequence[str]) -> list[tuple[str, ...]]:
        """The same rows, of those of these items that exist: rTorrent does not look at all others for them.

        An item whose row is cut at a NUL is left out.
        """
        exact, between = exact_commands(commands, self.known), separator()
        packed = packed_command(exact, between)
        answers = self.multicall([("branch", (info_hash, "d.hash=", packed)) for info_hash in hashes], label="rows_of")
        texts = [str(answer) for answer in answers if not isinstance(answer, RTorrentFault)]
        return decoded_rows(self._split(texts, exact, between), exact)

    def _split(self, texts: Sequence[str], commands: Sequence[str], between: str) -> list[tuple[str, ...]]:
        """The rows of these texts, without those that are cut at a NUL."""
        rows = [split_row(text, between, len(commands)) for text in texts]
        if None in rows:
            restore_rows(rows, texts, commands, between, partial(self._single_texts.read, self.multicall))
        return [row for row in rows if row is not None]

    def scan_rows(self, view: str, commands: Sequence[str], *, where: str = "") -> Iterable[tuple[str, ...]]:
        """The same rows, made when they are reached: thousands do not fill the memory; may be iterated several times.

        They are read by this call. If rTorrent altered one, they are read by `rows`.
        """
        exact, between = exact_commands(commands, self.known), separator()
        texts = self._items(view, where, [packed_command(exact, between)], scan_packed, None, "")
        scanned = ExactRows(texts, exact, between)
        return scanned if scanned.are_exact() else self.rows(view, commands, where=where)

    def text(self, info_hash: str, command: str) -> ItemText:
        """The result of a command (`d.name=`, `d.custom=key`) for one item; raises RTorrentFault if there is none."""
        return item_text(self.multicall, info_hash, exact_command(command, self.known))

    def methods(self) -> frozenset[str]:
        """The names of all commands of this rTorrent; read once, and again after it was unavailable or restarted."""
        if self._methods is None:
            names = self.call("system.listMethods")
            if not isinstance(names, list):
                raise self._transport.unreadable(f"system.listMethods returned {printable(repr(names)[:80])}")
            self._methods = frozenset(map(str, names))
        return self._methods

    def known(self, command: str) -> bool:
        """Whether this rTorrent has `command`, written as a name or with arguments (`d.custom=key`)."""
        return command.partition("=")[0].strip() in self.methods()

    def identity(self) -> Identity:
        """Which process answers: read each time, in one request (more after a restart of rTorrent)."""
        answers = self.multicall([(name, ()) for name in IDENTITY_COMMANDS], label="ping")
        identity = identity_from(answers, self.call)
        if identity.incarnation != self._incarnation:
            self._forget()
            self._incarnation = identity.incarnation
        return identity

    def _items(
        self,
        view: str,
        where: str,
        commands: Sequence[str],
        read: Callable[[bytes], T],
        timeout: float | None,
        label: str,
        meanwhile: Callable[[], None] | None = None,
    ) -> T:
        method = "d.multicall.filtered" if where else self._items_method
        params = ("", view, where, *commands) if where else ("", view, *commands)
        options = self._options(label or method, timeout, meanwhile=meanwhile)
        try:
            return self._request(method, params, read, options)
        except RTorrentFault:
            # From 0.16.14 on the name is d.multicall, and the old one may be removed.
            if method != "d.multicall2" or self.known(method) or not self.known("d.multicall"):
                raise
            self._items_method = "d.multicall"
            return self._items(view, where, commands, read, timeout, label)

    def _unpacked(self, answer: Value, width: int) -> list[tuple[str, ...]]:
        rows = answer if isinstance(answer, list) else []
        whole = [tuple(map(_text, row)) for row in rows if isinstance(row, list) and len(row) == width]
        if len(whole) < len(rows) or not isinstance(answer, list):
            log.warning("left out %d items: rTorrent did not return all %d fields", len(rows) - len(whole), width)
        return whole

    def _options(
        self, label: str, timeout: float | None, repeatable: bool = True, meanwhile: Callable[[], None] | None = None
    ) -> RequestOptions:
        return RequestOptions(label, self.read_timeout if timeout is None else timeout, repeatable, meanwhile)

    def _request(self, method: str, params: Sequence[Param], read: Callable[[bytes], T], options: RequestOptions) -> T:
        try:
            return self._transport.request(method, params, read, options)
        except ExchangeFailed:
            # The next answer may come from another rTorrent.
            self._forget()
            raise

    def _slot(self, method: str, slot: Value) -> Value | RTorrentFault:
        if isinstance(slot, list) and len(slot) == 1:
            return slot[0]
        fault = as_fault(slot)
        if fault is None:
            raise self._transport.unreadable(f"the slot of {method} holds {printable(repr(slot)[:80])}")
        return RTorrentFault(f"{method}: {fault}", fault.code)

    def _forget(self) -> None:
        self._methods = None
        self._items_method = "d.multicall2"


def _bound(calls: Sequence[Call]) -> int:
    """At least as many bytes as a multicall of these has; calculated much faster than it is encoded."""
    bound = 0
    for name, params in calls:
        bound += 400 + 6 * len(name)
        for param in params:
            bound += 60 + 6 * len(param) if isinstance(param, str | bytes) else size_bound(param)
    return bound


def _is_large(packed: list[Param]) -> bool:
    """Whether a multicall must be divided; it is encoded only where the bound is not enough to decide."""
    return size_bound(packed) > _MULTICALL_MAX and len(encode_call("system.multicall", [packed])) > _MULTICALL_MAX


def _text(value: Value) -> str:
    if isinstance(value, list):
        return "".join(map(_text, value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value)
