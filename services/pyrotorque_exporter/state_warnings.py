"""Warnings of writes to the state that fail, which are tried again each second."""

import logging
import time
from collections.abc import Callable
from typing import Final

from pyrotorque.errors import StateError

EVERY: Final = 60.0
_TEXTS_MAX: Final = 100
log = logging.getLogger("pyrotorque_exporter.service")


class StateWarnings:
    """One line when an error begins, and one a minute while it lasts. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}

    def warn(self, error: StateError) -> None:
        """Log the error, unless its text was logged within the last minute."""
        text, now = str(error), self._clock()
        if now < self._next.get(text, now):
            return
        if len(self._next) >= _TEXTS_MAX:
            self._next.clear()
        self._next[text] = now + EVERY
        log.warning("%s", text)
