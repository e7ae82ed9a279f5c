"""Times of files on disks that keep less than nanoseconds: a copy may have that of its original, cut off."""

from typing import Final

_PRECISIONS: Final = (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
"""Nanoseconds to which disks truncate times: NTFS and CIFS 100, exFAT 10 ms, ext3 and HFS+ a second, FAT two."""


def may_be_copied_time(original_ns: int, copy_ns: int) -> bool:
    """Whether a file that was given the time `original_ns` may have `copy_ns`."""
    return any(copy_ns == original_ns - original_ns % precision for precision in _PRECISIONS)
