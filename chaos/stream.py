"""Writes a stream of metafiles as users do: into existing and new folders, moved in, renamed; records each of them."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demo.metafiles import info_hash, make_metafile


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

    def write(self) -> None:
        """Write one metafile, in a randomly chosen way."""
        with self._lock:
            number = len(self.written)
            way = self._chance.choices(_WAYS, weights=(70, 20, 5, 5))[0]
            metafile = make_metafile(f"chaos {self._seed} {number}")
            path = way(self._root, self._outside, number, metafile)
            self.written.append(Written(info_hash(metafile), path, time.time()))

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
