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
_HASH: Final = ("d.hash=",)
_WHOLE: Final = "main"
# View, field, the value that all its items have, and the filter that passes the items of the whole view which belong.
_VIEWS: Final = (
    ("active", "is_active", True, "d.is_active="),
    ("incomplete", "is_complete", False, "not=$d.complete="),
    ("complete", "is_complete", True, "d.complete="),
)


class Asked(Protocol):
    """What this needs of rTorrent's client."""

    def rows(self, view: str, commands: Sequence[str], *, where: str = "") -> list[tuple[str, ...]]: ...
    def multicall(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> Sequence[Any]: ...
    def known(self, command: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Way:
    """The view to read, what is then known of its items, and whether there may be many of them."""

    view: str
    known: Mapping[str, Any]
    many: bool = False


class Shortcuts:
    """The views of one rTorrent that can be trusted; who reads only once gets none, for they have to be looked at."""

    def __init__(self, rtorrent: Asked) -> None:
        self._rtorrent = rtorrent
        self._sizes: dict[str, int] = {}
        self._look_at: float | None = None

    def way(self, view: str, condition: Condition, now: float, *, any_order: bool) -> Way:
        """How to read the items of `view` that the condition can match; another view has another order."""
        if view != _WHOLE:
            return Way(view, {})
        if self._look_at is None:
            self._look_at = 0.0
            return Way(view, {})
        if time.monotonic() >= self._look_at:
            self._look()
        whole = self._sizes.get(_WHOLE, 0)
        usable = [
            (self._sizes[name], name, {field: value})
            for name, field, value, _ in _VIEWS
            if any_order and name in self._sizes and condition.excludes(field, not value, now)
        ]
        size, name, known = min(usable, default=(whole, view, {}), key=lambda each: each[0])
        return Way(name, known, size > MANY)

    def _look(self) -> None:
        names = (_WHOLE, *(name for name, *_ in _VIEWS))
        sizes = self._rtorrent.multicall([("view.size", ("", name)) for name in names])
        found = {name: size for name, size in zip(names, sizes, strict=True) if isinstance(size, int)}
        trusted = found.get(_WHOLE, 0) > MANY and self._rtorrent.known("d.multicall.filtered")
        wrong = {name for name, _, _, where in _VIEWS if trusted and not self._is_exact(name, where)}
        self._sizes = {name: size for name, size in found.items() if name == _WHOLE or (trusted and name not in wrong)}
        self._look_at = time.monotonic() + (_DOUBTED_FOR if wrong else _TRUSTED_FOR)

    def _is_exact(self, name: str, where: str) -> bool:
        """Whether the view holds the items of the whole one for which the filter is true, and no others."""
        return set(self._rtorrent.rows(name, _HASH)) == set(self._rtorrent.rows(_WHOLE, _HASH, where=where))
