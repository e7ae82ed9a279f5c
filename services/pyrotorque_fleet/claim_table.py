"""The claims of the fleet as this group knows them, and its own records: in its file, not in memory."""

from collections.abc import Iterable
from typing import Final

from pyrotorque.store import Connection, Store
from pyrotorque_fleet.claims import Claim
from pyrotorque_fleet.exchange import BucketState
from pyrotorque_fleet.handovers import HandOver, Stage
from pyrotorque_fleet.messages import BadValue, decode_claim

TABLES: Final = """
    CREATE TABLE claims (
        info_hash TEXT PRIMARY KEY, revision INTEGER NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL,
        sender TEXT NOT NULL, value BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX claims_by_state ON claims (state, revision);
    CREATE INDEX claims_by_revision ON claims (revision);
    -- claims of a bucket that was lost, which are to be created again
    CREATE TABLE lost_claims (info_hash TEXT PRIMARY KEY, mine INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX lost_claims_mine ON lost_claims (mine);
    CREATE TABLE claims_bucket (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), identity TEXT NOT NULL);
    CREATE TABLE handovers (
        info_hash TEXT PRIMARY KEY, generation INTEGER NOT NULL, stage TEXT NOT NULL, job TEXT NOT NULL,
        path BLOB NOT NULL
    ) WITHOUT ROWID;
    -- metafiles in the trees of this group, by their rows in the watcher's ledger
    CREATE TABLE offers (
        turn INTEGER PRIMARY KEY, token TEXT NOT NULL, info_hash TEXT NOT NULL, path BLOB NOT NULL, value BLOB NOT NULL,
        stored INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX offers_by_hash ON offers (info_hash);
    """

# `mine` is 2 for what this group was granted, 1 for what another one was. What was granted and is not written again yet
# is not replaced by an earlier value that the servers had left.
_LOSE: Final = (
    "INSERT INTO lost_claims (info_hash, mine, value)"
    " SELECT info_hash, (state IN ('granted', 'done')) * (1 + (owner = ?)), value FROM claims WHERE {}"
    " ON CONFLICT (info_hash) DO UPDATE SET mine = excluded.mine, value = excluded.value"
    " WHERE excluded.mine >= lost_claims.mine"
)
_HAS_OPEN: Final = (
    "SELECT EXISTS (SELECT 1 FROM offers) OR EXISTS (SELECT 1 FROM handovers) OR EXISTS (SELECT 1 FROM lost_claims)"
)


class ClaimTable:
    """`bad_value` is called for values that are not valid."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._group = ""
        self._db: Connection = store.db
        self.changes = 0
        """Grows with each change."""
        self._known = (-1, BucketState("", 0))
        self._counts: tuple[int, dict[str, int]] = (-1, {})

    # -- the bucket

    def known(self) -> BucketState:
        """The bucket whose claims are known, and the newest revision of them."""
        if self._known[0] != self.changes:
            self._known = (self.changes, self._read_known())
        return self._known[1]

    def _read_known(self) -> BucketState:
        found = self._db.execute("SELECT identity FROM claims_bucket").fetchone()
        (newest,) = self._db.execute("SELECT max(revision) FROM claims").fetchone()
        return BucketState(found[0] if found else "", newest or 0)

    def enter(self, identity: str, group: str, *, cut: bool = False) -> bool:
        """The bucket that is followed from now on; whether it replaces another one, or lost its newest values (`cut`).

        What `group`, which is this one, has is created again, and what others have of our own offers; of what was
        open, the generation is remembered.
        """
        self._group = group
        before = self._db.execute("SELECT identity FROM claims_bucket").fetchone()
        if before is not None and before[0] == identity and not cut:
            return False
        with self._store.transaction() as db:
            db.execute("INSERT OR REPLACE INTO claims_bucket (only_one, identity) VALUES (1, ?)", (identity,))
            db.execute(
                _LOSE.format(
                    "(state IN ('granted', 'done') AND"
                    " (owner = ? OR state = 'granted' OR info_hash IN (SELECT info_hash FROM offers)))"
                    " OR state IN ('offered', 'assigned')"
                ),
                (group, group),
            )
            db.execute("DELETE FROM claims")
            if before is not None:
                # What was not released is fetched again, for another assignment.
                db.execute("UPDATE handovers SET generation = 0 WHERE stage != 'released'")
        self.changes += 1
        return before is not None

    def lose(self, info_hash: str) -> None:
        """The servers lost this claim: as `enter` does for all of a bucket."""
        with self._store.transaction() as db:
            db.execute(_LOSE.format("info_hash = ?"), (self._group, info_hash))
            db.execute("DELETE FROM claims WHERE info_hash = ?", (info_hash,))
            db.execute("UPDATE handovers SET generation = 0 WHERE info_hash = ? AND stage != 'released'", (info_hash,))
        self.changes += 1

    def lost(self, limit: int) -> list[Claim]:
        """Claims of a bucket that was lost: those of this group first, then those that others were granted."""
        rows = self._db.execute(
            "SELECT info_hash, value FROM lost_claims ORDER BY mine DESC LIMIT ?", (limit,)
        ).fetchall()
        return [claim for row in rows if (claim := _decoded(*row)) is not None]

    def lost_generation(self, info_hash: str) -> int:
        """The generation that the claim had in a bucket that was lost."""
        row = self._db.execute("SELECT info_hash, value FROM lost_claims WHERE info_hash = ?", (info_hash,)).fetchone()
        claim = None if row is None else _decoded(*row)
        return 0 if claim is None else claim.generation

    def lost_holder(self, info_hash: str) -> str:
        """The group that was granted a claim which the servers lost; empty if none was."""
        row = self._db.execute(
            "SELECT info_hash, value FROM lost_claims WHERE info_hash = ? AND mine > 0", (info_hash,)
        ).fetchone()
        claim = None if row is None else _decoded(*row)
        return "" if claim is None else claim.owner

    def renumber(self, info_hash: str, generation: int) -> None:
        """The claim of this group continues as another assignment."""
        with self._store.transaction() as db:
            db.execute("UPDATE handovers SET generation = ? WHERE info_hash = ?", (generation, info_hash))

    def forget_lost(self, hashes: Iterable[str]) -> None:
        with self._store.transaction() as db:
            db.executemany("DELETE FROM lost_claims WHERE info_hash = ?", [(each,) for each in hashes])

    # -- claims

    def apply(self, updates: Iterable[tuple[int, Claim, bytes]]) -> None:
        """Record values with their revisions; an older one changes nothing."""
        with self._store.transaction() as db:
            for revision, claim, value in updates:
                db.execute(
                    "INSERT INTO claims (info_hash, revision, state, owner, sender, value) VALUES (?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (info_hash) DO UPDATE SET revision = excluded.revision, state = excluded.state,"
                    " owner = excluded.owner, sender = excluded.sender, value = excluded.value"
                    " WHERE excluded.revision > claims.revision",
                    (claim.info_hash, revision, claim.state, claim.owner, claim.sender, value.rstrip()),
                )
        self.changes += 1

    def get(self, info_hash: str) -> tuple[int, Claim] | None:
        rows = self._claims("info_hash = ?", info_hash)
        return rows[0] if rows else None

    def taken_from(self, owner: str, updates: Iterable[Claim]) -> list[Claim]:
        """Those of these new values that say of what this group has started or finished that another one has it."""
        others = {claim.info_hash: claim for claim in updates if claim.owner not in ("", owner)}
        if not others:
            return []
        marks = ", ".join("?" * len(others))
        query = (
            f"SELECT info_hash FROM claims WHERE owner = ? AND state IN ('granted', 'done') AND info_hash IN ({marks})"
            " AND info_hash NOT IN (SELECT info_hash FROM handovers)"
        )
        return [others[info_hash] for (info_hash,) in self._db.execute(query, (owner, *others))]

    def newest_of(self, owner: str, limit: int) -> list[tuple[int, Claim]]:
        """What this group was granted, the newest change first."""
        return self._claims("owner = ? AND state IN ('granted', 'done') ORDER BY revision DESC LIMIT ?", owner, limit)

    def in_state(self, state: str, limit: int, after: int = 0) -> list[tuple[int, Claim]]:
        """The claims in this state, the oldest change first."""
        return self._claims("state = ? AND revision > ? ORDER BY revision LIMIT ?", state, after, limit)

    def newest(self, state: str, limit: int) -> list[tuple[int, Claim]]:
        """The claims (in this state, if it is not empty), the newest change first."""
        where = "state = ?" if state else "? = ''"
        return self._claims(f"{where} ORDER BY revision DESC LIMIT ?", state, limit)

    def open_of(self, owner: str) -> list[tuple[int, Claim]]:
        """The claims that this group has and has not finished."""
        return self._claims("state IN ('assigned', 'granted') AND owner = ? ORDER BY revision", owner)

    def open_counts(self) -> dict[str, int]:
        """The open claims of each group."""
        query = "SELECT owner, count(*) FROM claims WHERE state IN ('assigned', 'granted') GROUP BY owner"
        return dict(self._db.execute(query).fetchall())

    def has_open(self) -> bool:
        """Whether a claim is not finished, or something of this group is not."""
        counts = self.counts()
        if any(counts.get(state) for state in ("offered", "assigned", "granted")):
            return True
        return bool(self._db.execute(_HAS_OPEN).fetchone()[0])

    def counts(self) -> dict[str, int]:
        """How many claims are in each state."""
        if self._counts[0] != self.changes:
            rows = self._db.execute("SELECT state, count(*) FROM claims GROUP BY state").fetchall()
            self._counts = (self.changes, dict(rows))
        return self._counts[1]

    def _claims(self, where: str, *values: object) -> list[tuple[int, Claim]]:
        rows = self._db.execute(f"SELECT revision, info_hash, value FROM claims WHERE {where}", values).fetchall()
        return [(row[0], claim) for row in rows if (claim := _decoded(row[1], row[2])) is not None]

    # -- what this group took

    def handovers(self) -> dict[str, tuple[HandOver, str, bytes]]:
        """By info-hash: the record, the job, and the path in the inbox."""
        rows = self._db.execute("SELECT info_hash, generation, stage, job, path FROM handovers").fetchall()
        return {row[0]: (HandOver(row[0], row[1], row[2]), row[3], row[4]) for row in rows}

    def record(self, claim: Claim, stage: Stage, path: bytes) -> None:
        with self._store.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO handovers (info_hash, generation, stage, job, path) VALUES (?, ?, ?, ?, ?)",
                (claim.info_hash, claim.generation, stage, claim.job, path),
            )
        self.changes += 1

    def forget(self, info_hash: str) -> None:
        with self._store.transaction() as db:
            db.execute("DELETE FROM handovers WHERE info_hash = ?", (info_hash,))
        self.changes += 1

    # -- what this group offers

    def offers(self) -> list[tuple[int, str, Claim, bool]]:
        """Turn, token, the claim as it is offered, and whether its content is stored."""
        rows = self._db.execute("SELECT turn, token, info_hash, value, stored FROM offers ORDER BY turn").fetchall()
        return [(row[0], row[1], claim, bool(row[4])) for row in rows if (claim := _decoded(*row[2:4])) is not None]

    def add_offer(self, turn: int, token: str, path: bytes, claim: Claim, value: bytes) -> None:
        with self._store.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO offers (turn, token, info_hash, path, value) VALUES (?, ?, ?, ?, ?)",
                (turn, token, claim.info_hash, path, value.rstrip()),
            )
        self.changes += 1

    def offer_path(self, turn: int) -> bytes:
        found = self._db.execute("SELECT path FROM offers WHERE turn = ?", (turn,)).fetchone()
        return found[0] if found else b""

    def mark_stored(self, turn: int, *, stored: bool = True) -> None:
        with self._store.transaction() as db:
            db.execute("UPDATE offers SET stored = ? WHERE turn = ?", (stored, turn))

    def forget_offers(self, turns: Iterable[int]) -> None:
        with self._store.transaction() as db:
            db.executemany("DELETE FROM offers WHERE turn = ?", [(turn,) for turn in turns])
        self.changes += 1


def _decoded(info_hash: str, value: bytes) -> Claim | None:
    try:
        return decode_claim(info_hash, value)
    except BadValue:
        return None
