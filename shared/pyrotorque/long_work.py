"""How far long work of any process of a group is: a small file for each, which `pyrotorque status` reads.

Work that ends within a second leaves no file. Without a writable run folder it is not shown.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeVar

import msgspec

from pyrotorque import humanize
from pyrotorque.json_input import decode_json
from pyrotorque.linux.processes import boot_id
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.text import counted, encode_json, printable

FOLDER: Final = "work"
_SHOWN_AFTER: Final = 1.0
_EVERY: Final = 1.0
_SHOWN_MAX: Final = 50
_SIZE_MAX: Final = 8192
_numbers = itertools.count()

Unit = Literal["item", "file", "bytes"]
T = TypeVar("T")


class LongWork(msgspec.Struct, frozen=True, kw_only=True):
    """`what` is done with `total` items, files or bytes since `began` (Unix seconds); `total` 0: not known."""

    what: str
    unit: Unit
    done: int
    total: int
    began: float
    pid: int
    boot: str

    def sentence(self, now: float) -> str:
        """`copying Some Item: 1.5 GiB of 6.0 GiB (25 %), about 2 min left`."""
        done, total = humanize.size(self.done), humanize.size(self.total)
        if self.unit != "bytes":
            done, total = f"{self.done:,}", counted(self.total, self.unit)
        if not self.total:
            return f"{printable(self.what)}: {done}"
        return f"{printable(self.what)}: {done} of {total}{share_text(self.done, self.total, now - self.began)}"


def share_text(done: int, total: int, elapsed: float) -> str:
    """` (25 %), about 2 min left`, after so many seconds."""
    text = f" ({min(100, 100 * done // total) if total else 100} %)"
    if 0 < done < total and elapsed > 1:
        text += f", about {humanize.duration(elapsed / done * (total - done))} left"
    return text


class WorkReport:
    """`with WorkReport(run_dir, what, total) as work: … work.advance()`; cheap: a file at most once a second."""

    def __init__(self, run_dir: Path | None, what: str, total: int, unit: Unit = "item") -> None:
        self.what, self.total, self.done = what, total, 0
        self.unit: Unit = unit
        self._began = time.time()
        self._path = run_dir / FOLDER / f"{os.getpid()}-{next(_numbers)}.json" if run_dir is not None else None
        self._due = time.monotonic() + _SHOWN_AFTER
        self._written = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._written and self._path is not None:
            with suppress(OSError):
                self._path.unlink()

    @property
    def is_shown(self) -> bool:
        """Whether anything shows it."""
        return self._path is not None

    @property
    def work(self) -> LongWork:
        return LongWork(
            what=self.what,
            unit=self.unit,
            done=self.done,
            total=self.total,
            began=self._began,
            pid=os.getpid(),
            boot=boot_id(),
        )

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each of which counts as done when the next one is taken."""
        for item in items:
            yield item
            self.advance()

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self.done += count
        if self._path is not None and (now := time.monotonic()) >= self._due:
            self._due = now + _EVERY
            self._write(self._path)

    def _write(self, path: Path) -> None:
        fresh = path.with_suffix(".new")
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
                file.write(encode_json(self.work))
            os.replace(fresh, path)
            self._written = True


WorkReports = Callable[[str, int, Unit], WorkReport]
"""Makes the report of a part of some work, from what is done, with how much of it."""


def unseen_work(what: str, total: int, unit: Unit) -> WorkReport:
    """A report that nothing shows."""
    return WorkReport(None, what, total, unit)


def running_work(run_dir: Path) -> list[LongWork]:
    """What is being done now, the oldest first; files of processes that are gone are removed."""
    found: list[LongWork] = []
    for path in _files(run_dir / FOLDER):
        try:
            work = decode_json(read_regular_file(path, limit=_SIZE_MAX), type=LongWork)
        except (OSError, msgspec.DecodeError):
            continue
        if work.boot == boot_id() and _is_alive(work.pid):
            found.append(work)
        else:
            with suppress(OSError):
                path.unlink()
    return sorted(found, key=lambda work: work.began)[:_SHOWN_MAX]


def _files(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            yield from (Path(entry.path) for entry in entries if entry.name.endswith(".json"))
    except OSError:
        return


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
