"""Limits the memory that glibc keeps after it was freed (mallopt(3), malloc_trim(3)); other C libraries ignore it."""

import gc
from contextlib import suppress
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_THRESHOLD: Final = 128 * 1024


def keep_heap_small() -> None:
    """Return large blocks when they are freed, and share one heap between all threads of a service that mostly waits.

    glibc starts with these thresholds, but raises them to the size of the largest block that was freed: one answer of
    rTorrent about thousands of items would leave a heap of many MiB.
    """
    import ctypes

    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _THRESHOLD)


def release_free_memory() -> None:
    """Return free memory to the kernel, also that of cyclic garbage, for example after the start."""
    import ctypes

    gc.collect()

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
