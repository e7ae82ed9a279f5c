"""`make run`: it shows a metafile loaded and started, and whenever it is ended, nothing of it stays."""

import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from demo.group import REPOSITORY, Group, environment
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("rtorrent_program"),
    pytest.mark.either_rtorrent(reason="it is about our processes: what they do in rTorrent is tested with both"),
]


@contextmanager
def demonstration(*words: str) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-u", "-m", "demo", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPOSITORY, env=environment()
    ) as running:
        try:
            yield running
        finally:
            running.terminate()


def left_of(output: str) -> list[str]:
    """The scratch folder, and the processes that name it, if they are still there."""
    found = re.search(r"/\S+/pyrotorque-\w+", output)
    assert found is not None, output
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [*(line for line in lines if found[0] in line), *map(str, Path(found[0]).parent.glob(Path(found[0]).name))]


def test_it_shows_a_metafile_loaded_and_started() -> None:
    with demonstration("--once") as running:
        output, _ = running.communicate()
    assert running.returncode == 0, output
    for said in (
        "loaded",
        "started",
        "rtorrent_up 1.0",
        "/login?link=",
        "Press Ctrl-C to stop",
        "nothing is left running",
    ):
        assert said in output
    assert not left_of(output)


@pytest.mark.parametrize(
    "said", ["pyrotorque's group", "Press Ctrl-C to stop"], ids=["while it starts", "when all is shown"]
)
def test_ctrl_c_ends_it_at_any_moment_and_pressing_it_twice_as_well(said: str) -> None:
    with demonstration() as running:
        assert running.stdout is not None
        lines: list[str] = []
        while not lines or said not in lines[-1]:
            lines.append(running.stdout.readline())
            assert lines[-1], "".join(lines)
        running.send_signal(signal.SIGINT)
        running.send_signal(signal.SIGINT)
        output = "".join(lines) + running.communicate()[0]
    assert running.returncode in (0, 1)
    assert "Traceback" not in output
    assert "nothing is left running" in output
    eventually(lambda: not left_of(output))


class NeverRuns(Group):
    """A group that starts; its test harness then fails."""

    def running(self) -> bool:
        raise OSError("its state cannot be read")


def test_a_group_whose_start_fails_leaves_no_process(short_folder: Path) -> None:
    group = NeverRuns(short_folder / "c", "[TORQUE]\n")
    with pytest.raises(OSError, match="cannot be read"), group:
        pass
    mine = [
        process for process in psutil.process_iter(["cmdline"]) if str(short_folder) in str(process.info["cmdline"])
    ]
    assert mine == []
    assert "supervisord started" in (group.config_dir / "log" / "supervisord.log").read_text()
