"""In real shells, set up as docs/howto.md says, the Tab key completes sub-commands, options and names of jobs."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyrotorque import configuration
from pyrotorque.options import Options
from tests.programs import REPOSITORY
from tests.waiting import bound

pytestmark = pytest.mark.process

START_FILES = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
PROMPT = "ready-to-type>"
PROMPTS = {
    "bash": f"PS1='{PROMPT} '",
    "zsh": f"PS1='{PROMPT} '",
    "fish": f"function fish_prompt; echo '{PROMPT} '; end",
}
INI = """\
[TORQUE]
scgi_url = scgi:///nowhere/x
job.queue.active = True
job.tidy.handler = pyrotorque.jobs.cleanup:Cleanup
job.tidy.schedule = hour=3
job.tidy.condition = size>0
job.tidy.data = keep
"""


def documented(shell: str) -> str:
    """The lines of the how-to for this shell."""
    text = (REPOSITORY / "docs" / "howto.md").read_text()
    found = re.search(
        rf"\n{shell}, in `~/{re.escape(START_FILES[shell])}`[^\n]*:\n\n<!--.*?-->\n```sh\n(.*?)```", text, re.S
    )
    assert found is not None, shell
    return found[1]


class Shell:
    """A shell on a terminal; the commands that it runs are recorded instead of carried out."""

    def __init__(self, name: str, home: Path) -> None:
        self.ran = home / "ran"
        ours, theirs = pty.openpty()
        self.terminal = ours
        self.shown = b""
        environment = {
            "HOME": str(home),
            "PATH": f"{home}/bin:/usr/bin:/bin",
            "TERM": "xterm",
            "LANG": "C.UTF-8",
            "PYRO_CONFIG_DIR": str(home / "conf"),
        }
        self.process = subprocess.Popen(
            ["setsid", "--ctty", shutil.which(name) or name, "-i"],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=home,
        )  # fmt: skip
        os.close(theirs)

    def read(self, seconds: float) -> None:
        readable, _, _ = select.select([self.terminal], [], [], seconds)
        if readable:
            try:
                self.shown += os.read(self.terminal, 65536)
            except OSError:
                assert self.process.poll() is None, self.text
                time.sleep(seconds)

    @property
    def text(self) -> str:
        return self.shown.decode("utf-8", "replace")

    def wait_for_prompt(self) -> None:
        begun = time.monotonic()
        while PROMPT not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text):
            assert time.monotonic() - begun < bound(60), self.text
            self.read(0.2)

    def run(self, typed: str) -> str:
        """Type it with a Tab and, when the completion is shown, Return; the command that was run."""
        self.ran.unlink(missing_ok=True)
        self.shown = b""
        os.write(self.terminal, typed.encode() + b"\t")
        begun = time.monotonic()
        while not self.ran.exists() or not self.ran.read_text().endswith("\n"):
            assert time.monotonic() - begun < bound(60), self.text
            before = len(self.shown)
            self.read(0.5)
            if len(self.shown) == before:  # nothing more is shown: the completion is done
                os.write(self.terminal, b"\r")
                self.read(0.5)
        return self.ran.read_text().rstrip("\n")


@contextmanager
def shell_of(name: str, home: Path) -> Generator[Shell]:
    shell = Shell(name, home)
    try:
        shell.wait_for_prompt()
        yield shell
    finally:
        os.close(shell.terminal)
        shell.process.send_signal(signal.SIGHUP)
        try:
            shell.process.wait(bound(20))
        except subprocess.TimeoutExpired:
            shell.process.kill()
            shell.process.wait()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a group's configuration, and a `pyrotorque` that completes, but records what else it should do."""
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "torque.ini").write_text(INI)
    found = configuration.read(conf, Options())
    found.layout.prepare()
    configuration.adopt(found)
    program = tmp_path / "bin" / "pyrotorque"
    program.parent.mkdir()
    paths = os.pathsep.join(filter(None, sys.path))
    program.write_text(
        "#!/bin/sh\n"
        f'[ -z "$_PYROTORQUE_COMPLETE" ] || PYTHONPATH="{paths}" exec {sys.executable} -m pyrotorque_control "$@"\n'
        f'echo "$@" > {tmp_path}/ran\n'
    )
    program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("name", START_FILES)
def test_tab_completes_commands_options_and_names_of_jobs(name: str, home: Path) -> None:
    assert shutil.which(name), f"{name} is not installed: run `make packages`"
    start = home / START_FILES[name]
    start.parent.mkdir(parents=True, exist_ok=True)
    start.write_text(f"{documented(name)}{PROMPTS[name]}\n")
    with shell_of(name, home) as shell:
        assert shell.run("pyrotorque sta") in ("sta", "start", "status")  # several: which one is up to the shell
        assert shell.run("pyrotorque stat") == "status"
        assert shell.run("pyrotorque pause qu") == "pause queue"
        assert shell.run("pyrotorque cleanup ti") == "cleanup tidy"
        assert shell.run("pyrotorque explain --job qu") == "explain --job queue"
        assert shell.run("pyrotorque quarantine rest") == "quarantine restore"
        assert shell.run("pyrotorque status --wa") == "status --watch"
        assert shell.run("pyrotorque pause nosuch") == "pause nosuch"
