"""Runs functions on the service's loop, which owns the database, for the threads of the web server."""

import queue
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from pyrotorque.errors import StateError

T = TypeVar("T")

_WITHIN: Final = 10.0


class LoopCalls:
    """`wake` ends the wait of the loop, which then calls `run_all`."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

    def call(self, function: Callable[[], T]) -> T:
        """The result of `function`, or its error. Raises StateError if the loop does not get to it."""
        future: Future[T] = Future()
        self._calls.put((function, future))
        self._wake()
        try:
            return future.result(_WITHIN)
        except TimeoutError as error:
            raise StateError("the panel's state cannot be changed now: its loop is busy") from error

    def run_all(self) -> None:
        """In the loop's thread."""
        while True:
            try:
                function, future = self._calls.get_nowait()
            except queue.Empty:
                return
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)
