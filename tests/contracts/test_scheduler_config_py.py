"""With a real rTorrent: the queue uses fields of config.py from a separate process, and survives its failures."""

import os
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent.availability import Availability
from pyrotorque_scheduler.queue.explain import explain_item, explain_queue
from tests.scheduling import QueueScene, moment, queue_job, queue_scene

WANTED = """
import os
from pathlib import Path
from pyrotorque.customfields import field

@field("wanted", kind="bool", needs=("name",))
def wanted(item):
    folder = Path(__file__).parent
    (folder / "pid").write_text(str(os.getpid()))
    if (folder / "crash").exists():
        os._exit(3)
    return item.name.startswith("w")

@field("length", kind="number", needs=("name",))
def length(item):
    return len(item.name)
"""
JOB = queue_job(startable="wanted=yes prio>0", sort_fields="-length", start_at_once=5)


@pytest.fixture(autouse=True)
def _config_py(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(WANTED)


def load(ours: QueueScene) -> dict[str, str]:
    return {name: ours.load(name) for name in ("w", "other", "www", "ww")}


def test_the_queue_starts_by_a_field_of_config_py(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, JOB) as ours:
        made = load(ours)
        assert [item["name"] for item in ours.queue.items.startable(moment(0).wall)] == ["www", "ww", "w"]
        outcome = ours.check()
        assert (outcome.started, outcome.startable) == (3, 3)
        assert ours.running() == {made["w"], made["ww"], made["www"]}
        assert int((tmp_path / "pid").read_text()) != os.getpid()


def test_explain_shows_the_field_of_config_py(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, JOB) as ours:
        load(ours)
        assert "3 startable" in explain_queue(ours.queue, moment(0)).text
        text = explain_item(ours.queue, "other", moment(0)).text
        assert "not startable, because of wanted=yes" in text
        assert "wanted is no" in text


def test_a_crash_of_config_py_ends_a_check_and_not_the_queue(
    rtorrent: PrivateRTorrent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with queue_scene(rtorrent, tmp_path, JOB) as ours:
        load(ours)
        (tmp_path / "crash").touch()
        availability = Availability("waiting")
        assert not availability.attempt("queue", lambda: ours.check(), 0.0)
        assert "the process that computes its fields ended (status 3)" in caplog.text
        assert availability.problem == ""
        assert ours.running() == set()
        (tmp_path / "crash").unlink()
        assert ours.check(15).started == 3
