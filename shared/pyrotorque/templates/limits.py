"""What rendering a template may take, in memory and time: looked at before each step, as a watch.ini may be anyone's.

A step is a call, a filter or an operation. The values that it gets are measured with all that is in them, a text in a
list as often as it occurs there, so what it makes of them is bounded; so each step ends soon, and all of them together
at a deadline.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import wraps
from itertools import islice
from types import ModuleType
from typing import Any, Final

from pyrotorque.errors import TemplateError

SIZE_MAX: Final = 1 << 20
"""Characters and elements of the values of one step."""
RENDER_SECONDS: Final = 1.0
"""Of the processor, for one template."""
METAFILE_SECONDS: Final = 5.0
"""For all templates of one metafile, and to compile them."""
BITS_MAX: Final = 4_096
"""Of a whole number."""
_TEXTS: Final = frozenset((str, bytes, range))
_SINGLE: Final = frozenset((int, float, bool, type(None), ModuleType))
_PLAIN: Final = _TEXTS | _SINGLE | {list, tuple, dict, set, frozenset}
"""Types of nearly all values: they need no look at what else a value can do."""


class _Deadline(threading.local):
    at = float("inf")
    seconds = 0.0


_deadline = _Deadline()


class limited:  # used like a function: a generator would take most of the time of a short template
    """What this thread renders in here ends within so many seconds of the processor, or raises TemplateError."""

    __slots__ = ("_before", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._before = _deadline.at, _deadline.seconds

    def __enter__(self) -> None:
        self._before = _deadline.at, _deadline.seconds
        if (at := time.thread_time() + self._seconds) < _deadline.at:
            _deadline.at, _deadline.seconds = at, self._seconds

    def __exit__(self, *_: object) -> None:
        _deadline.at, _deadline.seconds = self._before


def check_time() -> None:
    """Raises TemplateError after the deadline in this thread."""
    if time.thread_time() > _deadline.at:
        raise TemplateError(f"its templates take more than {_deadline.seconds:g} s of the processor: simplify them")


def check_step(*values: object) -> None:
    """Raises TemplateError if a step with these values is not taken any more, or would need too much."""
    check_time()
    _check_size(values)


def _check_size(value: object) -> None:
    if size_of(value) > SIZE_MAX:
        raise TemplateError(f"a value of more than {SIZE_MAX} characters and elements is not allowed")


def size_of(value: object) -> int:
    """The characters and elements in a value, or a number above `SIZE_MAX`."""
    total = 0
    waiting: list[Iterable[object]] = [(value,)]
    while waiting:
        for each in waiting.pop():
            kind = type(each)
            if kind in _TEXTS:
                total += len(each) + 1  # type: ignore[arg-type]
            else:
                total += 1
                if kind not in _SINGLE and (inside := _inside(each)):
                    waiting.append(inside)
            if total > SIZE_MAX:
                return total
    return total


def _inside(value: object) -> Iterable[object]:
    """What is in a value that is no plain text or number; of a kind of text itself."""
    if isinstance(value, str):
        return (str(value),)
    if isinstance(value, bytes):
        return (bytes(value),)
    if isinstance(value, Mapping):
        return value.items()
    return value if isinstance(value, Collection) else ()


def bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, as a step; what Jinja's filters yield one by one is given to it as a list."""

    @wraps(function)
    def step(*arguments: Any, **named: Any) -> Any:
        taken = [_as_collection(each) for each in arguments]
        check_step(*taken, *named.values())
        return checked(function(*taken, **named))

    return step


def checked(value: Any) -> Any:
    """What a step has made; raises TemplateError if it is too large."""
    kind = type(value)
    if kind in _SINGLE or (kind is str and len(value) < SIZE_MAX):
        return value
    found = _as_collection(value)
    _check_size(found)
    return found


def _as_collection(value: Any) -> Any:
    if type(value) not in _PLAIN and isinstance(value, Iterator):
        return list(islice(value, SIZE_MAX + 1))
    return value
