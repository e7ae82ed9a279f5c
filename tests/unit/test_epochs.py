"""Whatever happens to a state file: no event is applied twice, and none is lost without a gap."""

import random
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyrotorque.epochs import take_seen_before
from pyrotorque.events import JobFailed, decode
from pyrotorque.outbox import BEGINNING, Cursor, CursorTable, Outbox
from pyrotorque.state_witness import StateWitness
from pyrotorque.store import Store, open_store

SUFFIXES = ("", "-wal")


@dataclass
class Reader:
    """A subscriber: what it applied, and how many gaps it has recorded when."""

    store: Store
    applied: Counter[str] = field(default_factory=Counter[str])
    gaps: list[int] = field(default_factory=list[int])

    def read(self, outbox: Outbox, at: int, limit: int = 500) -> None:
        cursors = CursorTable(self.store)
        while True:
            replay = outbox.after(cursors.get("watcher"), limit)
            if replay.gap:
                self.gaps.append(at)
                cursors.record_gap("watcher", replay.reached, replay.gap)
            elif replay.bodies:
                self.applied.update(names(replay.bodies))
                with self.store.transaction():
                    cursors.advance("watcher", *replay.reached)
            else:
                return


class Source:
    """A service's state file that is opened, killed, copied and replaced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "watcher.sqlite3"
        self.boot = 0
        self.number = 0
        self.committed: dict[str, int] = {}
        self.lost_at: dict[str, int] = {}
        self.open()

    def open(self) -> None:
        self.store = open_store(self.path, [])
        self.outbox = Outbox(self.store, "watcher", boot=f"{self.boot:08x}")

    def kill(self) -> None:
        """The process ends as with SIGKILL: its files stay as they are."""
        kept = self.folder / "kept"
        copy_state(self.path, kept)
        self.store.close()
        move_state(kept, self.path)

    def stop(self) -> None:
        self.outbox.close()
        self.store.close()

    def add(self, count: int, at: int, *, publish: bool = True) -> None:
        with self.store.transaction():
            for _ in range(count):
                self.number += 1
                self.outbox.add(JobFailed(at=0.0, job=str(self.number), reason="", seconds=0.0))
                self.committed[str(self.number)] = at
        if publish:
            self.outbox.refresh()

    def stored(self) -> set[str]:
        return set(names(self.outbox.after(BEGINNING, 10**6).bodies)) | set(
            names([body for (body,) in self.store.db.execute("SELECT body FROM bus_events")])
        )


def names(bodies: list[bytes]) -> list[str]:
    return [event.job for body in bodies if isinstance(event := decode(body).event, JobFailed)]


def copy_state(path: Path, target: Path) -> None:
    for suffix in SUFFIXES:
        source = path.with_name(path.name + suffix)
        Path(f"{target}{suffix}").unlink(missing_ok=True)
        if source.exists():
            shutil.copyfile(source, f"{target}{suffix}")


def move_state(origin: Path, path: Path) -> None:
    for suffix in (*SUFFIXES, "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    for suffix in SUFFIXES:
        with suppress(FileNotFoundError):
            Path(f"{origin}{suffix}").rename(path.with_name(path.name + suffix))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    folder = tmp_path / "state"
    folder.mkdir()
    return Source(folder)


def reader(folder: Path, name: str) -> Reader:
    return Reader(open_store(folder / f"{name}.sqlite3", []))


@pytest.mark.parametrize("seed", range(40))
def test_no_event_is_lost_without_a_gap_or_applied_twice(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    folder = tmp_path / "state"
    folder.mkdir()
    source = Source(folder)
    readers = [reader(folder, "scheduler"), reader(folder, "exporter"), reader(tmp_path, "elsewhere")]
    copies: list[Path] = []
    for at in range(60):
        match chance.randrange(12):
            case 0 | 1 | 2 | 3:
                source.add(chance.randrange(1, 6), at, publish=chance.random() < 0.8)
            case 4 | 5:
                chance.choice(readers).read(source.outbox, at, chance.randrange(1, 5))
            case 6:
                copies.append(tmp_path / f"copy{at}")
                copy_state(source.path, copies[-1])
            case 7:
                with suppress(IndexError):
                    chosen = chance.choice(copies)
                    source.kill() if chance.random() < 0.5 else source.stop()
                    copy_state(chosen, tmp_path / "restored")
                    move_state(tmp_path / "restored", source.path)
                    source.open()
            case 8:
                source.kill()
                if chance.random() < 0.3:
                    source.boot += 1
                source.open()
            case 9:
                source.stop()
                source.open()
            case 10 if chance.random() < 0.3:  # without the write-ahead log
                source.kill()
                source.path.with_name(source.path.name + "-wal").unlink(missing_ok=True)
                source.open()
            case 11 if chance.random() < 0.2:  # deleted
                source.kill()
                source.path.unlink()
                source.path.with_name(source.path.name + "-wal").unlink(missing_ok=True)
                source.open()
            case _:
                source.store.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        for name in source.committed.keys() - source.stored() - source.lost_at.keys():
            source.lost_at[name] = at
    for each in readers:
        each.read(source.outbox, 60)
        assert max(each.applied.values(), default=1) == 1
        missed = source.committed.keys() - each.applied.keys()
        for name in missed:
            lost_at = source.lost_at.get(name, source.committed[name])
            assert any(at >= lost_at for at in each.gaps), f"{name} was lost without a gap"
        each.store.close()
    source.store.close()


def test_without_a_witness_the_cursors_of_others_prove_that_the_file_is_older(source: Source, tmp_path: Path) -> None:
    follower = reader(source.folder, "exporter")
    source.add(5, 0)
    copy_state(source.path, tmp_path / "copy")
    source.add(10, 1)
    follower.read(source.outbox, 2)
    source.kill()
    move_state(tmp_path / "copy", source.path)
    StateWitness(source.path).path.unlink()
    source.open()
    source.add(15, 3)
    follower.read(source.outbox, 4)
    assert (len(follower.applied), follower.gaps) == (30, [4])


def test_a_file_of_another_home_is_recognized(source: Source, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    foreign = Source(other)
    foreign.add(50, 0)
    foreign.stop()
    source.add(5, 0)
    source.stop()
    copy_state(foreign.path, tmp_path / "copy")
    move_state(tmp_path / "copy", source.path)
    source.open()
    assert take_seen_before(source.store)
    assert take_seen_before(source.store) is None


def test_an_older_file_without_newer_events_is_recognized_after_an_orderly_stop(source: Source, tmp_path: Path) -> None:
    source.add(5, 0)
    copy_state(source.path, tmp_path / "copy")
    source.stop()
    before = source.outbox.epoch
    move_state(tmp_path / "copy", source.path)
    source.open()
    assert source.outbox.epoch.split("-")[0] != before.split("-")[0]


def test_two_files_put_back_together_with_their_witnesses_are_recognized_by_the_third(
    source: Source, tmp_path: Path
) -> None:
    follower = reader(source.folder, "exporter")
    source.add(5, 0)
    source.stop()
    witness = StateWitness(source.path).path
    copy_state(source.path, tmp_path / "copy")
    shutil.copy(witness, tmp_path / "head")
    source.open()
    source.add(5, 1)
    follower.read(source.outbox, 1)
    source.stop()
    move_state(tmp_path / "copy", source.path)
    shutil.copy(tmp_path / "head", witness)
    source.open()
    follower.read(source.outbox, 2)
    assert follower.gaps == [2]


def test_after_a_power_cut_only_who_missed_events_has_a_gap(source: Source, tmp_path: Path) -> None:
    ahead, behind = reader(tmp_path, "ahead"), reader(tmp_path, "behind")
    source.add(5, 0)
    behind.read(source.outbox, 0)
    copy_state(source.path, tmp_path / "cut")
    source.add(5, 1)
    ahead.read(source.outbox, 1)
    source.kill()
    move_state(tmp_path / "cut", source.path)
    source.boot += 1
    source.open()
    source.add(1, 2)
    for each in (ahead, behind):
        each.read(source.outbox, 3)
    assert (ahead.gaps, len(ahead.applied)) == ([], 11)
    assert (behind.gaps, len(behind.applied)) == ([3], 6)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00" * 256, b"[1]", b'{"database": 7}', b"{" * 100_000])
def test_a_damaged_witness_proves_nothing(source: Source, content: bytes) -> None:
    source.add(3, 0)
    epoch = source.outbox.epoch
    source.stop()
    StateWitness(source.path).path.write_bytes(content)
    source.open()
    assert source.outbox.epoch == epoch
    source.stop()
    source.open()
    assert source.outbox.epoch == epoch


def test_a_witness_that_cannot_be_written_stops_nothing(source: Source, tmp_path: Path) -> None:
    source.stop()
    witness = StateWitness(source.path).path
    witness.unlink()
    (tmp_path / "elsewhere").write_text("untouched")
    witness.symlink_to(tmp_path / "elsewhere")
    source.open()
    source.add(3, 0)
    source.stop()
    assert (tmp_path / "elsewhere").read_text() == "untouched"


def test_a_file_of_version_1_0_0_continues_its_epoch(source: Source) -> None:
    source.add(3, 0)
    database = source.outbox.epoch.split("-")[0]
    source.stop()
    store = open_store(source.path, [])
    store.db.execute("UPDATE bus_epochs SET name = ?", (f"{database}-00000000",))
    store.db.execute("DELETE FROM bus_meta WHERE key = 'uses'")
    store.close()
    StateWitness(source.path).path.unlink()
    source.open()
    assert source.outbox.epoch == f"{database}-00000000"
    assert source.outbox.after(Cursor(source.outbox.epoch, 1)).bodies[0:]


def _failed(job: str) -> JobFailed:
    return JobFailed(at=0.0, job=job, reason="", seconds=0.0)


def test_events_that_were_committed_and_never_published_are_missed_as_well(tmp_path: Path) -> None:
    """A service may be killed in a long step, and its file replaced by a copy of that morning."""
    path, copy = tmp_path / "watcher.sqlite3", tmp_path / "copy"
    store = open_store(path, [])
    outbox = Outbox(store, "watcher", boot="one")
    outbox.commit(_failed("first"))
    outbox.refresh()
    epoch = outbox.epoch
    shutil.copy(path, copy)
    shutil.copy(f"{path}-wal", f"{copy}-wal")
    outbox.commit(_failed("second"))
    with suppress(ValueError), store.transaction():
        outbox.add(_failed("third"))
        raise ValueError
    store.close()
    again = open_store(path, [])
    assert Outbox(again, "watcher", boot="one").epoch == epoch, "the third one never was"
    again.close()
    for suffix in ("", "-wal"):
        shutil.copy(f"{copy}{suffix}", f"{path}{suffix}")
    older = open_store(path, [])
    assert Outbox(older, "watcher", boot="one").epoch != epoch
    older.close()
