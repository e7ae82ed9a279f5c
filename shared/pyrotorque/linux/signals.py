"""Handles the signals that end a command, for the time of a block."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def handled_ends(action: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Let `action` handle Ctrl-C, TERM and HUP in the block; HUP unless it is ignored (nohup).

    Another thread than the main one handles no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, action)
        for number in _ENDING
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
