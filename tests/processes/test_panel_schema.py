"""Schemathesis over the whole OpenAPI document, with a scheduler and a watcher behind the panel."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.processes.test_panel import PanelGroup
from tests.waiting import bound

pytestmark = pytest.mark.process
COMMANDS: Final = "cleanups|quarantine"
"""Calls that run a command each, which needs a second or, on a busy machine, several: they get fewer examples."""
_EXAMPLES: Final = {
    "quick": (["--exclude-path-regex", COMMANDS], 20),
    "commands": (["--include-path-regex", COMMANDS], 4),
}
_WITHIN: Final = 280.0
"""Seconds: 25 on a quiet machine."""


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


# No rTorrent runs, and 503 is the documented answer about its queues.
_SETTINGS: Final = """\
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]
"""


def schemathesis(group: PanelGroup, folder: Path, more: list[str], examples: int) -> str:
    """What schemathesis prints; it found nothing."""
    (folder / "schemathesis.toml").write_text(_SETTINGS)
    words = ["run", f"{group.origin}/api/v1/openapi.json", "--max-examples", str(examples), "--continue-on-failure"]
    words += ["--phases", "examples,coverage,fuzzing", "-H", f"Authorization: {group.token()['Authorization']}"]
    ended = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *words, *more],
        capture_output=True, text=True, cwd=folder, check=False, timeout=bound(_WITHIN),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert "Traceback" not in group.log("panel") + group.log("scheduler") + group.log("watcher")
    return ended.stdout


@pytest.mark.parametrize("part", _EXAMPLES)
def test_every_answer_is_as_documented(group: PanelGroup, tmp_path: Path, part: str) -> None:
    more, examples = _EXAMPLES[part]
    assert "Tested:" in schemathesis(group, tmp_path, more, examples)


def test_both_parts_together_are_the_whole_document(group: PanelGroup) -> None:
    document = json.loads(group.request("GET", "/api/v1/openapi.json", group.token("read"))[2])
    commands = [path for path in document["paths"] if any(word in path for word in COMMANDS.split("|"))]
    assert len(commands) == 4
    assert len(document["paths"]) > 25
