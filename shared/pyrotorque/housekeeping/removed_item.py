"""What rTorrent has of an item that is removed or restored: whether it is there, and where; starts it again."""

from pyrotorque.errors import RTorrentFault
from pyrotorque.housekeeping.journal import RemovalRecord
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.item_texts import equal_call


def is_loaded(rtorrent: RTorrent, info_hash: str) -> bool:
    """Whether rTorrent has the item."""
    try:
        return bool(rtorrent.call("d.hash", info_hash))
    except RTorrentFault:
        return False


def is_magnet(rtorrent: RTorrent, info_hash: str) -> bool:
    """Whether rTorrent has a magnet link without metadata of this hash: it has neither the metafile nor the files."""
    try:
        return rtorrent.call("d.is_meta", info_hash) == 1
    except RTorrentFault:
        return False


def is_in_folder(rtorrent: RTorrent, removal: RemovalRecord) -> bool:
    """Whether the item is in the folder of the removal: erased and loaded again, it may be in another one."""
    if not removal.directory:
        return True
    method, params = equal_call(removal.info_hash, "d.directory=", removal.directory)
    if rtorrent.call(method, *params) == 1:
        return True
    # The record has the absolute path of a relative one.
    return not str(rtorrent.call("d.directory", removal.info_hash)).startswith("/")


def start_again(rtorrent: RTorrent, removal: RemovalRecord, *, is_unproven: bool = False) -> None:
    """Start the item if it ran before its removal began; its data is checked if that `is_unproven`.

    If it was started while its files were away, rTorrent takes it for empty: then its data is checked, not downloaded.
    """
    info_hash = removal.info_hash
    is_checked = is_unproven or int(str(rtorrent.call("d.completed_chunks", info_hash))) < removal.chunks_done
    if is_checked:
        rtorrent.call("d.check_hash", info_hash)
    if removal.started:
        rtorrent.call("d.start", info_hash)
    if is_checked or removal.started:
        rtorrent.call("d.save_full_session", info_hash)
