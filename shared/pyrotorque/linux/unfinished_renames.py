"""Ends renames that a kill has interrupted: on filesystems without RENAME_NOREPLACE they are a link and an unlink."""

import stat

from pyrotorque.linux.files import FileName, entry_at, remove_exactly


def end_rename(at: FileName, to: FileName, temporary: bytes) -> bool:
    """Whether the file has both names, `at` and `to`, as an interrupted rename leaves it; then `at` is removed.

    Only for a name `to` that nothing but our own rename makes: any other hard link looks the same. `at` is
    removed via `temporary`, as by `remove_exactly`.
    """
    entry = entry_at(to)
    here = entry_at(at) or entry_at(at._replace(name=temporary))
    if entry is None or entry.kind == stat.S_IFDIR or entry != here:
        return False
    remove_exactly(at, entry, temporary)
    return True
