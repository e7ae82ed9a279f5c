"""Which load of a torrent an item is: erased and loaded again, it is another item with the same info-hash."""

import msgspec

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import RTorrent


class ItemLoad(msgspec.Struct, frozen=True, array_like=True):
    """What shows that an item was erased and loaded again.

    `date` is when rTorrent loaded the item (Unix seconds), in its process `incarnation`: each process loads all items
    of its session. `first_start` is when it was first started, which the session keeps; 0 if it never was.
    """

    incarnation: str = ""
    date: int = 0
    first_start: int = 0

    @property
    def is_known(self) -> bool:
        """Whether it was recorded: an earlier version did not."""
        return bool(self.incarnation)

    def is_same(self, now: "ItemLoad") -> bool:
        """Whether the item that was `self` is the one that is there now; so it is where nothing was recorded."""
        if not self.is_known:
            return True
        return self.first_start == now.first_start and (self.incarnation != now.incarnation or self.date == now.date)


def read_load(rtorrent: RTorrent, info_hash: str) -> ItemLoad:
    """The load of the item. Raises RTorrentFault if rTorrent does not have it, RTorrentError."""
    incarnation = rtorrent.identity().incarnation
    answers = rtorrent.multicall([("d.load_date", (info_hash,)), ("d.timestamp.started", (info_hash,))])
    for answer in answers:
        if isinstance(answer, RTorrentFault):
            raise answer
    date, first_start = (int(str(answer)) for answer in answers)
    return ItemLoad(incarnation, date, first_start)
