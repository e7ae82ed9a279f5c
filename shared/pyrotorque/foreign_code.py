"""Finds code in a configuration directory that belongs to another user than root, who would run it with root's rights.

`check` and `select` as root refuse such code: `sudo pyrotorque check` must not run what a user wrote. A group that runs
as root (its state folder is root's, as in many containers) runs it, with a warning.
"""

import os
import pwd
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from pyrotorque.errors import UserError
from pyrotorque.layout import Layout
from pyrotorque.settings.schema import AnyJob, CustomSettings
from pyrotorque.text import printable

_FILES_MAX: Final = 1_000
_SHIPPED: Final = "pyrotorque.jobs."


def foreign_code(config_dir: Path, jobs: Iterable[AnyJob] = ()) -> str:
    """Which code root must not run, whose it is, and what to do; empty for another user than root."""
    return _first_foreign(_code_files(config_dir, jobs))


def _first_foreign(paths: Iterable[Path]) -> str:
    if os.geteuid() != 0:
        return ""
    for path in paths:
        try:
            owner = path.stat().st_uid
        except OSError:
            continue
        if owner != 0:
            name = _user_name(owner)
            return (
                f"{printable(str(path))} belongs to {name}, and root would run it with all rights: "
                f"run this as {name} (runuser -u {name} -- pyrotorque …), or give the file to root"
            )
    return ""


def refuse_foreign_config_py(layout: Layout) -> None:
    """Raise UserError if root would run another user's config.py, unless the group runs as root anyway."""
    if not runs_as_root(layout) and (found := _first_foreign([layout.config_dir / "config.py"])):
        raise UserError(found)


def runs_as_root(layout: Layout) -> bool:
    """Whether the group belongs to root."""
    try:
        return layout.state_dir.stat().st_uid == 0
    except OSError:
        return False


def _code_files(config_dir: Path, jobs: Iterable[AnyJob]) -> Iterator[Path]:
    """config.py, the modules in `jobs`, and torque.ini if it names a class that is not shipped."""
    yield config_dir / "config.py"
    folder = config_dir / "jobs"
    yield from islice(sorted(folder.rglob("*.py")), _FILES_MAX)
    if any(isinstance(job, CustomSettings) and not job.handler.startswith(_SHIPPED) for job in jobs):
        yield folder
        yield config_dir / "torque.ini"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
