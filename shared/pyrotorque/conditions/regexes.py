"""Users' regular expressions, with a bound on the time that they can take.

A pattern made only of literals, classes, anchors and top-level alternatives cannot backtrack and runs in `re`. Every
other pattern runs in the `regex` package with a deadline for each search. A search that meets it is *undecided*: the
item is then not matched by the whole condition, whatever stands around the expression, so that nothing is started by
an accident. A pattern that was undecided `STRIKES` times is not tried again for `REST` seconds, so that a queue check
over any number of items loses at most STRIKES × DEADLINE = 0.4 s to it.
"""

import logging
import re
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

DEADLINE: Final = 0.05
STRIKES: Final = 8
REST: Final = 60.0
_BACKTRACKS: Final = re.compile(r"[(*+?{]")


class Undecided(Exception):
    """A regular expression took too long for this value."""


def searcher(pattern: str) -> Callable[[str], bool]:
    """A predicate: does the pattern occur in a text, whatever the case; raises `re.error` for a bad pattern."""
    plain = re.compile(pattern, re.IGNORECASE | re.DOTALL) if not _BACKTRACKS.search(pattern) else None
    if plain is None:
        return _Bounded(pattern)
    search = plain.search
    return lambda text: search(text) is not None


class _Bounded:
    """A search with a deadline, and a rest after too many that met it."""

    def __init__(self, pattern: str) -> None:
        import regex  # costs 3 MiB; most configurations do without

        re.compile(pattern)  # the language is that of `re`; what only `regex` knows is refused
        self._pattern = pattern
        self._search = regex.compile(pattern, regex.IGNORECASE | regex.DOTALL | regex.VERSION0).search
        self._strikes = 0
        self._rests_until = 0.0

    def __call__(self, text: str) -> bool:
        if self._strikes >= STRIKES:
            if time.monotonic() < self._rests_until:
                raise Undecided(self._pattern)
            self._strikes = 0
        try:
            return self._search(text, timeout=DEADLINE) is not None
        except TimeoutError:
            self._strike()
            raise Undecided(self._pattern) from None

    def _strike(self) -> None:
        self._strikes += 1
        if self._strikes == STRIKES:
            self._rests_until = time.monotonic() + REST
            log.warning(
                "The regular expression /%s/ took longer than %g s for %d items: they count as not matching."
                " Simplify it, for example by removing a repeat inside of a repeat.",
                self._pattern,
                DEADLINE,
                STRIKES,
            )
