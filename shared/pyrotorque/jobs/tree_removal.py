"""Removes from the old place of moved data what its new place has a compared copy of, and nothing else."""

import errno
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pyrotorque.jobs.compared_files import ComparedFiles
from pyrotorque.jobs.tree_comparison import is_place_copied
from pyrotorque.jobs.tree_places import TreePlace, names_in
from pyrotorque.linux.files import open_same_folder


class Leftovers(NamedTuple):
    """What stays at the old place: what the copy does not have, and what cannot be removed."""

    kept: list[Path]
    failed: list[tuple[Path, OSError]]


def remove_copied(source: TreePlace, target: TreePlace | None, compared: ComparedFiles) -> Leftovers:
    """Remove from `source` what `target` has a compared copy of; a file that cannot be removed does not keep others."""
    left = Leftovers([], [])
    _remove_copied(source, target, compared, left)
    return left


def _remove_copied(
    source: TreePlace, target: TreePlace | None, compared: ComparedFiles, left: Leftovers, depth: int = 0
) -> None:
    if stat.S_ISDIR(source.stat().st_mode):
        _remove_copied_folder(source, target, compared, left, depth)
    elif target is None or target.found() is None or not is_place_copied(source, target, compared):
        left.kept.append(source.path)
    else:
        try:
            os.unlink(source.at.name, dir_fd=source.at.folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            left.failed.append((source.path, error))


def _remove_copied_folder(
    source: TreePlace, target: TreePlace | None, compared: ComparedFiles, left: Leftovers, depth: int
) -> None:
    with names_in(source, depth) as (names, reading), _open_copy(target) as writing:
        for name in names:
            copy = target.inside(writing, name) if target and writing is not None else None
            _remove_copied(source.inside(reading, name), copy, compared, left, depth + 1)
    try:
        os.rmdir(source.at.name, dir_fd=source.at.folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            left.kept.append(source.path)
        else:
            left.failed.append((source.path, error))


@contextmanager
def _open_copy(target: TreePlace | None) -> Generator[int | None]:
    """The descriptor of a folder of the copy; None where it has none."""
    if target is None:
        yield None
        return
    try:
        opened = open_same_folder(target.at)
        folder = opened.__enter__()
    except OSError:
        yield None
        return
    try:
        yield folder
    finally:
        opened.__exit__(None, None, None)
