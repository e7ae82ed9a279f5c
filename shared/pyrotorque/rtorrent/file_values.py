"""Reads values of the files of many items in calls that are short for rTorrent, which does nothing else during one.

A call has at most so many items, and so many files. What costs rTorrent too much in one call, the files of one huge
item, is read file by file, and so are the files of an item with a name that it does not print exactly in a longer text.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from pyrotorque.rtorrent.item_texts import unmarked
from pyrotorque.rtorrent.packed_rows import marked_command, separator

ITEMS_MAX: Final = 100
_ITEMS_MIN: Final = 10
_STEPS: Final = 200_000
"""rTorrent looks for each named item from the start of its list: 100 of 2,000 items cost 5 ms, of 10,000 30 ms."""
FILES_MAX: Final = 10_000
"""Of all items of a call: 1.3 µs each."""
_ALL_MAX: Final = 12_000
SINGLE_MAX: Final = 500
"""Of one call that names each file, 15 µs each."""
# Digits only: nothing in the values can be taken for it.
_BETWEEN_NUMBERS: Final = "s"


class FileSource(Protocol):
    """The part of rTorrent's client that reading values of files needs."""

    def multicall(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> Sequence[Any]: ...


class ItemFileSource(FileSource, Protocol):
    """The same with one call for all items."""

    def rows(self, view: str, commands: Sequence[str]) -> list[tuple[str, ...]]: ...


def fit_in_one_call(files: Sequence[int]) -> bool:
    """Whether the files of all items may be read in one call for all items, which need not be looked for.

    `files` has the number of each item. It costs 4 µs an item and 2 µs a file: 36 ms for 2,000 items, 84 ms for 10,000.
    """
    return sum(files) <= _ALL_MAX + len(files)


def items_in_call(count: int) -> int:
    """How many items a call may name where rTorrent has `count` of them."""
    return max(_ITEMS_MIN, min(ITEMS_MAX, _STEPS // max(1, count)))


def file_texts(source: FileSource, files: Mapping[str, int], commands: Sequence[str]) -> dict[str, list[list[str]]]:
    """The results of `commands` for each file of each item by info-hash; `files` has the number of files of each item.

    The first command may print names. An item that was erased meanwhile is missing.
    """
    return _read(source, files, commands, separator(), has_names=True)


def file_numbers(source: FileSource, files: Mapping[str, int], commands: Sequence[str]) -> dict[str, list[list[int]]]:
    """The same for commands that return numbers."""
    found = _read(source, files, commands, _BETWEEN_NUMBERS, has_names=False)
    return {info_hash: [[int(text) for text in row] for row in rows] for info_hash, rows in found.items()}


def all_file_numbers(source: ItemFileSource, commands: Sequence[str]) -> dict[str, list[list[int]]]:
    """The same for all items, in one call: only where they fit in one."""
    texts = source.rows("main", ["d.hash=", _packed(commands, _BETWEEN_NUMBERS)])
    found = ((info_hash, _rows(text, _BETWEEN_NUMBERS, len(commands))) for info_hash, text in texts)
    return {info_hash: [[int(text) for text in row] for row in rows] for info_hash, rows in found if rows is not None}


def _read(
    source: FileSource, files: Mapping[str, int], commands: Sequence[str], between: str, *, has_names: bool
) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    single = [info_hash for info_hash, count in files.items() if count > FILES_MAX]
    command = _packed(commands, between)
    small = {info_hash: count for info_hash, count in files.items() if count <= FILES_MAX}
    for batch in _batches(small, _items_in_call(source, len(small))):
        answers = source.multicall([("branch", (info_hash, "d.hash=", command)) for info_hash in batch])
        for info_hash, answer in zip(batch, answers, strict=True):
            if isinstance(answer, str):
                rows = _rows(answer, between, len(commands))
                if rows is None or (has_names and len(rows) != files[info_hash]):
                    single.append(info_hash)
                else:
                    found[info_hash] = rows
    for info_hash in single:
        rows = _one_by_one(source, info_hash, files[info_hash], commands, has_names=has_names)
        if rows is not None:
            found[info_hash] = rows
    return found


def _items_in_call(source: FileSource, wanted: int) -> int:
    if wanted <= _ITEMS_MIN:
        return _ITEMS_MIN
    (count,) = source.multicall([("view.size", ("", "main"))])
    return items_in_call(int(count) if isinstance(count, int | str) else wanted)


def _batches(files: Mapping[str, int], items: int) -> Iterator[list[str]]:
    """The items in groups for one call each."""
    batch: list[str] = []
    total = 0
    for info_hash, count in files.items():
        if batch and (len(batch) == items or total + count > FILES_MAX):
            yield batch
            batch, total = [], 0
        batch.append(info_hash)
        total += count
    if batch:
        yield batch


def _packed(commands: Sequence[str], between: str) -> str:
    """The command of an item that prints the values of all of its files as one text."""
    return "cat=" + _quoted("$f.multicall=," + _quoted(_row(commands, between)))


def _row(commands: Sequence[str], between: str) -> str:
    """The command of a file that prints its values, each followed by `between`."""
    return "cat=" + ",".join(f"{_quoted('$' + command)},{_quoted(between)}" for command in commands)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _rows(text: str, between: str, width: int) -> list[list[str]] | None:
    """The rows of a text in which each value ends with `between`; None if rTorrent altered it, or cut it at a NUL."""
    values = text.split(between)
    if values.pop() or len(values) % width:
        return None
    return [values[at : at + width] for at in range(0, len(values), width)]


def _one_by_one(
    source: FileSource, info_hash: str, count: int, commands: Sequence[str], *, has_names: bool
) -> list[list[str]] | None:
    """The rows of one item, of which each call reads a part; None if it was erased, or has fewer files."""
    mark = separator()
    named, *others = commands
    texts = [marked_command(named, mark), *others] if has_names else [_row(commands, _BETWEEN_NUMBERS)]
    found: list[list[str]] = []
    for start in range(0, count, SINGLE_MAX):
        numbers = range(start, min(start + SINGLE_MAX, count))
        calls = [("branch", (f"{info_hash}:f{number}", "cat=1", command)) for number in numbers for command in texts]
        answers = source.multicall(calls)
        if not all(isinstance(answer, str | int) for answer in answers):
            return None
        if not has_names:
            found += [str(answer).split(_BETWEEN_NUMBERS)[:-1] for answer in answers]
            continue
        for at in range(0, len(answers), len(texts)):
            first, *rest = answers[at : at + len(texts)]
            found.append([unmarked(str(first), mark), *map(str, rest)])
    return found
