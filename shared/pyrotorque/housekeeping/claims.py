"""Which files on disk belong to which items, by inode: what is shared, linked, missing, and what a removal frees.

Two spellings of one path, links, bind mounts and hard links lead to one inode, so paths are never compared. An item
whose file is a symbolic link has that file under the name that the link leads to.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from pyrotorque.housekeeping import spellings
from pyrotorque.housekeeping.claim_index import (
    ClaimIndex,
    FilesByItem,
    FolderInodes,
    NamedFile,
    Names,
    different,
    folded,
    folder_inode,
    holders_of_name,
    index_of,
    updated,
)
from pyrotorque.housekeeping.item_files import DiskFile, Inode, ItemContent, Look, look_again, look_at
from pyrotorque.linux.filesystems import is_within


@dataclass(frozen=True, eq=False)
class Claims:
    """All items of all clients with their files."""

    contents: Mapping[str, ItemContent]
    files: FilesByItem
    quarantined: Sequence[bytes] = ()
    """Paths of files in quarantine: names of inodes that are neither an item's nor from elsewhere."""
    folders: FolderInodes = field(default_factory=lambda: FolderInodes(folder_inode))
    updated_index: ClaimIndex | None = None
    """The index, if it follows from that of earlier claims."""
    before: object = None
    """Identifies these earlier claims, see `token`."""
    earlier_quarantined: Mapping[Inode, int] = field(default_factory=dict[Inode, int])
    earlier_alone: Mapping[str, int] = field(default_factory=dict[str, int])
    token: object = field(default_factory=object)

    @cached_property
    def affected(self) -> frozenset[str]:
        """The items about whose files something has changed since the earlier claims."""
        before, now = self.earlier_quarantined, self.quarantined_names
        moved = {inode for inode in before.keys() | now.keys() if before.get(inode) != now.get(inode)}
        holders = frozenset(key for inode in moved for key in self.holders.get(inode, ()))
        return self.index.affected | holders

    def has_same_folders(self, files: FilesByItem) -> bool:
        """Whether the folders of those files that are as they were are the same folders."""
        if changed := self.folders.changed():
            kept = (owned for key, owned in files.items() if self.files.get(key) is owned)
            if any(os.path.dirname(each.name) in changed for owned in kept for each in owned):
                return False
            for folder in changed:
                del self.folders.known[folder]
        return True

    @cached_property
    def index(self) -> ClaimIndex:
        return self.updated_index or index_of(self.files, self.folders)

    @property
    def holders(self) -> Mapping[Inode, frozenset[str]]:
        """The items of each inode."""
        return self.index.holders

    @property
    def names(self) -> Mapping[Inode, Names]:
        """The distinct names of each inode that items have, and which items."""
        return self.index.names

    @cached_property
    def alone(self) -> Mapping[str, int]:
        """The items whose files no other one has, and what the removal of each frees."""
        earlier = self.earlier_alone
        changed = self.affected if earlier else frozenset(self.files)
        found = {key: freed for key, freed in earlier.items() if key in self.files and key not in changed}
        for key in changed & self.files.keys():
            files = [each.found for each in self.files[key] if each.found is not None]
            if all(len(self.holders[each.inode]) == 1 for each in files):
                inodes = self.inodes(key).items()
                found[key] = sum(each.occupied for inode, each in inodes if each.links <= different(self.names[inode]))
        return found

    def name(self, path: bytes) -> NamedFile:
        """What a name of a file consists of: two paths through links or bind mounts are one name."""
        return self.folders.name(path)

    @cached_property
    def quarantined_names(self) -> Mapping[Inode, int]:
        """How many names each inode has in quarantine."""
        made: defaultdict[Inode, set[NamedFile]] = defaultdict(set)
        for path in self.quarantined:
            try:
                found = os.lstat(path)
            except OSError:
                continue
            made[Inode(found.st_dev, found.st_ino)].add(self.name(path))
        return {inode: len(names) for inode, names in made.items()}

    @cached_property
    def lost(self) -> Mapping[tuple[str, int], frozenset[str]]:
        """Items whose files are not here, by folded base name and size: their disk may not be mounted.

        A file of another client that has another size here is not the one that it has: it may see other folders.
        """
        made: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
        for key, files in self.files.items():
            is_other = bool(self.contents[key].owner)
            for each in files:
                if each.file.size and (each.found is None or (is_other and each.found.size != each.file.size)):
                    for path in {each.path, each.name}:
                        made[folded(os.path.basename(path)), each.file.size].add(key)
        return {name: frozenset(keys) for name, keys in made.items()}

    @cached_property
    def alike(self) -> Mapping[tuple[int, int], frozenset[tuple[int, str]]]:
        """The devices and items of the files of one size and modification time."""
        made: defaultdict[tuple[int, int], set[tuple[int, str]]] = defaultdict(set)
        for key, files in self.files.items():
            for each in files:
                if each.found is not None and each.found.size:
                    made[each.found.size, each.found.mtime_ns].add((each.found.inode.device, key))
        return {name: frozenset(keys) for name, keys in made.items()}

    @cached_property
    def devices(self) -> frozenset[int]:
        return frozenset(inode.device for inode in self.holders)

    @cached_property
    def spelled(self) -> Mapping[str, frozenset[tuple[bytes, str]]]:
        """The paths and items by `folded_name`, on disks whose inodes do not show that two of them are one file."""
        return spellings.paths_of(self.files, spellings.fuse_devices(self.devices))

    @cached_property
    def respelled(self) -> Mapping[str, frozenset[str]]:
        """For each item, the others that have one of its files in another spelling, as far as is known."""
        return spellings.respelled(self.spelled)

    @cached_property
    def unresolved(self) -> str:
        """The name of an item whose files are not known; empty if there is none."""
        return next((content.name for content in self.contents.values() if not content.is_known), "")

    @property
    def magnets(self) -> frozenset[str]:
        """The info-hashes of items whose files are not known."""
        return frozenset(content.info_hash for content in self.contents.values() if not content.is_known)

    def sharing(self, key: str, gone: Collection[str] = ()) -> frozenset[str]:
        """The other items, except those in `gone`, that have a file of this one, by path or by inode."""
        found: set[str] = set()
        for each in self.files.get(key, ()) if key not in self.alone else ():
            if each.found is not None:
                found |= self.holders[each.found.inode]
        return frozenset(found - {key} - set(gone))

    def shared_files(self, key: str, gone: Collection[str] = ()) -> Mapping[bytes, frozenset[str]]:
        """The paths of files that other items, except those in `gone`, have under the same name, and which.

        A hard link of another item keeps its data when this name goes, so it is not among them.
        """
        found: dict[bytes, frozenset[str]] = {}
        for each in self.files.get(key, ()) if key not in self.alone else ():
            if each.found is not None and len(self.holders[each.found.inode]) > 1:
                name = self.name(each.name)
                unknown = self.holders[each.found.inode] if name[0] is None else frozenset[str]()
                keys = (holders_of_name(self.names[each.found.inode], name) | unknown) - {key} - set(gone)
                if keys:
                    found[each.path] = frozenset(keys)
        return found

    def possibly_sharing(self, key: str) -> frozenset[str]:
        """Items that may have the same files, although their inodes differ.

        Missing files of the same name and size may be on a disk that is not mounted. Files of the same size and time on
        another device may be the same ones: a union filesystem, or a network one mounted twice, has inodes of its own.
        So may those whose names differ only in case, see `spellings`.
        """
        found = set(self.respelled.get(key, ()))
        for each in self.files.get(key, ()):
            if each.found is None and each.file.padding:  # not written, so nothing of it goes
                continue
            if self.lost:
                found |= self.lost.get((folded(os.path.basename(each.path)), each.file.size), frozenset())
            if each.found is not None and len(self.devices) > 1:
                twins = self.alike.get((each.found.size, each.found.mtime_ns), frozenset())
                found |= {other for device, other in twins if device != each.found.inode.device}
        return frozenset(found - {key})

    def outside_links(self, key: str) -> int:
        """The number of files that have a name which no item has."""
        return sum(
            each.found.links > 1
            and each.found.links
            > different(self.names[each.found.inode]) + self.quarantined_names.get(each.found.inode, 0)
            for each in self.files.get(key, ())
            if each.found is not None and stat.S_ISREG(each.found.kind)
        )

    def frees(self, keys: Iterable[str]) -> int:
        """The bytes that are free when the data of all these items is deleted."""
        return FreedSpace(self).add(*keys)

    def inodes(self, key: str) -> Mapping[Inode, DiskFile]:
        """The regular files of an item, each inode once."""
        return {
            each.found.inode: each.found
            for each in self.files.get(key, ())
            if each.found is not None and stat.S_ISREG(each.found.kind)
        }


class FreedSpace:
    """Counts what the removal of one item after the other frees: each inode once, when all of its names are gone.

    An upper bound where blocks are shared (reflinks, snapshots).
    """

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._left: dict[Inode, int] = {}
        self._gone: set[str] = set()

    def add(self, *keys: str) -> int:
        """The bytes that become free when the data of these items is deleted, too."""
        freed = 0
        for key in keys:
            if key in self._gone:
                continue
            self._gone.add(key)
            if (alone := self._claims.alone.get(key)) is not None:
                freed += alone
                continue
            for inode, found in self._claims.inodes(key).items():
                left = self._left.get(inode, len(self._claims.holders[inode])) - 1
                self._left[inode] = left
                freed += found.occupied if not left and found.links <= different(self._claims.names[inode]) else 0
        return freed

    def would_free(self, keys: Collection[str]) -> int:
        """What `add` would return."""
        holders: dict[Inode, int] = {}
        files: dict[Inode, DiskFile] = {}
        freed = 0
        for key in frozenset(keys) - self._gone:
            if (alone := self._claims.alone.get(key)) is not None:
                freed += alone
                continue
            for inode, found in self._claims.inodes(key).items():
                holders[inode] = holders.get(inode, 0) + 1
                files[inode] = found
        return freed + sum(
            found.occupied
            for inode, found in files.items()
            if self._left.get(inode, len(self._claims.holders[inode])) == holders[inode]
            and found.links <= different(self._claims.names[inode])
        )


def used_below(claims: Claims, below: Sequence[os.PathLike[str]]) -> int:
    """What the files of our own items in these folders occupy, each inode once."""
    folders = [os.path.realpath(os.fsencode(folder)) for folder in below]
    found: dict[Inode, int] = {}
    for key, content in claims.contents.items():
        if content.owner or not any(is_within(os.path.realpath(content.directory), folder) for folder in folders):
            continue
        found.update((inode, file.occupied) for inode, file in claims.inodes(key).items())
    return sum(found.values())


def claims_of(
    contents: Sequence[ItemContent],
    look: Look = os.lstat,
    quarantined: Sequence[bytes] = (),
    before: "Claims | None" = None,
) -> Claims:
    """Look at the files of all items; `before` itself if all facts are the same, with what was derived from them."""
    keyed = {_key(content): content for content in contents}
    known = before.contents if before else {}
    files = {
        key: look_again(content, before.files[key], look)
        if before and known.get(key) == content
        else look_at(content, look)
        for key, content in keyed.items()
    }
    if before and before.has_same_folders(files):
        found = _updated(before, keyed, files, quarantined)
        is_same = not found.affected and list(quarantined) == list(before.quarantined) and keyed == before.contents
        return before if is_same else found
    return Claims(keyed, files, quarantined)


def _updated(
    before: Claims, contents: Mapping[str, ItemContent], files: FilesByItem, quarantined: Sequence[bytes]
) -> Claims:
    """The claims after some items have changed; what the others say about themselves is not derived again."""
    gone = {key: found for key, found in before.files.items() if files.get(key) is not found}
    new = {key: found for key, found in files.items() if before.files.get(key) is not found}
    index = updated(before.index, gone, new) if gone or new else replace(before.index, affected=frozenset())
    alone = vars(before).get("alone", {})  # if it was derived
    return Claims(contents, files, quarantined, before.folders, index, before.token, before.quarantined_names, alone)


def _key(content: ItemContent) -> str:
    return f"{content.owner}:{content.info_hash}" if content.owner else content.info_hash
