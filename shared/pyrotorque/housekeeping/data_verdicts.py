"""Keeps what the gate says about the data of items between two plans, as long as the facts are the same.

Only plans use this: before a removal, the gate examines the item again (`gate.verify`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pyrotorque.housekeeping.claims import Claims
from pyrotorque.housekeeping.gate import DataRules, FileRow, data_kept, read_file_rows
from pyrotorque.housekeeping.inventory import Inventory
from pyrotorque.housekeeping.limits import Kept
from pyrotorque.linux.filesystems import Mount
from pyrotorque.long_work import WorkReports, unseen_work
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.file_values import ITEMS_MAX, fit_in_one_call

# What changes when rTorrent has other rows for the files of an item.
_Version: TypeAlias = tuple[str, float, int, int, bool]


@dataclass
class DataVerdicts:
    """The rows of files that rTorrent has, and the reasons to keep data, by info-hash."""

    _claims: Claims | None = None
    _rules: DataRules | None = None
    _mounts: Sequence[Mount] = ()
    _rows: dict[str, tuple[_Version, list[FileRow]]] = field(default_factory=dict[str, tuple[_Version, list[FileRow]]])
    _kept: dict[str, Kept | None] = field(default_factory=dict[str, "Kept | None"])

    def begin(self, inventory: Inventory, rules: DataRules) -> None:
        """Forget the reasons that may have changed: of items whose files, or whose files' other names, have."""
        claims = inventory.claims
        if (self._rules, self._mounts) != (rules, inventory.locations.mounts) or not self._follow(claims):
            self._kept.clear()
        self._claims, self._rules, self._mounts = claims, rules, inventory.locations.mounts

    def _follow(self, claims: Claims) -> bool:
        """Whether all reasons that remain still hold with these claims."""
        known = self._claims
        if known is None or claims is known:
            return known is not None
        if claims.before is not known.token or claims.updated_index is None:
            return False
        # These are facts about all items: what may be missing, or be on several disks.
        if (claims.lost, claims.devices, claims.unresolved) != (known.lost, known.devices, known.unresolved):
            return False
        if claims.respelled != known.respelled:
            return False
        if len(claims.devices) > 1:
            return False
        for key in claims.affected:
            self._kept.pop(key, None)
        return True

    def read_rows(
        self, rtorrent: RTorrent, inventory: Inventory, hashes: Sequence[str], working: WorkReports = unseen_work
    ) -> None:
        """Read the rows of items that have changed. Raises RTorrentFault."""
        versions = {each: _version(inventory, each) for each in hashes}
        wanted = [each for each in hashes if each not in self._rows or self._rows[each][0] != versions[each]]
        found: dict[str, list[FileRow]] = {}
        contents = inventory.claims.contents
        is_one_call = fit_in_one_call([len(contents[each].files) for each in inventory.items])
        number = max(ITEMS_MAX, len(wanted)) if is_one_call else ITEMS_MAX
        with working("files in rTorrent", len(wanted), "item") as work:
            for at in range(0, len(wanted), number):
                batch = wanted[at : at + number]
                found |= read_file_rows(rtorrent, inventory, batch)
                work.advance(len(batch))
        for each in wanted:
            self._rows[each] = versions[each], found.get(each, [])
            self._kept.pop(each, None)
        self._rows = {each: self._rows[each] for each in hashes}

    def kept(self, inventory: Inventory, info_hash: str, rules: DataRules) -> Kept | None:
        """Why the data of the item must stay; None if it may go."""
        if info_hash not in self._kept:
            self._kept[info_hash] = data_kept(inventory, info_hash, self._rows[info_hash][1], rules)
        return self._kept[info_hash]


def _version(inventory: Inventory, info_hash: str) -> _Version:
    item = inventory.items[info_hash]
    return inventory.incarnation, item.loaded, item.done, item.chunks_done, item.complete
