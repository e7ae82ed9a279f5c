"""Adds a metafile or magnet link: writes it into a watched folder, where the watcher loads it like any other."""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyrotorque.actions.delivery import Actor, record_action
from pyrotorque.errors import ActionRefused, PyrotorqueError, UnknownName, UserError
from pyrotorque.layout import Layout
from pyrotorque.linux.files import open_folder, read_text_file
from pyrotorque.linux.filesystems import is_within
from pyrotorque.metafile.magnet import Magnet, magnet
from pyrotorque.metafile.parser import torrent_in
from pyrotorque.requests import Answer
from pyrotorque.stored_configuration import last_good
from pyrotorque.text import printable
from pyrotorque.watchroots import active_roots

METAFILE_MAX: Final = 16 << 20
MAGNET_MAX: Final = 8 << 10
_FOLDERS_MAX: Final = 500
_DEPTH_MAX: Final = 3
_WATCH_INI_MAX: Final = 64 << 10
_LABEL: Final = re.compile(r"^custom1[ \t]*[=:](.*)$", re.MULTILINE)
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


def watched_folders(layout: Layout) -> list[str]:
    """The roots of all active tree watches and the folders below them: where something can be added."""
    settings = last_good(layout)
    found: list[str] = []
    for root in active_roots(settings).roots if settings else ():
        for folder in _folders(root.path, _DEPTH_MAX):
            text = os.fsdecode(folder)
            # A name that is not UTF-8 cannot be chosen in a form.
            if len(found) < _FOLDERS_MAX and printable(text) == text and text not in found:
                found.append(text)
    return found


def folder_labels(layout: Layout) -> dict[str, str]:
    """Each of `watched_folders` with the label that the nearest watch.ini gives its items; empty without one."""
    folders = watched_folders(layout)
    found: dict[str, str] = {}
    for folder in folders:  # those above come first
        above = folder.rpartition("/")[0]
        found[folder] = _label(folder) or found.get(above, "")
    return found


def _label(folder: str) -> str:
    """For a person who chooses a folder: what the label of a template will be is not known here."""
    try:
        text = read_text_file(os.path.join(folder, "watch.ini"))[:_WATCH_INI_MAX].decode(errors="replace")
    except OSError:
        return ""
    line = _LABEL.search(text)
    return printable(line[1].strip())[:80] if line else ""


def add_metafile(actor: Actor, content: bytes, folder: str = "") -> Answer:
    """Write a metafile into one of `watched_folders`, by default the first. Raises UserError, ActionRefused."""
    if len(content) > METAFILE_MAX:
        raise UserError(f"a metafile has at most {METAFILE_MAX >> 20} MiB")
    torrent, _ = torrent_in(content)
    if isinstance(torrent, Magnet):
        return _added(actor, torrent.uri.encode("ascii"), ".magnet", torrent.name, torrent.info_hash, folder)
    return _added(actor, content, ".torrent", torrent.name, torrent.info_hash, folder)


def add_magnet(actor: Actor, link: str, folder: str = "") -> Answer:
    """As `add_metafile` for a magnet link."""
    if len(link) > MAGNET_MAX:
        raise UserError(f"a magnet link has at most {MAGNET_MAX >> 10} KiB")
    found = magnet(link.strip())
    return _added(actor, found.uri.encode("ascii"), ".magnet", found.name, found.info_hash, folder)


def _added(actor: Actor, content: bytes, suffix: str, name: str, info_hash: str, folder: str) -> Answer:
    shown = printable(name)[:200] or info_hash
    try:
        chosen = _chosen(actor.layout, folder)
        _write(
            _root_of(actor.layout, chosen),
            chosen,
            f"{_UNSAFE.sub('_', name).strip('._')[:80] or 'added'}-{info_hash[:16]}{suffix}",
            content,
        )
    except PyrotorqueError as error:
        record_action(actor, "add", shown, False, str(error))
        raise
    text = f"added {shown} ({info_hash}) to {printable(str(chosen))}"
    record_action(actor, "add", shown, True, text)
    return Answer(ok=True, text=text, data={"info_hash": info_hash, "folder": printable(str(chosen))})


def _chosen(layout: Layout, folder: str) -> Path:
    folders = watched_folders(layout)
    if not folders:
        raise ActionRefused("no tree watch is active", hint="set job.treewatch.active and its path in torque.ini")
    if folder and folder not in folders:
        raise UnknownName(f"{printable(folder)} is not a watched folder: {', '.join(folders[:5])}")
    return Path(folder or folders[0])


def _root_of(layout: Layout, folder: Path) -> bytes:
    """The root that `folder` is in: links above it are the owner's."""
    settings, path = last_good(layout), os.fsencode(folder)
    found = [root.path for root in active_roots(settings).roots if is_within(path, root.path)] if settings else []
    return max(found, key=len, default=path)


def _write(root: bytes, folder: Path, name: str, content: bytes) -> None:
    """Whole or not at all, and never over another file; those who may read the folder may read it.

    A folder below `root` that another user has replaced by a link is refused.
    """
    try:
        with open_folder(root, os.fsencode(folder)[len(root) :]) as directory:
            _write_at(directory, name, content)
    except FileExistsError as error:
        raise ActionRefused(f"{printable(name)} is in {printable(str(folder))} already") from error
    except OSError as error:
        raise ActionRefused(f"cannot write into {printable(str(folder))}: {error.strerror}") from error


def _write_at(directory: int, name: str, content: bytes) -> None:
    scratch = f".{name}.{secrets.token_hex(4)}.part"
    mode = 0o600 | (stat.S_IMODE(os.fstat(directory).st_mode) & 0o044)
    file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        with os.fdopen(file, "wb") as output:
            output.write(content)
            os.fchmod(output.fileno(), mode)
        os.link(scratch, name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        with suppress(OSError):
            os.unlink(scratch, dir_fd=directory)


def _folders(path: bytes, depth: int) -> Iterator[bytes]:
    if not os.path.isdir(path):
        return
    yield path
    if depth:
        with suppress(OSError):
            below = sorted(each.name for each in os.scandir(path) if each.is_dir(follow_symlinks=False))
            for name in below:
                if not name.startswith(b"."):
                    yield from _folders(os.path.join(path, name), depth - 1)
