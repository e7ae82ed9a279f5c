"""Log lines: one each, whatever is in a name; and the owner's log, which several write."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrotorque import logs
from pyrotorque.layout import Layout
from pyrotorque_guardian.log_rotation import rotate
from tests.waiting import eventually


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    found = Layout.below(tmp_path)
    found.prepare()
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    yield found
    root.handlers[:], logging.raiseExceptions = handlers, raises
    root.setLevel(level)


def test_a_line_has_time_level_and_who_and_no_name_can_break_it(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", "watcher", layout)
    logging.getLogger("pyrotorque_watcher.service").warning("loaded %s", "a\nb\x1b[2J\udcff")
    logging.getLogger("pyrotorque.bus").info("hello")
    logging.getLogger("pyrotorque.bus").debug("not shown")
    first, second = capsys.readouterr().out.splitlines()
    assert first[:4].isdigit()
    assert first[19:] == r" WARN  watcher: loaded a\nb\x1b[2J\xff"
    assert second[19:] == " INFO  bus: hello"


def test_json_has_one_object_for_each_record(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "watcher", layout, log_format="json")
    logging.getLogger("pyrotorque_watcher.service").warning("loaded %s", "a\nb\udcff")
    try:
        raise ValueError("a\nb")
    except ValueError:
        logging.getLogger("x").exception("failed")
    logs.owner_event("metafile failed", "bad \x1b[2J")
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["level"], first["service"], first["text"]) == ("WARN", "watcher", r"loaded a\nb\xff")
    assert second["traceback"][-1].startswith(("ValueError", "b"))
    owners = json.loads((layout.log_dir / "torque.log").read_text())
    assert {key: owners[key] for key in ("level", "service", "event", "text")} == {
        "level": "WARN",
        "service": "watcher",
        "event": "metafile failed",
        "text": r"bad \x1b[2J",
    }
    assert abs(owners["at"] - time.time()) < 60


def test_the_format_can_change(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "watcher", layout)
    logs.set_format("json")
    logging.getLogger("x").warning("one")
    logs.set_format("text")
    logging.getLogger("x").warning("two")
    one, two = capsys.readouterr().out.splitlines()
    assert json.loads(one)["text"] == "one"
    assert two.endswith("WARN  x: two")


def test_a_search_for_trouble_finds_a_critical_line(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "watcher", layout)
    logging.getLogger("x").critical("lost")
    assert re.search("WARN|ERROR|CRIT", capsys.readouterr().out)


def test_a_burst_is_summed_up_when_it_has_ended(layout: Layout) -> None:
    logs.configure("INFO", "watcher", layout)
    for number in range(100):
        logs.owner_event("metafile loaded", f"loaded {number}")
    logs.write_folded()
    path = layout.log_dir / "torque.log"
    assert len(path.read_text().splitlines()) == 20
    logs.write_folded(at_end=True)
    assert path.read_text().splitlines()[-1].endswith("INFO watcher: 100 metafiles loaded in 1 s")


def test_a_traceback_is_indented_below_its_line(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "watcher", layout)
    try:
        raise ValueError("a\nb")
    except ValueError:
        logging.getLogger("x").exception("failed")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("ERROR x: failed")
    assert all(line.startswith("    ") for line in lines[1:])


def test_the_level_can_change(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("ERROR", "watcher", layout)
    logging.getLogger("x").info("quiet")
    logs.set_level("debug")
    logging.getLogger("x").debug("loud")
    assert capsys.readouterr().out.count("\n") == 1


def test_the_owner_reads_one_line_for_what_matters(layout: Layout) -> None:
    logs.configure("INFO", "watcher", layout)
    logs.owner_event("metafile loaded", "loaded a\nb")
    line = (layout.log_dir / "torque.log").read_text()
    assert line.endswith("INFO watcher: loaded a\\nb\n")


def test_the_owner_sees_which_line_is_a_warning(layout: Layout) -> None:
    logs.configure("INFO", "watcher", layout)
    logs.owner_event("metafile loaded", "loaded a")
    logs.owner_event("metafile failed", "did not load b")
    lines = (layout.log_dir / "torque.log").read_text().splitlines()
    assert [line.partition(",")[2].split(" ", 1)[1] for line in lines] == [
        "INFO watcher: loaded a",
        "WARN watcher: did not load b",
    ]


def test_a_log_renamed_by_its_rotation_is_created_again(layout: Layout) -> None:
    logs.configure("INFO", "watcher", layout)
    logs.owner_event("metafile loaded", "first")
    path = layout.log_dir / "torque.log"
    path.rename(path.with_suffix(".log.1"))
    logs.owner_event("metafile loaded", "second")
    assert ("first" in path.read_text(), "second" in path.read_text()) == (False, True)


def test_an_unwritable_owners_log_stops_no_service(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "watcher", layout)
    (layout.log_dir / "torque.log").mkdir()
    logs.owner_event("metafile loaded", "loaded")
    assert "cannot write" in capsys.readouterr().out


SUPERVISORD_AND_SERVICES = """
import signal, sys
from pathlib import Path
from supervisor.loggers import FileHandler, Logger
from pyrotorque import logs
from pyrotorque.layout import Layout
from pyrotorque_guardian.log_rotation import rotate
from tests.waiting import eventually
layout = Layout.below(Path(sys.argv[1]))
if sys.argv[2] == "supervisord":
    signal.signal(signal.SIGUSR2, lambda *_: reopens.append(True))
    reopens = []
    handler = FileHandler(str(layout.log_dir / "torque.log"))
    handler.setFormat("%(asctime)s %(levelname)s %(message)s\\n")
    logger = Logger(handlers=[handler])
    for number in range(1000):
        logger.info(f"supervisord line {number} end")
        while reopens:  # between two lines, as supervisord does it
            reopens.pop()
            handler.reopen()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
else:
    logs.configure("INFO", sys.argv[2], layout)
    for number in range(1000):
        logs.owner_event("cron", f"line {number} end")
"""


def writer(layout: Layout, name: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISORD_AND_SERVICES, str(layout.config_dir), name], env=environment
    )


def test_supervisord_and_services_write_one_log_and_no_line_is_torn_or_lost(layout: Layout) -> None:
    log, names = layout.log_dir / "torque.log", ("supervisord", "watcher", "scheduler")
    writers = [writer(layout, "supervisord")]
    eventually(log.exists, timeout=20)
    writers += [writer(layout, name) for name in names[1:]]
    rotations = 0
    while None in [one.poll() for one in writers]:
        if rotate([log], maximum=10_000, backups=1000):
            rotations += 1
            writers[0].send_signal(signal.SIGUSR2)
    assert [one.wait() for one in writers] == [0, 0, 0]
    assert rotations > 1
    lines = [line for path in layout.log_dir.glob("torque.log*") for line in path.read_text().splitlines()]
    assert len(lines) == 3000
    for name in names:
        found = [line for line in lines if f"{name}{':' if name != 'supervisord' else ''} line" in line]
        assert sorted(int(line.split()[-2]) for line in found) == list(range(1000))
