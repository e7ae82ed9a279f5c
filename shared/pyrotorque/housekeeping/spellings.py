"""Files that items have under names which differ only in case or form, where each spelling has an inode of its own.

Drivers in user space (FUSE) number what they show by name: one file of an exFAT or NTFS disk may have several inodes.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Mapping

from pyrotorque.housekeeping.claim_index import FilesByItem
from pyrotorque.linux.filesystems import read_mounts
from pyrotorque.linux.name_forms import folded_name


def fuse_devices(devices: Collection[int]) -> frozenset[int]:
    """Those of these device numbers (`st_dev`) that FUSE drivers show."""
    found = {mount.device for mount in read_mounts() if mount.kind.startswith("fuse")}
    return frozenset(each for each in devices if b"%d:%d" % (os.major(each), os.minor(each)) in found)


def paths_of(files: FilesByItem, devices: Collection[int]) -> Mapping[str, frozenset[tuple[bytes, str]]]:
    """The paths on these devices and their items, by what they have in common with other spellings."""
    made: defaultdict[str, set[tuple[bytes, str]]] = defaultdict(set)
    for key, owned in files.items() if devices else ():
        for each in owned:
            if each.found is not None and each.found.inode.device in devices:
                made[folded_name(each.name)].add((each.name, key))
    return {name: frozenset(found) for name, found in made.items()}


def respelled(paths: Mapping[str, frozenset[tuple[bytes, str]]]) -> Mapping[str, frozenset[str]]:
    """For each item, the others that have one of its paths in another spelling."""
    made: defaultdict[str, set[str]] = defaultdict(set)
    for found in paths.values():
        if len({path for path, _ in found}) > 1:
            for path, key in found:
                made[key] |= {other for at, other in found if at != path and other != key}
    return {key: frozenset(others) for key, others in made.items()}
