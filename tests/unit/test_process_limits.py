"""What a group needs of a host: threads that can really be started, and minima that supervisord accepts."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping

import pytest

from pyrotorque.interpreter import import_path
from pyrotorque.process_limits import THREADS, lowered_minima, shortage
from tests.environments import limits
from tests.waiting import eventually

LOWERED = (
    "import json; from pyrotorque.process_limits import *; print(json.dumps([dict(lowered_minima()), minima_words()]))"
)


def may_raise_limits() -> bool:
    """Whether this user may raise hard limits, as root may in most places."""
    code = "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (50, 50)); r.setrlimit(r.RLIMIT_NOFILE, (50, 60))"
    return not subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    ("small", "lowered"),
    [
        ({}, {}),
        ({"NOFILE": 1024, "NPROC": 20000}, {}),
        ({"NOFILE": 1023}, {"minfds": 1023}),
        ({"NOFILE": 70}, {"minfds": 70}),
        ({"NPROC": 199} if os.geteuid() == 0 else {}, {"minprocs": 199} if os.geteuid() == 0 else {}),
    ],
)
def test_minima_are_lowered_to_what_the_host_allows_and_no_further(
    small: Mapping[str, int], lowered: Mapping[str, int]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOWERED], capture_output=True, check=True,
        env={**os.environ, "PYTHONPATH": import_path()}, preexec_fn=limits(**small),
    )  # fmt: skip
    expected = {} if may_raise_limits() else dict(lowered)
    assert json.loads(done.stdout) == [expected, [f"--{name}={value}" for name, value in expected.items()]]


def test_those_of_a_running_supervisord_are_on_its_command_line() -> None:
    words = [sys.executable, "-c", "input()", "--minfds=300", "--minprocs=99", "--minfds=x", "-c"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as running:
        found = eventually(lambda: lowered_minima(running.pid))  # its command line is ours until it is executed
        assert found == {"minfds": 300, "minprocs": 99}
    assert lowered_minima(running.pid) == {}
    assert lowered_minima(os.getpid()) == {}


@pytest.mark.parametrize("possible", [0, 7, THREADS - 1, THREADS])
def test_threads_that_cannot_be_started_are_counted(monkeypatch: pytest.MonkeyPatch, possible: int) -> None:
    started: list[threading.Thread] = []

    class Scarce(threading.Thread):
        def start(self) -> None:
            if len(started) == possible:
                raise RuntimeError("can't start new thread")
            super().start()
            started.append(self)

    monkeypatch.setattr(threading, "Thread", Scarce)
    found = shortage()
    assert (f"only {possible} of the {THREADS} processes and threads" in found) == (possible < THREADS), found
    assert bool(found) == (possible < THREADS)
    assert not any(thread.is_alive() for thread in started)
    assert threading.stack_size() == 0
