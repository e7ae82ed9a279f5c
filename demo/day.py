"""A day of a group in twenty minutes: what its owner sees in the log, alerts, messages, and `status`.

`PYTHONPATH=services:shared:. python -m demo.day --minutes 20 --keep FOLDER` needs rTorrent, Prometheus, Alertmanager;
the disk that fills up is a tmpfs, which only root may mount. With fewer minutes, all of it is shorter and smaller.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from demo.day_report import report
from demo.group import REPOSITORY, Group, free_port
from demo.http_answers import opened
from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until

PROMETHEUS = REPOSITORY / "deploy" / "prometheus"
OUTAGE = 45.0
"""Seconds; less is a restart, which needs no owner."""

INI = """\
[TORQUE]
scgi_url = {url}
job.queue.active          = True
job.queue.schedule        = second=*/2
job.queue.start_at_once   = 500
job.queue.downloading_max = 10000
job.queue.startable       = is_ignored=0 message= prio>0
job.treewatch.active      = True
job.treewatch.path        = {watch}:{disk}
job.treewatch.load_mode   = start
job.treewatch.queued      = True
job.exporter.active       = True
job.exporter.port         = {port}
job.exporter.jobs         = system, tracker, item
job.exporter.items_max    = 200
job.report.handler        = pyrotorque.jobs.command:Command
job.report.schedule       = second=*/5
job.report.command        = /bin/sh {script}
job.move.handler          = pyrotorque.jobs.mover:Mover
job.move.on               = TorrentCompleted
job.move.schedule         = second=*/20
job.move.condition        = name=Movie*
job.move.target           = {done}
job.move.below            = {done}
job.tidy.handler          = pyrotorque.jobs.cleanup:Cleanup
job.tidy.schedule         = second=*/20
job.tidy.condition        = is_complete=yes name=Old*
job.tidy.min_ratio        = 0
job.tidy.min_seedtime     = 0
job.tidy.matched_for      = 0
job.tidy.announce         = 0
job.tidy.data             = quarantine
job.tidy.below            = {downloads}
job.tidy.others           = none
job.phone.handler         = pyrotorque.jobs.notify:Notify
job.phone.url             = http://127.0.0.1:{receiver}/phone
job.phone.title           = {{{{title}}}}
job.phone.text            = {{{{message}}}}
job.digest.handler        = pyrotorque.jobs.notify:Notify
job.digest.on             = TorrentCompleted, TorrentMoved, TorrentRemoved
job.digest.every          = {every:.0f}s
job.digest.url            = http://127.0.0.1:{receiver}/digest
job.digest.text           = {{{{message}}}}
"""

ALERTMANAGER = """\
route:
  receiver: here
  group_by: [alertname, instance]
  group_wait: 1s
  group_interval: 2s
  repeat_interval: 12h
receivers:
  - name: here
    webhook_configs:
      - url: http://127.0.0.1:{receiver}/alerts
        send_resolved: true
"""


class Receiver(ThreadingHTTPServer):
    """Accepts and records every message and alert, with its time since the beginning; answers as a tracker, too."""

    daemon_threads = True
    request_queue_size = 128  # of announces

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.received: list[tuple[float, str, str]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def announce(self, number: int) -> str:
        """The address of one of two trackers."""
        return f"http://{('127.0.0.1', 'localhost')[number % 2]}:{self.port}/announce"

    def messages(self, path: str) -> list[tuple[float, str]]:
        return [(at, body) for at, where, body in list(self.received) if where == path]

    def alerts(self) -> Iterator[tuple[float, str, str, str]]:
        """When each alert began or ended, its name, `firing` or `resolved`, and its summary; each once."""
        seen: set[tuple[str, str, str]] = set()
        for at, body in self.messages("/alerts"):
            for alert in json.loads(body)["alerts"]:
                one = (alert["labels"]["alertname"], alert["status"], alert["startsAt"])
                if one not in seen:
                    seen.add(one)
                    yield at, one[0], one[1], alert["annotations"].get("summary", "")


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        server = self.server
        assert isinstance(server, Receiver)
        server.received.append((time.monotonic() - server.began, self.path, body))
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200 if self.path.startswith("/announce") else 404)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # rTorrent has given up a request of thousands
            self.wfile.write(b"d8:completei2e10:incompletei1e8:intervali1800e5:peers0:e")

    def log_message(self, format: str, *args: object) -> None:
        pass


class Day:
    """The group, its surroundings, and the phases of the day."""

    def __init__(self, folder: Path, scale: float) -> None:
        self.folder, self.scale = folder, scale
        self.watch, self.disk, self.done = folder / "watch", folder / "disk", folder / "done"
        self.script = folder / "report.sh"
        for path in (self.watch, self.disk, self.done):
            path.mkdir(parents=True, exist_ok=True)
        self.script.write_text("exit 0\n")
        self.receiver = Receiver()
        self.port = free_port()
        self.timeline: list[tuple[float, str]] = []

    def note(self, text: str) -> None:
        at = time.monotonic() - self.receiver.began
        self.timeline.append((at, text))
        print(f"{at:6.0f} s  {text}", file=sys.stderr, flush=True)

    def pause(self, seconds: float) -> None:
        """A part of the day; shorter with fewer minutes."""
        time.sleep(seconds * self.scale)

    def ini(self, rtorrent: PrivateRTorrent) -> str:
        paths = {"watch": self.watch, "disk": self.disk, "done": self.done, "script": self.script}
        every = max(10.0, 240 * self.scale)
        paths["downloads"] = rtorrent.downloads
        return INI.format(url=rtorrent.url, port=self.port, receiver=self.receiver.port, every=every, **paths)

    def run(self, group: Group, rtorrent: PrivateRTorrent) -> None:
        """All phases, one after the other."""
        self.loads(rtorrent, max(8, round(128 * self.scale)), round(117 * self.scale) or 7)
        self.pause(60)
        self.outage(rtorrent)
        self.pause(60)
        self.failing_job()
        self.pause(60)
        self.full_disk()
        self.pause(60)
        self.burst(group, max(200, round(5000 * self.scale)))
        self.pause(240)

    def loads(self, rtorrent: PrivateRTorrent, count: int, complete: int) -> None:
        self.note(f"{count} metafiles, {complete} of them have their data; 5 are to be moved, 5 to be removed")
        for number in range(count):
            name = f"{('Movie', 'Old', 'Item')[min(number // 5, 2)]} {number}"
            if number < complete:
                (rtorrent.downloads / name).write_bytes(os.urandom(40_000))
            content = rtorrent.downloads / name if number < complete else None
            (self.watch / f"{name}.torrent").write_bytes(
                make_metafile(name, content=content, announce=self.receiver.announce(number))
            )
        (self.watch / "broken.torrent").write_bytes(b"no metafile")

    def outage(self, rtorrent: PrivateRTorrent) -> None:
        away = max(OUTAGE, 150 * self.scale)
        self.note(f"rTorrent is away for {away:.0f} s")
        rtorrent.stop()
        time.sleep(away)
        rtorrent.start()
        self.note("rTorrent is back")

    def failing_job(self) -> None:
        failing = max(30.0, 180 * self.scale)
        self.note(f"the job report fails for {failing:.0f} s")
        self.script.write_text("echo the server is not there >&2; exit 3\n")
        time.sleep(failing)
        self.script.write_text("exit 0\n")
        self.note("the job report succeeds again")

    def full_disk(self) -> None:
        if not os.path.ismount(self.disk):
            self.note("no disk of its own could be mounted: no full disk")
            return
        self.note("the disk is full")
        with contextlib.suppress(OSError), (self.disk / "filler").open("wb") as filler:
            while True:
                filler.write(b"x" * 65536)
        time.sleep(max(30.0, 120 * self.scale))
        (self.disk / "filler").unlink()
        self.note("the disk has space again")

    def burst(self, group: Group, count: int) -> None:
        broken = {count * part // 4 for part in (1, 2, 3)}
        self.note(f"a burst of {count} metafiles, {len(broken)} of them broken")
        for number in range(count):
            metafile = make_metafile(f"Burst {number}", announce=self.receiver.announce(number))
            content = metafile if number not in broken else b"no metafile"
            (self.watch / f"burst {number}.torrent").write_bytes(content)
        answered: list[float] = []
        end = time.monotonic() + max(60.0, 400 * self.scale)
        while time.monotonic() < end:
            began = time.monotonic()
            data = json.loads(group.command("status", "--json").stdout or "{}")
            answered.append(time.monotonic() - began)
            watcher: dict[str, Any] = next((one for one in data.get("services", ()) if one["name"] == "watcher"), {})
            counts = (watcher.get("data") or {}).get("metafiles", {})
            if not counts.get("seen", 0) + counts.get("sent", 0) and counts.get("loaded", 0) > 0:
                break
            time.sleep(1)
        self.note(f"the burst is loaded; status answered in at most {max(answered):.1f} s")


def rules(scale: float) -> str:
    """The rules of deploy/, with durations of this day."""
    text = subprocess.run(
        [sys.executable, str(PROMETHEUS / "rules.py")], capture_output=True, text=True, check=True
    ).stdout
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}

    def shorter(found: re.Match[str]) -> str:
        return f"for: {max(2, round(int(found[1]) * units[found[2]] * scale / 15))}s"

    return re.sub(r"for: (\d+)([smhd])", shorter, text)


@contextmanager
def monitoring(day: Day, prometheus: str, alertmanager: str) -> Generator[int]:
    """A Prometheus and an Alertmanager; the port of the first."""
    port, alerts = free_port(), free_port()
    folder = day.folder
    (folder / "rules.yml").write_text(rules(day.scale))
    (folder / "alertmanager.yml").write_text(ALERTMANAGER.format(receiver=day.receiver.port))
    target = {"targets": [f"127.0.0.1:{day.port}"], "labels": {"rtorrent": "seedbox"}}
    scrape = {"job_name": "pyrotorque", "static_configs": [target], "sample_limit": 9000}
    managers = {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alerts}"]}]}]}
    # A scrape may take as long as there is between two: on a busy machine a shorter limit would look like an outage.
    every = {"scrape_interval": "5s", "scrape_timeout": "5s", "evaluation_interval": "2s"}
    configuration = {"global": every, "rule_files": ["rules.yml"], "alerting": managers, "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(json.dumps(configuration))  # JSON is YAML
    commands = (
        [alertmanager, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am",
         f"--web.listen-address=127.0.0.1:{alerts}", "--cluster.listen-address="],
        [prometheus, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
         f"--web.listen-address=127.0.0.1:{port}"],
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        for command in commands:
            log = stack.enter_context((folder / f"{Path(command[0]).name}.log").open("wb"))
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            stack.callback(_end, process)
        yield port


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


@contextmanager
def small_disk(path: Path) -> Generator[None]:
    """A tmpfs of 8 MB at `path`, where that is allowed."""
    mounted = os.geteuid() == 0 and not subprocess.call(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)])
    try:
        yield
    finally:
        if mounted:
            subprocess.call(["umount", "-l", str(path)])


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo.day", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="how long the day takes, about")
    parser.add_argument("--keep", type=Path, help="a new folder for all files; else they are removed")
    parser.add_argument("--prometheus", default=shutil.which("prometheus") or "")
    found = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager") or ""
    parser.add_argument("--alertmanager", default=found)
    given = parser.parse_args()
    if not (given.prometheus and given.alertmanager):
        print("needs prometheus and prometheus-alertmanager: apt-get install both", file=sys.stderr)
        return 69
    folder = given.keep or Path(tempfile.mkdtemp(prefix="pyrotorque-day-"))
    folder.mkdir(exist_ok=True)
    try:
        _run(folder, given.minutes / 20, given.prometheus, given.alertmanager)
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _run(folder: Path, scale: float, prometheus: str, alertmanager: str) -> None:
    day = Day(folder, scale)
    with small_disk(day.disk), PrivateRTorrent(folder / "rt") as rtorrent:
        group = Group(folder / "c", day.ini(rtorrent))
        with group, monitoring(day, prometheus, alertmanager) as port:
            wait_until(lambda: _answers(port), 30, lambda: "Prometheus does not answer")
            day.run(group, rtorrent)
            text = "\n".join(report(day, group, port))
    (folder / "report.txt").write_text(text + "\n")
    print(text)


def _answers(port: int) -> bool:
    try:
        with opened(f"http://127.0.0.1:{port}/-/ready", 5):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
