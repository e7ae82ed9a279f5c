"""What rendering a template may take, in memory and time: looked at before each step, as a watch.ini may be anyone's.

A step is a call, a filter or an operation. The values that it gets are measured with all that is in them, a text in a
list as often as it occurs there, so what it makes of them is bounded; so each step ends soon, and all of them together
at a deadline.
"""

import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from itertools import islice
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
_END: Final = object()


class _Deadline(threading.local):
    at = float("inf")
    seconds = 0.0


_deadline = _Deadline()


@contextmanager
def limited(seconds: float) -> Generator[None]:
    """What this thread renders in here ends within so many seconds of the processor, or raises TemplateError."""
    before = _deadline.at, _deadline.seconds
    if (at := time.thread_time() + seconds) < _deadline.at:
        _deadline.at, _deadline.seconds = at, seconds
    try:
        yield
    finally:
        _deadline.at, _deadline.seconds = before


def check_time() -> None:
    """Raises TemplateError after the deadline in this thread."""
    if time.thread_time() > _deadline.at:
        raise TemplateError(f"its templates take more than {_deadline.seconds:g} s of the processor: simplify them")


def check_step(*values: object) -> None:
    """Raises TemplateError if a step with these values is not taken any more, or would need too much."""
    check_time()
    if size_of(values) > SIZE_MAX:
        raise TemplateError(f"a value of more than {SIZE_MAX} characters and elements is not allowed")


def size_of(value: object) -> int:
    """The characters and elements in a value, or a number above `SIZE_MAX`."""
    total = 0
    waiting: list[Iterator[object]] = [iter((value,))]
    while waiting and total <= SIZE_MAX:
        each = next(waiting[-1], _END)
        if each is _END:
            waiting.pop()
            continue
        total += len(each) + 1 if isinstance(each, str | bytes | range) else 1
        if isinstance(each, Mapping):
            waiting.append(iter(each.items()))
        elif isinstance(each, Collection) and not isinstance(each, str | bytes | range):
            waiting.append(iter(each))
    return total


def bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, as a step; what Jinja's filters yield one by one is given to it as a list."""

    @wraps(function)
    def step(*arguments: Any, **named: Any) -> Any:
        taken = [_as_collection(each) for each in arguments]
        check_step(taken, named)
        return checked(function(*taken, **named))

    return step


def checked(value: Any) -> Any:
    """What a step has made; raises TemplateError if it is too large."""
    found = _as_collection(value)
    check_step(found)
    return found


def _as_collection(value: Any) -> Any:
    if isinstance(value, Iterator):
        return list(islice(value, SIZE_MAX + 1))
    return value
