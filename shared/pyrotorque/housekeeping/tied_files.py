"""rTorrent deletes the file that an item is tied to when the item is erased: only if that is a metafile."""

import os
from typing import Final

from pyrotorque.rtorrent import RTorrent

_METAFILES: Final = (b".torrent", b".magnet", b".meta")
# Names that tools and tree watches give to a metafile that is loaded.
_MARKED: Final = (b".torrent.", b".magnet.")


def cut_foreign_tie(rtorrent: RTorrent, info_hash: str) -> None:
    """Untie the item from a file that is no metafile by its name: it may be data of an item. Raises RTorrentError."""
    name = os.path.basename(os.fsencode(str(rtorrent.call("d.tied_to_file", info_hash)))).lower()
    if name and not name.endswith(_METAFILES) and not any(mark in name for mark in _MARKED):
        rtorrent.call("d.tied_to_file.set", info_hash, "")
