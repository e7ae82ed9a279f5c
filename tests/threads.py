"""Calls that are made at the same time."""

import threading
from collections.abc import Callable


def side_by_side(*calls: Callable[[], object]) -> None:
    """Each in a thread of its own; returns when all have ended."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
