"""One job and its process: started when needed, run with a deadline, replaced after any failure; never waited for."""

import logging
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.errors import StateError
from pyrotorque.events import JobReported
from pyrotorque.settings.schema import CustomSettings
from pyrotorque.workers.messages import (
    PUBLISHED_MAX,
    Finished,
    FromWorker,
    Prepare,
    Published,
    Ready,
    Refused,
    Run,
    Said,
    Stop,
)
from pyrotorque.workers.process import Heard, JobProcess
from pyrotorque_scheduler.due_jobs import NEVER, Cause
from pyrotorque_scheduler.workers.job_log import Lines

STARTS_WITHIN: Final = 30.0
# The last words of a process that has ended: so many looks at what it printed.
_LAST_LOOKS: Final = 64


@dataclass(frozen=True)
class Task:
    """One run that is to be; `number`, `body` and `mark` are those of an event's row, `kind` is the event's type."""

    cause: Cause
    number: int = 0
    body: bytes = b"null"
    mark: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Ended:
    """What became of a task, or of a start without one (`task` None).

    `begun` is false where the job could not even be made; `interrupted` where somebody else killed its process.
    """

    task: Task | None
    error: str
    seconds: float
    begun: bool = True
    interrupted: bool = False
    reports: tuple[JobReported, ...] = ()


@dataclass
class JobWorker:
    """Call `look` when a descriptor of `fds` is readable, and at `wakes`; all times are CLOCK_MONOTONIC seconds."""

    settings: CustomSettings
    prepare: Prepare
    umask: int
    marks: Path
    starts_within: float = STARTS_WITHIN
    task: Task | None = None
    wakes: float = NEVER
    _process: JobProcess | None = None
    _ready: bool = False
    _began: float = 0.0
    _numbers: int = 0
    _reports: list[JobReported] = field(default_factory=list[JobReported])
    _ended: list[Ended] = field(default_factory=list[Ended])

    def __post_init__(self) -> None:
        self._lines = Lines(self.settings.name)

    @property
    def fds(self) -> list[int]:
        return self._process.fds if self._process else []

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def is_idle(self) -> bool:
        return self.task is None and (self._process is None or not self._process.ended_by)

    @property
    def has_left(self) -> bool:
        return self._process is None or self._process.status() is not None

    def warm_up(self, now: float) -> None:
        """Make the job before it is first run, so that what is wrong with it is said at once."""
        if self._process is None:
            self._start(now)

    def begin(self, task: Task, now: float) -> None:
        """Run it as soon as the job is made; the worker must be idle."""
        if self._process is not None and (status := self._process.status()) is not None:
            self._bury(self._process, status, now)
        self.task = task
        self._began = now
        if self._process is None:
            self._start(now)
        elif self._ready:
            self._run(now)

    def look(self, now: float) -> list[Ended]:
        """Hear the process, hold it to its deadline; what ended since the last look."""
        process = self._process
        if process is not None:
            self._take(process.hear(), now)
            if now >= self.wakes:
                process.kill("deadline")
                self.wakes = NEVER
            status = process.status()
            if status is not None:
                self._bury(process, status, now)
        ended, self._ended = self._ended, []
        return ended

    def leave(self) -> None:
        """Let an idle job close itself; `close` ends what does not."""
        if self._process is not None and self.task is None:
            self._process.send(Stop())

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.end()
            self._process = None
        self.task, self.wakes, self._ready = None, NEVER, False
        self._lines.end()

    def _start(self, now: float) -> None:
        self._began, self._ready = now, False
        try:
            self._process = JobProcess(self.prepare, umask=self.umask, marks=self.marks)
        except (StateError, OSError) as error:
            self._fail(str(error), now, begun=False)
            return
        self.wakes = now + self.starts_within

    def _run(self, now: float) -> None:
        assert self.task is not None, "there is something to run"
        assert self._process is not None, "started before"
        self._numbers += 1
        event = msgspec.Raw(self.task.body)
        self._process.send(Run(number=self._numbers, event=event, mark=self.task.mark))
        self.wakes = now + self.settings.timeout if self.settings.timeout > 0 else NEVER

    def _take(self, heard: Heard, now: float) -> None:
        for line in heard.output:
            self._lines.say(logging.INFO, line, now)
        self._lines.leave_out(heard.dropped)
        for message in heard.messages:
            self._understand(message, now)

    def _understand(self, message: FromWorker, now: float) -> None:
        match message:
            case Said():
                self._lines.say(message.level, message.text, now)
            case Published():
                if len(self._reports) < PUBLISHED_MAX:
                    self._reports.append(msgspec.structs.replace(message.report, job=self.settings.name))
            case Ready() if not self._ready:
                self._ready, self.wakes = True, NEVER
                if self.task is not None:
                    self._run(now)
            case Refused() if not self._ready:
                self._fail(message.reason, now, begun=False)
            case Finished() if self._ready and self.task is not None and message.number == self._numbers:
                if message.error:
                    self._fail(message.error + self._about_memory(message.error), now)
                else:
                    self._end(Ended(self.task, "", now - self._began))
            case _:
                pass

    def _bury(self, process: JobProcess, status: int, now: float) -> None:
        """The process has ended, by itself or by our hand: say why, and be ready for a fresh one."""
        for _ in range(_LAST_LOOKS):
            heard = process.hear()
            self._take(heard, now)
            if not heard.messages and not heard.output:
                break
        process.close()
        self._fail_by(process, status, now)
        self._process, self._ready = None, False
        self._lines.end()

    def _fail_by(self, process: JobProcess, status: int, now: float) -> None:
        if process.ended_by == "done":
            return
        if process.ended_by == "deadline":
            limit = self.settings.timeout if self._ready else self.starts_within
            what = "the run did not end" if self._ready else "the job was not made"
            self._fail(f"{what} within {limit:g} s; killed", now, begun=self._ready)
        elif self.task is None and self._ready:
            self._lines.say(logging.WARNING, f"{_of_end(process, status)} between two runs", now)
            self.wakes = NEVER
        else:
            killed = status == -signal.SIGKILL and not process.ended_by
            self._fail(_of_end(process, status), now, begun=self._ready, interrupted=killed)

    def _fail(self, error: str, now: float, *, begun: bool = True, interrupted: bool = False) -> None:
        """Whatever failed, the next run has a fresh process."""
        if self._process is not None:
            self._process.kill("done")
        self._end(Ended(self.task, error, now - self._began, begun, interrupted))
        self._ready = False

    def _end(self, ended: Ended) -> None:
        self._ended.append(replace(ended, reports=tuple(self._reports)))
        self._reports.clear()
        self.task, self.wakes = None, NEVER
        self._lines.end()

    def _about_memory(self, error: str) -> str:
        limit = self.settings.memory_max
        return f"; job.{self.settings.name}.memory_max is {limit} bytes" if limit and "MemoryError" in error else ""


def _of_end(process: JobProcess, status: int) -> str:
    if process.ended_by == "nonsense":
        return "its process said something endless and was killed"
    if process.ended_by == "deaf" and status == -signal.SIGKILL:
        return "its process closed its connection to the scheduler and was killed"
    if status >= 0:
        return f"its process left with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    reason = ", by hand or for want of memory" if status == -signal.SIGKILL else ""
    return f"its process was ended by {name}{reason}"
