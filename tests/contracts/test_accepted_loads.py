"""A load that rTorrent has accepted is an item after `await_accepted_loads`."""

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentUnavailable
from pyrotorque.rtorrent import RTorrent, accepted_loads
from pyrotorque.rtorrent.accepted_loads import await_accepted_loads
from tests.cleaning import SILENT


def test_each_accepted_load_is_an_item(rtorrent: PrivateRTorrent) -> None:
    client = RTorrent(rtorrent.url)
    metafiles = [make_metafile(f"item {number}", announce=SILENT) for number in range(200)]
    before = client.call("system.time", "")
    client.multicall([("load.raw", ("", each)) for each in metafiles])
    await_accepted_loads(client)
    found = {row[0] for row in client.rows("main", ("d.hash=",))}
    assert found == {info_hash(each) for each in metafiles}
    assert client.call("system.time", "") != before, "each has had its turn in the main loop"


def test_an_rtorrent_whose_clock_stands_still_is_not_awaited_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake: the clock of a real one stands still only while it answers nothing."""

    class Stuck:
        def call(self, *_: object) -> int:
            return 1

    monkeypatch.setattr(accepted_loads, "_WITHIN", 0.1)
    with pytest.raises(RTorrentUnavailable, match="clock has not advanced within 0 s"):
        await_accepted_loads(Stuck())  # type: ignore[arg-type]
