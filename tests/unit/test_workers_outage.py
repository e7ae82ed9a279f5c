"""A job that fails because rTorrent is away: the outage is reported, not the job; but only then."""

import time
from pathlib import Path

import pytest

from pyrotorque.events import JobFailed, JobRecovered, TorrentLoaded
from pyrotorque.jobs.notify_message import needs_owner
from tests.worker_bench import Bench, bench, custom, write_job

UNAVAILABLE = "from pyrotorque.errors import RTorrentUnavailable"
SILENT = """
def run(self, event=None):
    if not (self.config.hold_file and __import__("os").path.exists(self.config.hold_file)):
        return
    raise {error}
"""


def failures(found: Bench) -> list[JobFailed]:
    return [event for event in found.events() if isinstance(event, JobFailed)]


def recoveries(found: Bench) -> int:
    return sum(isinstance(event, JobRecovered) for event in found.events())


@pytest.mark.parametrize(
    ("error", "is_away", "is_beside_outage"),
    [
        ("RTorrentUnavailable('no process listens')", True, True),
        ("RTorrentUnavailable('no answer within 60 s')", False, False),  # its own call is too slow
        ("ValueError('no')", True, False),
        ("OSError('no process listens')", True, False),
    ],
)
def test_a_run_that_fails_beside_an_outage_is_not_reported(
    error: str, is_away: bool, is_beside_outage: bool, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    write_job(tmp_path, "silent", SILENT.format(error=error), UNAVAILABLE)
    with bench(tmp_path, custom("silent", params={"hold_file": str(hold)})) as ours:
        ours.is_rtorrent_away = is_away
        assert not ours.run("silent").ok
        (failed,) = failures(ours)
        assert (failed.rtorrent_away, needs_owner(failed)) == (is_beside_outage, not is_beside_outage)
        hold.unlink()
        ours.is_rtorrent_away = False
        assert ours.run("silent").ok
        assert recoveries(ours) == (0 if is_beside_outage else 1)


def test_a_job_that_fails_before_an_outage_and_after_it_is_reported_once(tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    write_job(tmp_path, "silent", SILENT.format(error="RTorrentUnavailable('slow')"), UNAVAILABLE)
    with bench(tmp_path, custom("silent", params={"hold_file": str(hold)})) as ours:
        for ours.is_rtorrent_away in (False, True, False):
            ours.run("silent")
        assert [failed.rtorrent_away for failed in failures(ours)] == [False, True, False]
        hold.unlink()
        ours.run("silent")
        assert recoveries(ours) == 1


def test_an_event_that_is_lost_with_its_run_is_reported_in_any_case(tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    write_job(tmp_path, "silent", SILENT.format(error="RTorrentUnavailable('no process listens')"), UNAVAILABLE)
    with bench(tmp_path, custom("silent", on=("TorrentLoaded",), params={"hold_file": str(hold)})) as ours:
        ours.is_rtorrent_away = True
        loaded = TorrentLoaded(
            at=time.time(),
            job="treewatch",
            info_hash="A" * 40,
            name="one",
            metafile="/w/1",
            mode="queued",
            seconds=0.1,
        )
        ours.publish(loaded)
        ours.until(lambda: failures(ours))
        assert [failed.rtorrent_away for failed in failures(ours)] == [False]
