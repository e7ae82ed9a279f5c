"""Magnet links without metadata: each may have any files, unless the owner has confirmed that none is kept for it."""

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.housekeeping.item_files import ItemContent
from pyrotorque.json_input import decode_json
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.options import write_atomically
from pyrotorque.text import encode_json, printable

_FILE: Final = "accepted-magnets"
ACCEPT: Final = "pyrotorque cleanup --accept-magnets"


def magnet_refusal(name: str) -> str:
    """Why a magnet link keeps data, and what its owner can do."""
    return (
        f"{printable(name)} is a magnet link without metadata: it may have the same files. Erase it, or confirm with "
        f"`{ACCEPT}` that no data is kept for it"
    )


def accept_magnets(folder: Path, hashes: Collection[str]) -> None:
    """The owner confirms that no data is kept for these magnet links, and no longer for earlier ones. StateError."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    write_atomically(folder / _FILE, encode_json(sorted(hashes)))


def accepted_magnets(folder: Path) -> frozenset[str]:
    """The info-hashes that the owner has confirmed; none if that cannot be read."""
    with suppress(OSError, msgspec.DecodeError):
        return frozenset(decode_json(read_regular_file(folder / _FILE), type=list[str]))
    return frozenset()


def without_accepted(contents: list[ItemContent], accepted: Collection[str]) -> list[ItemContent]:
    """The same; a magnet link for which no data is kept has no files."""
    if not accepted:
        return contents
    return [replace(each, is_known=each.is_known or each.info_hash in accepted) for each in contents]
