"""Two groups on one rTorrent: `check` warns before the second one is started."""

from pathlib import Path

import pytest

from demo.group import Group, free_port
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent.session_mark import read_mark
from tests.waiting import eventually

pytestmark = pytest.mark.process

QUEUE = "job.queue.active = True"


def warned(group: Group) -> list[str]:
    """The warnings of `check` about another group."""
    return [line for line in group.command("check").stderr.splitlines() if "uses this rTorrent, too" in line]


def is_marked(rtorrent: PrivateRTorrent, group: Group) -> bool:
    mark = read_mark(bytes(rtorrent.session))
    return mark is not None and str(group.config_dir) in {use.home for use in mark.uses.values()}


def test_check_names_the_group_that_runs_on_this_rtorrent(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    def group(name: str, job: str = QUEUE) -> Group:
        return Group(short_folder / name, f"[TORQUE]\nscgi_url = {rtorrent.url}\n{job}\n")

    first, second = group("first"), group("second")
    exporter = group("exporter", f"job.exporter.active = True\njob.exporter.port = {free_port()}")
    with first:
        eventually(lambda: is_marked(rtorrent, first), 30)
        (line,) = warned(second)
        assert f"too: {first.config_dir};" in line
        assert (warned(first), warned(exporter)) == ([], [])
    assert is_marked(rtorrent, first)
    assert warned(second) == []
    with exporter:
        assert warned(second) == []
