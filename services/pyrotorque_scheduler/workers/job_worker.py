"""One job and its worker process: started on demand, run with a deadline, replaced after any failure; never blocks."""

import logging
import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.errors import StateError
from pyrotorque.events import JobReported, TorrentMoved
from pyrotorque.limits import EVENT_BYTES, IDENTITY_CHARACTERS, REPORT_BYTES, UNIQUE_EVENT_BYTES, shortened
from pyrotorque.logs import owner_event
from pyrotorque.settings.schema import CustomSettings
from pyrotorque.text import encode_json, printable
from pyrotorque.workers.messages import (
    REPORTS_MAX,
    TEXT_MAX,
    CreateJob,
    CreationFailed,
    FromWorker,
    JobCreated,
    LogLine,
    ReportPublished,
    RunFinished,
    StartRun,
    StopWorker,
    UniqueEventPublished,
)
from pyrotorque.workers.process import JobProcess, WorkerOutput
from pyrotorque_scheduler.due_jobs import NEVER, Cause
from pyrotorque_scheduler.workers.job_log import JobLog

log = logging.getLogger("pyrotorque_scheduler.jobs")

CREATION_DEADLINE: Final = 30.0
# Reads of what a process printed before it ended.
_FINAL_READS: Final = 64
_PRINTED_MAX: Final = 200


@dataclass(frozen=True)
class JobRun:
    """One run to be made; `number`, `body` and `mark` belong to the row in event_runs, `event_type` to its event."""

    cause: Cause
    number: int = 0
    body: bytes = b"null"
    mark: str = ""
    event_type: str = ""


@dataclass(frozen=True)
class RunResult:
    """The result of a run, or of a process start without one (`run` is None).

    `started` is false if the job could not be created; `interrupted` is true if the process was killed from outside.
    `printed` is the last line that it, or a program of it, has printed. `rtorrent_away`: the error is that rTorrent did
    not answer.
    """

    run: JobRun | None
    error: str
    seconds: float
    started: bool = True
    interrupted: bool = False
    reports: tuple[JobReported, ...] = ()
    unique_events: tuple[UniqueEventPublished, ...] = ()
    printed: str = ""
    rtorrent_away: bool = False

    @property
    def explanation(self) -> str:
        """The error, and what was printed last: for files of this machine only, because it may have secrets."""
        has_more = self.printed and self.printed not in self.error
        return f"{self.error} ({printable(self.printed)})" if has_more else self.error


@dataclass
class JobWorker:
    """Call `step` when a descriptor of `fds` is readable, and at `deadline`; all times are CLOCK_MONOTONIC seconds."""

    settings: CustomSettings
    create: CreateJob
    umask: int
    mark_file: Path
    creation_deadline: float = CREATION_DEADLINE
    run: JobRun | None = None
    began: float = 0.0
    deadline: float = NEVER
    _process: JobProcess | None = None
    _created: bool = False
    _run_number: int = 0
    _reports: list[JobReported] = field(default_factory=list[JobReported])
    _unique_events: list[UniqueEventPublished] = field(default_factory=list[UniqueEventPublished])
    _report_bytes: int = 0
    _reports_dropped: int = 0
    _printed: str = ""
    _results: list[RunResult] = field(default_factory=list[RunResult])

    def __post_init__(self) -> None:
        self._log = JobLog(self.settings.name)

    @property
    def fds(self) -> list[int]:
        return self._process.fds if self._process else []

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def is_idle(self) -> bool:
        return self.run is None and (self._process is None or not self._process.kill_reason)

    @property
    def has_exited(self) -> bool:
        return self._process is None or self._process.status() is not None

    def create_job(self, now: float) -> None:
        """Create the job before its first run, so that its errors are reported early."""
        if self._process is None:
            self._start(now)

    def begin(self, run: JobRun, now: float) -> None:
        """Start the run as soon as the job is created; the worker must be idle."""
        if self._process is not None and (status := self._process.status()) is not None:
            self._clean_up(self._process, status, now)
        self.run = run
        self.began = now
        if self._process is None:
            self._start(now)
        elif self._created:
            self._send_run(now)

    def step(self, now: float) -> list[RunResult]:
        """Read from the process and enforce its deadline; returns the runs that ended since the last call."""
        process = self._process
        if process is not None:
            self._handle_output(process.receive(), now)
            if now >= self.deadline:
                process.kill("deadline")
                self.deadline = NEVER
            status = process.status()
            if status is not None:
                self._clean_up(process, status, now)
        results, self._results = self._results, []
        return results

    def request_exit(self) -> None:
        """Let an idle job close itself and exit; `close` kills it if it does not."""
        if self._process is not None and self.run is None:
            self._process.send(StopWorker())

    def close(self) -> None:
        """Kill the process, whatever it is doing."""
        if self._process is not None:
            self._process.terminate()
            self._process = None
        self.run, self.deadline, self._created = None, NEVER, False
        self._log.end_run()

    def _start(self, now: float) -> None:
        self.began, self._created = now, False
        try:
            self._process = JobProcess(self.create, umask=self.umask, mark_file=self.mark_file)
        except (StateError, OSError) as error:
            self._fail(str(error), now, started=False)
            return
        self.deadline = now + self.creation_deadline

    def _send_run(self, now: float) -> None:
        assert self.run is not None, "called with a run"
        assert self._process is not None, "started before"
        self._run_number += 1
        event = msgspec.Raw(self.run.body)
        self._process.send(StartRun(number=self._run_number, event=event, mark=self.run.mark))
        self.deadline = now + self.settings.timeout if self.settings.timeout > 0 else NEVER

    def _handle_output(self, output: WorkerOutput, now: float) -> None:
        for line in output.printed:
            self._log.write(logging.INFO, line, now)
            self._printed = line.strip()[:_PRINTED_MAX] or self._printed
        self._log.count_dropped(output.dropped)
        for message in output.messages:
            self._handle_message(message, now)

    def _handle_message(self, message: FromWorker, now: float) -> None:
        match message:
            case LogLine():
                self._log.write(message.level, message.text, now)
            case ReportPublished():
                self._add_report(message.report, now)
            case UniqueEventPublished() if len(self._unique_events) < REPORTS_MAX:
                event = message.event
                if isinstance(event, TorrentMoved):
                    # A removal that another job began has the name of that one.
                    event = msgspec.structs.replace(event, job=self.settings.name)
                identity, event = message.identity[:IDENTITY_CHARACTERS], shortened(event, UNIQUE_EVENT_BYTES)
                self._unique_events.append(msgspec.structs.replace(message, identity=identity, event=event))
            case JobCreated() if not self._created:
                self._created, self.deadline = True, NEVER
                if self.run is not None:
                    self._send_run(now)
            case CreationFailed() if not self._created:
                self._fail(message.reason, now, started=False)
            case RunFinished() if self._created and self.run is not None and message.number == self._run_number:
                if message.error:
                    error = message.error + self._memory_hint(message.error)
                    self._fail(error, now, rtorrent_away=message.rtorrent_away)
                else:
                    self._finish(RunResult(self.run, "", now - self.began))
            case _:
                pass

    def _add_report(self, report: JobReported, now: float) -> None:
        found = shortened(msgspec.structs.replace(report, job=self.settings.name))
        if found.data != report.data or found.text != report.text:
            self._log.write(logging.WARNING, f"shortened a report: it exceeded {EVENT_BYTES} bytes", now)
        size = len(encode_json(found))
        if len(self._reports) >= REPORTS_MAX or self._report_bytes + size > REPORT_BYTES:
            self._reports_dropped += 1
            return
        self._report_bytes += size
        self._reports.append(found)

    def _take_reports(self) -> tuple[JobReported, ...]:
        """The reports of the run; the last one has the number of those that were dropped."""
        reports = tuple(self._reports)
        if dropped := self._reports_dropped:
            text = f"dropped {dropped} reports of this run: at most {REPORTS_MAX} and {REPORT_BYTES >> 20} MiB are kept"
            log.error("job %s: %s", printable(self.settings.name), text)
            owner_event("job failed", f"failed: job {self.settings.name}: {text}")
            lost = JobReported(at=time.time(), job=self.settings.name, text=text, data={"dropped": dropped})
            reports = (*reports, lost)
        self._reports.clear()
        self._report_bytes = self._reports_dropped = 0
        return reports

    def _clean_up(self, process: JobProcess, status: int, now: float) -> None:
        """The process has ended: read its last output, report the failure, prepare for a new process."""
        for _ in range(_FINAL_READS):
            output = process.receive()
            self._handle_output(output, now)
            if not output.messages and not output.printed:
                break
        process.close()
        self._report_exit(process, status, now)
        self._process, self._created = None, False
        self._log.end_run()

    def _report_exit(self, process: JobProcess, status: int, now: float) -> None:
        if process.kill_reason == "stopped":
            return
        if process.kill_reason == "deadline":
            limit = self.settings.timeout if self._created else self.creation_deadline
            what = "the run did not end" if self._created else "the job was not created"
            self._fail(f"{what} within {limit:g} s; killed", now, started=self._created)
        elif self.run is None and self._created:
            self._log.write(logging.WARNING, f"{_exit_text(process, status)} between two runs", now)
            self.deadline = NEVER
        else:
            interrupted = status == -signal.SIGKILL and not process.kill_reason
            self._fail(_exit_text(process, status), now, started=self._created, interrupted=interrupted)

    def _fail(
        self, error: str, now: float, *, started: bool = True, interrupted: bool = False, rtorrent_away: bool = False
    ) -> None:
        """After any failure, the next run gets a new process."""
        if self._process is not None:
            self._process.kill("stopped")
        result = RunResult(self.run, error[:TEXT_MAX], now - self.began, started, interrupted)
        self._finish(replace(result, rtorrent_away=rtorrent_away))
        self._created = False

    def _finish(self, result: RunResult) -> None:
        unique, printed = tuple(self._unique_events), self._printed
        self._results.append(replace(result, reports=self._take_reports(), unique_events=unique, printed=printed))
        self._unique_events.clear()
        self._printed = ""
        self.run, self.deadline = None, NEVER
        self._log.end_run()

    def _memory_hint(self, error: str) -> str:
        limit = self.settings.memory_max
        return f"; job.{self.settings.name}.memory_max is {limit} bytes" if limit and "MemoryError" in error else ""


def _exit_text(process: JobProcess, status: int) -> str:
    if process.kill_reason == "oversized message":
        return "its process sent an oversized message and was killed"
    if process.kill_reason == "disconnected" and status == -signal.SIGKILL:
        return "its process closed its connection to the scheduler and was killed"
    if status >= 0:
        return f"its process ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    reason = ", by a user or because the system ran out of memory" if status == -signal.SIGKILL else ""
    return f"its process was killed by {name}{reason}"
