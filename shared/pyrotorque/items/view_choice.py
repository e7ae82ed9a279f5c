"""Chooses a smaller view of rTorrent that contains all items a condition can match: incomplete, complete or active.

rTorrent keeps these views up to date by its events, so reading one costs nothing for the items outside of it. But a
user may have redefined them: they are compared with the items themselves before use, and again every few minutes.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pyrotorque.conditions import Condition

MANY: Final = 100
_TRUSTED_FOR: Final = 600.0  # seconds
_DOUBTED_FOR: Final = 60.0
_COUNTED_FOR: Final = 60.0
_HASH: Final = ("d.hash=",)
_WHOLE: Final = "main"
# View, field, the value that all its items have, and the filter that the items of the view pass.
_VIEWS: Final = (
    ("active", "is_active", True, "d.is_active="),
    ("incomplete", "is_complete", False, "not=$d.complete="),
    ("complete", "is_complete", True, "d.complete="),
)


class ViewSource(Protocol):
    """The part of rTorrent's client that choosing a view needs."""

    def scan_rows(self, view: str, commands: Sequence[str], *, where: str = "") -> Iterable[tuple[str, ...]]: ...
    def multicall(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> Sequence[Any]: ...
    def known(self, command: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class ViewChoice:
    """The view to read, the values that all its items have, and whether it may contain many."""

    view: str
    known: Mapping[str, Any]
    many: bool = False


class ViewChooser:
    """The usable views of one rTorrent; the first read uses none, as verifying them costs more than one read."""

    def __init__(self, rtorrent: ViewSource) -> None:
        self._rtorrent = rtorrent
        self._sizes: dict[str, int] = {}
        self._counted_at: float | None = None
        self._checks: dict[str, _ViewCheck] = {}

    def choose(self, view: str, condition: Condition, now: float, *, any_order: bool) -> ViewChoice:
        """The view for the items of `view` that the condition can match; its order may differ."""
        if view != _WHOLE:
            return ViewChoice(view, {})
        if self._counted_at is None:
            self._counted_at = float("-inf")
            return ViewChoice(view, {})
        self._count()
        whole = self._sizes.get(_WHOLE, 0)
        if whole > MANY and any_order and self._rtorrent.known("d.multicall.filtered"):
            for size, name, field, value, where in sorted((self._sizes.get(view[0], whole), *view) for view in _VIEWS):
                if condition.excludes(field, not value, now) and self._is_exact(name, where):
                    return ViewChoice(name, {field: value}, size > MANY)
        return ViewChoice(view, {}, whole > MANY)

    def _count(self) -> None:
        clock = time.monotonic()
        if self._counted_at is None or clock - self._counted_at > _COUNTED_FOR:
            names = (_WHOLE, *(name for name, *_ in _VIEWS))
            sizes = self._rtorrent.multicall([("view.size", ("", name)) for name in names])
            self._sizes = {name: size for name, size in zip(names, sizes, strict=True) if isinstance(size, int)}
            self._counted_at = clock

    def _is_exact(self, name: str, where: str) -> bool:
        """Whether the view contains exactly the items of the main view that pass the filter."""
        check, clock = self._checks.get(name), time.monotonic()
        if check is None or clock >= check.until:
            members = _fingerprint(self._rtorrent.scan_rows(name, _HASH))
            exact = members == _fingerprint(self._rtorrent.scan_rows(_WHOLE, _HASH, where=where))
            check = self._checks[name] = _ViewCheck(exact, clock + (_TRUSTED_FOR if exact else _DOUBTED_FOR))
        return check.exact


def _fingerprint(rows: Iterable[tuple[str, ...]]) -> tuple[int, int]:
    """The number of rows and the sum of their hashes: equal for the same rows in any order, without keeping them."""
    count = total = 0
    for row in rows:
        count, total = count + 1, total + hash(row)
    return count, total


@dataclass(frozen=True, slots=True)
class _ViewCheck:
    """The result of verifying a view, and until when it is valid."""

    exact: bool
    until: float
