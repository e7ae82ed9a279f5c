"""Random graphs of jobs, failures and kills: no run before its predecessors, and whatever can run does so once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrotorque.events import TorrentCompleted
from pyrotorque.job_order import EventOrder
from pyrotorque.settings.schema import CustomSettings
from pyrotorque.store import Store, open_store
from pyrotorque.workers.messages import FAILED
from pyrotorque_scheduler.event_router import add_runs
from pyrotorque_scheduler.state import MIGRATIONS
from pyrotorque_scheduler.workers.event_runs import EventRuns

ON = "TorrentCompleted"
NAMES = "abcdef"
EDGES = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES), max_size=3), min_size=2)
EVENTS = 3


@dataclass
class History:
    """The scheduler's queue of runs, with workers that end or are killed as `data` draws."""

    folder: Path
    store: Store
    jobs: list[str]
    order: EventOrder
    data: st.DataObject
    outcomes: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def __post_init__(self) -> None:
        self.runs = self._opened()

    def _opened(self) -> EventRuns:
        runs = EventRuns(self.store, self.folder)
        runs.set_routes({ON: tuple(self.jobs)}, self.order, 0.0, forget=False)
        return runs

    def publish(self) -> None:
        with self.store.transaction():
            for number in range(EVENTS):
                event = TorrentCompleted(at=1.0, info_hash=str(number), name=f"n{number}")
                add_runs(self.store, event, self.jobs)

    def step(self, job: str) -> None:
        """One run of `job`, if an event is ready for it."""
        if (number := self.runs.exhausted(job)) is not None:
            self._failed(job, number, "interrupted")
            return
        run = self.runs.take(job)
        if run is None:
            return
        name = self._name(run.number)
        for before in self.order.before(job, ON):
            assert self.outcomes[before, name] == "succeeded", f"{job} runs before {before}"
        assert (job, name) not in self.outcomes, f"{job} runs again"
        how = self.data.draw(st.sampled_from(["succeeded", "succeeded", "failed", "killed", "not started"]))
        if how == "killed":
            self.runs = self._opened()
        elif how == "not started":
            self.runs.put_back(run)
        elif self.data.draw(st.booleans()):
            self._scheduler_dies_after(job, run.mark, name, how)
        elif how == "failed":
            self._failed(job, run.number, "failed")
        else:
            self.outcomes[job, name] = how
            self.runs.delete(run.number)

    def _scheduler_dies_after(self, job: str, mark: str, name: str, how: str) -> None:
        """The worker has written its mark, and the scheduler has recorded nothing."""
        self.runs.mark_file(job).write_text(mark + FAILED if how == "failed" else mark)
        self.runs = self._opened()
        self.outcomes[job, name] = how
        for other in self.jobs:
            lost = self.runs.delete_marked(other)
            for cancelled in lost.cancelled if lost is not None else ():
                self._cancelled(cancelled.job, cancelled.subject)

    def _failed(self, job: str, number: int, how: str) -> None:
        self.outcomes[job, self._name(number)] = how
        for cancelled in self.runs.fail(job, number):
            self._cancelled(cancelled.job, cancelled.subject)

    def _cancelled(self, job: str, name: str) -> None:
        assert (job, name) not in self.outcomes, f"{job} ran or was cancelled before"
        self.outcomes[job, name] = "cancelled"

    def _name(self, number: int) -> str:
        query = "SELECT json_extract(CAST(body AS TEXT), '$.name') FROM event_runs WHERE number = ?"
        (name,) = self.store.db.execute(query, (number,)).fetchone()
        return str(name)

    def waiting(self) -> int:
        (count,) = self.store.db.execute("SELECT count(*) FROM event_runs").fetchone()
        return int(count)


def custom_jobs(edges: Mapping[str, set[str]]) -> list[CustomSettings]:
    return [
        CustomSettings(name=name, handler="a:B", schedule="", on=(ON,), after=tuple(sorted(after)))
        for name, after in sorted(edges.items())
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDGES, st.data())
def test_whatever_can_run_runs_once_after_its_predecessors(
    tmp_path_factory: pytest.TempPathFactory, edges: dict[str, set[str]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("history")
    store = open_store(folder / "scheduler.sqlite3", MIGRATIONS)
    try:
        store.db.execute("CREATE TABLE IF NOT EXISTS bus_meta (key TEXT PRIMARY KEY, value)")
        store.db.execute("INSERT OR IGNORE INTO bus_meta VALUES ('database', 'x')")
        history = History(folder, store, sorted(edges), EventOrder(custom_jobs(edges)), data)
        history.publish()
        steps = 0
        while history.waiting():
            # Each run may be killed three times: every round makes progress, or uses up an attempt.
            for job in data.draw(st.permutations(history.jobs)):
                history.step(job)
            steps += 1
            assert steps < 400, "the queue is stuck"
        for number in range(EVENTS):
            for job in history.jobs:
                outcome = history.outcomes[job, f"n{number}"]
                before = {history.outcomes[other, f"n{number}"] for other in history.order.before(job, ON)}
                assert (outcome == "cancelled") == (not before <= {"succeeded"})
    finally:
        store.close()
