"""Custom jobs in worker processes without clock and bus: tests write the jobs and trigger their runs."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from pyrotorque.bus import PendingRequest
from pyrotorque.events import Durable, Event, JobFailed, Live, decode
from pyrotorque.layout import Layout
from pyrotorque.outbox import Outbox
from pyrotorque.requests import Answer, RunJob, decode_answer
from pyrotorque.settings.schema import CustomSettings, RTorrentSettings, Settings
from pyrotorque.store import Store, open_store
from pyrotorque.totals import Totals
from pyrotorque_scheduler.event_router import EventRouter
from pyrotorque_scheduler.job_table import JobTable, build_job_table
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.model import Instant
from pyrotorque_scheduler.state import MIGRATIONS
from pyrotorque_scheduler.workers.pool import WorkerPool
from tests.waiting import eventually


def custom(name: str, handler: str = "", **settings: object) -> CustomSettings:
    """A job whose class is `Job` in `CONFIG_DIR/jobs/NAME.py`."""
    given = {"schedule": "", "timeout": 20.0, **settings}
    return CustomSettings(name=name, handler=handler or f"{name}:Job", **given)  # type: ignore[arg-type]


def write_job(folder: Path, name: str, body: str, head: str = "") -> None:
    """A module with a class Job; `body` is what stands in the class."""
    jobs = folder / "jobs"
    jobs.mkdir(exist_ok=True)
    text = dedent(body).strip("\n").replace("\n", "\n    ")
    (jobs / f"{name}.py").write_text(f"import pyrotorque.jobs\n{head}\nclass Job(pyrotorque.jobs.Job):\n    {text}\n")


@dataclass
class Bench:
    """The workers of some jobs, and everything that they published."""

    workers: WorkerPool
    store: Store
    outbox: Outbox
    router: EventRouter
    job_table: JobTable
    live: list[Live] = field(default_factory=list[Live])
    answers: list[Answer] = field(default_factory=list[Answer])
    is_rtorrent_away: bool = False
    """What the scheduler finds when a job got no answer."""

    def until(self, done: "object", timeout: float = 20.0) -> None:
        """Serve until `done()` is true, as the loop does."""
        assert callable(done)

        def served() -> bool:
            self.workers.step()
            return bool(done())

        eventually(served, timeout, why=str(self.failures()))

    def run(self, job: str, timeout: float = 20.0) -> Answer:
        """Run it now, and wait for the answer."""
        before = len(self.answers)

        def receive(body: bytes) -> bool:
            self.answers.append(decode_answer(body))
            return True

        assert self.workers.accept(PendingRequest(RunJob(job=job), receive))
        self.until(lambda: len(self.answers) > before, timeout)
        return self.answers[-1]

    def publish(self, *events: Durable) -> None:
        """Events of our own."""
        with self.store.transaction():
            for event in events:
                self.router.add(event)

    def events(self) -> list[Event]:
        return [decode(body).event for body in self.outbox.since(0, 10_000)]

    def failures(self) -> list[str]:
        return [event.reason for event in self.events() if isinstance(event, JobFailed)]

    def waiting(self) -> int:
        (count,) = self.store.db.execute("SELECT count(*) FROM event_runs").fetchone()
        return int(count)


@contextmanager
def bench(folder: Path, *jobs: CustomSettings, url: str | None = None) -> Generator[Bench]:
    """A pool of workers for these jobs, with everything below `folder`, which may have been used before."""
    layout = Layout.below(folder)
    layout.prepare()
    store = open_store(layout.database("scheduler"), MIGRATIONS)
    workers = WorkerPool(store, layout, 0o022)
    try:
        outbox = Outbox(store, "scheduler")
        router = EventRouter(store, outbox)
        settings = Settings(digest="test", rtorrent=RTorrentSettings(url=url, origin="test"), jobs=jobs)
        job_table = build_job_table(
            settings, store, router, SchedulerMetrics(Totals()), Instant(time.time(), 0.0, "boot"), folder / "config.py"
        )
        made = Bench(workers, store, outbox, router, job_table)
        workers.configure(job_table, router, made.live.append, lambda: made.is_rtorrent_away)
        yield made
    finally:
        workers.close()
        store.close()


def lines_in(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def appending(path: Path, more: str = "") -> str:
    return f"""
def run(self, event=None):
    with open({str(path)!r}, "a") as file:
        print(getattr(event, "name", "tick"), file=file)
    {more}
"""
