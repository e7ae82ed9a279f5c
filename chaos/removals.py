"""Kills removals and restores at each of their steps, and proves that no byte is lost and no item doubled.

    python -m chaos.removals [KILLS] [SEED]

A child process carries out a clean-up job, or a restore, on a real rTorrent, and kills itself with SIGKILL before or
after one of its effects: a write of the journal, a rename, a call to rTorrent. In one of eight cases rTorrent is killed
as well. After some kills everything is finished, restored, and compared byte for byte; rTorrent checks each item.

Each third round deletes data: then an item may only be gone without an entry if its deletion had begun, after it was
verified and erased.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until
from pyrotorque.errors import RTorrentError, UserError
from pyrotorque.housekeeping import moved_files, quarantine
from pyrotorque.housekeeping.journal import RemovalJournal
from pyrotorque.housekeeping.restore import restore
from pyrotorque.jobs import JobConfig, context
from pyrotorque.jobs.cleanup import Cleanup
from pyrotorque.long_work import WorkReport
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.session import Session

ITEMS: Final = 12
CAP: Final = 8
KILLS_A_ROUND: Final = 25
_EFFECTS: Final[tuple[tuple[Any, str], ...]] = (
    (RemovalJournal, "write"),
    (RemovalJournal, "remove"),
    (moved_files, "rename_noreplace"),
    (moved_files, "sync_folder"),
    (moved_files, "remove_exactly"),
    (quarantine, "_write_new"),
    (os, "mkdir"),
    (os, "rmdir"),
    (os, "unlink"),
    (os, "replace"),
    (Session, "save"),
    (RTorrent, "call"),
)
_SILENT: Final = "udp://127.0.0.1:1/announce"
_DESCRIBED: Final = (
    "d.state", "d.is_open", "d.is_active", "d.complete", "d.hashing", "d.hashing_failed", "d.message", "d.priority",
    "d.base_path", "d.completed_chunks", "d.size_chunks",
)  # fmt: skip
_SETTINGS: Final = {
    "job_name": "tidy", "schedule": "hour=4", "condition": "is_complete=yes", "data": "quarantine", "others": "none",
    "min_ratio": "0", "min_seedtime": "0", "matched_for": "0", "announce": "0", "max_percent": "100",
    "per_tracker": "0", "max_items": str(CAP), "linked": "skip",
}  # fmt: skip


def main(words: list[str]) -> int:
    if words and words[0] == "child":
        return _child(words[1], Path(words[2]), words[3], Path(words[4]), int(words[5]))
    kills, seed = int(words[0]) if words else 200, int(words[1]) if len(words) > 1 else random.randrange(10**6)
    print(f"seed {seed}, {kills} kills", flush=True)
    import tempfile

    with (
        tempfile.TemporaryDirectory(prefix="prt-", ignore_cleanup_errors=True) as folder,
        PrivateRTorrent(Path(folder) / "rt") as rtorrent,
    ):
        chaos = _Chaos(rtorrent, Path(folder), random.Random(seed))
        while chaos.kills < kills:
            chaos.play()
        print(
            f"{chaos.kills} kills ({chaos.rtorrent_kills} with rTorrent) in {chaos.rounds} rounds: {chaos.removed} "
            f"removals, {chaos.restored} restored, {chaos.deleted} deleted; after {dict(chaos.steps.most_common())}; "
            "0 bytes lost, 0 items doubled, the limit held in each round",
            flush=True,
        )
    return 0


class _Chaos:
    """Rounds on one rTorrent; each begins with all items seeding, and ends so."""

    def __init__(self, rtorrent: PrivateRTorrent, folder: Path, chance: random.Random) -> None:
        self.rtorrent, self.folder, self.chance = rtorrent, folder, chance
        self.client = RTorrent(rtorrent.url)
        self.kills = self.rtorrent_kills = self.rounds = self.removed = self.restored = self.deleted = 0
        self.deleting: set[str] = set()
        """The items whose deletion a child has begun."""
        self.metafiles: list[bytes] = []
        self.steps: Counter[str] = Counter()
        self.items = [self._load(number) for number in range(ITEMS)]
        wait_until(lambda: all(map(self._seeds, self.items)), 60, lambda: "the items do not seed")
        self.content = self._content()

    def play(self) -> None:
        state = self.folder / f"state-{self.rounds}"
        self.rounds += 1
        what = "clean" if self.rounds % 3 else "delete"
        self.deleting.clear()
        killed = 0
        while killed < KILLS_A_ROUND // 2 and self._loaded() > ITEMS - CAP:
            killed += self._run(what, state, self.chance.randrange(0, 160))
        self._finish("clean" if what == "clean" else "recover", state)
        gone = ITEMS - self._loaded()
        assert gone <= CAP, f"{gone} removals, although the limit of a day is {CAP}"
        events = [path for path in (state / "housekeeping/events").glob("removed-*.json") if path.is_file()]
        assert len(events) == gone, f"{len(events)} events for {gone} removals"
        self.removed += gone
        deleted = self._recreate_deleted()
        self.deleted += deleted
        while killed < KILLS_A_ROUND and self._entries():
            killed += self._run("restore", state, self.chance.randrange(0, 60))
        self._finish("restore", state)
        self.restored += gone - deleted
        self.kills += killed
        self._verify(state)

    # --- the child

    def _run(self, what: str, state: Path, step: int) -> int:
        """1 if the child killed itself; it did not if it had fewer steps."""
        words = [sys.executable, "-m", "chaos.removals", "child", what, str(state), self.rtorrent.url]
        ended = subprocess.run([*words, str(self.rtorrent.downloads), str(step)], check=False, capture_output=True)
        if ended.returncode != -signal.SIGKILL:
            assert ended.returncode == 0, ended.stderr.decode()
            self.deleting.update(ended.stdout.decode().split())
            return 0
        *deleting, last = ended.stdout.decode().split()
        self.deleting.update(deleting)
        self.steps[f"{what} {last}"] += 1
        if self.chance.random() < 1 / 8:
            self.rtorrent_kills += 1
            self.rtorrent.kill()
            self.rtorrent.start()
            wait_until(self._answers, 20, lambda: "rTorrent does not answer")
        return 1

    def _answers(self) -> bool:
        with contextlib.suppress(RTorrentError, OSError):
            return bool(self.client.call("system.pid"))
        return False

    def _finish(self, what: str, state: Path) -> None:
        assert self._run(what, state, -1) == 0

    # --- facts

    def _load(self, number: int) -> str:
        path = self.rtorrent.downloads / f"Item {number} \N{SNOWMAN}"
        for name in ("a", "sub/b", "sub/deep/c"):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(os.urandom(self.chance.randrange(1, 60_000)))
        metafile = make_metafile(path.name, content=path, announce=_SILENT)
        self.metafiles.append(metafile)
        self.client.call("load.raw_start", "", metafile, f"d.custom1.set=label-{number}")
        return info_hash(metafile)

    def _recreate_deleted(self) -> int:
        """Load the items again whose data was deleted as it should be; returns how many these are."""
        loaded = {row[0] for row in self.client.rows("main", ["d.hash="])}
        entries = {entry.removal.info_hash: entry for entry in quarantine.entries(self.downloads / quarantine.NAME)}
        lacking = 0
        for number, item in enumerate(self.items):
            entry = entries.get(item)
            if item in loaded or (entry is not None and self._is_whole(entry)):
                continue
            assert item in self.deleting, f"{item} is lost: {entry and entry.removal}"
            lacking += 1
            if entry is not None:
                shutil.rmtree(entry.folder)
            top = f"Item {number} "
            for name, content in self.content.items():
                if name.startswith(top):
                    path = self.downloads / name
                    assert not path.exists(), f"{name} was left behind"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
            self.client.call("load.raw_start", "", self.metafiles[number], f"d.custom1.set=label-{number}")
        return lacking

    @staticmethod
    def _is_whole(entry: quarantine.QuarantineEntry) -> bool:
        return all((entry.folder / "data" / os.fsdecode(file.path)).exists() for file in entry.removal.files)

    @property
    def downloads(self) -> Path:
        return self.rtorrent.downloads

    def _loaded(self) -> int:
        return int(str(self.client.call("view.size", "", "main")))

    def _seeds(self, item: str) -> bool:
        with contextlib.suppress(RTorrentError):
            calls = [(command, (item,)) for command in ("d.is_active", "d.complete", "d.hashing")]
            return self.client.multicall(calls) == [1, 1, 0]
        return False

    @property
    def _folder(self) -> Path:
        return self.rtorrent.downloads / quarantine.NAME

    def _entries(self) -> int:
        return sum(1 for _ in quarantine.entries(self._folder))

    def _content(self) -> dict[str, bytes]:
        top = self.rtorrent.downloads
        files = (path for path in top.rglob("*") if path.is_file() and quarantine.NAME not in path.parts)
        return {str(path.relative_to(top)): path.read_bytes() for path in files}

    def _verify(self, state: Path) -> None:
        """Everything is as at the beginning; rTorrent finds all data of all items."""
        wait_until(lambda: all(map(self._seeds, self.items)), 60, lambda: f"{self._missing()} do not seed again")
        assert self._loaded() == ITEMS, "an item is doubled or lost"
        assert self._content() == self.content, "files differ"
        assert not self._entries()
        assert not list((state / "housekeeping/removals").glob("*.json"))
        for number, item in enumerate(self.items):
            assert self.client.call("d.custom1", item) == f"label-{number}"
            self.client.call("d.check_hash", item)
        wait_until(lambda: all(map(self._seeds, self.items)), 60, lambda: f"{self._missing()} are not complete")
        shutil.rmtree(state)

    def _missing(self) -> dict[str, object]:
        """What rTorrent has of each item that does not seed, and the quarantine of it."""
        found: dict[str, object] = {
            "quarantined": [each.removal.info_hash for each in quarantine.entries(self._folder)]
        }
        for item in self.items:
            if not self._seeds(item):
                with contextlib.suppress(RTorrentError):
                    found[item] = self.client.multicall([(command, (item,)) for command in _DESCRIBED])
        return found


def _child(what: str, state: Path, url: str, downloads: Path, step: int) -> int:
    """Carry out one run, and be killed before (even) or after (odd) the effect number `step / 2`; negative: never."""
    context.set_context(context.JobContext(state_dir=state, url=url))
    more = {"delete": {"data": "delete"}, "recover": {"condition": "name=Nothing"}}.get(what, {})
    job = Cleanup(JobConfig({**_SETTINGS, "below": str(downloads), **more}))
    purge = quarantine.purge

    def purging(
        entry: quarantine.QuarantineEntry,
        work: WorkReport | None = None,
        report: Callable[[int], None] | None = None,
    ) -> Any:
        print(entry.removal.info_hash, flush=True)
        return purge(entry, work, report)

    quarantine.purge = purging
    if what == "restore" and not list(quarantine.entries(downloads / quarantine.NAME)):
        return 0
    _kill_at(step)
    if what == "restore":
        for entry in list(quarantine.entries(downloads / quarantine.NAME)):
            restore(job.rtorrent, entry)
        return 0
    with contextlib.suppress(UserError):
        job.run()
    return 0


def _kill_at(step: int) -> None:
    count = 0

    def wrapped(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def effect(*args: Any, **keywords: Any) -> Any:
            nonlocal count
            is_last, count = count == step // 2, count + 1
            if is_last and step % 2 == 0:
                _kill(f"before-{name}")
            try:
                return real(*args, **keywords)
            finally:
                if is_last:
                    _kill(f"after-{name}")

        return effect

    for owner, name in _EFFECTS if step >= 0 else ():
        setattr(owner, name, wrapped(getattr(owner, name), name))


def _kill(step: str) -> None:
    print(step, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
