"""The life of a service: one holder of its role, heard every second, gone with its parent or a second after TERM."""

import argparse
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from pyrotorque import logs
from pyrotorque.errors import AlreadyRunning, LayoutError, PyrotorqueError, SettingsError, StateError
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import signal_on_parent_death, umask
from pyrotorque.locks import hold
from pyrotorque.outbox import Outbox
from pyrotorque.service.heartbeat import HeartbeatThread, Step

if TYPE_CHECKING:
    from pyrotorque.configuration import Configuration
    from pyrotorque.settings.schema import Settings

log = logging.getLogger(__name__)

EX_OK, EX_SOFTWARE, EX_TEMPFAIL, EX_CONFIG = 0, 70, 75, 78  # sysexits.h

_RETRY_STATE_AFTER = 5.0
_NEWS_AFTER = 60.0
"""Who could work that long meanwhile says the same trouble again; a disk that stays full would fill the logs."""


class Lifecycle:
    """What the loop knows of its own end, and what it says of itself."""

    def __init__(self, service: str, pulse: HeartbeatThread, users_umask: int) -> None:
        self.service = service
        self.stopping = False
        self.users_umask = users_umask
        """The umask we were started with: ours is 077, what we create for users gets theirs."""
        self._pulse = pulse
        self._reload = False
        self._wake: Callable[[], None] = _nothing

    def on_wake(self, wake: Callable[[], None]) -> None:
        """Call `wake` when a signal arrives, so that the loop's wait ends; at once when one came already.

        It is called inside the signal handler, and once more from another thread: it must not take a lock.
        """
        self._wake = self._pulse.wake = wake
        if self.stopping or self._reload:
            wake()

    def attach_outbox(self, outbox: Outbox) -> None:
        """Let the heartbeats carry the head of `outbox`, where it could only be opened after the role was held."""
        self._pulse.outbox = outbox

    def take_reload(self) -> bool:
        """Whether HUP came since the last time."""
        asked, self._reload = self._reload, False
        return asked

    def stop(self) -> None:
        """Ask the loop to end, as TERM does."""
        self.stopping = True
        self._wake()

    def reload(self) -> None:
        """Ask the loop to read its configuration again, as HUP does."""
        self._reload = True
        self._wake()

    @contextmanager
    def step(self, name: str, deadline: float) -> Generator[None]:
        """Say what the loop does now, and the CLOCK_MONOTONIC second by which it must be done, or be killed as hung."""
        before = self._pulse.step
        self._pulse.step = Step(name, time.monotonic(), deadline)
        try:
            yield
        finally:
            self._pulse.step = before

    @contextmanager
    def as_user(self) -> Generator[None]:
        """Create files as the user would."""
        with umask(self.users_umask):
            yield


@contextmanager
def running(
    service: str, layout: Layout, *, config_digest: Callable[[], str], outbox: Outbox | None
) -> Generator[Lifecycle]:
    """Hold the role of `service`: lock, signals, heartbeats, an end with the parent's.

    Raises AlreadyRunning when somebody else holds it. Must be entered in the main thread.
    """
    layout.prepare()
    with umask(0o077) as users_umask, _role(service, layout):
        signal_on_parent_death(signal.SIGTERM)
        pulse = HeartbeatThread(layout, service, config_digest, outbox)
        life = Lifecycle(service, pulse, users_umask)
        with _signals(life, pulse), pulse.running():
            yield life


@contextmanager
def _role(service: str, layout: Layout) -> Generator[None]:
    fd = hold(layout.lock_file(service), f"{service} runs already", "stop its group first")
    try:
        yield
    finally:
        os.close(fd)


@contextmanager
def _signals(life: Lifecycle, pulse: HeartbeatThread) -> Generator[None]:
    def on_signal(number: int, _frame: FrameType | None) -> None:
        # Flags only: whatever the loop was doing is half done now.
        if number == signal.SIGHUP:
            life.reload()
        else:
            life.stop()

    # The kernel side of a handler writes into this pipe even while the main thread is deep in C code.
    before_fd = signal.set_wakeup_fd(pulse.signal_fd, warn_on_full_buffer=False)
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
        signal.set_wakeup_fd(before_fd)


@dataclass(frozen=True)
class ServiceStart:
    """What a service is started with."""

    service: str
    config_dir: Path
    configuration: "Configuration"

    @property
    def layout(self) -> Layout:
        return self.configuration.layout

    @property
    def settings(self) -> "Settings":
        return self.configuration.settings


def service_main(service: str, run: Callable[[ServiceStart], int]) -> int:
    """Start a service as supervisord does (`--config-dir DIR`), and turn its errors into lines and exit codes.

    While its file cannot be written (disk full), `run` is tried again every few seconds: it waits, it does not die.
    """
    config_dir = _config_dir(service)
    with exit_on_sigterm():
        return _lived(service, config_dir, run)


@contextmanager
def exit_on_sigterm() -> Generator[None]:
    """What has no loop yet, or none any more, has nothing to finish: TERM ends it at once, as well as any other end."""
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(EX_OK)


def _lived(service: str, config_dir: Path, run: Callable[[ServiceStart], int]) -> int:
    try:
        start = _start(service, config_dir)
        said = ""
        while True:
            began = time.monotonic()
            try:
                return run(start)
            except StateError as error:
                if str(error) != said or time.monotonic() - began > _NEWS_AFTER:
                    said = str(error)
                    log.error("%s; trying again every %g s", said, _RETRY_STATE_AFTER)
                    logs.owner_log(f"failed: {said}")
                if _stopped_within(_RETRY_STATE_AFTER, start):
                    return EX_OK
    except PyrotorqueError as error:
        for line in str(error).splitlines():
            log.error("%s", line)
        logs.owner_log(f"failed: {error}")
        return exit_code(error)
    except Exception:
        log.exception("a bug, please report it")
        logs.owner_log("failed by a bug: see its log")
        return EX_SOFTWARE


def _config_dir(service: str) -> Path:
    parser = argparse.ArgumentParser(prog=f"pyrotorque_{service}", allow_abbrev=False)
    parser.add_argument("--config-dir", type=Path, required=True)
    found: Path = parser.parse_args().config_dir
    return found


def _start(service: str, config_dir: Path) -> ServiceStart:
    from pyrotorque.configuration import load_or_last_good

    logs.configure("INFO", service, Layout.below(config_dir))
    configuration = load_or_last_good(config_dir)
    configuration.layout.prepare()
    logs.configure(configuration.settings.log_level, service, configuration.layout)
    for warning in configuration.warnings:
        log.warning("%s", warning)
    if configuration.broken:
        for line in ("the configuration is broken; running on the last good one", *configuration.broken.splitlines()):
            log.error("%s", line)
        logs.owner_log(f"runs on the last good configuration, for the files are broken: {configuration.broken}")
    return ServiceStart(service, config_dir, configuration)


def _stopped_within(seconds: float, start: ServiceStart) -> bool:
    """Wait, alive and heard; True when TERM came."""
    woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    try:
        with running(start.service, start.layout, config_digest=lambda: start.settings.digest, outbox=None) as life:
            life.on_wake(lambda: os.eventfd_write(woken, 1))
            with life.step("waiting for its state folder", time.monotonic() + 2 * seconds):
                select.select([woken], [], [], seconds)
            return life.stopping
    finally:
        os.close(woken)


def exit_code(error: PyrotorqueError) -> int:
    """The sysexits code for an error that ends a process."""
    if isinstance(error, SettingsError | LayoutError):
        return EX_CONFIG
    return EX_TEMPFAIL if isinstance(error, AlreadyRunning) else EX_SOFTWARE


def _nothing() -> None:
    pass
