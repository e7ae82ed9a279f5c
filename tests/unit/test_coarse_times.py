"""Which time of modification a copy may have on a disk that keeps less than nanoseconds."""

import pytest

from pyrotorque.linux.coarse_times import may_be_copied_time

ORIGINAL = 1_700_000_001_234_567_891


@pytest.mark.parametrize(
    ("copy", "may_be"),
    [
        (ORIGINAL, True),
        (1_700_000_001_234_567_800, True),
        (1_700_000_001_230_000_000, True),
        (1_700_000_001_000_000_000, True),
        (1_700_000_000_000_000_000, True),
        (ORIGINAL + 1, False),
        (1_700_000_001_234_567_700, False),
        (1_700_000_002_000_000_000, False),
        (0, False),
    ],
    ids=["same", "CIFS", "exFAT", "a second", "FAT", "later", "other hundred", "rounded up", "none"],
)
def test_a_copy_has_the_time_of_its_original_or_that_cut_off(copy: int, may_be: bool) -> None:
    assert may_be_copied_time(ORIGINAL, copy) is may_be
