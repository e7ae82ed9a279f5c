"""Users' regular expressions with bounded run time.

A pattern of only literals, classes, anchors and top-level alternatives cannot backtrack and runs in `re`. Every other
pattern runs in the `regex` package: each search has a DEADLINE, and each pattern a time budget of BUDGET seconds that
refills by REFILL per second between searches, so that a queue check over any number of items loses little more than one
second of the processor. A search that exceeds its deadline, or finds the budget empty, raises RegexTimeout: the item
then does not match the whole condition, regardless of its other terms, so that nothing is started by accident. An empty
budget is blocked for REST seconds. Counted repeats like `{99}` are expanded when a pattern is compiled: patterns that
could grow larger than SIZE_MAX are rejected.
"""

import logging
import re
import time
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from pyrotorque.regex_syntax import BACKTRACKS, SIZE_MAX, unrolled_size, with_re_syntax

log = logging.getLogger(__name__)

DEADLINE: Final = 0.05
BUDGET: Final = 1.0
REFILL: Final = 0.1
REST: Final = 60.0
_SHOWN: Final = 80


class RegexTimeout(Exception):
    """A regular expression exceeded its time limit for this value."""


@lru_cache(512)  # it also gives each pattern one time budget per process
def compile_search(pattern: str) -> Callable[[str], bool]:
    """A predicate: whether the pattern occurs in a text, case-insensitive; raises `re.error` for an invalid pattern."""
    if unrolled_size(pattern) > SIZE_MAX:
        raise re.error("its counted repeats make it too large")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        search = re.compile(pattern, re.IGNORECASE | re.DOTALL).search
        if BACKTRACKS.search(pattern):
            return _BoundedSearch(pattern)
    return lambda text: search(text) is not None


class _BoundedSearch:
    """A search with a deadline and a time budget."""

    def __init__(self, pattern: str) -> None:
        import regex  # 1 MiB, and few conditions need it

        self._pattern = pattern
        flags = regex.IGNORECASE | regex.DOTALL | regex.VERSION0
        try:
            self._search = regex.compile(with_re_syntax(pattern), flags).search
        except regex.error as error:
            raise re.error(str(error)) from error
        self._left = BUDGET
        self._counted = time.monotonic()

    def __call__(self, text: str) -> bool:
        begin = time.monotonic()
        self._left = min(BUDGET, self._left + (begin - self._counted) * REFILL)
        self._counted = begin
        if self._left <= 0:
            raise RegexTimeout(self._pattern)
        try:
            return self._search(text, timeout=DEADLINE) is not None
        except TimeoutError:
            raise RegexTimeout(self._pattern) from None
        finally:
            # A search ends at its deadline, in time of the processor: what took longer was a wait for one, on a busy
            # machine. It is not charged, and the budget does not refill meanwhile: it would never be empty.
            self._counted = time.monotonic()
            self._charge(min(self._counted - begin, DEADLINE))

    def _charge(self, seconds: float) -> None:
        self._left -= seconds
        if self._left <= 0:
            self._left = -REST * REFILL
            log.warning(
                "the regular expression /%s/ is too slow: for %g s, items do not match conditions that use it."
                " Simplify it, for example by removing nested repeats",
                self._pattern[:_SHOWN],
                REST,
            )
