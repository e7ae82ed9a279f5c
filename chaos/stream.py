"""Writes a stream of metafiles as users do: into existing and new folders, moved in, renamed; records each of them."""

import os
import random
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.metafiles import info_hash, make_metafile

DISPOSALS: Final = ("keep", "delete", "move", "rename")
"""A folder in the watched tree for each value of `on_loaded`."""


@dataclass(frozen=True, slots=True)
class Written:
    """A metafile that must become an item; `at` in Unix seconds."""

    info_hash: str
    path: Path
    at: float


class Stream:
    """`with Stream(root, outside, rate, seed):` writes `rate` metafiles per second in its own thread."""

    def __init__(self, root: Path, outside: Path, rate: float, seed: int) -> None:
        self.written: list[Written] = []
        self.replaced: set[str] = set()
        """Info-hashes of metafiles that another one was renamed over: they may be loaded, or not."""
        self._root, self._outside = root, outside
        self._rate, self._seed = rate, seed
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream")
        outside.mkdir()

    def __enter__(self) -> "Stream":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    @contextmanager
    def paused(self) -> Generator[None]:
        """Write nothing in the block."""
        with self._lock:
            yield

    def write(self) -> None:
        """Write one metafile, in a randomly chosen way."""
        with self._lock:
            number = len(self.written)
            way = self._chance.choices(_WAYS, weights=(70, 20, 5, 5))[0]
            root = self._root / self._chance.choice(DISPOSALS)
            metafile = make_metafile(f"chaos {self._seed} {number}")
            path = way(root, self._outside, number, metafile)
            self.written.append(Written(info_hash(metafile), path, time.time()))

    def write_slowly(self, chance: random.Random, seconds: float) -> None:
        """Write one as a downloader with several connections does: full size, both ends, the middle after a while."""
        with self._lock:
            number = len(self.written)
            # More than a page, so that its middle is a hole.
            metafile = make_metafile(f"chaos {self._seed} {number}", size=4096 * 16384)
            path = self._root / chance.choice(DISPOSALS) / f"{number}.torrent"
            self.written.append(Written(info_hash(metafile), path, time.time()))
        with path.open("wb", buffering=0) as file:
            file.truncate(len(metafile))
            file.write(metafile[:200])
            os.pwrite(file.fileno(), metafile[-20:], len(metafile) - 20)
            time.sleep(seconds)
            os.pwrite(file.fileno(), metafile, 0)

    def rename_over(self, chance: random.Random, seconds: float) -> None:
        """Write one, and rename another over it after `seconds`: only that one must be loaded."""
        with self._lock:
            number = len(self.written)
            path = self._root / chance.choice(DISPOSALS) / f"{number}.torrent"
            first, second = (make_metafile(f"chaos {self._seed} {number} {which}") for which in ("first", "second"))
            self.replaced.add(info_hash(first))
            self.written.append(Written(info_hash(second), path, time.time()))
        path.write_bytes(first)
        part = path.with_suffix(".part")
        part.write_bytes(second)
        found = path.stat()
        # As mv and rsync -t do it: the times say nothing.
        os.utime(part, ns=(found.st_atime_ns, found.st_mtime_ns))
        time.sleep(seconds)
        part.rename(path)

    def _run(self) -> None:
        begin = time.monotonic()
        for number in range(1 << 30):
            if self._stop.wait(max(0.0, begin + number / self._rate - time.monotonic())):
                return
            self.write()


def _plain(root: Path, _outside: Path, number: int, metafile: bytes) -> Path:
    path = root / f"p{number % 20}" / f"{number}.torrent"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(metafile)
    return path


def _nested(root: Path, _outside: Path, number: int, metafile: bytes) -> Path:
    path = root / f"n{number}" / "a" / "b" / f"{number}.torrent"
    path.parent.mkdir(parents=True)
    path.write_bytes(metafile)
    return path


def _moved_in(root: Path, outside: Path, number: int, metafile: bytes) -> Path:
    made = outside / f"m{number}" / "a"
    made.mkdir(parents=True)
    (made / f"{number}.torrent").write_bytes(metafile)
    made.parent.rename(root / f"m{number}")
    return root / f"m{number}" / "a" / f"{number}.torrent"


def _renamed(root: Path, _outside: Path, number: int, metafile: bytes) -> Path:
    part, path = root / f"{number}.part", root / f"{number}.torrent"
    part.write_bytes(metafile)
    part.rename(path)
    return path


_WAYS: tuple[Callable[[Path, Path, int, bytes], Path], ...] = (_plain, _nested, _moved_in, _renamed)
