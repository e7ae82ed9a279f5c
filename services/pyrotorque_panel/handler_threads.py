"""Runs handlers in threads: a few at the same time, and of one caller only half of these."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar, cast

T = TypeVar("T")

_THREADS: Final = 8
_PER_CALLER: Final = 4
_WAITING_MAX: Final = 60


class TooManyRequests(Exception):
    """The caller has too many requests that are not answered yet."""


@dataclass
class _Caller:
    """Requests of one caller that are not answered yet."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PER_CALLER))
    count: int = 0


class HandlerThreads:
    """Used in one event loop.

    The threads are daemons: a service that hangs, or a long preview of a clean-up, does not delay the end of the
    process.
    """

    def __init__(self) -> None:
        self._threads = asyncio.Semaphore(_THREADS)
        self._callers: dict[str, _Caller] = {}

    async def run(self, caller: str, function: Callable[[], T]) -> T:
        """The result of `function`, or its error. Raises TooManyRequests."""
        async with self._turn(caller), self._threads:
            return await _in_thread(function)

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncGenerator[None]:
        caller = self._callers.setdefault(name, _Caller())
        if caller.count >= _PER_CALLER + _WAITING_MAX:
            raise TooManyRequests
        caller.count += 1
        try:
            async with caller.turns:
                yield
        finally:
            caller.count -= 1
            if not caller.count:
                self._callers.pop(name, None)


async def _in_thread(function: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return  # the request was cancelled
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast(T, result))

    def run() -> None:
        result, failure = None, None
        try:
            result = function()
        except BaseException as error:
            failure = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="handler", daemon=True).start()
    return await future
