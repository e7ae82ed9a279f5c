"""Finds code in a configuration directory that another user than root may write: root would run it with all rights.

No command runs such code as root: `sudo pyrotorque check` must not run what a user wrote, nor must `--restart`, a start
or `--run-once` of a group that belongs to another user. A group that runs as root (root made its state folder, as in
many containers), or that root starts for the first time, runs it, with a warning.

A folder that merely is root's proves nothing: the user chooses to which one `state_dir`, or a link, leads.
"""

import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from pyrotorque.config_py import config_py_copy
from pyrotorque.errors import UserError
from pyrotorque.layout import Layout
from pyrotorque.settings.schema import AnyJob, CustomSettings
from pyrotorque.text import printable

_FILES_MAX: Final = 1_000
_SHIPPED: Final = "pyrotorque.jobs."
_COMMANDS: Final = ("", "torque.ini", "config.ini", "supervisor.conf", "config.py", "jobs", "templates", "rtorrent.d")
_CODE: Final = (".py", ".pyc", ".so")


def foreign_code(config_dir: Path, jobs: Iterable[AnyJob] = ()) -> str:
    """Which code root must not run, whose it is, and what to do; empty for another user than root."""
    return _first_foreign(_code_files(config_dir, jobs))


def _first_foreign(paths: Iterable[Path]) -> str:
    if os.geteuid() != 0:
        return ""
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        shown = printable(str(path))
        if found.st_uid != 0:
            name = _user_name(found.st_uid)
            return (
                f"{shown} belongs to {name}, and root would run it with all rights: "
                f"run this as {name} (runuser -u {name} -- pyrotorque …), or give the file to root"
            )
        if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid != 0):
            return f"other users may write {shown}, and root would run it with all rights: chmod go-w {shown}"
    return ""


def writable_by_all(config_dir: Path) -> str:
    """Which file with commands or code every user of the machine may write, and what to do; empty if there is none."""
    for name in _COMMANDS:
        path = config_dir / name
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        # In a sticky folder no user replaces files of another one.
        if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
            shown = printable(str(path))
            return f"every user may write {shown}, and so run commands as {_user_name(os.geteuid())}: chmod o-w {shown}"
    return ""


def refuse_foreign_config_py(layout: Layout) -> None:
    """Raise UserError if root would run another user's config.py or its copy, unless the group runs as root anyway."""
    files = (layout.config_dir / "config.py", config_py_copy(layout.state_dir))
    if not runs_as_root(layout) and (found := _first_foreign(files)):
        raise UserError(found)


def runs_as_root(layout: Layout) -> bool:
    """Whether the group belongs to root: its state folder is root's, and root made it for this group."""
    return _is_roots(layout.state_dir) and _is_roots_choice(layout.state_dir, layout)


def is_of_another_user(layout: Layout) -> bool:
    """Whether the group has run as another user than root, or its state folder is not a fresh one."""
    state = layout.state_dir
    return state.exists() and not runs_as_root(layout) and not (_is_roots(state) and _is_empty(state))


def foreign_folder(layout: Layout) -> str:
    """Which folder of root a configuration of another user names as its own; empty for another user than root."""
    for folder in (layout.state_dir, layout.run_dir) if os.geteuid() == 0 else ():
        if _is_roots(folder) and not _is_roots_choice(folder, layout) and not _is_empty(folder):
            owner = _user_name(layout.config_dir.stat().st_uid)
            return (
                f"{printable(str(folder))} is a folder of root with other files, and the group of {owner} would take "
                f"it for its own: run this as {owner} (runuser -u {owner} -- pyrotorque …), or set another folder"
            )
    return ""


def _is_roots(path: Path) -> bool:
    try:
        return path.stat().st_uid == 0
    except OSError:
        return False


def _is_roots_choice(folder: Path, layout: Layout) -> bool:
    """Whether not only another user chose this folder of root: it is in the configuration directory, root made the link
    to it, or has started the group."""
    home = layout.config_dir
    if _is_roots(home) or Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(home)):
        return True
    # Only root can have made them. `run` has had this table since 1.0.0.
    made = [[home / "run", home / "run" / "programs.conf"], *([[folder]] if folder.is_symlink() else [])]
    return any(all(_is_made_by_root(path) for path in paths) for paths in made)


def _is_made_by_root(path: Path) -> bool:
    try:
        return path.lstat().st_uid == 0
    except OSError:
        return False


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:
        return False


def _code_files(config_dir: Path, jobs: Iterable[AnyJob]) -> Iterator[Path]:
    """config.py, all code in `jobs`, torque.ini if it names a class that is not shipped, and the folders of these."""
    folder = config_dir / "jobs"
    found = [path for path in islice(sorted(folder.rglob("*")), _FILES_MAX) if path.suffix in _CODE]
    if (config_dir / "config.py").exists():
        found.insert(0, config_dir / "config.py")
    if any(isinstance(job, CustomSettings) and not job.handler.startswith(_SHIPPED) for job in jobs):
        found += [folder, config_dir / "torque.ini"]
    yield from found
    # Who may write a folder may replace the files in it.
    folders = {above for path in found for above in path.parents if above.is_relative_to(config_dir)}
    yield from sorted(folders)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
