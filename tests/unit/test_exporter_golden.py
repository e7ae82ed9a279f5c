"""The whole exposition of a fixed rTorrent and fixed services, against a file.

`PYTHONPATH=services:shared:. python -m tests.unit.test_exporter_golden` rewrites the file; review the difference.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from pyrotorque.disk_usage import Disk, DiskUsage
from pyrotorque.errors import RTorrentFault
from pyrotorque.item_stats import KNOWN, parse_labels, parse_stats
from pyrotorque.rtorrent import Value
from pyrotorque.totals import Totals
from pyrotorque_exporter.collectors import Collector
from pyrotorque_exporter.collectors.disks import DisksCollector
from pyrotorque_exporter.collectors.items import ItemsCollector
from pyrotorque_exporter.collectors.processes import ProcessesCollector
from pyrotorque_exporter.collectors.rpc import RpcCollector
from pyrotorque_exporter.collectors.services import ServiceTotalsCollector
from pyrotorque_exporter.collectors.summary import FLAGS, SummaryCollector
from pyrotorque_exporter.collectors.system import SystemCollector
from pyrotorque_exporter.collectors.throttle import ThrottleCollector
from pyrotorque_exporter.collectors.trackers import TrackersCollector
from pyrotorque_exporter.collectors.views import ViewsCollector
from pyrotorque_exporter.exposition import PREFIX
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.scrape import Scraper
from pyrotorque_exporter.tracker_names import TRACKERS_COMMAND, TrackerNames
from pyrotorque_exporter.tracker_totals import TrackerTotals
from tests.exporter_fakes import FakeRTorrent
from tests.exporter_scene import NOW, beat, families, live, service_states

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "exporter.prom"
SECRET = "c0ffee00c0ffee00c0ffee00c0ffee00"

Item = dict[str, str]


def _item(number: int, **fields: str) -> Item:
    item = {
        "d.hash=": f"{number:040X}",
        "d.name=": f'item "{number}" \\ \n bad \udcff',
        "d.size_bytes=": str(1000 * number),
        "d.left_bytes=": "0",
        "d.up.total=": str(number),
        "d.down.total=": str(2 * number),
        "d.ratio=": "1500",
        "d.custom1=": f"https://tracker.org/{SECRET}",
        TRACKERS_COMMAND: f"1http://t.site{number % 2}.org:80/{SECRET}/announce>",
        "d.custom=memo_alias": "",
    }
    for command, value in zip(FLAGS, fields.pop("flags", "0000"), strict=True):
        item[command] = value
    return item | {f"d.{name}=": value for name, value in fields.items()}


ITEMS = (
    _item(1, flags="0111", peers_connected="7", **{"up.rate": "10"}),
    _item(2, flags="0110", left_bytes="5", peers_connected="3", **{"down.rate": "20"}),
    _item(3, flags="0110", left_bytes="9"),
    _item(4, flags="0100"),
    _item(5, flags="1110"),
    _item(6, flags="0000", message="unregistered", is_open="0", hashing_failed="0"),
    _item(7, flags="0000", hashing_failed="1"),
    _item(8, flags="0000"),
)


def _where(command: str) -> list[Item]:
    return [item for item in ITEMS if item.get(command, "0") not in ("0", "")]


def fake() -> FakeRTorrent:
    """An rTorrent with eight items, one in each state at least."""
    numbers = {name: 11 + place for place, name in enumerate(_getters())}
    answers: dict[str, Value | RTorrentFault] = {
        **numbers,
        "system.client_version": "0.9.8",
        "system.library_version": "0.13.8",
        "system.api_version": "10",
        "system.startup_time": 1_700_000_000,
        "pieces.hash.queue_size": RTorrentFault("no such thing", -506),
        "view.list": ["main", "started", "rtcontrol_1"],
        "view.size": 8,
        "view.size  started": sum(item["d.state="] != "0" for item in ITEMS),
        "view.size  hashing": sum(item["d.hashing="] != "0" for item in ITEMS),
        "dht.statistics": {"active": 1, "nodes": 5, "buckets": 2, "peers": 1, "torrents": 3, "queries_sent": 9},
        "throttle.up.max": -1,
        "throttle.up.rate": 0,
        "throttle.down.max  slow": 100,
        "throttle.down.rate": 50,
    }
    filters = ("d.hashing=", "d.message=", "d.hashing_failed=", "d.peers_connected=", "d.up.rate=", "d.down.rate=")
    tables = {("main", ""): ITEMS, **{("main", command): _where(command) for command in filters}}
    return FakeRTorrent(answers=answers, tables=tables)


def _getters() -> list[str]:
    from pyrotorque_exporter.collectors.system import SOCKETS, TABLE
    from pyrotorque_exporter.collectors.throttle import TABLE as THROTTLE

    single = [command for reading in (*TABLE, *THROTTLE) for command in reading.commands]
    return [*single, *(f"system.sockets.{name}.size" for name in SOCKETS)]


class FixedDisks(DiskUsage):
    """Two disks, on any machine."""

    def measure(self, folders: Iterable[str]) -> list[Disk]:
        return [Disk("/data", 1, 40_000_000_000, 900_000_000_000), Disk("/home", 2, 5_000_000, 60_000_000)]


def exposition(proc_folder: Path) -> str:
    """The exposition of the fake rTorrent and the services of the scene at NOW."""
    rtorrent, services = fake(), service_states()
    calls = RTorrentCalls(rtorrent, rtorrent, clock=lambda: 0.0)
    totals, names, bus = TrackerTotals(10), TrackerNames({"t.site1.org": "Site One"}), Totals()
    totals.restore({}, {})
    groups: list[Collector] = [
        ProcessesCollector(services, bus.families, proc_folder=proc_folder),
        *(ServiceTotalsCollector(name, services) for name in ("queue", "watch", "jobs")),
        SystemCollector(),
        ThrottleCollector(("slow",)),
        ViewsCollector(),
        SummaryCollector(),
        DisksCollector((), FixedDisks()),
        TrackersCollector(names, totals),
        ItemsCollector(
            parse_stats([command.rstrip("=") for command in KNOWN]),
            parse_labels(["name", "tracker", "custom1"]),
            names,
            limit=2,
        ),
        RpcCollector(lambda: calls.stats),
    ]
    scraper = Scraper(groups, calls, PREFIX, clock=lambda: 0.0, wall=lambda: NOW)
    services.receive(live("guardian", beat("guardian")))
    return scraper.scrape(frozenset(), 10.0).plain.decode()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return exposition(tmp_path_factory.mktemp("proc"))


def test_the_exposition_equals_the_golden_file(text: str) -> None:
    assert text == GOLDEN.read_text()


@pytest.mark.usefixtures("prometheus_program")
def test_promtool_reports_no_problem(text: str) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not installed: apt-get install prometheus"
    ended = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_no_announce_url_or_path_appears(text: str) -> None:
    assert SECRET not in text
    assert "://" not in text


def test_states_are_disjoint_and_add_up(text: str) -> None:
    states = dict(re.findall(r'^rtorrent_items\{state="(\w+)"\} (\S+)$', text, re.MULTILINE))
    assert states == {
        "hashing": "1.0",
        "error": "2.0",
        "stopped": "1.0",
        "paused": "1.0",
        "leeching": "2.0",
        "seeding": "1.0",
    }


def test_no_series_appears_twice(text: str) -> None:
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))


def test_every_family_of_the_services_is_included(text: str) -> None:
    assert [family.name for family in families() if f"# TYPE {family.name} " not in text] == []


if __name__ == "__main__":
    GOLDEN.write_text(exposition(Path("/nonexistent")))
