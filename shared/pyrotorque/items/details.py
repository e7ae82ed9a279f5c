"""Reads files, trackers and views of single items; files are cached, as those of a torrent never change."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from pyrotorque.fields.field import DETAILS, Detail, Rows
from pyrotorque.fields.file_rows import FileRows
from pyrotorque.items.item import Item
from pyrotorque.rtorrent.file_values import file_texts, fit_in_one_call, items_in_call

# One call for all items of a view costs rTorrent 7 µs an item; one that names an item costs more the more items there
# are, as 0.9.8 looks for each from the beginning of its list: 50 µs of 2,000, 300 µs of 10,000.
_ONE_BY_ONE_MAX: Final = 100
# What rTorrent may have put in the place of other characters.
_ALTERED: Final = re.compile("[%?\ufffd\ud800-\udfff]")
_OF_FILES: Final = ("files", "priorities")
_REMEMBERED_MAX: Final = 50_000
FRESH: Final = ("is_open", "done", "fno")
# A command that 0.9.8 does not have yet.
SINCE_0_10: Final = "network.open_files"


class DetailSource(Protocol):
    """The part of rTorrent's client that reading details needs."""

    def rows(self, view: str, commands: Sequence[str], *, where: str = "") -> list[tuple[str, ...]]: ...
    def multicall(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> Sequence[Any]: ...
    def known(self, command: str) -> bool: ...


class DetailReader:
    """Adds missing details to items."""

    def __init__(self, rtorrent: DetailSource) -> None:
        self._rtorrent = rtorrent
        self._files: dict[tuple[str, int], FileRows] = {}

    def fetch(self, items: Sequence[Item], detail: Detail, view: str, where: str) -> None:
        """Read `detail` of all `items`, which are among those of `view` that pass the filter `where`.

        An item that was erased meanwhile, or does not pass the filter any more, still lacks the detail afterwards.
        """
        lacking = [item for item in items if item.lacks(detail) and not (detail == "files" and self._recalled(item))]
        if detail == "priorities":
            lacking = self._with_unknown_wanted(lacking)
        if not lacking:
            return
        found = self._found(lacking, detail, view, where)
        for item in lacking:
            rows = found.get(item["hash"])
            if rows is not None:
                item.add(detail, self._remembered(item, rows) if detail == "files" and rows else rows)

    def _found(self, items: Sequence[Item], detail: Detail, view: str, where: str) -> Mapping[str, Rows]:
        commands = DETAILS[detail][1]
        is_bulky = len(items) > _ONE_BY_ONE_MAX
        if detail in _OF_FILES:
            counts = {str(item["hash"]): int(item["fno"]) for item in items}
            if not is_bulky or not fit_in_one_call(self._files_of_all(view, where)):
                return file_texts(self._rtorrent, counts, commands)
            found = self._of_all(detail, view, where)
            altered = [name for name, rows in found.items() if any(_ALTERED.search(row[0]) for row in rows)]
            return found | file_texts(
                self._rtorrent, {each: counts[each] for each in altered if each in counts}, commands
            )
        return self._of_all(detail, view, where) if is_bulky and commands else self._of_each(items, detail)

    def _files_of_all(self, view: str, where: str) -> list[int]:
        return [int(row[0] or 0) for row in self._rtorrent.rows(view, ["d.size_files="], where=where)]

    def _of_each(self, items: Sequence[Item], detail: Detail) -> dict[str, Rows]:
        method, commands = DETAILS[detail]
        arguments = ("", *commands) if commands else ()
        hashes = [str(item["hash"]) for item in items]
        calls = [(method, (info_hash, *arguments)) for info_hash in hashes]
        answers: list[Any] = []
        number = items_in_call(len(calls))
        for at in range(0, len(calls), number):
            answers += self._rtorrent.multicall(calls[at : at + number])
        # An item that was erased meanwhile results in a fault.
        return {name: answer for name, answer in zip(hashes, answers, strict=True) if isinstance(answer, list)}

    def _of_all(self, detail: Detail, view: str, where: str) -> dict[str, Rows]:
        """The same in one call; rTorrent joins the parts of a list, so each part ends with a random separator."""
        method, commands = DETAILS[detail]
        between, end = os.urandom(4).hex(), os.urandom(4).hex()
        packed = ",".join(f"${command},{between}" for command in commands[:-1]) + f",${commands[-1]},{end}"
        rows = self._rtorrent.rows(view, ["d.hash=", f'{method}=,"cat={packed}"'], where=where)
        return {name: [row.split(between) for row in text.split(end)[:-1]] for name, text in rows}

    def _with_unknown_wanted(self, items: Sequence[Item]) -> list[Item]:
        """The items whose number of wanted chunks may be wrong; the others get an empty detail.

        rTorrent 0.9.8 ignores the priorities of files until an item is opened for the first time.
        """
        unknown: list[Item] = []
        for item in items:
            if is_fresh(item) and not self._rtorrent.known(SINCE_0_10):
                unknown.append(item)
            else:
                item.add("priorities", ())
        return unknown

    def _recalled(self, item: Item) -> bool:
        rows = self._files.get(_identity(item))
        if rows is not None:
            item.add("files", rows)
        return rows is not None

    def _remembered(self, item: Item, rows: Rows) -> FileRows:
        if len(self._files) >= _REMEMBERED_MAX:
            self._files.clear()
        kept = self._files[_identity(item)] = FileRows(rows)
        return kept


def is_fresh(item: Item) -> bool:
    """Whether the item has several files, no data, and is closed; needs the fields FRESH."""
    return not item["is_open"] and item["done"] == 0 and item["fno"] > 1


def _identity(item: Item) -> tuple[str, int]:
    """Hash and size identify the files of a torrent: a magnet link has another size before it is resolved."""
    return item["hash"], item["size"]
