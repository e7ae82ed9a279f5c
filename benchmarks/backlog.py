"""How long good metafiles wait behind thousands of files that are none: new files come first."""

import contextlib
import os
import signal
import time
from collections.abc import Generator
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.filled import scratch
from benchmarks.loading import OURS_INI, SEEN_HOOK, inserted_at, warm_up, watcher_with
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until
from pyrotorque.rtorrent import RTorrent

BAD = (30_000, 100_000)
PAUSES = (0.0, 1.0, 5.0)
"""Seconds from the last of the bad files, or the good one before, to the next good one."""
_PAGE = b"<!DOCTYPE html><html><head><title>Login</title></head><body>Session expired</body></html>\n"


def measure() -> Generator[Figure]:
    for count in BAD:
        yield _behind_a_burst(count)
    yield _behind_dropped_events(BAD[0])
    yield _behind_a_tree(BAD[-1])


def _behind_a_burst(count: int) -> Figure:
    """The bad files are written while the watcher runs."""
    with _scene() as (rtorrent, watch), watcher_with(OURS_INI, watch.parent, rtorrent, watch) as drop:
        warm_up(rtorrent, watch, drop)
        _write_bad(watch, count)
        waited = _load_good(rtorrent, watch)
    return _figure(f"good metafiles right after a burst of {count:,} bad ones", waited)


def _behind_dropped_events(count: int) -> Figure:
    """The watcher is stopped while all are written: the kernel drops the events of the last ones, only a walk finds
    the first good one. Its time counts from the end of the stop."""
    with _scene() as (rtorrent, watch), watcher_with(OURS_INI, watch.parent, rtorrent, watch) as drop:
        warm_up(rtorrent, watch, drop)
        pid = _watcher_pid(watch.parent)
        os.kill(pid, signal.SIGSTOP)
        _write_bad(watch, count)
        metafile = make_metafile("first")
        (watch / "first.torrent").write_bytes(metafile)
        os.kill(pid, signal.SIGCONT)
        continued = time.time()
        first = inserted_at(RTorrent(rtorrent.url), info_hash(metafile), 600) - continued
        waited = [first, *_load_good(rtorrent, watch)]
    return _figure(f"good metafiles after {count:,} bad ones of which the kernel dropped events", waited)


def _behind_a_tree(count: int) -> Figure:
    """The bad files were written while the watcher did not run."""
    with _scene() as (rtorrent, watch):
        with watcher_with(OURS_INI, watch.parent, rtorrent, watch) as drop:
            warm_up(rtorrent, watch, drop)
        _write_bad(watch, count)
        with watcher_with(OURS_INI, watch.parent, rtorrent, watch):
            log = watch.parent / "ours.log"
            wait_until(lambda: log.stat().st_size > 0, 30, lambda: "no watcher")
            waited = _load_good(rtorrent, watch)
    return _figure(f"good metafiles beside {count:,} bad ones that the watcher found at its start", waited)


@contextlib.contextmanager
def _scene() -> Generator[tuple[PrivateRTorrent, Path]]:
    """The folder above the watched one has the configuration and the log of the watcher."""
    with scratch() as below, PrivateRTorrent(below / "rt", extra_rc=SEEN_HOOK) as rtorrent:
        (below / "watch").mkdir()
        yield rtorrent, below / "watch"


def _watcher_pid(folder: Path) -> int:
    wanted = os.fsencode(folder / "pyroscope")
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdecimal() else []
            if b"pyrotorque_watcher" in words and wanted in words:
                return int(entry.name)
    raise ProcessLookupError("no watcher")


def _write_bad(watch: Path, count: int) -> None:
    for number in range(count):
        fd = os.open(watch / f"bad-{number:06d}.torrent", os.O_WRONLY | os.O_CREAT)
        os.write(fd, _PAGE)
        os.close(fd)


def _load_good(rtorrent: PrivateRTorrent, watch: Path) -> list[float]:
    """Seconds from the close of each good metafile to its item."""
    client, waited = RTorrent(rtorrent.url, read_timeout=60), list[float]()
    for number, pause in enumerate(PAUSES):
        time.sleep(pause)  # the load of the watcher at that time is what is measured
        metafile = make_metafile(f"good {number}")
        path = watch / f"good-{number}.torrent"
        path.write_bytes(metafile)
        closed = path.stat().st_mtime
        waited.append(inserted_at(client, info_hash(metafile), 600) - closed)
    return waited


def _figure(what: str, waited: list[float]) -> Figure:
    shown = ", ".join(f"{seconds * 1e3:.0f}" for seconds in waited)
    return Figure(what, f"{shown} ms", "1.0.0: 102 s behind 100,000", "each ≤ 1 s", max(waited) <= 1.0)


if __name__ == "__main__":
    from benchmarks.figures import show

    show("backlog", measure())
