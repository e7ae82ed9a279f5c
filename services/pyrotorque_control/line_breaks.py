"""Breaks lines for a terminal: between words, and long words such as paths, names and handlers at their separators."""

from collections.abc import Iterator
from typing import Final

_AFTER: Final = "/._-,=|"
"""A word may be broken after these."""
_BEFORE: Final = ":("


def broken(text: str, width: int, indent: str = "") -> list[str]:
    """The lines of `text` in at most `width` cells; all but the first begin with `indent`."""
    from rich.cells import cell_len

    lines: list[str] = []
    for given in text.split("\n"):
        if cell_len(given) <= width:
            lines.append(given)
            continue
        lines += _wrapped(given, max(width, 4), indent if len(indent) < width // 2 else "")
    return lines


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells, with an ellipsis where something is missing."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)).rstrip() + "…"


def _wrapped(text: str, width: int, indent: str) -> Iterator[str]:
    from rich.cells import cell_len

    line = text[: len(text) - len(text.lstrip(" "))]
    line = line if len(line) < width // 2 else ""
    empty = True
    for word, gap in _words(text.lstrip(" ")):
        if cell_len(line) + cell_len(word) > width and not empty and cell_len(indent) + cell_len(word) <= width:
            yield line.rstrip()
            line = indent
        while cell_len(line) + cell_len(word) > width:
            head = _head(word, width - cell_len(line), must=not line.strip())
            if not head:
                yield line.rstrip()
                line = indent
                continue
            yield line + head
            line, word = indent, word[len(head) :]
        line += word + gap
        empty = False
    if line.strip():
        yield line.rstrip()


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Each word with the blanks that follow it."""
    at = 0
    while at < len(text):
        end = text.find(" ", at)
        if end < 0:
            yield text[at:], ""
            return
        after = end
        while after < len(text) and text[after] == " ":
            after += 1
        yield text[at:end], text[end:after]
        at = after


def _head(word: str, width: int, *, must: bool) -> str:
    """As much of a word as fits, up to its last separator; without one it is broken only if it `must` be."""
    from rich.cells import cell_len

    fits = cells = separated = 0
    for place, char in enumerate(word, 1):
        cells += cell_len(char)
        if cells > width:
            break
        fits = place
        if char in _AFTER or (place < len(word) and word[place] in _BEFORE):
            separated = place
    if separated:
        return word[:separated]
    return word[: max(fits, 1)] if must else ""
