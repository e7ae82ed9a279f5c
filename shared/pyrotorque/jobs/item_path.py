"""The path of an item's data byte for byte, also where rTorrent prints another one."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pyrotorque.errors import MetafileError, RTorrentFault
from pyrotorque.fields.converters import is_stale
from pyrotorque.fields.converters import path as path_of
from pyrotorque.fields.field import Field
from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.metafile import read
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.item_texts import equal_call
from pyrotorque.rtorrent.packed_rows import Form
from pyrotorque.rtorrent.session import Session
from pyrotorque.text import printable

_BASE, _DIRECTORY, _NAME = "d.base_path=", "d.directory=", "d.name="
_ADVICE: Final = "rTorrent 0.16.13 and later offer exact paths, others only in a session folder that this job can read"


def exact_path(rtorrent: RTorrent, info_hash: str, multi_file: bool) -> Path:
    """The path of the item's data; empty if it has none.

    A text that rTorrent altered is looked up in its session, and used only if rTorrent confirms it. Raises MoveRefused
    where it does not, and for a path that is not absolute; RTorrentError.
    """
    base, directory, name = (rtorrent.text(info_hash, command) for command in (_BASE, _DIRECTORY, _NAME))
    printed = path_of(base.text, directory.text, name.text, str(int(multi_file)))
    _require_absolute(directory.text or printed)
    if is_stale(base.text, directory.text, str(int(multi_file))):
        used = (directory,) if multi_file else (directory, base)
    else:
        used = (base,) if base.text else (directory,) if multi_file else (directory, name)
    if all(each.form is Form.EXACT for each in used):
        _require_absolute(printed)
        return plain_path(printed) if printed else Path()
    session = Session()
    session.locate(rtorrent, rtorrent.identity())
    folder, own_name = (session.values(info_hash) or {}).get("directory"), _name_in(session, info_hash)
    if isinstance(folder, bytes) and (multi_file or own_name):
        found = folder if multi_file else os.path.join(folder, own_name)
        compared = [(_BASE, found)] if base.text else [(_DIRECTORY, folder)]
        if not base.text and not multi_file:
            compared.append((_NAME, own_name))
        if all(_is_equal(rtorrent, info_hash, command, value) for command, value in compared):
            return plain_path(os.fsdecode(found))
    raise MoveRefused(f"rTorrent prints its path altered, as {printable(printed)}: {_ADVICE}", "altered")


def plain_path(path: str) -> Path:
    """`path` without `.`, `..` and doubled slashes, and still what the kernel finds there: `..` after a link leads to
    the folder around its target."""
    if ".." not in path.split("/"):
        return Path(os.path.normpath(path))
    folder, name = os.path.split(path.rstrip("/"))
    return Path(os.path.realpath(path) if name in ("", ".", "..") else os.path.join(os.path.realpath(folder), name))


def _require_absolute(path: str) -> None:
    if path and not path.startswith("/"):
        text = f"its path {printable(path)} is relative to the working directory of rTorrent: set an absolute one"
        raise MoveRefused(text, "missing")


def check_exact(rtorrent: RTorrent, info_hash: str, fields: Iterable[Field]) -> None:
    """Raises MoveRefused if rTorrent altered the text of one of these fields."""
    for field in fields:
        for command in field.commands if field.kind in ("text", "any", "tags") else ():
            try:
                found = rtorrent.text(info_hash, command)
            except RTorrentFault:  # this rTorrent does not have the command: its value is empty
                continue
            if found.form is not Form.EXACT:
                shown = printable(found.text)
                raise MoveRefused(f"rTorrent prints its field {field.name} altered, as {shown}", "altered")


def _name_in(session: Session, info_hash: str) -> bytes:
    try:
        return read(session.metafile(info_hash)).name_bytes
    except MetafileError:
        return b""


def _is_equal(rtorrent: RTorrent, info_hash: str, command: str, value: bytes) -> bool:
    try:
        method, params = equal_call(info_hash, command, value)
    except ValueError:
        return False
    return rtorrent.call(method, *params) == 1
