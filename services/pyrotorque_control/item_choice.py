"""Finds the item that a user names: by its info-hash or the beginning of it, its name, or a part of its name."""

import re
from typing import Final

from pyrotorque.actions import required_hash
from pyrotorque.text import counted, is_hash_of, printable
from pyrotorque_control.exit_codes import EX_USAGE
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.rtorrent import rtorrent_of, settings_of

_LISTED: Final = 5
# This is no name: an info-hash with a typing error, or a long part of one.
_HASH_LIKE: Final = re.compile(r"[0-9A-Fa-f]{20,}", re.ASCII)


def chosen_item(group: Group, text: str) -> str:
    """The info-hash of the item. Raises UserError or CommandError if none or several are meant."""
    if looks_like_hash(text):
        return required_hash(text)
    group.must_run()
    rows = rtorrent_of(settings_of(group)).rows("main", ("d.hash=", "d.name="))
    return matching_item([(row[0], row[1]) for row in rows], text)


def looks_like_hash(text: str) -> bool:
    """Whether it is meant as an info-hash, complete or with a mistake."""
    return _HASH_LIKE.fullmatch(text) is not None


def matching_item(items: list[tuple[str, str]], text: str, *, hint: str = "`pyrotorque select` lists the items") -> str:
    """The info-hash of the item with this name, else of the only one whose name contains it, or with this hash."""
    wanted = text.casefold()
    found = [(info_hash, name) for info_hash, name in items if name.casefold() == wanted]
    found = found or [(info_hash, name) for info_hash, name in items if wanted in name.casefold()]
    found = found or [(info_hash, name) for info_hash, name in items if is_hash_of(info_hash, text)]
    if not text.strip() or not found:
        raise CommandError(
            f"no item has a name that contains {printable(text)!r}, or a hash that begins with it",
            EX_USAGE,
            hint=hint,
        )
    if len(found) > 1:
        listed = "\n".join(f"  {info_hash}  {printable(name)}" for info_hash, name in found[:_LISTED])
        more = f"\n  and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise CommandError(f"{counted(len(found), 'item')} match {printable(text)!r}:\n{listed}{more}", EX_USAGE)
    return found[0][0]
