"""Whether rTorrent has the items of duplicates at this moment, completely and saved.

What this watcher loaded is followed until it is saved. The item of a duplicate came from elsewhere: it may be erased
since, be lost with a restart of rTorrent that had not saved it, or be a magnet link that has no metadata yet. Then its
metafile may be the only copy.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final

from pyrotorque.errors import RTorrentFault, SessionNotKnown
from pyrotorque_watcher.rows import Row
from pyrotorque_watcher.settle.ties import Ties

_MAGNET: Final = b".magnet"


class ItemFact(Enum):
    """What rTorrent has of a duplicate."""

    SAVED = "all of its items, with their metadata, in its session"
    WAITS = "an item that is not saved, or has no metadata yet"
    GONE = "not all of its items"
    LOST = "not all of its items, and it was restarted since it was seen to have them"


def item_facts(ties: Ties, rows: Sequence[Row]) -> tuple[list[ItemFact], str]:
    """One for each row, and the incarnation of the rTorrent that answered; requests to save what is not saved.

    Raises RTorrentError and SessionNotKnown.
    """
    before = ties.rtorrent.identity()
    ties.recognize(before)
    ties.session.locate(ties.rtorrent, before)
    hashes = [info_hash for row in rows for info_hash in row.load.info_hashes]
    answers = ties.rtorrent.multicall([("d.is_meta", (info_hash,)) for info_hash in hashes])
    if ties.rtorrent.identity().incarnation != before.incarnation:
        raise SessionNotKnown("rTorrent was replaced while it was read")
    is_meta = {
        info_hash: answer
        for info_hash, answer in zip(hashes, answers, strict=True)
        if not isinstance(answer, RTorrentFault)
    }
    unsaved = {info_hash for info_hash in is_meta if ties.session.holds(info_hash) is False}
    ties.rtorrent.multicall([("d.save_full_session", (info_hash,)) for info_hash in sorted(unsaved)])
    found: list[ItemFact] = []
    for row in rows:
        items = row.load.info_hashes
        if not is_meta.keys() >= set(items):
            was_restarted = row.progress.incarnation not in ("", before.incarnation)
            found.append(ItemFact.LOST if was_restarted else ItemFact.GONE)
        elif not unsaved.isdisjoint(items) or (
            not row.path.endswith(_MAGNET) and any(is_meta[each] != 0 for each in items)
        ):
            found.append(ItemFact.WAITS)
        else:
            found.append(ItemFact.SAVED)
    return found, before.incarnation
