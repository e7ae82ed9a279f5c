"""Keeps the answers of services for a moment, for all viewers together; none is fetched twice at the same time."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any, Final

from pyrotorque.errors import PyrotorqueError

_FRESH: Final = 1.0
_FRESH_EVENT: Final = 0.1
"""Seconds that an answer from before the newest event is shown."""
_SHARE: Final = 4.0
"""How many times as long as it took an answer is shown: expensive ones load rTorrent for a fifth of the time."""
_STALE: Final = 15.0


class AnswerCache:
    """`ready` is called when an answer has arrived that a caller did not wait for."""

    def __init__(self) -> None:
        self.ready: Callable[[], None] = _ignore
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, float, Any]] = {}
        self._running: dict[str, Future[Any]] = {}
        self._happened = 0.0

    def forget(self) -> None:
        """Something was changed: fetch again."""
        with self._lock:
            self._kept.clear()
            self._running.clear()

    def forget_soon(self) -> None:
        """Something has happened: answers from before are shown for a shorter time."""
        with self._lock:
            self._happened = time.monotonic()

    def get(self, key: str, fetch: Callable[[], Any], share: float = _SHARE) -> Any:
        """The value of `fetch`, or its error; `share` times as long as it took, an answer is shown."""
        future = self._begun(key, fetch, share)
        return future.result()

    def get_within(self, key: str, fetch: Callable[[], Any], seconds: float) -> Any:
        """As `get`, but after `seconds` the last known value, which may be some seconds old, or else None."""
        future = self._begun(key, fetch, _SHARE)
        try:
            return future.result(seconds)
        except NotYet:
            future.add_done_callback(lambda _: self.ready())
        with self._lock:
            began, _, value = self._kept.get(key, (0.0, 0.0, None))
        is_known = not isinstance(value, PyrotorqueError) and time.monotonic() - began < _STALE
        return value if is_known else None

    def _begun(self, key: str, fetch: Callable[[], Any], share: float) -> "Future[Any]":
        with self._lock:
            if key in self._running:
                return self._running[key]
            future: Future[Any] = Future()
            now = time.monotonic()
            began, took, value = self._kept.get(key, (0.0, 0.0, None))
            fresh = _FRESH if began > self._happened else _FRESH_EVENT
            # An error that took long, such as of a service that hangs, does not delay the first answer after it.
            limit = fresh + took if isinstance(value, PyrotorqueError) else max(fresh, share * took)
            if began and now - began <= limit:
                return _settled(future, value)
            self._running[key] = future
        threading.Thread(target=self._run, args=(key, fetch, future, now), name=f"ask {key}", daemon=True).start()
        return future

    def _run(self, key: str, fetch: Callable[[], Any], future: "Future[Any]", began: float) -> None:
        value: Any
        try:
            value = fetch()
        except PyrotorqueError as error:
            value = error
        except BaseException as error:
            with self._lock:
                if self._running.get(key) is future:
                    del self._running[key]
            future.set_exception(error)
            return
        with self._lock:
            # After `forget`, an answer that was requested before is not kept.
            if self._running.get(key) is future:
                del self._running[key]
                self._kept[key] = (began, time.monotonic() - began, value)
        _settled(future, value)


def _settled(future: "Future[Any]", value: Any) -> "Future[Any]":
    if isinstance(value, PyrotorqueError):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


def _ignore() -> None:
    pass
