"""The mark by which the archives of one group are known among those of others: the name of a file's group in tar."""

import gzip
import hashlib
import os
import tarfile
import zlib
from pathlib import Path
from typing import Final

from pyrotorque_control.backup.archive import is_archive

_BLOCK: Final = tarfile.BLOCKSIZE
_ORIGIN_SIZE: Final = 24  # of the 31 characters that a header has for the name of a file's group


def origin_mark(config_dir: Path) -> str:
    """What the archives of this configuration directory have in common, and those of no other one on this machine."""
    return hashlib.sha256(os.fsencode(os.path.realpath(config_dir))).hexdigest()[:_ORIGIN_SIZE]


def origin_of(path: Path) -> str:
    """The mark in the header of the first file of an archive; empty if it has none, or is no archive."""
    if not is_archive(path):
        return ""
    try:
        with gzip.open(path) as packed:
            header = _read_header(packed)
            if header.type == tarfile.GNUTYPE_LONGNAME and header.size <= _BLOCK * _BLOCK:
                packed.read(-(-header.size // _BLOCK) * _BLOCK)
                header = _read_header(packed)
            return header.gname
    except (OSError, EOFError, zlib.error, tarfile.HeaderError):
        return ""


def _read_header(packed: gzip.GzipFile) -> tarfile.TarInfo:
    return tarfile.TarInfo.frombuf(packed.read(_BLOCK), "utf-8", "surrogateescape")
