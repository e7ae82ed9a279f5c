"""The files of a torrent, with a cache for what is computed from them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class FileRows(tuple[Sequence[Any], ...]):
    """Rows of (path, size); `memory` caches what was computed from them, so kinds and traits are computed once."""

    memory: dict[object, Any]

    def __new__(cls, rows: Iterable[Sequence[Any]] = ()) -> "FileRows":
        made = super().__new__(cls, rows)
        made.memory = {}
        return made


def once(rows: Sequence[Sequence[Any]], key: object, compute: Callable[[], T]) -> T:
    """The result of `compute`, cached by `key` if the rows are FileRows."""
    if not isinstance(rows, FileRows):
        return compute()
    if key not in rows.memory:
        rows.memory[key] = compute()
    found: T = rows.memory[key]
    return found
