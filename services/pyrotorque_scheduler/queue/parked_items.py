"""The items that a queue closed because they stood still: when each is tried again, and its strikes."""

from collections.abc import Collection
from dataclasses import dataclass

from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque_scheduler.queue.stall import NEVER


@dataclass(frozen=True, slots=True)
class ParkedItem:
    """`is_parked` is False for an item that runs again: its strikes count until it makes progress."""

    info_hash: str
    job: str
    name: str
    strikes: int
    bytes_done: int
    parked_at: float
    retry_at: float
    is_parked: bool = True


class ParkedItems:
    """Survives restarts of rTorrent and of the scheduler; completed and erased items are deleted with their events."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, job: str) -> dict[str, ParkedItem]:
        """The rows of a queue by info-hash."""
        rows = self._store.db.execute(
            "SELECT info_hash, job, name, strikes, bytes_done, parked_at, retry_at, parked FROM parked WHERE job = ?",
            (job,),
        )
        found: dict[str, ParkedItem] = {}
        for info_hash, of, name, strikes, bytes_done, parked_at, retry_at, parked in rows:
            found[info_hash] = ParkedItem(
                info_hash, of, name, strikes, bytes_done, parked_at, retry_at, is_parked=bool(parked)
            )
        return found

    def put(self, item: ParkedItem) -> None:
        row = (item.info_hash, item.job, printable(item.name), item.strikes, item.bytes_done, item.parked_at)
        with self._store.transaction() as db:
            query = "INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            db.execute(query, (*row, item.retry_at, int(item.is_parked)))

    def run_again(self, info_hash: str) -> None:
        with self._store.transaction() as db:
            db.execute("UPDATE parked SET parked = 0 WHERE info_hash = ?", (info_hash,))

    def shift(self, seconds: float) -> None:
        """The wall clock was set by so many seconds: the items wait as long as before."""
        with self._store.transaction() as db:
            query = "UPDATE parked SET retry_at = retry_at + ?, parked_at = parked_at + ? WHERE retry_at < ?"
            db.execute(query, (seconds, seconds, NEVER))

    def delete(self, info_hash: str) -> None:
        with self._store.transaction() as db:
            db.execute("DELETE FROM parked WHERE info_hash = ?", (info_hash,))

    def adopt_orphans(self, jobs: Collection[str]) -> None:
        """Give the items of queues that no longer exist to the first queue: they would stay closed permanently."""
        known = {job for (job,) in self._store.db.execute("SELECT DISTINCT job FROM parked")}
        for job in known.difference(jobs) if jobs else ():
            with self._store.transaction() as db:
                db.execute("UPDATE parked SET job = ? WHERE job = ?", (next(iter(jobs)), job))
