"""Replaces the content of folders by staged files, with renames only: all of it, or nothing.

The journal lists the renames before the first one. After an error they are undone at once; after a kill or a power cut,
`pyrotorque restore --undo` does that, and the group does not start before.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from pyrotorque.json_input import decode_json
from pyrotorque.linux.files import path_name, rename_noreplace, sync_folder
from pyrotorque.linux.regular_files import RECORDS_MAX, read_regular_file
from pyrotorque.long_work import WorkReport
from pyrotorque.options import write_atomically
from pyrotorque.text import printable
from pyrotorque_control.backup.manifest import ASIDE_PREFIX, JOURNAL, STAGING, ArchiveError
from pyrotorque_control.exit_codes import EX_TEMPFAIL
from pyrotorque_control.group import CommandError


class FolderSwap(msgspec.Struct, frozen=True):
    """In `folder`, the files or folders `old` move to the folder `aside` in it, and `new` are moved in from the staging
    folder. Paths are relative.

    Names and paths are stored as hex, because they may not be UTF-8.
    """

    folder_hex: str
    aside_hex: str
    old_hex: Sequence[str]
    new_hex: Sequence[str]

    @classmethod
    def of(cls, folder: Path, aside: str, old: Sequence[str], new: Sequence[str]) -> "FolderSwap":
        hexes = [[os.fsencode(name).hex() for name in names] for names in (old, new)]
        return cls(os.fsencode(folder).hex(), os.fsencode(aside).hex(), *hexes)

    @property
    def folder(self) -> Path:
        return Path(_text(self.folder_hex))

    @property
    def staging(self) -> Path:
        return self.folder / STAGING

    @property
    def aside(self) -> Path:
        return self.folder / _text(self.aside_hex)

    @property
    def old(self) -> list[str]:
        return [_text(name) for name in self.old_hex]

    @property
    def new(self) -> list[str]:
        return [_text(name) for name in self.new_hex]


class RestoreJournal(msgspec.Struct, frozen=True):
    """`session_hex` is the session folder, if it is one of the swapped ones, else empty."""

    swaps: Sequence[FolderSwap]
    session_hex: str = ""

    @property
    def session(self) -> Path | None:
        return Path(_text(self.session_hex)) if self.session_hex else None


def carry_out(
    config_dir: Path, swaps: Sequence[FolderSwap], session: Path | None, work: WorkReport | None = None
) -> None:
    """Do all swaps, or undo those that were done and raise the error; `work` counts the renames."""
    journal = RestoreJournal(swaps, os.fsencode(session).hex() if session else "")
    write_atomically(config_dir / JOURNAL, msgspec.json.encode(journal))
    sync_folder(config_dir)
    try:
        for swap in swaps:
            _swap(swap, work or WorkReport(None, "", 0))
    except BaseException:
        undo(config_dir, journal)
        raise
    _forget(config_dir)


def undo(config_dir: Path, journal: RestoreJournal) -> None:
    """Put everything back, however far the swaps came; may be repeated."""
    for swap in reversed(journal.swaps):
        for name in swap.new:
            # A new entry is either in the staging folder, or was moved in.
            if not os.path.lexists(swap.staging / name) and os.path.lexists(swap.folder / name):
                _rename(swap.folder / name, swap.staging / name)
        for name in swap.old:
            if os.path.lexists(swap.aside / name):
                _rename(swap.aside / name, swap.folder / name)
        _remove_empty(swap.aside)
        sync_folder(swap.folder)
    _forget(config_dir)
    for swap in journal.swaps:
        shutil.rmtree(swap.staging, ignore_errors=True)


def unfinished(config_dir: Path) -> RestoreJournal | None:
    """The journal of a restore that was interrupted; raises ArchiveError if it cannot be read."""
    try:
        return decode_json(read_regular_file(config_dir / JOURNAL, limit=RECORDS_MAX), type=RestoreJournal)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ArchiveError(f"the journal of an interrupted restore, {config_dir / JOURNAL}, cannot be read") from error


def traces_of_restores(folders: Iterable[Path]) -> set[Path]:
    """What restores to these folders leave: the folders with the old files, and the journal while they replace them."""
    return {path for folder in folders for pattern in (f"{ASIDE_PREFIX}*", JOURNAL) for path in folder.glob(pattern)}


def require_no_unfinished_restore(config_dir: Path) -> None:
    """Raises CommandError after a restore that was killed while it replaced files."""
    if os.path.lexists(config_dir / JOURNAL):
        raise CommandError(
            f"a restore to {printable(str(config_dir))} was interrupted: stop rTorrent, and run "
            "`pyrotorque restore --undo`",
            EX_TEMPFAIL,
        )


def _swap(swap: FolderSwap, work: WorkReport) -> None:
    if swap.old:
        swap.aside.mkdir(mode=0o700)
    for name in work.each(swap.old):
        _rename(swap.folder / name, swap.aside / name)
    for name in work.each(swap.new):
        _rename(swap.staging / name, swap.folder / name)
    sync_folder(swap.folder)


def _rename(path: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    rename_noreplace(path_name(path), path_name(target))


def _remove_empty(folder: Path) -> None:
    for top, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            os.rmdir(top)


def _forget(config_dir: Path) -> None:
    (config_dir / JOURNAL).unlink()
    sync_folder(config_dir)


def _text(value: str) -> str:
    return os.fsdecode(bytes.fromhex(value))
