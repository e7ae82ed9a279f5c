"""The command as process 1 of a container: the kernel drops the signals to it that have no handler."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from demo.group import Group, environment
from tests.waiting import eventually

pytestmark = pytest.mark.process

# The check of the configuration creates this job, and waits for it.
SLOW_JOB = """\
import pathlib, time

class Slow:
    def __init__(self, config):
        pathlib.Path(config.mark).touch()
        time.sleep(600)

    def run(self):
        pass
"""
TORQUE = """\
[TORQUE]
scgi_url = scgi:///nowhere/rt.sock
job.slow.handler = slow:Slow
job.slow.active = True
job.slow.schedule = hour=1
job.slow.mark = {mark}
"""
NAMESPACE = (*(("unshare",) if os.geteuid() == 0 else ("unshare", "-Ur")), "-p", "-f", "--mount-proc")


@pytest.fixture
def group(short_folder: Path) -> Iterator[Group]:
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("not tested: a process namespace is not permitted here")
    made = Group(short_folder / "c", TORQUE.format(mark=short_folder / "checked"))
    (made.config_dir / "jobs").mkdir()
    (made.config_dir / "jobs/slow.py").write_text(SLOW_JOB)
    yield made
    made.stop()


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("words", [("--fg",), (), ("check",)])
def test_a_signal_before_the_group_runs_ends_process_1(
    group: Group, short_folder: Path, words: tuple[str, ...], number: signal.Signals
) -> None:
    command = [*NAMESPACE, sys.executable, "-m", "pyrotorque_control", "--config-dir", str(group.config_dir), *words]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment()
    ) as container:
        try:
            eventually((short_folder / "checked").exists, 60)
            (init,) = children(container.pid)
            os.kill(init, number)
            # The check itself gives the job up after 10 s, and the command would start the group.
            eventually(lambda: container.poll() is not None, 5, why=f"{number.name} was lost")
        finally:
            for each in () if container.poll() is not None else children(container.pid):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
    assert container.returncode == (130 if number == signal.SIGINT else 128 + number)
    assert not (group.config_dir / "run/supervisor.sock").exists()


@pytest.mark.parametrize("is_shared", [False, True], ids=["another folder", "the same folder"])
def test_a_command_acts_on_the_group_of_a_container_only_if_it_has_the_same_folder(
    short_folder: Path, is_shared: bool
) -> None:
    """Outside of a container its processes are seen, and its configuration may be at a path that exists here, too."""
    mount = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-Urm")
    if subprocess.run([*mount, "-p", "-f", "--mount-proc", "true"], capture_output=True, check=False).returncode:
        pytest.skip("not tested: a namespace of mounts and processes is not permitted here")
    ini = "[TORQUE]\nscgi_url = scgi:///nowhere/rt.sock\n"
    here, inner = Group(short_folder / "c", ini), Group(short_folder / "inner", ini)
    source = here.config_dir if is_shared else inner.config_dir
    script = f'mount --bind {source} {here.config_dir} && exec "$@"'
    words = (sys.executable, "-m", "pyrotorque_control", "--config-dir", str(here.config_dir), "--fg")
    command = [*mount, "-p", "-f", "--mount-proc", "sh", "-c", script, "sh", *words]
    answers = source / "run/supervisor.sock"
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=environment()
    ) as container:
        try:
            eventually(answers.exists, 60, why="the group of the container runs")
            status, stopped = here.command("--status"), here.command("--stop")
            if is_shared:
                assert (status.returncode, stopped.returncode) == (0, 0)
                eventually(lambda: container.poll() is not None, 60, why="it was stopped")
            else:
                assert (status.returncode, stopped.returncode) == (69, 69), status.stdout + stopped.stdout
                assert "not running" in stopped.stderr
                assert container.poll() is None
                assert answers.exists()
        finally:
            for each in () if container.poll() is not None else children(container.pid):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
