"""Schemathesis over the whole OpenAPI document, with a scheduler and a watcher behind the panel."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.test_panel import PanelGroup

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


@pytest.fixture
def group(short_folder: Path) -> Iterator[PanelGroup]:
    made = PanelGroup(short_folder / "c")
    try:
        for service in ("scheduler", "watcher", "panel"):
            made.start(service)
        yield made
    finally:
        for service in list(made.running):
            made.stop(service, signal.SIGKILL)


def test_every_answer_is_as_documented(group: PanelGroup, tmp_path: Path) -> None:
    words = ["run", f"{group.origin}/api/v1/openapi.json", "--max-examples", "20", "--continue-on-failure"]
    # These run a command each: tests/contracts/test_panel_cleanup.py.
    words += ["--exclude-path-regex", "cleanups|quarantine"]
    words += ["--phases", "examples,coverage,fuzzing", "-H", f"Authorization: {group.token()['Authorization']}"]
    ended = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *words], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert "Tested:" in ended.stdout
    assert "Traceback" not in group.log("panel") + group.log("scheduler") + group.log("watcher")
