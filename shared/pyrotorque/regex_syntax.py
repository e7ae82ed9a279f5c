"""What a regular expression looks like: whether it can backtrack, how large it becomes, and how `regex` spells it."""

import re
from typing import Final

SIZE_MAX: Final = 20_000
BACKTRACKS: Final = re.compile(r"[(*+?{]")
"""A pattern without any of these takes linear time in `re`."""
_COUNTS: Final = re.compile(r"\{\s*(\d*)\s*,?\s*(\d*)\s*\}", re.ASCII)
# Escaped pairs, character classes, and braces that are not counts.
_PIECE: Final = re.compile(
    r"\\N\{[^}]*\}|\\.|(?P<head>\[\^?\]?)(?P<inside>(?:\\.|[^\]\\])*)\]|(?P<brace>\{)(?!\d+(?:,\d*)?\}|,\d*\})",
    re.DOTALL,
)
_BARE_BRACKET: Final = re.compile(r"\\.|\[", re.DOTALL)


def unrolled_size(pattern: str) -> int:
    """The maximum size of a pattern after expansion, if all of its counted repeats are nested."""
    size = len(pattern)
    for found in _COUNTS.finditer(pattern):
        size *= max(1, *(int(count[:9] or 1) for count in found.groups()))
    return size


def with_re_syntax(pattern: str) -> str:
    """The pattern for the `regex` package, which gives `{e}` and `[[:alpha:]]` a meaning that `re` does not."""

    def piece(found: re.Match[str]) -> str:
        if found["brace"]:
            return r"\{"
        if found["head"]:
            inside = _BARE_BRACKET.sub(lambda pair: r"\[" if pair[0] == "[" else pair[0], found["inside"])
            return f"{found['head']}{inside}]"
        return found[0]

    return _PIECE.sub(piece, pattern)
