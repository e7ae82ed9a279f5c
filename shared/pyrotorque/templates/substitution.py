"""Replaces the matches of a regular expression in bounded time and memory: it may be in a watch.ini of anyone."""

import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol

from pyrotorque.errors import TemplateError
from pyrotorque.regex_syntax import BACKTRACKS, SIZE_MAX, unrolled_size, with_re_syntax

DEADLINE: Final = 0.5
"""Seconds of the processor for one text."""
LENGTH_MAX: Final = 65_536
"""Characters of a text, and of what is inserted into it."""
REPLACEMENT_MAX: Final = 1_000
_SIMPLE_MAX: Final = 100
"""Characters of a pattern without repeats that `re` is given: it has no deadline."""


class _Match(Protocol):
    """Of `re` or `regex`."""

    def expand(self, template: str, /) -> str: ...


@lru_cache(64)  # a template uses the same ones for each metafile
def substitution(pattern: str, replacement: str) -> Callable[[str], str]:
    """A function that replaces every match of `pattern`, in the syntax of `re`.

    Raises `re.error` for an invalid pattern or replacement; the function raises TemplateError for what takes
    too long or gets too large.
    """
    if unrolled_size(pattern) > SIZE_MAX:
        raise re.error("its counted repeats make it too large")
    if len(replacement) > REPLACEMENT_MAX:
        raise TemplateError(f"a replacement of more than {REPLACEMENT_MAX} characters is not allowed")
    replace, is_fixed = _replacer(pattern, replacement), "\\" not in replacement

    def substituted(text: str) -> str:
        if len(text) > LENGTH_MAX:
            raise TemplateError(f"a text of more than {LENGTH_MAX} characters is not allowed")
        if is_fixed and (len(text) + 1) * len(replacement) <= LENGTH_MAX - len(text):
            return replaced(replacement, text)
        left = LENGTH_MAX

        def expanded(found: _Match) -> str:
            nonlocal left
            made = found.expand(replacement)
            left -= len(made)
            if left < 0:
                raise TemplateError(f"a text of more than {LENGTH_MAX} characters is not allowed")
            return made

        return replaced(expanded, text)

    def replaced(inserted: str | Callable[[_Match], str], text: str) -> str:
        try:
            return replace(inserted, text)
        except TimeoutError:
            raise TemplateError(
                f"the regular expression {pattern[:80]!r} is too slow: simplify it, such as by removing nested repeats"
            ) from None

    return substituted


def _replacer(pattern: str, replacement: str) -> Callable[[str | Callable[[_Match], str], str], str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        compiled = re.compile(pattern)
    compiled.sub(replacement, "")  # checks it
    if len(pattern) <= _SIMPLE_MAX and not BACKTRACKS.search(pattern):
        return lambda inserted, text: compiled.sub(inserted, text)
    import regex  # 1 MiB, and few templates need it

    try:
        bounded = regex.compile(with_re_syntax(pattern), regex.VERSION0)
    except regex.error as error:
        raise re.error(str(error)) from error
    return lambda inserted, text: bounded.sub(inserted, text, timeout=DEADLINE)
