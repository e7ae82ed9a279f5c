"""The real text of names, paths and values of items, as far as this rTorrent offers it.

rTorrent alters a string with a character of four bytes or a byte that is not UTF-8 in its XML answers: it prints all
that is not ASCII as `%XX`, or as `?` (see `packed_rows.Form`). Where it has `NAME.base64` beside a command `NAME`
(`d.name`, `d.base_path`, `d.base_filename` from 0.16.13 on), that is requested instead. Other strings are printed with
a mark that shows whether they were altered; `%XX` is then decoded, `?` cannot be.
"""

import binascii
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent.packed_rows import Form, marked_command, separator, split_altered, split_row
from pyrotorque.rtorrent.xml import Param, Value

Multicall: TypeAlias = Callable[[Sequence[tuple[str, Sequence[Param]]]], Sequence[Value | RTorrentFault]]
Row: TypeAlias = tuple[str, ...]

# Only for these is the list of commands read: a client that never requests a name does without it.
_WITH_BASE64: Final = ("d.name=", "d.base_path=", "d.base_filename=")
_BASE64: Final = ".base64="
_ESCAPED: Final = re.compile(r"%((?:[01][0-9A-F]|7F|[89A-F][0-9A-F]))")
_PATTERNS: Final = {Form.ESCAPED: _ESCAPED, Form.REPLACED: re.compile(r"\?")}
# Above, fields of altered rows are taken from the rows: reading one alone costs 0.1 ms.
_SINGLE_MAX: Final = 2000
# Texts that hardly ever change, so that a check of the queue does not read them alone each time.
_STABLE: Final = ("d.name=", "d.base_path=", "d.base_filename=", "d.directory=")
_VALID_FOR: Final = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class ItemText:
    """A text of an item. ESCAPED: decoded, wrong where the real text has a `%XX` of its own. REPLACED: as printed."""

    text: str
    form: Form


class SingleTexts:
    """Texts that were read alone, by info-hash, command and the text in the altered row."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str, str], str] = {}
        self._until = 0.0

    def read(self, multicall: Multicall, wanted: Sequence[tuple[str, str, str]]) -> list[str]:
        """The text for each of `wanted`; that of the row where the item was erased meanwhile."""
        if time.monotonic() >= self._until:
            self._texts.clear()
            self._until = time.monotonic() + _VALID_FOR
        missing = [key for key in wanted if key not in self._texts]
        answers = item_texts(multicall, [key[:2] for key in missing])
        fresh = {key: answer.text for key, answer in zip(missing, answers, strict=True) if isinstance(answer, ItemText)}
        found = {**self._texts, **fresh}
        self._texts.update((key, text) for key, text in fresh.items() if key[1] in _STABLE)
        return [found.get(key, key[2]) for key in wanted]


def exact_commands(commands: Sequence[str], known: Callable[[str], bool]) -> list[str]:
    """The commands that give the exact text, where rTorrent has them."""
    return [exact_command(command, known) for command in commands]


def exact_command(command: str, known: Callable[[str], bool]) -> str:
    if command not in _WITH_BASE64:
        return command
    other = command.removesuffix("=") + _BASE64
    return other if known(other) else command


def decoded_rows(rows: list[Row], commands: Sequence[str]) -> list[Row]:
    """The rows with the results of base64 commands decoded."""
    for place, command in enumerate(commands):
        if command.endswith(_BASE64):
            texts = [_decoded(row[place]) for row in rows]
            rows = [(*row[:place], text, *row[place + 1 :]) for row, text in zip(rows, texts, strict=True)]
    return rows


@dataclass(frozen=True, slots=True)
class ExactRows:
    """Rows that rTorrent did not alter, each split and decoded when it is reached; may be iterated several times."""

    texts: Iterable[str]
    commands: Sequence[str]
    between: str

    def __iter__(self) -> Iterator[Row]:
        rows = (tuple(text.split(self.between)) for text in self.texts)
        if any(command.endswith(_BASE64) for command in self.commands):
            return (decoded_rows([row], self.commands)[0] for row in rows)
        return rows

    def are_exact(self) -> bool:
        """Whether that is so: every row has a field for each command."""
        return all(text.count(self.between) == len(self.commands) - 1 for text in self.texts)


def restore_rows(
    rows: list[Row | None],
    printed: Sequence[str],
    commands: Sequence[str],
    between: str,
    alone: Callable[[Sequence[tuple[str, str, str]]], Sequence[str]],
) -> None:
    """Fill in the rows (None) that rTorrent altered; one that was cut remains None.

    One odd field alters all fields of its row, so where more than one field may be affected, each is read `alone`, by
    info-hash, command and the text in the row.
    """
    doubtful: list[tuple[int, int]] = []
    for index, row in enumerate(rows):
        found = None if row is not None else split_altered(printed[index], between, len(commands))
        if found is not None:
            fields, form = found
            places = [place for place, field in enumerate(fields) if _PATTERNS[form].search(field)]
            rows[index] = tuple(_unescaped(field) for field in fields) if form is Form.ESCAPED else fields
            doubtful += [(index, place) for place in places] if len(places) > 1 else []
    if "d.hash=" not in commands or not 0 < len(doubtful) <= _SINGLE_MAX:
        return
    place_of_hash = commands.index("d.hash=")
    chosen = [(index, place, row) for index, place in doubtful if (row := rows[index]) is not None]
    texts = alone([(row[place_of_hash], commands[place], row[place]) for _, place, row in chosen])
    for (index, place, _), text in zip(chosen, texts, strict=True):
        row = rows[index] or ()
        rows[index] = (*row[:place], text, *row[place + 1 :])


def item_text(multicall: Multicall, info_hash: str, command: str) -> ItemText:
    """The result of a command for one item; decoded text is EXACT if rTorrent confirms it. Raises RTorrentFault."""
    (found,) = item_texts(multicall, [(info_hash, command)])
    if isinstance(found, RTorrentFault):
        raise found
    raw = found.text.encode("utf-8", "surrogateescape")
    if found.form is Form.ESCAPED and not raw.startswith(b"$"):
        confirmed = multicall([equal_call(info_hash, command, raw)]) == [1]
        return ItemText(found.text, Form.EXACT) if confirmed else found
    return found


def item_texts(multicall: Multicall, wanted: Sequence[tuple[str, str]]) -> list[ItemText | RTorrentFault]:
    """The results of commands (`d.custom=key`, see `exact_command`), each read alone, for the item of its info-hash."""
    between = separator()
    calls = [("branch", (info_hash, "d.hash=", marked_command(command, between))) for info_hash, command in wanted]
    commands = (command for _, command in wanted)
    answers = multicall(calls)
    return [_item_text(answer, between, command) for answer, command in zip(answers, commands, strict=True)]


def unmarked(printed: str, between: str) -> str:
    """The text in the result of a `marked_command`, decoded if rTorrent altered it; all of it if there is no mark."""
    found = _parsed(printed, between)
    return printed if found is None else found.text


def equal_call(info_hash: str, command: str, value: bytes) -> tuple[str, tuple[Param, ...]]:
    """The call that compares the result of `command` with these bytes inside rTorrent: 1 if they are equal.

    Raises ValueError for a value that begins with `$`, which rTorrent would take for a command.
    """
    if value.startswith(b"$"):
        raise ValueError("rTorrent cannot compare with a value that begins with `$`")
    quoted = value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return "equal", (info_hash, command, b'cat="' + quoted + b'"')


def _item_text(answer: Value | RTorrentFault, between: str, command: str) -> ItemText | RTorrentFault:
    if isinstance(answer, RTorrentFault):
        return answer
    found = _parsed(str(answer), between)
    if found is None:
        return RTorrentFault(f"{command} returned a text that is cut by a NUL")
    return ItemText(_decoded(found.text), found.form) if command.endswith(_BASE64) else found


def _parsed(printed: str, between: str) -> ItemText | None:
    exact = split_row(printed, between, 2)
    if exact is not None:
        return ItemText(exact[0], Form.EXACT)
    altered = split_altered(printed, between, 2)
    if altered is None:
        return None
    (text, _), form = altered
    return ItemText(_unescaped(text) if form is Form.ESCAPED else text, form)


def _decoded(text: str) -> str:
    try:
        return binascii.a2b_base64(text).decode("utf-8", "surrogateescape")
    except ValueError:  # cut, or not ASCII
        return text


def _unescaped(text: str) -> str:
    if "%" not in text:
        return text
    parts = _ESCAPED.split(text)
    raw = b"".join(
        bytes.fromhex(part) if place % 2 else part.encode("utf-8", "surrogateescape")
        for place, part in enumerate(parts)
    )
    return raw.decode("utf-8", "surrogateescape")
