"""Smaller views of rTorrent that hold all that a condition can match: what is incomplete, complete or active.

rTorrent keeps these views up to date by its events, so reading one costs nothing for the items that are not in it. But
their owner may have given them another meaning: they are compared with the items themselves before they are believed,
and again from time to time.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pyrotorque.conditions import Condition

MANY: Final = 500
_TRUSTED_FOR: Final = 600.0  # seconds
_DOUBTED_FOR: Final = 60.0
_COUNTED_FOR: Final = 60.0
_HASH: Final = ("d.hash=",)
_WHOLE: Final = "main"
# View, field, the value that all its items have, and the filter that passes the items of the whole view which belong.
_VIEWS: Final = (
    ("active", "is_active", True, "d.is_active="),
    ("incomplete", "is_complete", False, "not=$d.complete="),
    ("complete", "is_complete", True, "d.complete="),
)


class ViewSource(Protocol):
    """What this needs of rTorrent's client."""

    def rows(self, view: str, commands: Sequence[str], *, where: str = "") -> list[tuple[str, ...]]: ...
    def multicall(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> Sequence[Any]: ...
    def known(self, command: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class ViewChoice:
    """The view to read, what is then known of its items, and whether there may be many of them."""

    view: str
    known: Mapping[str, Any]
    many: bool = False


class ViewChooser:
    """The views of one rTorrent that can be trusted; who reads only once gets none, for they have to be looked at."""

    def __init__(self, rtorrent: ViewSource) -> None:
        self._rtorrent = rtorrent
        self._sizes: dict[str, int] = {}
        self._counted_at: float | None = None
        self._looks: dict[str, _ViewCheck] = {}

    def way(self, view: str, condition: Condition, now: float, *, any_order: bool) -> ViewChoice:
        """How to read the items of `view` that the condition can match; another view has another order."""
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
        """Whether the view holds the items of the whole one for which the filter is true, and no others."""
        look, clock = self._looks.get(name), time.monotonic()
        if look is None or clock >= look.until:
            members = set(self._rtorrent.rows(name, _HASH))
            exact = members == set(self._rtorrent.rows(_WHOLE, _HASH, where=where))
            look = self._looks[name] = _ViewCheck(exact, clock + (_TRUSTED_FOR if exact else _DOUBTED_FOR))
        return look.exact


@dataclass(frozen=True, slots=True)
class _ViewCheck:
    """What was seen of a view, and until when that counts."""

    exact: bool
    until: float
