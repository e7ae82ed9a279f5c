"""The inbox of the fleet in a restore: items are tied to the metafiles in it, so no restore takes one away.

It is in the state folder, so its place changes with that folder, whatever `--move` says.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pyrotorque.store import Connection, rows_of_other
from pyrotorque_control.backup.manifest import INBOX, STAGING, STATE, name_problem
from pyrotorque_control.backup.moved_paths import MovedPaths


class SwappedNames(NamedTuple):
    """Paths in the state folder: `old` are replaced by files of the archive, `new` are put there."""

    old: list[str]
    new: list[str]


def with_inbox(moved: MovedPaths, ledger: Path, earlier_state: str, state_dir: Path) -> MovedPaths:
    """`moved`, and the inbox of the archived ledger, whose state folder was `earlier_state`, in `state_dir`.

    Its place before is also in the ledger, as the group spelled it.
    """
    roots = rows_of_other(ledger, "SELECT DISTINCT root FROM metafiles WHERE hold != 0")
    found = {os.path.dirname(root) for (root,) in roots if isinstance(root, bytes)}
    found.add(os.fsencode(os.path.join(earlier_state, INBOX)))
    inbox = os.fsencode(state_dir.absolute() / INBOX)
    places = {place: inbox for place in found if place.startswith(b"/") and os.path.basename(place) == INBOX.encode()}
    # One that is where it was is not moved by another folder above it either.
    return MovedPaths(tuple((dict(moved.pairs) | places).items()))


def set_exact_times(db: Connection, staged: Path, state_dir: Path) -> None:
    """Give staged metafiles the times that the ledger has: an archive has whole seconds, and others mean a new file."""
    inbox = os.fsencode(state_dir.absolute() / INBOX) + b"/"
    rows = db.execute("SELECT path, size, mtime_ns FROM metafiles WHERE hold != 0 AND gone = 0").fetchall()
    for path, size, mtime_ns in rows:
        below = os.fsdecode(bytes(path).removeprefix(inbox))
        if not bytes(path).startswith(inbox) or name_problem(f"{STATE}/{INBOX}/{below}"):
            continue
        with suppress(OSError):
            file = staged / INBOX / below
            found = file.lstat()
            if stat.S_ISREG(found.st_mode) and (found.st_size, int(found.st_mtime)) == (size, mtime_ns // 10**9):
                os.utime(file, ns=(found.st_atime_ns, mtime_ns), follow_symlinks=False)


def inbox_names(state_dir: Path) -> SwappedNames:
    """What a restore does with the inbox: files that are there already stay, unless the archive has other ones."""
    staging = state_dir / STAGING
    staged = sorted(path.relative_to(staging) for path in (staging / INBOX).rglob("*") if path.is_file())
    changed = [name for name in staged if _version(state_dir / name) != _version(staging / name)]
    old = [name for name in changed if os.path.lexists(state_dir / name)]
    return SwappedNames([str(name) for name in old], [str(name) for name in changed])


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stat.S_IFMT(found.st_mode), found.st_size, found.st_mtime_ns
