"""The last decisions of the queue with their reasons, bounded, for `pyrotorque explain --history`."""

from typing import Final

import msgspec

from pyrotorque.store import Store
from pyrotorque.text import printable

KEEP: Final = 2_000
_TRIM_EVERY: Final = 100


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """One decision: `verdict` is `started`, `failed` or a reason to hold; `info_hash` is empty for a whole check."""

    at: float
    job: str
    verdict: str
    text: str
    info_hash: str = ""
    name: str = ""


class History:
    """Decisions in the scheduler's file; equal holds that follow each other are recorded once."""

    def __init__(self, store: Store, keep: int = KEEP) -> None:
        self._store = store
        self._keep = keep
        self._last: dict[tuple[str, str], str] = {}

    def record(self, decided: Decided) -> bool:
        """Keep `decided`, joining the caller's transaction; False where the same was decided the last time."""
        key = (decided.job, decided.info_hash)
        if self._last.get(key) == decided.verdict:
            return False
        with self._store.transaction() as db:
            found = db.execute(
                "INSERT INTO decisions (at, job, info_hash, name, verdict, text) VALUES (?, ?, ?, ?, ?, ?)",
                (decided.at, decided.job, decided.info_hash, printable(decided.name), decided.verdict, decided.text),
            )
            number = found.lastrowid or 0
            if number % _TRIM_EVERY == 0:
                db.execute("DELETE FROM decisions WHERE number <= ?", (number - self._keep,))
        self._note(key, decided.verdict)
        return True

    def latest(self, count: int = 50, *, job: str | None = None, item: str | None = None) -> list[Decided]:
        """The newest decisions first, of one job, and about an info-hash or a part of a name if given."""
        rows = self._store.db.execute(
            "SELECT at, job, verdict, text, info_hash, name FROM decisions"
            " WHERE (:job IS NULL OR job = :job)"
            " AND (:item IS NULL OR info_hash = upper(:item) OR instr(lower(name), lower(:item)))"
            " ORDER BY number DESC LIMIT :count",
            {"job": job, "item": item, "count": count},
        )
        return [
            Decided(at=at, job=of, verdict=verdict, text=text, info_hash=item, name=name)
            for at, of, verdict, text, item, name in rows
        ]

    def _note(self, key: tuple[str, str], verdict: str) -> None:
        if verdict == "started":
            # What is started may be stopped by its owner and be held for the same reason as before: say it again.
            self._last = {known: said for known, said in self._last.items() if known[1] not in (key[1], "")}
            return
        if len(self._last) >= self._keep:
            self._last.clear()
        self._last[key] = verdict
