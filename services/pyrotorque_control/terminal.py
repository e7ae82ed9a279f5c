"""Output of results: tables, in colour on a terminal; aligned lines; JSON with one object per line."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from pyrotorque.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Used when the output is not a terminal.
_PIPE_WIDTH = 200
_RED, _CYAN = "\x1b[31m", "\x1b[36m"


def console() -> "Console":
    """Console for results; colours only on a terminal."""
    from rich.console import Console

    on_terminal = sys.stdout.isatty()
    return Console(width=None if on_terminal else _PIPE_WIDTH, highlight=False, soft_wrap=False)


def print_error(cause: str, hint: str = "", *, further: str = "") -> None:
    """Print cause and cure to standard error: on a terminal after `error:` and `hint:`, else in one line.

    `further` is advice that only people read: it is not printed to a pipe.
    """
    if not sys.stderr.isatty():
        for line in (f"{cause}: {hint}" if hint else cause).split("\n"):
            sys.stderr.write(f"pyrotorque: {line}\n")
        return
    for line in cause.split("\n"):
        sys.stderr.write(f"{_marked('pyrotorque: error:', _RED)} {line}\n")
    if advice := hint or further:
        sys.stderr.write(f"{_marked('hint:', _CYAN)} {advice}\n")


def has_colour(output: TextIO) -> bool:
    """Whether to print in colour: on a terminal that can, unless NO_COLOR is set (https://no-color.org)."""
    return output.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _marked(text: str, colour: str) -> str:
    return f"{colour}{text}\x1b[0m" if has_colour(sys.stderr) else text


def show_progress(text: str) -> None:
    """Print a line to standard error if that is a terminal."""
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write(f"{text} …\n")


def discard_output() -> None:
    """Redirect standard output to /dev/null after its reader has exited (head, less), also for the flush at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(renderable: object) -> None:
    """Print it without trailing spaces."""
    out = console()
    with out.capture() as captured:
        out.print(renderable)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> "Table":
    """A table; text in cells is not interpreted as markup, and control characters are escaped."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(printable(str(cell))) for cell in row))
    return made


def aligned(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Lines with aligned columns; cells are never folded, so that they can be copied and searched."""
    from rich.cells import cell_len

    texts = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        padded = (text + " " * (width - cell_len(text)) for text, width in zip(row[:-1], widths, strict=False))
        yield "  ".join((*padded, row[-1]))


def json_line(value: Any) -> str:
    """One JSON object on one line, in UTF-8; other bytes are shown as `\\xNN`."""
    return msgspec.json.encode(plain(value)).decode()


def plain(value: Any) -> Any:
    """`value` in types that JSON has: bytes that are not UTF-8 are escaped, sets become sorted lists."""
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
