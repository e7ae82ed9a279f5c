"""A real group sends what needs its owner, and that it is over: a missing folder, a port in use, a full disk."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from demo.group import Group
from demo.private_rtorrent import PrivateRTorrent
from tests.grouping import torque_ini
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.either_rtorrent(reason="it is about our notifications: what they report is tested with both"),
]


class Receiver(ThreadingHTTPServer):
    """Accepts and records the JSON of each event."""

    daemon_threads = True

    def __init__(self) -> None:
        self.events: list[dict[str, object]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def of(self, kind: str, **fields: object) -> list[dict[str, object]]:
        wanted = {"type": kind, **fields}
        return [event for event in list(self.events) if wanted.items() <= event.items()]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Receiver)
        server.events.append(json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.shutdown()
    server.server_close()


def notify(receiver: Receiver, *lines: str) -> tuple[str, ...]:
    return (
        "job.phone.handler = pyrotorque.jobs.notify:Notify",
        f"job.phone.url = http://127.0.0.1:{receiver.server_address[1]}/",
        *lines,
    )


def test_a_missing_folder_a_port_in_use_and_a_full_disk_are_sent_with_their_ends(
    rtorrent: PrivateRTorrent, short_folder: Path, receiver: Receiver
) -> None:
    watch = short_folder / "watch"
    watch.mkdir()
    # No disk has so much free: each is nearly full.
    full = ("disk_free_percent = 100", "disk_free_bytes = 900000t")
    ini = torque_ini(rtorrent.url, watch, *notify(receiver))
    with Group(short_folder / "conf", torque_ini(rtorrent.url, watch, *notify(receiver), *full)) as group:
        eventually(lambda: receiver.of("DiskLow"), 60, why=group.log("scheduler"))
        with socket.create_server(("127.0.0.1", 0)) as other:
            exporter = f"job.exporter.active = True\njob.exporter.port = {other.getsockname()[1]}\n"
            (group.config_dir / "torque.ini").write_text(ini + "disk_free_percent = 0.000001\n" + exporter)
            assert group.command("--restart").returncode == 0
            port = {"problem": "port unavailable", "subject": "exporter"}
            eventually(lambda: receiver.of("ProblemReported", **port), 60, why=group.log("exporter"))
        eventually(lambda: receiver.of("ProblemEnded", **port), 60, why=group.log("exporter"))

        points = {event["mountpoint"] for event in receiver.of("DiskLow")}
        eventually(lambda: {e["mountpoint"] for e in receiver.of("DiskRecovered")} >= points, 60, why="room again")

        watch.rename(short_folder / "away")
        missing = {"problem": "root missing", "subject": str(watch)}
        eventually(lambda: receiver.of("ProblemReported", **missing), 60, why=group.log("watcher"))
        (short_folder / "away").rename(watch)
        eventually(lambda: receiver.of("ProblemEnded", **missing), 60, why=group.log("watcher"))

        (group.config_dir / "torque.ini").write_text(ini + "disk_free_percent = many\n")
        group.command("ctl", "signal", "HUP", "scheduler")
        broken = {"problem": "configuration wrong", "service": "scheduler"}
        eventually(lambda: receiver.of("ProblemReported", **broken), 60, why=group.log("scheduler"))
        (group.config_dir / "torque.ini").write_text(ini)
        group.command("ctl", "signal", "HUP", "scheduler")
        eventually(lambda: receiver.of("ProblemEnded", **broken), 60, why=group.log("scheduler"))

        assert len(receiver.of("ProblemReported", **missing)) == 1
        assert len(receiver.of("DiskLow")) == len(points)
        lines = (group.config_dir / "log" / "torque.log").read_text()
        for text in ("is nearly full", "has room again after", "is there again after", "valid again"):
            assert text in lines
