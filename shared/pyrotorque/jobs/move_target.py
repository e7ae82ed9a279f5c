"""Where the mover may put data: checked when it decides, and again for the open folder of each step that writes."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyrotorque.confinement import StorageLimits
from pyrotorque.home import expand_home
from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.jobs.target_disks import TargetDisks
from pyrotorque.jobs.tree_places import TreePlace
from pyrotorque.linux.files import FileName, open_folder, real_path
from pyrotorque.text import printable


@dataclass(frozen=True)
class TargetRules:
    """`below` are the folders that targets must be in (none: anywhere); nothing is put into the `private` ones.

    With `disks`, nothing is put into the empty mount point of a disk either.
    """

    below: Sequence[Path]
    private: Sequence[Path]
    disks: TargetDisks | None = None

    @classmethod
    def read(cls, below: str, private: Sequence[Path], disks: TargetDisks | None = None) -> "TargetRules":
        """The rules for the setting `below` (separated by `:`)."""
        return cls(tuple(expand_home(part) for part in below.split(":") if part), private, disks)

    def folder(self, target: str) -> Path:
        """The target folder, if data may be moved there. Raises MoveRefused."""
        path = Path(target)
        if not path.is_absolute() or ".." in path.parts or "\0" in target:
            raise MoveRefused(f"the target {printable(target)} is not an absolute path without `..`", "target")
        if self.below and not any(path.is_relative_to(folder) for folder in self.below):
            listed = ":".join(map(str, self.below))
            raise MoveRefused(f"the target {printable(target)} is not below {listed}", "target")
        return path

    def check_location(self, final: Path) -> None:
        """Raise MoveRefused if a link or mount leads `final` elsewhere, or its disk is not mounted."""
        self._check(os.path.realpath(os.fsencode(final.parent)), final.name)

    @contextmanager
    def open_target(self, final: Path, *, create: bool = False) -> Generator[TreePlace]:
        """The place of `final` in its open folder, which is `create`d if it does not exist.

        What is done in it cannot be led elsewhere by a link that replaces one of its folders meanwhile. Raises
        MoveRefused if the folder is not an allowed one, OSError.
        """
        existing = final.parent
        while create and not existing.exists():
            existing = existing.parent
        missing = os.fsencode(final.parent.relative_to(existing))
        with open_folder(os.fsencode(existing)) as above:
            self._check(os.path.normpath(os.path.join(real_path(above), missing)), final.name)
            with open_folder(b"/proc/self/fd/%d" % above, missing) as folder:
                self._check(real_path(folder), final.name)
                yield TreePlace(FileName(folder, os.fsencode(final.name)), final)

    def _check(self, folder: bytes, name: str) -> None:
        limits = StorageLimits(below=tuple(self.below), private=tuple(self.private))
        if refusal := limits.refusal(folder, [os.fsencode(name)]):
            raise MoveRefused(f"the target leads elsewhere: {refusal}", "target")
        self._require_mounted(folder)

    def require_mounted(self, final: Path) -> None:
        """Raise MoveRefused if the disk of `final` is not mounted: what it has is only out of sight."""
        self._require_mounted(os.path.realpath(os.fsencode(final.parent)))

    def _require_mounted(self, folder: bytes) -> None:
        if self.disks and (refusal := self.disks.refusal(folder)):
            raise MoveRefused(refusal, "target")

    def remember(self, folder: Path) -> None:
        """A copy begins in this folder: from now on, its disk must be mounted there."""
        if self.disks:
            self.disks.remember(folder)
