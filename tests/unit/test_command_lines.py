"""No process that we start has a secret in its command line, which every user of the machine sees."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.jobs import apprise
from pyrotorque.layout import Layout
from pyrotorque_panel.command_runner import CommandRunner
from tests.exporter_process import REPOSITORY

# Where processes are started, and what their words are: a place that is missing here is to be looked at.
PLACES = {
    "services/pyrotorque_control/checks/rtorrent_rc.py": "rtorrent -h",
    "services/pyrotorque_control/commands/ctl.py": "the words of the command that it replaces",
    "services/pyrotorque_control/cron.py": "the words of the command that it replaces",
    "services/pyrotorque_control/foreground.py": "supervisord and the path of its file",
    "services/pyrotorque_guardian/run_files.py": "the configuration directory",
    "services/pyrotorque_panel/command_runner.py": "none: words are on standard input",
    "shared/pyrotorque/configuration.py": "the configuration directory",
    "shared/pyrotorque/customfields/worker.py": "the path of config.py and a pid",
    "shared/pyrotorque/group_lock.py": "supervisord and the path of its file",
    "shared/pyrotorque/interpreter.py": "the words of the command that it replaces",
    "shared/pyrotorque/jobs/apprise.py": "none: addresses and text are on standard input",
    "shared/pyrotorque/jobs/programs.py": "what the owner has written into torque.ini; see docs/jobs.md",
    "shared/pyrotorque/supervisord/launch.py": "supervisord and the path of its file",
    "shared/pyrotorque/supervisord/validation.py": "none: paths are on standard input",
    "shared/pyrotorque/workers/process.py": "descriptors and a pid",
}
_STARTS = re.compile(
    r"subprocess\.(?:run|call|Popen|check_\w+)\(|os\.(?:exec\w+|posix_spawn\w*|spawn\w+|system|popen)\("
)


def test_every_place_that_starts_a_process_is_known() -> None:
    found = {
        str(path.relative_to(REPOSITORY))
        for top in ("services", "shared")
        for path in (REPOSITORY / top).rglob("*.py")
        if _STARTS.search(path.read_text())
    }
    assert found == set(PLACES)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], bytes]]:
    """The words and the standard input of each process."""
    found: list[tuple[list[str], bytes]] = []

    def run(words: list[str], **options: Any) -> "subprocess.CompletedProcess[bytes]":
        found.append((words, options.get("input", b"")))
        return subprocess.CompletedProcess(words, 0, b"", b"")

    monkeypatch.setattr(subprocess, "run", run)
    return found


def test_the_words_of_a_command_of_the_panel_are_not_seen(
    started: list[tuple[list[str], bytes]], tmp_path: Path
) -> None:
    runner = CommandRunner(Layout.below(tmp_path / "\udcff"))
    runner.act("session 1", "quarantine", "restore", "--", "20261128-SECRET")
    ((words, given),) = started
    assert words[-1] == "pyrotorque_control.piped_words"
    assert json.loads(given) == [
        "--config-dir",
        str(tmp_path / "\udcff"),
        *("quarantine", "restore", "--"),
        "20261128-SECRET",
    ]
    assert "SECRET" not in " ".join(words)


def test_the_addresses_of_a_notification_are_not_seen(started: list[tuple[list[str], bytes]]) -> None:
    apprise.send(["tgram://SECRET/1"], "title", "body", "info", within=1.0)
    ((words, given),) = started
    assert "SECRET" not in " ".join(words)
    assert b"SECRET" in given
