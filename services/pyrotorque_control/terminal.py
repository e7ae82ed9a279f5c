"""Output of results: tables, in colour on a terminal; aligned lines; JSON with one object per line."""

import os
import shutil
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
_WIDE, _HASH_SHOWN = 120, 10
_RED, _YELLOW, _CYAN = "\x1b[31m", "\x1b[33m", "\x1b[36m"


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
        _print_marked("pyrotorque: error:", _RED, line)
    if advice := hint or further:
        _print_marked("hint:", _CYAN, advice)


def print_warning(text: str) -> None:
    """Print a warning to standard error."""
    _print_marked("warning:", _YELLOW, text)


def has_colour(output: TextIO) -> bool:
    """Whether to print in colour: on a terminal that can, unless NO_COLOR is set (https://no-color.org)."""
    return output.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _print_marked(mark: str, colour: str, text: str) -> None:
    """To standard error; on a terminal, long lines are broken, except those that show a place by a caret."""
    line = f"{mark} {text}"
    if sys.stderr.isatty() and not text.startswith(" "):
        from pyrotorque_control.line_breaks import broken

        line = "\n".join(broken(line, shutil.get_terminal_size().columns, "  "))
    if has_colour(sys.stderr):
        line = f"{colour}{mark}\x1b[0m{line.removeprefix(mark)}"
    sys.stderr.write(f"{line}\n")


def is_terminal(output: TextIO | None) -> bool:
    """Whether people read it at once; False for one that was closed."""
    try:
        return output is not None and output.isatty()
    except ValueError:
        return False


def show_progress(text: str) -> None:
    """Print a line to standard error if that is a terminal."""
    if is_terminal(sys.stderr):
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

    from pyrotorque_control.cells import TableCell

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(
            *(
                TableCell(cell.plain, style=cell.style) if isinstance(cell, Text) else TableCell(printable(str(cell)))
                for cell in row
            )
        )
    return made


def width() -> int | None:
    """The columns of the terminal; None where the output is a pipe or file, whose lines are never broken."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def hash_text(info_hash: str) -> str:
    """An info-hash; on a narrow terminal its first digits, which commands accept in its place."""
    columns = width()
    return info_hash if columns is None or columns >= _WIDE else info_hash[:_HASH_SHOWN]


def echo(text: str) -> None:
    """Print lines; on a terminal those that are too long are broken between words, and indented."""
    from pyrotorque_control.line_breaks import broken

    columns = width()
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip(" ")) + 2)
        for each in [line] if columns is None else broken(line, columns, indent):
            sys.stdout.write(f"{each}\n")


def aligned(rows: Iterable[Sequence[object]], *, is_cut: bool = False) -> Iterator[str]:
    """Lines with aligned columns; cells are never folded, so that they can be copied and searched.

    With `is_cut`, lines that are too long for a terminal end with an ellipsis.
    """
    from rich.cells import cell_len

    from pyrotorque_control.line_breaks import cut

    columns = width() if is_cut else None

    texts = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        padded = (text + " " * (width - cell_len(text)) for text, width in zip(row[:-1], widths, strict=False))
        line = "  ".join((*padded, row[-1]))
        yield line if columns is None else cut(line, columns)


def json_line(value: Any) -> str:
    """One JSON object on one line, in UTF-8; other bytes are shown as `\\xNN`.

    What is not printable is written as JSON's escapes: it is the same value, and a name commands no terminal, does not
    turn what follows it around, and ends no line.
    """
    line = msgspec.json.encode(plain(value)).decode()
    if line.isprintable():
        return line
    import json

    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


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
