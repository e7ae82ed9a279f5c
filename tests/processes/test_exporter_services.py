"""What the exporter hears of the other services, and what it counted, survives kills; the page asks the scheduler."""

from pathlib import Path

import pytest

from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.bus import Bus
from pyrotorque.events import QueueChecked, TorrentLoaded, TotalsReported
from pyrotorque.layout import Layout
from pyrotorque.lifecycle import running
from pyrotorque.outbox import Outbox
from pyrotorque.requests import Answer, ExplainQueue
from pyrotorque.rtorrent import RTorrent
from pyrotorque.store import open_store
from tests.exporter_process import ExporterProcess
from tests.exporter_scene import HASH, NOW, families
from tests.waiting import eventually

pytestmark = pytest.mark.process


def test_events_and_totals_of_services_are_counted_once_over_kills(short_folder: Path) -> None:
    layout = Layout.below(short_folder / "c")
    exporter = ExporterProcess(short_folder / "c", "scgi:///nowhere")
    layout.prepare()
    store = open_store(layout.database("watcher"), ())
    outbox = Outbox(store, "watcher")
    series = 'pyrotorque_events_received_total{event="TorrentLoaded",source="watcher"}'
    with (
        running("watcher", layout, config_digest=lambda: "x", outbox=outbox),
        Bus(layout, "watcher", outbox) as bus,
        exporter,
    ):

        def load(count: int) -> None:
            with store.transaction():
                for number in range(count):
                    outbox.add(_loaded(number))
            bus.ring()

        def shows(expected: float) -> bool:
            bus.wait(0.05)
            return exporter.get().value(series) == expected

        load(30)
        bus.tell(TotalsReported(at=NOW, service="watcher", families=families()))
        eventually(lambda: shows(30.0), 15)
        exporter.stop(kill=True)
        load(12)
        exporter.start()
        eventually(lambda: shows(42.0), 15)
    store.close()


def _loaded(number: int) -> TorrentLoaded:
    return TorrentLoaded(at=NOW, info_hash=HASH, name=f"item {number}", metafile="", job="", mode="normal", seconds=0.0)


def test_the_page_shows_what_the_scheduler_explains_while_it_is_looked_at(short_folder: Path) -> None:
    layout = Layout.below(short_folder / "c")
    exporter = ExporterProcess(short_folder / "c", "scgi:///nowhere")
    layout.prepare()
    store = open_store(layout.database("scheduler"), ())
    outbox = Outbox(store, "scheduler")
    explained = [{"job": "queue", "running": [], "order": [{"hash": HASH, "name": "next"}], "hold": None}]
    with (
        running("scheduler", layout, config_digest=lambda: "x", outbox=outbox),
        Bus(layout, "scheduler", outbox) as bus,
        exporter,
    ):

        def page() -> str:
            bus.tell(QueueChecked(at=NOW, job="queue", startable=1, downloading=0, slots=3, started=0, reason="soon"))
            for asked in bus.wait(0.05).requests:
                asked.answer(Answer(ok=isinstance(asked.request, ExplainQueue), data=explained))
            return exporter.get("/").text

        eventually(lambda: "soon" in page(), 15)
        eventually(lambda: f"{HASH[:8]}…" in page(), 15)
    store.close()


def test_tracker_totals_do_not_fall_when_items_are_erased_and_the_exporter_is_killed(
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
