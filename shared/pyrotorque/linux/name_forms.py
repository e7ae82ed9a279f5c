"""Names that some filesystems take for one: they ignore case (exFAT, NTFS, shares), or the form of characters."""

import os
import stat
import unicodedata


def is_same_name(first: bytes, second: bytes) -> bool:
    """Whether two names differ at most in case and normal form."""
    return first == second or folded_name(first) == folded_name(second)


def folded_name(name: bytes) -> str:
    """A name without case and normal form."""
    text = name.decode("utf-8", "surrogateescape")
    return text.lower() if name.isascii() else unicodedata.normalize("NFC", text).casefold()


def same_spelling(path: bytes, model: bytes) -> bytes:
    """`path` with the names that `model` has for the same folders and files; both are absolute, without links."""
    parts, models = path.split(b"/"), model.split(b"/")
    for at, (part, other) in enumerate(zip(parts, models, strict=False)):
        if part == other:
            continue
        mine, theirs = (b"/".join(each[: at + 1]) for each in (parts, models))
        if not is_same_name(part, other) or not is_one(mine, theirs):
            break
        parts[at] = other
    return b"/".join(parts)


def is_one(path: bytes, other: bytes) -> bool:
    """Whether two paths that differ in their spelling lead to one file or folder.

    By what they have in common, not only by inode: for FUSE, each spelling may be an inode of its own.
    """
    try:
        first, second = os.lstat(path), os.lstat(other)
    except OSError:
        return False
    if first.st_dev != second.st_dev or stat.S_IFMT(first.st_mode) != stat.S_IFMT(second.st_mode):
        return False
    is_file = stat.S_ISREG(first.st_mode)
    is_alike = first.st_mtime_ns == second.st_mtime_ns and (not is_file or first.st_size == second.st_size)
    return (first.st_ino == second.st_ino or is_alike) and not _are_listed(path, other)


def _are_listed(path: bytes, other: bytes) -> bool:
    """Whether the folder of both shows both names: then they are two. In doubt they are one."""
    try:
        return {os.path.basename(path), os.path.basename(other)} <= set(os.listdir(os.path.dirname(other)))
    except OSError:
        return False
