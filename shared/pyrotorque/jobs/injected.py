"""Starts items that other programs added, such as cross-seed, so that they stay started over a restart of rTorrent."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pyrotorque.errors import RemovalRefused, RTorrentFault, UserError
from pyrotorque.events import Event
from pyrotorque.injected_items import InjectedItem, hold_reason, link_refusal, written_files
from pyrotorque.items import Item
from pyrotorque.jobs.item_job import ItemJob
from pyrotorque.rtorrent.session import Session
from pyrotorque.text import printable

if TYPE_CHECKING:
    from pyrotorque.housekeeping.inventory import Inventory, InventoryReader

_STATES: Final = (
    *("d.state", "d.is_active", "d.timestamp.started", "d.hashing", "d.hashing_failed"),
    *("d.complete", "d.is_partially_done", "d.completed_chunks", "d.bitfield", "d.chunk_size"),
)
_SAVED_WITHIN: Final = 5.0
_FILES_AGAIN: Final = 600.0  # seconds until the files of an item that was refused are looked at again
_INVENTORY_AGAIN: Final = 60.0  # the same, where the files of all items could not be read


class Injected(ItemJob):
    """`condition` names the items by what the other program marks them with, for example `custom_1=cross-seed`."""

    needed = frozenset({"started", "is_active"})

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        if self.chosen is None or config.get("on"):
            raise UserError(f"job.{self.name} needs a condition and a schedule, and takes no events (on)")
        # Only these are of interest, and rTorrent filters by it; `off` keeps an item stopped, as in a queue.
        self.chosen = self.chosen.also(self.condition("is_started=no is_ignored=no prio>0"))
        self._session = Session()
        self._noted: dict[str, str] = {}
        self._refused: dict[str, tuple[float, InjectedItem, str]] = {}
        self._reader_of_files: InventoryReader | None = None
        self._inventory: Inventory | None = None

    def run(self, event: Event | None = None) -> None:
        self._inventory = None
        super().run(event)

    def run_item(self, item: Item) -> None:
        if item["started"] and not item["is_active"]:
            return  # its owner stopped it: there may be thousands, so they cost no call each
        info_hash, name = str(item["hash"]), printable(str(item["name"]))
        found = self._state(info_hash, bool(item["started"]))
        reason = hold_reason(found)
        if reason is None and not found.wanted_done:
            reason = self._refusal(info_hash, found)
        if reason is not None:
            self._note(info_hash, name, reason)
        elif self.dry_run:
            self.log.info("would start: %s", name)
        else:
            self._start(info_hash, name, found, bool(item["started"]))

    def _state(self, info_hash: str, was_started: bool) -> InjectedItem:
        answers = self.rtorrent.multicall([(command, (info_hash,)) for command in _STATES])
        for answer in answers:
            if isinstance(answer, RTorrentFault):
                raise answer
        state, active, stamp, hashing, failed, complete, partial, chunks, bitfield, chunk_size = answers
        return InjectedItem(
            started=state == 1,
            active=active == 1,
            has_run=was_started or stamp != 0,
            hashing=hashing != 0,
            check_failed=failed != 0,
            wanted_done=complete == 1 or partial == 1,
            chunks_done=int(str(chunks)),
            bitfield=str(bitfield),
            chunk_size=int(str(chunk_size)),
        )

    def _refusal(self, info_hash: str, found: InjectedItem) -> str | None:
        """Why the missing part must not be written."""
        if (known := self._refused.get(info_hash)) and known[1] == found and time.monotonic() < known[0]:
            return known[2]
        try:
            inventory = self._read_inventory()
        except RemovalRefused as error:
            self._refused[info_hash] = (time.monotonic() + _INVENTORY_AGAIN, found, str(error))
            return str(error)
        content = inventory.claims.contents.get(info_hash)
        if content is None or info_hash in inventory.inexact:
            reason: str | None = f"its files are not known: {inventory.inexact.get(info_hash, 'it was just added')}"
        else:
            sizes = [file.size for file in content.files]
            reason = link_refusal(content, set(written_files(sizes, found)), inventory.claims)
        if reason is not None:
            self._refused[info_hash] = (time.monotonic() + _FILES_AGAIN, found, reason)
        return reason

    def _read_inventory(self) -> "Inventory":
        """All items with their exact files, read once in a run. Raises RemovalRefused where they are not known."""
        if self._inventory is None:
            from pyrotorque.housekeeping.inventory import InventoryReader  # idle workers do not need it
            from pyrotorque.housekeeping.other_clients import OtherClients

            self._reader_of_files = self._reader_of_files or InventoryReader(self.rtorrent, OtherClients())
            self._inventory = self._reader_of_files.read()
        return self._inventory

    def _start(self, info_hash: str, name: str, before: InjectedItem, was_started: bool) -> None:
        if self._state(info_hash, was_started) != before:
            return  # another program is at work: the next run decides
        *_, state, active = self.rtorrent.multicall(
            [(command, (info_hash,)) for command in ("d.start", "d.state", "d.is_active")]
        )
        if state != 1:
            raise UserError("rTorrent did not start it")
        self._noted.pop(info_hash, None)
        self.log.info("started%s: %s", "" if active == 1 else ", rTorrent checks its data", name)
        if self._session.save(self.rtorrent, info_hash, {"state": 1}, _SAVED_WITHIN) is False:
            raise UserError("it is started, but rTorrent did not save that: is the disk of its session full?")

    def _note(self, info_hash: str, name: str, reason: str) -> None:
        """Log why an item is not started, once for each reason."""
        if self._noted.get(info_hash) != reason:
            self._noted[info_hash] = reason
            if reason:
                self.log.info("not started: %s: %s", name, reason)
