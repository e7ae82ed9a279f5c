"""The collectors with a real rTorrent: every call is valid, every number correct, odd names break nothing."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.item_stats import KNOWN, parse_labels, parse_stats
from pyrotorque.rtorrent import RTorrent
from pyrotorque_exporter.collectors import Collector
from pyrotorque_exporter.collectors.disks import DisksCollector
from pyrotorque_exporter.collectors.items import ItemsCollector
from pyrotorque_exporter.collectors.rpc import RpcCollector
from pyrotorque_exporter.collectors.summary import SummaryCollector
from pyrotorque_exporter.collectors.system import SystemCollector
from pyrotorque_exporter.collectors.throttle import ThrottleCollector
from pyrotorque_exporter.collectors.trackers import TrackersCollector
from pyrotorque_exporter.collectors.views import ViewsCollector
from pyrotorque_exporter.exposition import PREFIX, Exposition
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.scrape import Scraper
from pyrotorque_exporter.tracker_names import TrackerNames
from pyrotorque_exporter.tracker_totals import TrackerTotals
from tests.programs import Program
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("rtorrent_program")

SECRET = "0badc0de0badc0de0badc0de0badc0de"
NAMES: tuple[str | bytes, ...] = (
    "plain",
    "Ünïcödé 名前",
    b"not \xff\xfe UTF-8",
    "control \x01\x1b[31m\x7f",
    'quotes " \\ and { } $ = ,',
    "x" * 240,
)


@pytest.fixture(scope="module")
def rtorrent(rtorrent_program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRTorrent]:
    """Items with the oddest names; the first is started, the second is complete and started."""
    with PrivateRTorrent(tmp_path_factory.mktemp("e") / "rt", extra_rc="throttle.up = slow, 100\n") as running:
        client = RTorrent(running.url)
        for number, name in enumerate(NAMES):
            announce = f"http://user:{SECRET}@tracker.site{number % 2}.org:1/{SECRET}/announce"
            client.call("load.raw", "", make_metafile(name, announce=announce))
        eventually(lambda: client.call("view.size", "", "main") == len(NAMES))
        first, message = _hash(0), _hash(2)
        client.call("d.start", first)
        client.call("d.message.set", message, "Tracker: [unregistered torrent]")
        client.call("d.custom1.set", first, f"https://label.org/{SECRET}")
        eventually(lambda: client.call("d.is_active", first) == 1)
        yield running


def _hash(number: int) -> str:
    announce = f"http://user:{SECRET}@tracker.site{number % 2}.org:1/{SECRET}/announce"
    return info_hash(make_metafile(NAMES[number], announce=announce))


def _scrape(rtorrent: PrivateRTorrent) -> Exposition:
    calls = RTorrentCalls(RTorrent(rtorrent.url), RTorrent(rtorrent.url, untrusted=True))
    names = TrackerNames({"site1.org": "Site One"})
    groups: list[Collector] = [
        SystemCollector(),
        ThrottleCollector(("slow", "unknown")),
        ViewsCollector(),
        SummaryCollector(),
        DisksCollector(()),
        TrackersCollector(names, TrackerTotals(10)),
        ItemsCollector(
            parse_stats([*(command.rstrip("=") for command in KNOWN), "custom:nothing", "unknown.thing"]),
            parse_labels(["name", "tracker", "custom1"]),
            names,
        ),
        RpcCollector(lambda: calls.stats),
    ]
    return Scraper(groups, calls, PREFIX).scrape(frozenset(), time.monotonic() + 20)


@pytest.fixture(scope="module")
def seen(rtorrent: PrivateRTorrent) -> Exposition:
    return _scrape(rtorrent)


def test_every_group_is_complete(seen: Exposition) -> None:
    success = seen.labelled("rtorrent_scrape_collector_success")
    assert [group for group, value in success.items() if not value] == []
    assert seen.value("rtorrent_up") == 1.0
    assert sum(seen.labelled("rtorrent_rpc_failures_total").values()) == 0.0


@pytest.mark.usefixtures("prometheus_program")
def test_promtool_reports_no_problem(seen: Exposition) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not installed: apt-get install prometheus"
    ended = subprocess.run([promtool, "check", "metrics"], input=seen.plain, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_versions_and_start_time_are_shown(seen: Exposition, rtorrent_program: Program) -> None:
    assert f'client_version="{rtorrent_program.version}",library_version="'.encode() in seen.plain
    started = seen.value("rtorrent_start_time_seconds")
    assert started is not None
    assert 0 < time.time() - started < 600
    for name in ("open_sockets", "open_files_limit", "pieces_memory_limit_bytes", "hash_queue_items", "listen_port"):
        assert seen.value(f"rtorrent_{name}") is not None, name


@pytest.mark.rtorrent_version("<0.10", reason="later versions have these numbers")
def test_metrics_without_a_command_in_this_version_are_absent(seen: Exposition) -> None:
    assert b"rtorrent_handshakes" not in seen.plain
    assert b"rtorrent_category_sockets" not in seen.plain


def test_states_and_views_agree(seen: Exposition) -> None:
    states, views = seen.labelled("rtorrent_items"), seen.labelled("rtorrent_view_items")
    assert sum(states.values()) == views["main"] == len(NAMES)
    assert states["leeching"] == views["leeching"] == 1.0
    assert states["error"] == 1.0
    assert states["stopped"] == len(NAMES) - 2
    # Of the leeching item, too, once its tracker was not found.
    assert seen.value("rtorrent_items_with_message") in (1.0, 2.0)
    assert seen.value("rtorrent_items_stalled") == 1.0
    assert seen.value("rtorrent_items_size_bytes") == len(NAMES) * 65536.0


def test_the_disk_of_the_items_is_shown_with_what_the_started_item_needs(seen: Exposition) -> None:
    assert list(seen.labelled("pyrotorque_disk_promised_bytes").values()) == [65536.0]
    (free,), (size,) = (seen.labelled(f"pyrotorque_disk_{what}_bytes").values() for what in ("free", "size"))
    assert 0 < free <= size


def test_only_throttles_that_exist_are_shown(seen: Exposition) -> None:
    assert set(seen.labelled("rtorrent_throttle_upload_rate_limit_bytes_per_second")) == {"slow"}


def test_trackers_are_shown_by_alias_and_domain(seen: Exposition) -> None:
    assert seen.labelled("rtorrent_tracker_items") == {"site0.org": 3.0, "Site One": 3.0}
    assert seen.labelled("rtorrent_tracker_message_items")["site0.org"] in (1.0, 2.0)


def test_no_passkey_appears(seen: Exposition) -> None:
    assert SECRET.encode() not in seen.plain


def test_every_item_is_shown_whatever_its_name(seen: Exposition) -> None:
    text = seen.plain.decode()
    assert text.count("rtorrent_item_info{") == len(NAMES)
    assert text.count("rtorrent_item_size_bytes{") == len(NAMES)
    assert "Ünïcödé 名前" in text
    assert '\\"' in text
    assert max(len(line) for line in text.splitlines()) < 600


def test_an_attribute_that_this_rtorrent_lacks_is_left_out(seen: Exposition) -> None:
    assert b"unknown_thing" not in seen.plain
    assert b"rtorrent_item_nothing{" not in seen.plain


def test_new_items_get_their_tracker_without_reading_all_items(rtorrent: PrivateRTorrent) -> None:
    client, restricted = RTorrent(rtorrent.url), RTorrent(rtorrent.url, untrusted=True)
    calls, names = RTorrentCalls(client, restricted), TrackerNames({})
    calls.begin(time.monotonic() + 20)
    first = names.update(calls, "trackers", [_hash(0)], 0.0)
    assert first[_hash(0)] == "site0.org"
    names.update(calls, "trackers", [_hash(0)], 1.0)
    assert restricted.stats.requests == {"trackers": 1}
    metafile = make_metafile("late", announce="http://a.late.org/x")
    client.call("load.raw", "", metafile)
    eventually(lambda: client.call("view.size", "", "main") == len(NAMES) + 1)
    late = info_hash(metafile)
    assert names.update(calls, "trackers", [_hash(0), late], 2.0)[late] == "late.org"
    client.call("d.erase", late)


def test_a_scrape_changes_nothing_in_rtorrent(rtorrent: PrivateRTorrent) -> None:
    client = RTorrent(rtorrent.url)
    before = client.call("view.list"), client.rows("main", ["d.hash=", "d.state=", "d.custom1="])
    _scrape(rtorrent)
    assert (client.call("view.list"), client.rows("main", ["d.hash=", "d.state=", "d.custom1="])) == before


def test_the_session_folder_is_never_shown(seen: Exposition, rtorrent: PrivateRTorrent) -> None:
    assert str(Path(rtorrent.session)).encode() not in seen.plain
