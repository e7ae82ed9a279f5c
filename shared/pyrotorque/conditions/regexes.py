"""Users' regular expressions, with a bound on the time that they can take.

A pattern made only of literals, classes, anchors and top-level alternatives cannot backtrack and runs in `re`. Every
other pattern runs in the `regex` package, each search with a DEADLINE and all of them on an account: it holds BUDGET
seconds and regains REFILL of each second that passes, so that a queue check over any number of items loses little more
than one second to it. A search that meets the deadline, or finds the account empty, is *undecided*: the item is then
not matched by the whole condition, whatever stands around the expression, so that nothing is started by accident. An
empty account rests for REST seconds. Counted repeats like `{99}` are unrolled when a pattern is compiled: what could
grow larger than SIZE_MAX by them is refused.
"""

import logging
import re
import time
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import regex

log = logging.getLogger(__name__)

DEADLINE: Final = 0.05
BUDGET: Final = 1.0
REFILL: Final = 0.1
REST: Final = 60.0
SIZE_MAX: Final = 20_000
_BACKTRACKS: Final = re.compile(r"[(*+?{]")
_COUNTS: Final = re.compile(r"\{\s*(\d*)\s*,?\s*(\d*)\s*\}", re.ASCII)
_SHOWN: Final = 80
# Escaped pairs, character classes, and braces that are no counts.
_PIECE: Final = re.compile(
    r"\\N\{[^}]*\}|\\.|(?P<head>\[\^?\]?)(?P<inside>(?:\\.|[^\]\\])*)\]|(?P<brace>\{)(?!\d+(?:,\d*)?\}|,\d*\})",
    re.DOTALL,
)
_BARE_BRACKET: Final = re.compile(r"\\.|\[", re.DOTALL)


class Undecided(Exception):
    """A regular expression took too long for this value."""


@lru_cache(512)  # with it, each pattern has one account of time in a process
def searcher(pattern: str) -> Callable[[str], bool]:
    """A predicate: does the pattern occur in a text, whatever the case; raises `re.error` for a bad pattern."""
    if _unrolled(pattern) > SIZE_MAX:
        raise re.error("its counted repeats make it too large")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        search = re.compile(pattern, re.IGNORECASE | re.DOTALL).search
        if _BACKTRACKS.search(pattern):
            return _Bounded(pattern)
    return lambda text: search(text) is not None


def _unrolled(pattern: str) -> int:
    """How large a pattern can grow when all of its counted repeats stand inside of each other."""
    size = len(pattern)
    for found in _COUNTS.finditer(pattern):
        size *= max(1, *(int(count[:9] or 1) for count in found.groups()))
    return size


def _literal_where_re_is(pattern: str) -> str:
    """The pattern for the `regex` package, to which `{e}` and `[[:alpha:]]` would mean what they do not in `re`."""

    def piece(found: re.Match[str]) -> str:
        if found["brace"]:
            return r"\{"
        if found["head"]:
            inside = _BARE_BRACKET.sub(lambda pair: r"\[" if pair[0] == "[" else pair[0], found["inside"])
            return f"{found['head']}{inside}]"
        return found[0]

    return _PIECE.sub(piece, pattern)


class _Bounded:
    """A search with a deadline, paid from an account of time."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        flags = regex.IGNORECASE | regex.DOTALL | regex.VERSION0
        try:
            self._search = regex.compile(_literal_where_re_is(pattern), flags).search
        except regex.error as error:
            raise re.error(str(error)) from error
        self._left = BUDGET
        self._counted = time.monotonic()

    def __call__(self, text: str) -> bool:
        begin = time.monotonic()
        self._left = min(BUDGET, self._left + (begin - self._counted) * REFILL)
        self._counted = begin
        if self._left <= 0:
            raise Undecided(self._pattern)
        try:
            return self._search(text, timeout=DEADLINE) is not None
        except TimeoutError:
            raise Undecided(self._pattern) from None
        finally:
            self._pay(time.monotonic() - begin)

    def _pay(self, seconds: float) -> None:
        self._left -= seconds
        if self._left <= 0:
            self._left = -REST * REFILL
            log.warning(
                "The regular expression /%s/ takes too long: for %g s, items count as not matching where it is asked."
                " Simplify it, for example by removing a repeat inside of a repeat.",
                self._pattern[:_SHOWN],
                REST,
            )
