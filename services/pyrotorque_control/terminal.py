"""How results look: tables in colour on a terminal, plain text elsewhere, JSON one object a line."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pyrotorque.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# A pipe has no width; what reads it can cut lines by itself.
_PIPE_WIDTH = 200


def console() -> "Console":
    """Where results go; colours only on a terminal."""
    from rich.console import Console

    on_terminal = sys.stdout.isatty()
    return Console(width=None if on_terminal else _PIPE_WIDTH, highlight=False, soft_wrap=False)


def complain(text: str) -> None:
    """Lines on the standard error, each with our name in front so that it is known whose they are."""
    for line in text.split("\n"):
        sys.stderr.write(f"pyrotorque: {line}\n")


def silence() -> None:
    """Whoever read our standard output has had enough (head, less): nothing more is written, also not at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(renderable: object) -> None:
    """Print it; without the blanks at the ends of lines that tables have."""
    out = console()
    with out.capture() as captured:
        out.print(renderable)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> "Table":
    """A table whose cells hold text from anywhere: never read as markup, never able to break the terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(printable(str(cell))) for cell in row))
    return made


def aligned(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Lines of columns whose cells are never folded, so that they can be copied and searched; the last may be long."""
    from rich.cells import cell_len

    texts = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        padded = (text + " " * (width - cell_len(text)) for text, width in zip(row[:-1], widths, strict=False))
        yield "  ".join((*padded, row[-1]))


def json_line(value: Any) -> str:
    """One object on one line, in UTF-8; bytes that are not are shown as `\\xNN`."""
    return msgspec.json.encode(plain(value)).decode()


def plain(value: Any) -> Any:
    """`value` in what JSON knows: bytes that are not UTF-8 are shown, sets are sorted."""
    if isinstance(value, str):
        return value if _is_utf8(value) else printable(value)
    if isinstance(value, dict):
        return {plain(str(key)): plain(inner) for key, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value))
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return printable(value if isinstance(value, bytes) else str(value))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
