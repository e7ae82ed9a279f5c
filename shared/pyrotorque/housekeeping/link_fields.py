"""The fields `links` and `frees`: which links the files of an item have, and what its removal alone would free."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from pyrotorque.errors import RemovalRefused, RTorrentError
from pyrotorque.fields.field import Field
from pyrotorque.fields.kinds import Tags, Value
from pyrotorque.fields.table import FIELDS
from pyrotorque.fields.unknown import UNKNOWN
from pyrotorque.housekeeping.inventory import Inventory, InventoryReader

NAMES: Final = ("links", "frees")


def link_fields(inventory: Callable[[], Inventory | None]) -> dict[str, Field]:
    """The fields with the facts of `inventory`, which is called for each value; None: not known."""

    def value(name: str, info_hash: str) -> Value:
        facts = inventory()
        if name == "links":
            return UNKNOWN if facts is None else links(facts, info_hash)
        is_known = facts is not None and info_hash in facts.claims.files and info_hash not in facts.inexact
        return facts.claims.frees((info_hash,)) if facts is not None and is_known else None

    return {
        name: replace(FIELDS[name], commands=("d.hash=",), convert=partial(value, name), local=True) for name in NAMES
    }


def read_once(reader: InventoryReader) -> Callable[[], Inventory | None]:
    """An inventory that is read at the first call; None if it cannot be read."""
    found: list[Inventory | None] = []

    def inventory() -> Inventory | None:
        if not found:
            try:
                found.append(reader.read())
            except (RemovalRefused, RTorrentError):
                found.append(None)
        return found[0]

    return inventory


def links(facts: Inventory, info_hash: str) -> Tags:
    """`inside`: other names are files of items; `outside`: others are not; `shared`: another item has the same file."""
    claims = facts.claims
    if info_hash not in claims.files or info_hash in facts.inexact or claims.possibly_sharing(info_hash):
        return UNKNOWN
    files = claims.files[info_hash]
    tags: set[str] = set()
    if any(each.found is None and each.file.size and not each.file.padding for each in files):
        tags.add("missing")
    if any(each.found is not None and len(claims.names[each.found.inode]) > 1 for each in files):
        tags.add("inside")
    if claims.outside_links(info_hash):
        tags.add("outside")
    if claims.shared_files(info_hash):
        tags.add("shared")
    return Tags(tags)
