"""A scheduler of 1.0.0 and a worker of this version understand each other: its messages, as it sends them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.group import environment
from tests.worker_bench import write_job

# How a running scheduler of 1.0.0 starts a worker after its wheel was replaced; written apart from our module names.
_PROGRAM_OF_1_0_0 = ".".join(("pyrotorque", "jobs", "child"))
_PREPARE = (
    b'{"type":"Prepare","job":"x","handler":"HANDLER","config":{"job_name":"x","on":[],"command":"true","action":"stop",'
    b'"condition":"ratio>1","schedule":"hour=*","url":"http://127.0.0.1:1/"},"config_dir":"FOLDER",'
    b'"state_dir":"FOLDER/state","url":null,"connect_timeout":3.0,"read_timeout":10.0,"aliases":{},"traits_by_alias":{},'
    b'"log_level":"INFO","memory_max":0,"takes_events":true}\n'
)
_RUN = b'{"type":"Run","number":1,"event":null,"mark":""}\n'
_RUN_FOR_EVENT = (
    b'{"type":"Run","number":2,"event":{"type":"TorrentErased","at":1.0,"info_hash":"AA","name":"n"},"mark":"db 1 1"}\n'
)
_STOP = b'{"type":"Stop"}\n'


class ObservedWorker:
    """A worker of this version, seen by a scheduler of 1.0.0."""

    def __init__(self, ours: socket.socket, marks: int, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self._ours, self._marks = ours, marks
        self._lines = ours.makefile("rb")

    def send(self, message: bytes) -> None:
        self._ours.sendall(message)

    def line(self) -> bytes:
        return self._lines.readline()

    def mark(self) -> str:
        return os.pread(self._marks, 80, 0).decode().strip()


@contextmanager
def worker(folder: Path, handler: str) -> Generator[ObservedWorker]:
    ours, theirs = socket.socketpair()
    marks = os.open(folder / "mark", os.O_RDWR | os.O_CREAT)
    process = subprocess.Popen(
        [sys.executable, "-m", _PROGRAM_OF_1_0_0, str(theirs.fileno()), str(marks), str(os.getpid())],
        pass_fds=[theirs.fileno(), marks],
        env=environment(),
        start_new_session=True,
    )
    theirs.close()
    ours.settimeout(30.0)
    try:
        made = ObservedWorker(ours, marks, process)
        made.send(_PREPARE.replace(b"FOLDER", bytes(folder)).replace(b"HANDLER", handler.encode()))
        yield made
    finally:
        process.kill()
        process.wait()
        ours.close()
        os.close(marks)


def test_a_worker_runs_its_job_for_a_scheduler_of_1_0_0(tmp_path: Path) -> None:
    body = "def run(self, event=None):\n    self.log.info('%s', event and event.name)\n    self.publish('t', a=1)"
    write_job(tmp_path, "x", body)
    with worker(tmp_path, "x:Job") as made:
        assert made.line() == b'{"type":"Ready"}\n'
        made.send(_RUN)
        assert made.line() == b'{"type":"Said","level":20,"text":"None"}\n'
        published = json.loads(made.line())
        at = published["report"].pop("at")
        assert isinstance(at, float)
        report = {"type": "JobReported", "job": "x", "text": "t", "data": {"a": 1}}
        assert published == {"type": "Published", "report": report}
        assert made.line() == b'{"type":"Finished","number":1,"error":""}\n'
        made.send(_RUN_FOR_EVENT)
        assert made.line() == b'{"type":"Said","level":20,"text":"n"}\n'
        made.line()
        assert made.line() == b'{"type":"Finished","number":2,"error":""}\n'
        assert made.mark() == "db 1 1"
        made.send(_STOP)
        assert made.process.wait() == 0


def test_a_worker_reports_a_failed_run_to_a_scheduler_of_1_0_0(tmp_path: Path) -> None:
    write_job(tmp_path, "x", "def run(self, event=None):\n    raise SystemExit(3)")
    with worker(tmp_path, "x:Job") as made:
        assert made.line() == b'{"type":"Ready"}\n'
        made.send(_RUN)
        assert made.line() == b'{"type":"Finished","number":1,"error":"called sys.exit(3)"}\n'


def test_a_worker_reports_a_configuration_error_to_a_scheduler_of_1_0_0(tmp_path: Path) -> None:
    write_job(tmp_path, "x", "def __init__(self, config):\n    raise pyrotorque.jobs.UserError('no colour')")
    with worker(tmp_path, "x:Job") as made:
        assert made.line() == b'{"type":"Refused","reason":"no colour","configured_wrong":true}\n'
        assert made.process.wait() == 1


@pytest.mark.parametrize("handler", ["action:Action", "command:Command", "itemcommand:ItemCommand", "mover:Mover"])
def test_a_handler_in_a_configuration_of_1_0_0_is_created(tmp_path: Path, handler: str) -> None:
    with worker(tmp_path, f"pyrotorque.jobs.{handler}") as made:
        assert made.line() == b'{"type":"Ready"}\n'
