"""Events and counts survive kills of the exporter; the page requests explanations from the scheduler."""

from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.bus import Bus
from pyrotorque.events import TorrentLoaded, TotalsReported
from pyrotorque.layout import Layout
from pyrotorque.outbox import Outbox
from pyrotorque.rtorrent import RTorrent
from pyrotorque.service.lifecycle import running
from pyrotorque.store import Store, open_store
from tests.exporter_process import ExporterProcess
from tests.exporter_scene import HASH, NOW, families
from tests.waiting import eventually

pytestmark = pytest.mark.process


@dataclass(frozen=True)
class Beside:
    """The exporter, and a service that it subscribes to."""

    exporter: ExporterProcess
    bus: Bus
    store: Store
    outbox: Outbox


@contextmanager
def beside(folder: Path, service: str) -> Generator[Beside]:
    layout = Layout.below(folder / "c")
    exporter = ExporterProcess(layout.config_dir, "scgi:///nowhere")
    layout.prepare()
    with closing(open_store(layout.database(service), ())) as store:
        outbox = Outbox(store, service)
        with (
            running(service, layout, config_digest=lambda: "x", outbox=outbox),
            Bus(layout, service, outbox) as bus,
            exporter,
        ):
            yield Beside(exporter, bus, store, outbox)


def test_events_and_totals_of_services_are_counted_once_over_kills(short_folder: Path) -> None:
    series = 'pyrotorque_events_received_total{event="TorrentLoaded",source="watcher"}'
    with beside(short_folder, "watcher") as watcher:

        def load(count: int) -> None:
            with watcher.store.transaction():
                for number in range(count):
                    watcher.outbox.add(_loaded(number))
            watcher.bus.publish()

        def shows(expected: float) -> bool:
            watcher.bus.wait(0.05)
            return watcher.exporter.get().value(series) == expected

        load(30)
        watcher.bus.publish_live(TotalsReported(at=NOW, service="watcher", families=families()))
        eventually(lambda: shows(30.0), 20)
        watcher.exporter.stop(kill=True)
        load(12)
        watcher.exporter.start()
        eventually(lambda: shows(42.0), 20)


def _loaded(number: int) -> TorrentLoaded:
    return TorrentLoaded(at=NOW, info_hash=HASH, name=f"item {number}", metafile="", job="", mode="normal", seconds=0.0)


def test_tracker_totals_survive_erased_items_and_a_killed_exporter(
    rtorrent: PrivateRTorrent, short_folder: Path
) -> None:
    client = RTorrent(rtorrent.url)
    for name in ("one", "two"):
        client.call("load.raw", "", make_metafile(name, announce="http://a.tracker.org/secret/announce"))
    eventually(lambda: client.call("view.size", "", "main") == 2)
    with ExporterProcess(short_folder / "c", rtorrent.url, extra="job.exporter.jobs = system, tracker") as exporter:

        def shows(items: float, uploaded: float) -> bool:
            page = exporter.get()
            assert "secret" not in page.text
            return (
                page.value('rtorrent_tracker_items{tracker="tracker.org"}') == items
                and page.value('rtorrent_tracker_uploaded_bytes_total{tracker="tracker.org"}') == uploaded
            )

        assert shows(2, 0)
        rtorrent.stop()
        for session in rtorrent.session.glob("*.torrent.rtorrent"):
            session.write_bytes(session.read_bytes().replace(b"total_uploadedi0e", b"total_uploadedi5000e"))
        rtorrent.start()
        eventually(lambda: shows(2, 10_000))
        client.call("d.erase", client.rows("main", ["d.hash="])[0][0])
        eventually(lambda: shows(1, 10_000))
        exporter.stop(kill=True)
        exporter.start()
        assert shows(1, 10_000)
