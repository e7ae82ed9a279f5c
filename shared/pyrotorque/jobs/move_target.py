"""Where the mover may put data: checked when it decides, and again before each step that writes."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyrotorque.confinement import StorageLimits
from pyrotorque.home import expand_home
from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.text import printable


@dataclass(frozen=True)
class TargetRules:
    """`below` are the folders that targets must be in (none: anywhere); nothing is put into the `private` ones."""

    below: Sequence[Path]
    private: Sequence[Path]

    @classmethod
    def read(cls, below: str, own_folders: Iterable[Path | None]) -> "TargetRules":
        """The rules for the setting `below` (separated by `:`) and our own folders, as far as they are known."""
        home = Path(os.path.expanduser("~"))
        private = (*filter(None, own_folders), home / ".rtorrent.rc", home / ".config" / "rtorrent")
        return cls(tuple(expand_home(part) for part in below.split(":") if part), private)

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
        """Raise MoveRefused if a link or mount leads `final` elsewhere."""
        limits = StorageLimits(below=tuple(self.below), private=tuple(self.private))
        if refusal := limits.refusal(os.fsencode(final.parent), [os.fsencode(final.name)]):
            raise MoveRefused(f"the target leads elsewhere: {refusal}", "target")
