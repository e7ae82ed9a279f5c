"""Runs a service process: role lock, signals, heartbeats, exit codes, and the end together with supervisord."""

import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from pyrotorque import logs
from pyrotorque.errors import AlreadyRunning, LayoutError, PyrotorqueError, SettingsError, StateError
from pyrotorque.foreign_errors import explain
from pyrotorque.layout import Layout
from pyrotorque.linux.memory import keep_heap_small
from pyrotorque.linux.processes import signal_on_parent_death, umask
from pyrotorque.locks import hold
from pyrotorque.outbox import Outbox
from pyrotorque.service.arguments import path_arguments
from pyrotorque.service.heartbeat import HeartbeatThread, Step
from pyrotorque.service.own_name import require_own_name
from pyrotorque.text import one_line

if TYPE_CHECKING:
    from pyrotorque.configuration import Configuration
    from pyrotorque.settings.schema import Settings

log = logging.getLogger(__name__)

EX_OK, EX_SOFTWARE, EX_TEMPFAIL, EX_CONFIG = 0, 70, 75, 78  # sysexits.h

_RETRY_STATE_AFTER = 5.0
_REPEAT_AFTER = 60.0
"""The same error is logged again after the service has worked that long; otherwise a full disk would fill the logs."""


class Lifecycle:
    """The stop and reload requests of signals, and the step that heartbeats announce."""

    def __init__(self, service: str, heartbeat: HeartbeatThread, users_umask: int) -> None:
        self.service = service
        self.stopping = False
        self.users_umask = users_umask
        """The umask at the start of this process, for files of users; the process itself runs with 077."""
        self._heartbeat = heartbeat
        self._reload = False
        self._wake: Callable[[], None] = _nothing

    def on_wake(self, wake: Callable[[], None]) -> None:
        """Call `wake` when a signal arrives, so that the loop's wait ends; at once if one has arrived already.

        It is called inside the signal handler, and also from another thread: it must not take a lock.
        """
        self._wake = self._heartbeat.wake = wake
        if self.stopping or self._reload:
            wake()

    def take_reload(self) -> bool:
        """Whether SIGHUP arrived since the last call."""
        requested, self._reload = self._reload, False
        return requested

    def stop(self) -> None:
        """Request the end of the loop, as SIGTERM does."""
        self.stopping = True
        self._wake()

    def reload(self) -> None:
        """Request a reload of the configuration, as SIGHUP does."""
        self._reload = True
        self._wake()

    @contextmanager
    def step(self, name: str, deadline: float) -> Generator[None]:
        """Announce what the loop is doing; after `deadline` (CLOCK_MONOTONIC seconds) the guardian kills it as hung."""
        before = self._heartbeat.step
        self._heartbeat.step = Step(name, time.monotonic(), deadline)
        try:
            yield
        finally:
            self._heartbeat.step = before
            logs.write_folded()

    def extend(self, deadline: float) -> None:
        """The step in progress is no hang: a part of it is done, and the next one may take until `deadline`."""
        step = self._heartbeat.step
        self._heartbeat.step = Step(step.name, step.since, deadline)

    @contextmanager
    def as_user(self) -> Generator[None]:
        """Create files with the user's umask."""
        with umask(self.users_umask):
            yield


@contextmanager
def running(
    service: str, layout: Layout, *, config_digest: Callable[[], str], outbox: Outbox | None
) -> Generator[Lifecycle]:
    """Hold the role of `service`: lock, signals, heartbeats, exit with the parent.

    Raises AlreadyRunning when another process holds it. Must be entered in the main thread.
    """
    layout.prepare_without_state()
    keep_heap_small()
    with umask(0o077) as users_umask, _role(service, layout):
        signal_on_parent_death(signal.SIGTERM)
        heartbeat = HeartbeatThread(layout, service, config_digest, outbox)
        life = Lifecycle(service, heartbeat, users_umask)
        try:
            with _signals(life, heartbeat), heartbeat.running():
                yield life
        finally:
            logs.write_folded(at_end=True)


@contextmanager
def _role(service: str, layout: Layout) -> Generator[None]:
    fd = hold(layout.lock_file(service), f"{service} runs already", "stop its group first")
    try:
        yield
    finally:
        os.close(fd)


@contextmanager
def _signals(life: Lifecycle, heartbeat: HeartbeatThread) -> Generator[None]:
    def on_signal(number: int, _frame: FrameType | None) -> None:
        # Set flags only: the loop is in the middle of its step.
        if number == signal.SIGHUP:
            life.reload()
        else:
            life.stop()

    # The interpreter writes into this pipe at once, even while the main thread runs C code.
    before_fd = signal.set_wakeup_fd(heartbeat.signal_fd, warn_on_full_buffer=False)
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
        signal.set_wakeup_fd(before_fd)


@dataclass(frozen=True)
class ServiceStart:
    """The arguments of a service."""

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
    """Run a service with supervisord's arguments (`--config-dir DIR`); errors become log lines and exit codes.

    While its state file cannot be written (disk full), `run` is retried every few seconds.
    """
    config_dir = path_arguments(sys.argv[1:], "config-dir")["config-dir"]
    with exit_on_sigterm():
        return _run_until_stopped(service, config_dir, run)


@contextmanager
def exit_on_sigterm() -> Generator[None]:
    """Exit at once at SIGTERM: before and after its loop a service has nothing to finish."""
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(_number: int, _frame: FrameType | None) -> None:
    os._exit(EX_OK)


def _run_until_stopped(service: str, config_dir: Path, run: Callable[[ServiceStart], int]) -> int:
    try:
        if _stopped_without_state(service, config_dir):
            return EX_OK
        start = _start(service, config_dir)
        require_own_name(service, start.layout)
        logged = ""
        while True:
            began = time.monotonic()
            try:
                return run(start)
            except StateError as error:
                if str(error) != logged or time.monotonic() - began > _REPEAT_AFTER:
                    logged = str(error)
                    _log_retries(logged)
                if _stopped_within(_RETRY_STATE_AFTER, service, start.layout, start.settings.digest):
                    return EX_OK
    except PyrotorqueError as error:
        for line in str(error).splitlines():
            log.error("%s", line)
        logs.owner_event("group failed", f"failed: {error}")
        return exit_code(error)
    except Exception as error:
        return report_unexpected(error)


def _stopped_without_state(service: str, config_dir: Path) -> bool:
    """Wait until the state folder is that of the group, before anything is read or written there; True if SIGTERM
    arrived.
    """
    if "SUPERVISOR_ENABLED" not in os.environ:
        return False
    from pyrotorque.configuration import group_layout
    from pyrotorque.group_state import require_group_state

    layout = group_layout(config_dir)
    logged = ""
    while True:
        try:
            require_group_state(layout)
        except StateError as error:
            if not logged:
                logged = str(error)
                logs.configure("INFO", service, Layout.below(config_dir))
                _log_retries(logged)
            if _stopped_within(_RETRY_STATE_AFTER, service, layout, ""):
                return True
        else:
            return False


def _log_retries(reason: str) -> None:
    log.error("%s; retrying every %g s", reason, _RETRY_STATE_AFTER)
    logs.owner_event("state damaged", f"failed: {reason}")


def report_unexpected(error: Exception) -> int:
    """Log an error in both logs, with a traceback if it may be a fault of this program; the exit code."""
    if (foreign := explain(error)) is not None:
        log.error("%s", foreign.text)
        logs.owner_event("group failed", f"failed: {foreign.text}")
        return foreign.exit_code
    log.error("unexpected error, please report it", exc_info=error)
    logs.owner_event("group failed", "failed: unexpected error, see its log")
    return EX_SOFTWARE


def _start(service: str, config_dir: Path) -> ServiceStart:
    from pyrotorque.configuration import load_or_last_good

    logs.configure("INFO", service, Layout.below(config_dir))
    configuration = load_or_last_good(config_dir)
    configuration.layout.prepare()
    quiet = configuration.options.log_level == "WARNING"
    settings, layout = configuration.settings, configuration.layout
    logs.configure(settings.level_of(service), service, layout, quiet=quiet, log_format=settings.log_format)
    for warning in configuration.warnings:
        log.warning("%s", warning)
    if configuration.broken:
        for line in (
            "the configuration files are broken; running on the last good configuration",
            *configuration.broken.splitlines(),
        ):
            log.error("%s", line)
        text = f"running on the last good configuration, the files are broken: {one_line(configuration.broken)}"
        logs.owner_event("configuration wrong", text)
    if configuration.unreviewed:
        text = (
            "the configuration files differ from the configuration in force, which stays in force: "
            "`pyrotorque --restart` checks and applies them"
        )
        log.warning("%s", text)
        logs.owner_event("configuration differs", text)
    return ServiceStart(service, config_dir, configuration)


def _stopped_within(seconds: float, service: str, layout: Layout, digest: str) -> bool:
    """Wait, with heartbeats; True when SIGTERM arrived."""
    woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    try:
        with running(service, layout, config_digest=lambda: digest, outbox=None) as life:
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
