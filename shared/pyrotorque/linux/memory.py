"""Limits the memory that glibc keeps after it was freed (mallopt(3), malloc_trim(3)); other C libraries ignore it."""

from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8


def use_one_arena() -> None:
    """Share one heap between all threads: by default each thread of a service that mostly waits gets its own."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def release_free_memory() -> None:
    """Return free memory of the heap to the kernel, for example after the start."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
