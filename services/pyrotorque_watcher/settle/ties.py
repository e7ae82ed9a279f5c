"""The ties of items to metafiles (`d.tied_to_file`): the only place that changes one after the load.

Users run `remove_untied`, which erases items whose metafile is not at the path of their tie. A tied metafile is
therefore linked to its new name, then the tie is changed, and only then the old name is removed; before a tied metafile
is deleted, its tie is cut.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import Param, Value
from pyrotorque.rtorrent.item_texts import equal_call
from pyrotorque.settings.schema import WatchSettings
from pyrotorque_watcher.load.visibility import mapped
from pyrotorque_watcher.rows import Row


class TieCaller(Protocol):
    """The part of the rTorrent client that is needed here."""

    def call(self, method: str, *params: Param) -> Value: ...


@dataclass(frozen=True)
class Ties:
    rtorrent: TieCaller
    sees: Callable[[bytes, bytes], bool]
    """Whether rTorrent sees our file (first) under its path (second)."""

    def cut(self, info_hash: str) -> None:
        """The item is tied to no file."""
        self.rtorrent.call("d.tied_to_file.set", info_hash, "")

    def cut_if_tied_to(self, info_hash: str, theirs: bytes) -> None:
        """The item is no longer tied to this path of rTorrent; a tie to another path stays."""
        with suppress(RTorrentFault):
            if self._is_tied_to(info_hash, theirs):
                self.cut(info_hash)

    def tie(self, row: Row, path: bytes, settings: WatchSettings) -> None:
        """Tie the item to the file at `path`; its tie is cut if rTorrent would consider that file deleted."""
        theirs = mapped(path, settings.path_map)
        is_seen = settings.tie != "auto" or self.sees(path, theirs)
        self.rtorrent.call("d.tied_to_file.set", row.load.info_hash, theirs if is_seen else b"")

    def follow_rename(self, row: Row, settings: WatchSettings) -> None:
        """The owner renamed the metafile: tie the item to the new name, unless its tie was cut."""
        with suppress(RTorrentFault):
            if self.rtorrent.call("d.tied_to_file", row.load.info_hash):
                self.tie(row, row.path, settings)

    def is_tied(self, row: Row, settings: WatchSettings) -> bool:
        """Whether rTorrent has tied the item to this file, no matter which program set the tie."""
        if not row.load.info_hash:
            return False
        try:
            if row.load.tied and self.rtorrent.call("d.tied_to_file", row.load.info_hash):
                return True
            return self._is_tied_to(row.load.info_hash, mapped(row.path, settings.path_map))
        except RTorrentFault:
            return False

    def _is_tied_to(self, info_hash: str, theirs: bytes) -> bool:
        """Compared by rTorrent, which cannot print every byte of a path."""
        method, params = equal_call(info_hash, "d.tied_to_file=", theirs)
        return self.rtorrent.call(method, *params) == 1
