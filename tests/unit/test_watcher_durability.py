"""When a visible item counts as loaded, and when it has to be loaded again."""

import pytest

from pyrotorque_watcher.settle.durability import Fate, fate


@pytest.mark.parametrize(
    ("same", "there", "saved", "age", "what"),
    [
        (True, False, True, 1.0, Fate.SAVED),
        (True, False, False, 1.0, Fate.PENDING),
        (True, False, None, 1.0, Fate.PENDING),
        (True, False, None, 6.0, Fate.SAVED),
        (True, True, False, 6.0, Fate.UNSAVED),
        (True, False, False, 6.0, Fate.SAVED),
        (False, True, False, 1.0, Fate.KEPT),
        (False, False, False, 1.0, Fate.LOST),
        (False, False, True, 9.0, Fate.LOST),
    ],
    ids=[
        "its session file is written",
        "not yet",
        "the session cannot be seen",
        "the session cannot be seen, but long ago",
        "long ago, and still not written",
        "not written, and its owner erased it",
        "restarted, and it is there",
        "restarted, and it is not there",
        "restarted, an old file is no evidence",
    ],
)
def test_fate(same: bool, there: bool, saved: bool | None, age: float, what: Fate) -> None:
    assert fate(same_rtorrent=same, there=there, saved=saved, age=age) is what
