"""The files of a torrent, and what is worked out from them once and then remembered with them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class FileRows(tuple[Sequence[Any], ...]):
    """Rows of (path, size) and `memory`, what was computed from them: kinds and traits cost one look per torrent."""

    memory: dict[object, Any]

    def __new__(cls, rows: Iterable[Sequence[Any]] = ()) -> "FileRows":
        made = super().__new__(cls, rows)
        made.memory = {}
        return made


def once(rows: Sequence[Sequence[Any]], key: object, compute: Callable[[], T]) -> T:
    """The result of `compute`, worked out the first time that `key` is asked of rows that remember."""
    if not isinstance(rows, FileRows):
        return compute()
    if key not in rows.memory:
        rows.memory[key] = compute()
    found: T = rows.memory[key]
    return found
