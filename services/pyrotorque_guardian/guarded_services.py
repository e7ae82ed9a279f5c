"""The services that the guardian kills when they hang, and starts again when supervisord has given them up."""

import logging
import os
import signal
from collections.abc import Collection
from contextlib import suppress

from pyrotorque import logs
from pyrotorque.bus import Wakeup
from pyrotorque.events import Heartbeat
from pyrotorque.humanize import duration
from pyrotorque.linux.processes import ProcessIdentity, running_process
from pyrotorque.supervisord import ALREADY_STARTED, Supervisord, SupervisordError, SupervisordFault
from pyrotorque_guardian.decisions import HangDetector, HungService, RestartBackoff
from pyrotorque_guardian.process_exits import ProcessExits

log = logging.getLogger(__name__)


class GuardedServices:
    """The states of all programs, and what is due for the guarded ones. Times are monotonic."""

    def __init__(self, guarded: Collection[str], supervisord: Supervisord) -> None:
        self._guarded, self._supervisord = guarded, supervisord
        self._backoff = RestartBackoff()
        self._hangs = HangDetector()
        self._exits = ProcessExits()
        self._killed: dict[str, str] = {}
        self._processes: dict[str, ProcessIdentity] = {}
        self._full_names: dict[str, str] = {}
        self._given_up: dict[str, float] = {}
        self.states: dict[str, str] = {}

    @property
    def fds(self) -> list[int]:
        """Readable when a process of a service has ended."""
        return list(self._exits.fds)

    def wait(self, now: float, at_most: float) -> float:
        """Seconds until a service is to be started again."""
        return self._backoff.wait(now, at_most)

    def receive(self, wakeup: Wakeup, now: float) -> None:
        """Handle the heartbeats and the ends of processes that ended a wait."""
        if self._exits.remove_exited(wakeup.fds):
            self._wake_supervisord()
        for delivery in wakeup.deliveries:
            if isinstance(delivery.event, Heartbeat):
                self._hangs.receive(delivery.event, now)

    def changed(self, name: str, group: str, state: str, pid: int, now: float) -> None:
        """Program `name` is in `state`; `group` is its group in supervisord, which the owner may have set."""
        self.states[name] = state
        if name not in self._guarded:
            return
        self._full_names[name] = f"{group}:{name}" if group and group != name else name
        self._backoff.state_changed(name, state, now)
        if state == "RUNNING":
            if (since := self._given_up.pop(name, None)) is not None:
                logs.owner_event("service back", f"{name} runs again after {duration(now - since)}")
            if (found := running_process(pid)) is not None:
                self._processes[name] = found
            self._hangs.running(name, pid, now)
            self._exits.watch(pid)
        else:
            self._hangs.stopped(name)

    def kill_reason(self, name: str) -> str:
        """Why the guardian has killed the process that has ended now; empty if it has not. Each is returned once."""
        return self._killed.pop(name, "")

    def poll(self, now: float) -> None:
        """Read all states: events were lost while the guardian did not run."""
        try:
            processes = self._supervisord.processes()
        except SupervisordError as error:
            log.warning("%s", error)
            return
        for process in processes:
            if process.name in self._guarded and process.state == "UNKNOWN":
                log.error("%s is UNKNOWN to supervisord; if it stays so: pyrotorque --restart", process.name)
            self.changed(process.name, process.group, process.state, process.pid, now)

    def act(self, now: float) -> None:
        """Kill what hangs, and start what is due."""
        for hung in self._hangs.hung_services(now):
            self._kill(hung)
        for name in self._backoff.due(now):
            self._given_up.setdefault(name, now)
            self._start(name)

    def _kill(self, hung: HungService) -> None:
        text = f"{hung.service} hangs: {hung.reason}; killing it"
        log.error("%s", text)
        logs.owner_event("service hung", text, subject=hung.service)
        self._killed[hung.service] = f"killed by the guardian: {hung.reason}"
        try:
            self._supervisord.signal(self._full_names.get(hung.service, hung.service), "KILL")
        except SupervisordError as error:
            log.warning("%s; killing pid %d directly", error, hung.pid)
            known = self._processes.get(hung.service)
            # The pid may belong to another process by now, which has another start time.
            if known is not None and known.pid == hung.pid and known.is_running():
                with suppress(OSError):
                    os.kill(known.pid, signal.SIGKILL)

    def _start(self, name: str) -> None:
        text = f"{name} has failed repeatedly and is stopped (FATAL): starting it again; see log/{name}.log"
        try:
            self._supervisord.start(self._full_names.get(name, name))
        except SupervisordFault as fault:
            # Nothing ran that could have written a log, as after the installation was moved.
            if fault.code != ALREADY_STARTED:
                text = f"{name} cannot be started: {fault}; trying it again"
        except SupervisordError as error:
            log.warning("%s", error)
        log.warning("%s", text)
        logs.owner_event("service gave up", text, subject=name)

    def _wake_supervisord(self) -> None:
        # Any call starts a turn of its loop, which restarts the process that has ended.
        with suppress(SupervisordError):
            self._supervisord.pid()
