"""The steps of a move on the disks: copied beside its final path, renamed, and removed from its old place.

Each step opens and checks the folder of the target (`TargetRules`), and acts in that folder only.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from pyrotorque.jobs.compared_files import ComparedFiles
from pyrotorque.jobs.move_failures import MoveRefused, cause_of
from pyrotorque.jobs.move_journal import Move
from pyrotorque.jobs.move_target import TargetRules
from pyrotorque.jobs.tree_comparison import is_copied
from pyrotorque.jobs.tree_copy import CopyHooks, copy_tree
from pyrotorque.jobs.tree_places import TreePlace, place_of, remove_tree, tree_size
from pyrotorque.jobs.tree_removal import remove_copied
from pyrotorque.linux.files import rename_noreplace, sync_folder
from pyrotorque.linux.unfinished_renames import end_rename
from pyrotorque.long_work import WorkReport
from pyrotorque.text import printable


class MoveFiles:
    """`check_deadline` is called between blocks of a copy, and may raise.

    The progress of copies is in `run_dir`, what was compared in `records`, the folder of the journal.
    """

    def __init__(
        self,
        rules: TargetRules,
        check_deadline: Callable[[], None],
        run_dir: Path | None = None,
        records: Path | None = None,
    ) -> None:
        self._rules, self._check_deadline, self._run_dir, self._records = rules, check_deadline, run_dir, records
        self._compared: dict[str, ComparedFiles] = {}

    def _compared_of(self, move: Move) -> ComparedFiles:
        return self._compared.setdefault(move.info_hash, ComparedFiles(self._records, move.info_hash))

    def prepare(self, move: Move) -> bool:
        """Copy the data to the target's disk, beside its final path; False, and no copy, on the same disk."""
        with self._rules.open_target(move.final, create=True) as final, place_of(move.source) as source:
            by_copy = move.by_copy or self._is_on_other_disk(source, final)
            if by_copy:
                self._rules.remember(move.final.parent)  # the next run may find it unmounted
                what = f"copying {printable(move.source.name)}"
                with WorkReport(self._run_dir, what, tree_size(source), "bytes") as work:
                    hooks = CopyHooks(self._check_deadline, work.advance, self._compared_of(move))
                    copy_tree(source, _partial(move, final), hooks)
        return by_copy

    @staticmethod
    def _is_on_other_disk(source: TreePlace, final: TreePlace) -> bool:
        return source.stat().st_dev != os.fstat(final.at.folder).st_dev

    def require_mounted(self, move: Move) -> None:
        """Raise MoveRefused if the disk of the new place is not mounted."""
        self._rules.require_mounted(move.final)

    def rename(self, move: Move) -> None:
        """Give the data, or its copy, the final path. FileExistsError if something is there."""
        with self._rules.open_target(move.final) as final, place_of(move.source) as source:
            origin = _partial(move, final) if move.by_copy else source
            if move.by_copy and not is_copied(source, origin, self._compared_of(move)):
                raise MoveRefused("its data changed after the copy; copying it again", "changing")
            if not end_rename(origin.at, final.at, _ended(move)):
                rename_noreplace(origin.at, final.at)

    def end_rename(self, move: Move) -> None:
        """Remove the old name of a file, or of its copy, that has the final one, if a kill has left both."""
        origin = move.partial if move.by_copy else move.source
        with suppress(FileNotFoundError, NotADirectoryError), place_of(origin) as at, place_of(move.final) as to:
            end_rename(at.at, to.at, _ended(move))

    def rename_back(self, move: Move) -> None:
        """Give data that was renamed its old path. FileExistsError if something is there."""
        with self._rules.open_target(move.final) as final, place_of(move.source) as source:
            rename_noreplace(final.at, source.at)

    def clean(self, move: Move) -> list[Path]:
        """Remove from the old place what the new one has; returns the paths of what only the old place has.

        Raises MoveRefused if something else cannot be removed: the others are gone then.
        """
        with ExitStack() as stack:
            source = stack.enter_context(place_of(move.source))
            try:
                final = stack.enter_context(self._rules.open_target(move.final))
            except (FileNotFoundError, NotADirectoryError):  # another program has moved the data on
                self.require_mounted(move)
                final = None
            left = remove_copied(source, final, self._compared_of(move))
        if left.failed:
            path, error = left.failed[0]
            raise MoveRefused(
                f"its data is at {printable(str(move.final))} now, and {printable(str(path))} cannot be removed: "
                f"{error.strerror}; allow that, or remove it yourself: the next run then ends the move",
                cause_of(error),
            ) from error
        return left.kept

    def remove_partial(self, move: Move) -> None:
        """Remove the copy in progress, if there is one."""
        with suppress(FileNotFoundError, NotADirectoryError), self._rules.open_target(move.final) as final:
            remove_tree(_partial(move, final))

    def sync(self, move: Move) -> None:
        """Make the renamed data survive a power failure."""
        with self._rules.open_target(move.final) as final:
            sync_folder(final.at.folder)


def _ended(move: Move) -> bytes:
    return os.fsencode(f"{move.partial.stem}.renamed")


def _partial(move: Move, final: TreePlace) -> TreePlace:
    """The copy in progress, in the open folder of its final path."""
    return final._replace(at=final.at._replace(name=os.fsencode(move.partial.name)), path=move.partial)
