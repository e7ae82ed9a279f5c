"""What the queue remembers over restarts: its last batch, what it spent of the grant, and which jobs are paused."""

from pyrotorque.store import Store
from pyrotorque_scheduler.decisions import State
from pyrotorque_scheduler.grant import Spent
from pyrotorque_scheduler.moments import Moment, rebased


class Standing:
    """The scheduler's own rows about its jobs; writes join the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, job: str, now: Moment) -> State:
        """What `job` remembered, told on the clocks of `now`."""
        row = self._store.db.execute(
            "SELECT wall, ticks, boot, fire, starts FROM queue_state WHERE job = ?", (job,)
        ).fetchone()
        if row is None:
            return State(paused=self.is_paused(job))
        wall, ticks, boot, fire, starts = row
        last = rebased(Moment(wall, ticks, boot), now)
        return State(last, Spent(fire, starts), self.is_paused(job))

    def save(self, job: str, state: State) -> None:
        """Remember `state`; what was never started needs no row."""
        last = state.last_batch
        with self._store.transaction() as db:
            if last is None:
                db.execute("DELETE FROM queue_state WHERE job = ?", (job,))
                return
            row = (job, last.wall, last.ticks, last.boot, state.spent.fire, state.spent.starts)
            db.execute("INSERT OR REPLACE INTO queue_state VALUES (?, ?, ?, ?, ?, ?)", row)

    def is_paused(self, job: str) -> bool:
        return self._store.db.execute("SELECT 1 FROM paused WHERE job = ?", (job,)).fetchone() is not None

    def pause(self, job: str, at: float) -> None:
        with self._store.transaction() as db:
            db.execute("INSERT OR IGNORE INTO paused VALUES (?, ?)", (job, at))

    def resume(self, job: str) -> None:
        with self._store.transaction() as db:
            db.execute("DELETE FROM paused WHERE job = ?", (job,))
