"""Two groups on one rTorrent are reported by both while both run, and a name in the mark alone never is."""

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent.recognition import RECORD_NAME, decode_record
from pyrotorque.rtorrent.session_mark import FILE_NAME, SessionMark, read_mark, write_mark
from pyrotorque.settings.schema import QueueSettings
from tests.contracts.test_scheduler_completion import detect
from tests.scheduling import QueueScene, queue_job, queue_scene, since_begin

LOGGER = "pyrotorque_scheduler.session_judge"


def homes(folder: Path) -> tuple[Path, Path]:
    made = folder / "first", folder / "second"
    for each in made:
        each.mkdir()
    return made


def minutes(scenes: Iterable[QueueScene], begin: int, end: int) -> None:
    """Each looks once a minute, one after the other."""
    for minute in range(begin, end):
        for scene in scenes:
            detect(scene, 60.0 * minute)


def shared(scene: QueueScene) -> tuple[str, ...]:
    assert scene.job_table.judge is not None
    return scene.job_table.judge.shared_with


def lines(caplog: pytest.LogCaptureFixture, level: int, words: str) -> list[str]:
    return [
        r.getMessage() for r in caplog.records if (r.name, r.levelno) == (LOGGER, level) and words in r.getMessage()
    ]


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return lines(caplog, logging.WARNING, "uses this rTorrent, too")


def ended(caplog: pytest.LogCaptureFixture) -> list[str]:
    return lines(caplog, logging.INFO, "uses this rTorrent no more")


def test_two_groups_report_each_other_once_and_the_end(
    rtorrent: PrivateRTorrent, short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = homes(short_folder)
    with queue_scene(rtorrent, first) as a:
        minutes([a], 0, 10)
        with queue_scene(rtorrent, second) as b:
            minutes([a, b], 10, 30)
            assert (shared(a), shared(b)) == ((str(second),), (str(first),))
            assert len(warned(caplog)) == 2
            named = [text.partition("too: ")[2].partition(";")[0] for text in warned(caplog)]
            assert sorted(named) == [str(first), str(second)]
            assert all("--stop" in text for text in warned(caplog))
            record = decode_record((first / RECORD_NAME).read_bytes())
            assert record is not None
            assert record.shared_with == (str(second),)
        minutes([a], 30, 40)
        assert shared(a) == ()
        assert ended(caplog) == [f"the group {second} uses this rTorrent no more"]


def test_a_restart_of_either_group_is_no_other_report(
    rtorrent: PrivateRTorrent, short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = homes(short_folder)
    with queue_scene(rtorrent, first) as a:
        for begin in (0, 6, 12):
            with queue_scene(rtorrent, second) as b:
                minutes([a, b], begin, begin + 6)
    with queue_scene(rtorrent, first) as a, queue_scene(rtorrent, second) as b:
        minutes([a, b], 18, 30)
    with queue_scene(rtorrent, first) as a:
        minutes([a], 30, 40)
    assert len(warned(caplog)) == 2
    assert ended(caplog) == [f"the group {second} uses this rTorrent no more"]


def test_a_restart_of_rtorrent_is_no_other_report(
    rtorrent: PrivateRTorrent, short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = homes(short_folder)
    with queue_scene(rtorrent, first) as a, queue_scene(rtorrent, second) as b:
        minutes([a, b], 0, 10)
        rtorrent.stop(timeout=3)
        rtorrent.start()
        minutes([a, b], 10, 20)
        assert (shared(a), shared(b)) == ((str(second),), (str(first),))
    assert (len(warned(caplog)), ended(caplog)) == (2, [])


def test_groups_that_do_not_run_at_the_same_time_are_not_reported(
    rtorrent: PrivateRTorrent, short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = homes(short_folder)
    for number, folder in enumerate((first, second, first, second)):
        with queue_scene(rtorrent, folder) as d:
            minutes([d], 10 * number, 10 * number + 10)
    with queue_scene(rtorrent, first) as a:  # a short run of the other one, as to try something
        minutes([a], 40, 45)
        with queue_scene(rtorrent, second) as b:
            minutes([b], 45, 46)
        minutes([a], 46, 60)
    assert (warned(caplog), ended(caplog)) == ([], [])


def test_a_group_that_was_renamed_or_copied_to_another_home_is_not_reported(
    rtorrent: PrivateRTorrent, short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = homes(short_folder)
    with queue_scene(rtorrent, first) as a:
        minutes([a], 0, 5)
    shutil.copytree(first, second, dirs_exist_ok=True)
    renamed = first.rename(short_folder / "renamed")
    for number, folder in enumerate((renamed, second)):
        with queue_scene(rtorrent, folder) as d:
            minutes([d], 10 * number + 10, 10 * number + 20)
    assert (warned(caplog), ended(caplog)) == ([], [])


def test_a_copy_that_runs_beside_its_original_is_reported(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    first, second = homes(short_folder)
    with queue_scene(rtorrent, first) as a:
        minutes([a], 0, 5)
    shutil.copytree(first, second, dirs_exist_ok=True)
    with queue_scene(rtorrent, first) as a, queue_scene(rtorrent, second) as b:
        minutes([a, b], 5, 15)
        assert (shared(a), shared(b)) == ((str(second),), (str(first),))


@pytest.mark.parametrize("harmless", ["no job", "dry run"])
def test_a_group_that_changes_no_items_neither_reports_nor_is_reported(
    rtorrent: PrivateRTorrent, short_folder: Path, harmless: str
) -> None:
    first, second = homes(short_folder)
    job = queue_job(dry_run=True) if harmless == "dry run" else QueueSettings(name="q", handler="not active")
    with queue_scene(rtorrent, first) as a, queue_scene(rtorrent, second, job) as b:
        minutes([a, b], 0, 10)
        assert (shared(a), shared(b)) == ((), ())
    with queue_scene(rtorrent, first) as a, queue_scene(rtorrent, second) as b:
        minutes([a, b], 10, 20)
        assert (shared(a), shared(b)) == ((str(second),), (str(first),))
    with queue_scene(rtorrent, first) as a, queue_scene(rtorrent, second, job) as b:
        minutes([a, b], 20, 30)
        assert (shared(a), shared(b)) == ((), ())


def test_an_older_session_with_the_names_of_other_groups_reports_none(
    rtorrent: PrivateRTorrent, short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = homes(short_folder)
    with queue_scene(rtorrent, first) as a:
        with queue_scene(rtorrent, second) as b:
            minutes([a, b], 0, 2)
        copy = (rtorrent.session / FILE_NAME.decode()).read_bytes()
        minutes([a], 2, 12)
        caplog.clear()
        for minute in (12, 14, 16):
            (rtorrent.session / FILE_NAME.decode()).write_bytes(copy)
            minutes([a], minute, minute + 2)
    assert warned(caplog) == []


def test_a_mark_of_a_version_without_names_of_groups_is_read_and_kept(
    rtorrent: PrivateRTorrent, short_folder: Path
) -> None:
    folder = bytes(rtorrent.session)
    with queue_scene(rtorrent, short_folder) as d:
        minutes([d], 0, 2)
        mark = read_mark(folder)
        assert mark is not None
        assert write_mark(folder, SessionMark(mark.name, mark.generations))
        minutes([d], 2, 4)
        again = read_mark(folder)
        assert again is not None
        assert again.name == mark.name


def test_a_look_for_other_groups_asks_rtorrent_nothing(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    first, second = homes(short_folder)
    with queue_scene(rtorrent, first) as a, queue_scene(rtorrent, second) as b:
        minutes([a, b], 0, 10)
        judge = a.job_table.judge
        assert judge is not None
        before = read_mark(bytes(rtorrent.session))
        rtorrent.kill()
        judge.update_mark(since_begin(3600.0))
        assert judge.shared_with == (str(second),)
        assert read_mark(bytes(rtorrent.session)) != before
