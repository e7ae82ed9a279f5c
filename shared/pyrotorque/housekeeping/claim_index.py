"""Which items have which inode, and under which names: from all files, or from an earlier index and what changed."""

import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pyrotorque.housekeeping.item_files import Inode, OwnedFile

NamedFile: TypeAlias = "tuple[Inode | None, bytes]"
Names: TypeAlias = "Mapping[NamedFile, frozenset[str]]"
FilesByItem: TypeAlias = Mapping[str, tuple[OwnedFile, ...]]


@dataclass(frozen=True, eq=False, slots=True)
class ClaimIndex:
    """`holders` are the items of each inode, `names` its distinct names and which items have it under each of them."""

    holders: Mapping[Inode, frozenset[str]]
    names: Mapping[Inode, Names]
    folders: "FolderInodes"
    affected: frozenset[str] = frozenset()
    """The items that have an inode of an item which has changed since the earlier index."""


def folder_inode(path: bytes) -> Inode | None:
    """The inode of a folder; None if it cannot be seen."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Inode(found.st_dev, found.st_ino)


@dataclass(eq=False, slots=True)
class FolderInodes:
    """The inodes of folders, each looked at once: two names of a file differ if folder or base name do."""

    look: Callable[[bytes], Inode | None]
    known: dict[bytes, Inode | None] = field(default_factory=dict[bytes, "Inode | None"])

    def name(self, path: bytes) -> NamedFile:
        folder, base = os.path.split(path)
        if folder not in self.known:
            self.known[folder] = self.look(folder)
        return self.known[folder], base

    def changed(self) -> set[bytes]:
        """The folders that are not the ones that were looked at any more."""
        return {folder for folder, inode in self.known.items() if self.look(folder) != inode}


def index_of(files: FilesByItem, folders: FolderInodes) -> ClaimIndex:
    """The index of these files."""
    holders: dict[Inode, frozenset[str]] = {}
    names: dict[Inode, dict[NamedFile, frozenset[str]]] = {}
    _add(files, folders, holders, names)
    return ClaimIndex(holders, names, folders)


def updated(before: ClaimIndex, gone: FilesByItem, new: FilesByItem) -> ClaimIndex:
    """The index after the files of some items have changed: `gone` as they were in the earlier one, `new` as they are.

    The earlier index stays as it is. Its folders must be the same.
    """
    holders = dict(before.holders)
    changed = {each.found.inode for each in _all(gone) if each.found is not None}
    changed |= {each.found.inode for each in _all(new) if each.found is not None}
    names = dict(before.names)
    copies = {inode: dict(names[inode]) for inode in changed if inode in names}
    affected = {key for inode in changed for key in holders.get(inode, ())}
    for inode, found in copies.items():
        left = holders[inode] - gone.keys()
        for name in list(found):
            if keys := found[name] - gone.keys():
                found[name] = keys
            else:
                del found[name]
        if left:
            holders[inode] = left
        else:
            del holders[inode], names[inode]
    kept = {inode: found for inode, found in copies.items() if inode in holders}
    _add(new, before.folders, holders, kept)
    names.update(kept)
    affected |= {key for inode in changed for key in holders.get(inode, ())}
    return ClaimIndex(holders, names, before.folders, frozenset(affected | gone.keys() | new.keys()))


def _add(
    files: FilesByItem,
    folders: FolderInodes,
    holders: dict[Inode, frozenset[str]],
    names: dict[Inode, dict[NamedFile, frozenset[str]]],
) -> None:
    for key, owned in files.items():
        alone = frozenset((key,))  # one object for all files: nearly all have one item
        for each in owned:
            if each.found is None:
                continue
            inode, name = each.found.inode, folders.name(each.name)
            holders[inode] = holders[inode] | alone if inode in holders else alone
            found = names.setdefault(inode, {})
            found[name] = found[name] | alone if name in found else alone


def _all(files: FilesByItem) -> Iterable[OwnedFile]:
    return (each for owned in files.values() for each in owned)


def folded(name: bytes) -> str:
    """A base name without case and normal form: many filesystems take names that differ only in these for one."""
    text = name.decode("utf-8", "surrogateescape")
    return text.lower() if name.isascii() else unicodedata.normalize("NFC", text).casefold()


def different(names: Names) -> int:
    """How many names these are at least, whatever the filesystem ignores."""
    return len(names) if len(names) < 2 else len({(folder, folded(base)) for folder, base in names})


def holders_of_name(names: Names, name: NamedFile) -> frozenset[str]:
    """The items that have an inode under this name, or one that may be the same."""
    wanted = (name[0], folded(name[1]))
    same = (keys for (folder, base), keys in names.items() if (folder, folded(base)) == wanted)
    return frozenset[str]().union(*same)
