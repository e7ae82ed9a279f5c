"""Faults of every kind in real processes: other jobs lose no run, the queue continues, no process is left over."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.group import Group, environment
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.bus import Bus
from pyrotorque.events import LoadFailed
from pyrotorque.layout import Layout
from pyrotorque.outbox import Outbox, stored_events
from pyrotorque.rtorrent import RTorrent
from pyrotorque.store import open_store
from tests.waiting import eventually
from tests.worker_bench import write_job

pytestmark = [
    pytest.mark.process,
    pytest.mark.either_rtorrent(reason="it is about our processes: what jobs do in rTorrent is tested with both"),
]

# Name of the job: the head of its module, the body of its run, the expected reason of its failure.
FAULTS = {
    "raises": ("", "raise ValueError('no')", "ValueError: no"),
    "exits": ("import sys", "sys.exit(3)", "sys.exit(3)"),
    "leaves": ("import os", "os._exit(4)", "exit status 4"),
    "crashes": ("import ctypes", "ctypes.string_at(0)", "SIGSEGV"),
    "loops": ("", "while True: pass", "did not end within 2 s"),
    "holdsgil": ("import re", "re.match('(a+)+$', 'a' * 60 + 'b')", "did not end within 2 s"),
    "sleeps": ("import time", "time.sleep(600)", "did not end within 2 s"),
    "eats": ("", "self.hog = [bytearray(10 << 20) for _ in range(1000)]", "MemoryError"),
    "floods": ("", "for _ in range(100): print('x' * 1_000_000)", ""),
    "noimport": ("import nowhere_at_all", "pass", "ModuleNotFoundError"),
    "hangsearly": ("import time\nif time.sleep(0) is None: time.sleep(600)", "pass", "was not created within 30 s"),
}
BAD_MAKER = "def __init__(self, config):\n    raise RuntimeError('broken from the start')\ndef run(self): pass"


@contextmanager
def scheduler(folder: Path) -> Generator["subprocess.Popen[bytes]"]:
    with (folder / "out").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pyrotorque_scheduler", "--config-dir", str(folder)],
            env=environment(),
            stdout=output,
            stderr=output,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def log_text(folder: Path) -> str:
    return (folder / "out").read_text(errors="replace")


def published_types(folder: Path, kind: str) -> list[dict[str, str]]:
    bodies = map(json.loads, stored_events(Layout.below(folder).database("scheduler")))
    return [body for body in bodies if body["type"] == kind]


def offspring(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def appending(path: Path, then: str = "pass") -> str:
    note = f"print(int(time.time()), file=open({str(path)!r}, 'a'))"
    return f"def run(self, event=None):\n    import time\n    {note}\n    {then}"


def test_no_fault_of_a_job_affects_other_jobs_or_the_queue(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    lines = [
        "[TORQUE]",
        f"scgi_url = {rtorrent.url}",
        "job.queue.active = True",
        "job.queue.schedule = second=*",
        "job.queue.start_at_once = 1",
        "job.queue.downloading_max = 100",
        "job.queue.startable = is_ignored=0 message= prio>0",
    ]
    for name, (head, body, reason) in FAULTS.items():
        write_job(short_folder, name, f"def run(self):\n    {body}", head)
        lines += [f"job.{name}.handler = {name}:Job", f"job.{name}.schedule = second=*/3"]
        # What ends by itself takes its time on a busy machine.
        limit = 2 if "within 2 s" in reason else 60
        lines += [f"job.{name}.timeout = {limit}", f"job.{name}.memory_max = 200m"]
    write_job(short_folder, "unmade", BAD_MAKER)
    lines += ["job.unmade.handler = unmade:Job", "job.unmade.schedule = second=*/3"]
    write_job(short_folder, "fast", appending(short_folder / "fast"))
    write_job(short_folder, "slow", appending(short_folder / "slow", "time.sleep(0.9)"))
    lines += ["job.fast.handler = fast:Job", "job.fast.schedule = second=*"]
    lines += ["job.slow.handler = slow:Job", "job.slow.schedule = second=*/2"]
    (short_folder / "torque.ini").write_text("\n".join(lines))

    def times_of(name: str) -> list[int]:
        return sorted(map(int, (short_folder / name).read_text().split()))

    client, wanted = RTorrent(rtorrent.url), set[str]()
    with scheduler(short_folder) as process:
        eventually(lambda: "fast" in os.listdir(short_folder), 40, why="the first run")
        for number in range(15):
            metafile = make_metafile(f"item {number}", announce="udp://127.0.0.1:1/announce")
            wanted.add(info_hash(metafile))
            client.call("load.raw", "", metafile, "d.priority.set=2")
            seconds = time.monotonic()
            eventually(lambda: time.monotonic() - seconds > 0.9)  # noqa: B023
        eventually(lambda: {h for h, s in client.rows("main", ["d.hash=", "d.state="]) if s == "1"} == wanted, 20)
        # A job that waits for those that hang, always one for thirty seconds, runs once in that time.
        eventually(lambda: len(times_of("fast")) >= 10 and len(times_of("slow")) >= 5, 30, why="other jobs run")
        assert process.poll() is None
        eventually(lambda: len(offspring(process.pid)) >= 5, 20, why="those that ended are replaced")
        workers = offspring(process.pid)
        reasons: dict[str, set[str]] = {}
        for event in published_types(short_folder, "JobFailed"):
            reasons.setdefault(event["job"], set()).add(event["reason"])
        os.kill(process.pid, signal.SIGKILL)
        eventually(lambda: not any(map(lives, workers)), 20, why="workers end with the scheduler")

    for name, (*_, reason) in FAULTS.items():
        if name == "hangsearly":
            continue  # its thirty seconds are not over
        assert all(reason in each for each in reasons.get(name, {""})), (name, reasons.get(name))
        assert (name in reasons) == bool(reason), name
    assert any("broken from the start" in each for each in reasons["unmade"])
    assert "fast" not in reasons
    assert "slow" not in reasons
    for name, every in (("fast", 1), ("slow", 2)):
        times = times_of(name)
        assert len(times) <= (times[-1] - times[0]) // every + 2, (name, times)


def test_events_are_run_for_once_over_kills_of_scheduler_and_worker(short_folder: Path) -> None:
    path = short_folder / "out.txt"
    write_job(short_folder, "note", f"def run(self, event):\n    print(event.metafile, file=open({str(path)!r}, 'a'))")
    (short_folder / "torque.ini").write_text("[TORQUE]\njob.note.handler = note:Job\njob.note.on = LoadFailed\n")
    layout = Layout.below(short_folder)
    layout.prepare()
    store = open_store(layout.database("watcher"), [])
    outbox = Outbox(store, "watcher")
    kills, number = 0, 0

    def fail(bus: Bus, count: int) -> None:
        nonlocal number
        for _ in range(count):
            number += 1
            with store.transaction():
                outbox.add(LoadFailed(at=time.time(), metafile=f"m{number}", job="w", kind="io", reason="no"))
            bus.publish()

    with Bus(layout, "watcher", outbox) as bus:
        for victim in ("scheduler", "worker", "scheduler", "scheduler", "worker", ""):
            with scheduler(short_folder) as process:
                eventually(lambda: offspring(process.pid), 20)
                if not number:
                    eventually(lambda: "jobs:" in log_text(short_folder), 20)
                fail(bus, 60)
                eventually(lambda: [bus.wait(0.01), path.exists()][1], 20)
                if victim:
                    kills += 1
                    os.kill(offspring(process.pid)[0] if victim == "worker" else process.pid, signal.SIGKILL)
                if victim == "scheduler":
                    fail(bus, 20)
                    continue
                wanted = number

                def all_run() -> bool:
                    bus.wait(0.01)
                    return len(set(path.read_text().split())) == wanted  # noqa: B023

                eventually(all_run, 30, why=log_text(short_folder)[-2000:])
    store.close()
    counted = Counter(path.read_text().split())
    assert set(counted) == {f"m{each + 1}" for each in range(number)}, "none is lost"
    assert sum(counted.values()) - number <= kills, "only a run that was cut off in the middle comes again"


STUCK = """
import os, sys
if "pyrotorque_scheduler" in sys.orig_argv:
    import threading
    from pyrotorque_scheduler import service
    from pyrotorque_scheduler.workers.pool import WorkerPool

    def step(self, before=WorkerPool.step):
        if os.path.exists({trap!r}):
            os.unlink({trap!r})
            threading.Event().wait()
        before(self)

    service._TURN_DEADLINE = 1.0
    WorkerPool.step = step
"""


def test_a_scheduler_that_is_stuck_between_its_checks_is_killed_and_comes_back(short_folder: Path) -> None:
    trap, site, config_dir = short_folder / "trap", short_folder / "site", short_folder / "c"
    site.mkdir()
    (site / "sitecustomize.py").write_text(STUCK.format(trap=str(trap)))
    with Group(config_dir, f"[TORQUE]\nscgi_url = scgi://{short_folder}/missing.sock\n", first_on_path=site) as group:
        before = group.pid("scheduler")
        trap.touch()
        eventually(lambda: group.pid("scheduler") not in (0, before), 20)
        assert "scheduler hangs: in step 'main loop'" in group.log("guardian")


def test_run_once_runs_a_job_of_the_user_without_the_group(short_folder: Path) -> None:
    write_job(
        short_folder, "hello", "def run(self):\n    print('hello from the job')\n    if self.config.get('bad'): 1 / 0"
    )
    ini = "[TORQUE]\njob.hello.handler = hello:Job\njob.hello.schedule = hour=*\n"
    for more, status, text in (("", 0, "hello was run"), ("job.hello.bad = True\n", 75, "ZeroDivisionError")):
        (short_folder / "torque.ini").write_text(ini + more)
        ended = subprocess.run(
            [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(short_folder), "--run-once", "hello"],
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )
        assert ended.returncode == status, ended
        assert "hello from the job" in ended.stdout
        assert text in ended.stdout + ended.stderr
