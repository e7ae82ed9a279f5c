"""One valid configuration for the whole group; a wrong one changes nothing."""

import os
from pathlib import Path

import msgspec
import pytest

from pyrotorque import configuration, stored_configuration
from pyrotorque.config_py import config_py_copy
from pyrotorque.configuration import Configuration
from pyrotorque.errors import SettingsError
from pyrotorque.options import Options, read_options, write_options
from pyrotorque.service.reload import ConfigurationWatch
from pyrotorque.settings import SettingsProblems, digest_of, layout_of
from pyrotorque.settings.handlers import TEMPLATES
from pyrotorque.settings.schema import CustomSettings, QueueSettings, RTorrentSettings, Settings, WatchSettings
from pyrotorque.supervisord import config

GOOD = "[TORQUE]\nscgi_url = scgi:///nowhere/rt.sock\njob.queue.downloading_max = 3\n"
ACTIVE = GOOD + "job.queue.active = True\n"
BETTER = GOOD.replace("= 3", "= 4")
BROKEN = GOOD.replace("downloading_max", "downloading_mx")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    write(folder, GOOD)
    layout_of(folder).prepare()
    return folder


def write(home: Path, torque: str) -> None:
    (home / "torque.ini").write_text(torque)


def slots(found: Settings) -> int:
    return next(job.downloading_max for job in found.jobs if isinstance(job, QueueSettings))


def adopted(home: Path) -> Configuration:
    found = configuration.read(home, Options())
    configuration.adopt(found)
    return found


def problems(home: Path, torque: str) -> list[str]:
    write(home, torque)
    with pytest.raises(SettingsProblems) as caught:
        configuration.read(home, Options())
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("job.queue.active = 1\njob.queue.schedule = every day", "job.queue.schedule: 'every day' is not a schedule"),
        ("job.queue.active = 1\njob.queue.schedule =", "job.queue.schedule: the schedule is empty"),
        ("job.queue.active = 1\njob.queue.startable = [ prio>0", "job.queue.startable: "),
        ("job.queue.active = 1\njob.queue.startable =", "job.queue.startable: is empty"),
        ("job.queue.active = 1\njob.queue.downloading = doun>3", "job.queue.downloading: "),
        ("job.queue.active = 1\njob.queue.sort_fields = -prioo", "job.queue.sort_fields: "),
        ("job.queue.active = 1\njob.queue.hours = at night", "job.queue.hours: hours 'at night'"),
        ("job.treewatch.active = 1", "job.treewatch.path: is empty: set the folder to watch"),
        (
            "job.treewatch.active = 1\njob.treewatch.path = /etc/passwd",
            "job.treewatch.path: /etc/passwd is not a folder",
        ),
        (
            "job.treewatch.active = 1\njob.treewatch.path = /tmp\njob.treewatch.on_loaded = move",
            "job.treewatch.loaded_path: is not set",
        ),
        (
            "job.treewatch.active = 1\njob.treewatch.path = /tmp\njob.treewatch.cmd.x = d.custom.set=a,{{nowhere}}",
            "job.treewatch.cmd.x: ",
        ),
        (
            "job.treewatch.active = 1\njob.treewatch.path = /tmp\njob.treewatch.cmd.x = execute=sh,-c,{{info_name}}",
            "job.treewatch.cmd.x: ",
        ),
        (
            "job.exporter.active = 1\njob.exporter.jobs = sistem",
            "'sistem' is not a metric group, did you mean system?",
        ),
        ("job.exporter.active = 1\njob.exporter.jobs =", "job.exporter.jobs: is empty: set a metric group"),
        (
            "job.exporter.active = 1\njob.exporter.prefix =",
            "job.exporter.prefix: '' is not a valid beginning of metric names",
        ),
        ("job.exporter.active = 1\njob.exporter.prefix = r.", "job.exporter.prefix: 'r.' is not a valid beginning"),
        (
            "job.exporter.active = 1\njob.exporter.item_stats = ratio=a, up.rate=a",
            "item_stats has two metrics named 'a'",
        ),
        ("job.exporter.active = 1\njob.exporter.item_labels = name, custom:name", "item_labels has two labels named"),
        ("job.exporter.active = 1\njob.exporter.port = 70000", "job.exporter.port: 70000 is not a port (1 to 65535)"),
        (
            "job.x.handler = no.where:X\njob.x.schedule = minute=*",
            "job.x.handler: there is no package or module 'no': it is neither installed nor in ",
        ),
        (
            "job.x.handler = json:X\njob.x.on = TorentLoaded",
            "'TorentLoaded' is not an event, did you mean TorrentLoaded?",
        ),
        ("scgi_url = http://nowhere", "scgi_url: "),
    ],
)
def test_an_error_is_reported_before_the_start(home: Path, lines: str, said: str) -> None:
    (found, *_) = problems(home, f"[TORQUE]\n{lines}\n")
    assert found.startswith("torque.ini:")
    assert said in found


def test_all_errors_are_reported_together(home: Path) -> None:
    text = (
        "[TORQUE]\njob.queue.active = 1\njob.queue.schedule = x\njob.queue.startable = [\n"
        "job.treewatch.active = 1\njob.treewatch.path = /etc/hosts:/etc/passwd\n"
    )
    lines = [found.split(": ")[0] for found in problems(home, text)]
    assert lines == ["torque.ini:3", "torque.ini:4", "torque.ini:6", "torque.ini:6"]


@pytest.mark.parametrize("schedule", ["month=2 day=30", "month=4,6 day=31 hour=3", "year=2020"])
@pytest.mark.parametrize("job", ["queue", "treewatch", "connstats"])
def test_a_schedule_that_never_fires_is_a_warning(home: Path, job: str, schedule: str) -> None:
    write(home, f"{GOOD}job.treewatch.path = {home}\njob.{job}.active = True\njob.{job}.schedule = {schedule}\n")
    (found,) = [each for each in configuration.read(home, Options()).warnings if "schedule" in str(each)]
    assert f"job.{job}.schedule: {schedule!r} has no time that is still to come" in str(found)


def test_the_schedule_of_an_exporter_is_not_used(home: Path) -> None:
    write(home, f"{GOOD}job.exporter.active = True\njob.exporter.port = 1\njob.exporter.schedule = month=2 day=30\n")
    assert not [each for each in configuration.read(home, Options()).warnings if "schedule" in str(each)]


def test_what_is_wrong_in_an_idle_job_is_a_warning(home: Path) -> None:
    write(home, GOOD + "job.queue.schedule = every day\n")
    found = configuration.read(home, Options())
    assert "not a schedule" in str(found.warnings[0])


@pytest.mark.parametrize("name", ["not/yet", "dead", "circle"])
def test_a_root_that_may_come_later_is_a_warning(home: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "dead").symlink_to(tmp_path / "unmounted")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    write(home, f"{GOOD}job.treewatch.active = 1\njob.treewatch.path = {tmp_path}:{tmp_path / name}\n")
    (warning,) = configuration.read(home, Options()).warnings
    assert str(warning).startswith(f"torque.ini:5: job.treewatch.path: {tmp_path / name} is missing (")
    assert "the watcher waits for it" in warning.text


def test_an_inactive_tree_watch_causes_no_warnings(home: Path) -> None:
    write(home, GOOD + "job.treewatch.active = 0\njob.treewatch.path = /no/where\n")
    assert configuration.read(home, Options()).warnings == ()


def test_a_tree_inside_another_one_is_neither_error_nor_warning(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    watch = "job.{0}.handler = pyrocore.torrent.watch:TreeWatch\njob.{0}.path = {1}\n"
    write(home, GOOD + watch.format("one", tmp_path / "a") + watch.format("two", tmp_path / "a/b"))
    assert configuration.read(home, Options(), strict=True).warnings == ()


def test_what_can_only_fail_is_an_error_in_check_and_a_warning_at_the_start(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "file").touch()
    watch = "job.{0}.handler = pyrocore.torrent.watch:TreeWatch\njob.{0}.path = {1}\n"
    write(
        home,
        GOOD + watch.format("one", tmp_path / "a") + watch.format("two", tmp_path / "link/")
        + f"job.one.on_loaded = move\njob.one.loaded_path = {tmp_path}/a/loaded\n"
        + f"job.one.on_failed = move\njob.one.failed_path = {tmp_path}/file/failed\n",
    )  # fmt: skip
    warnings = configuration.read(home, Options()).warnings
    with pytest.raises(SettingsProblems) as error:
        configuration.read(home, Options(), strict=True)
    assert {problem.key for problem in error.value.problems} == {warning.key for warning in warnings}
    assert sorted(f"{warning.key}: {warning.text}".replace(str(tmp_path), "") for warning in warnings) == [
        "job.one.failed_path: /file/failed cannot be used: /file is not a folder",
        "job.one.loaded_path: /a/loaded is in the tree of job.one, which would load the moved metafiles again: use "
        "another folder",
        "job.two.path: /link is already a root of job.one, which loads the metafiles in it",
    ]


def test_an_own_module_is_found_in_the_folder_of_jobs(home: Path) -> None:
    (home / "jobs").mkdir()
    (home / "jobs/mine.py").write_text("class X:\n    def __init__(self, config): pass\n    def run(self): pass\n")
    write(home, GOOD + "job.x.handler = mine:X\njob.x.schedule = minute=*\n")
    configuration.read(home, Options())


def test_a_good_configuration_becomes_the_groups_once(home: Path) -> None:
    found = configuration.read(home, Options())
    assert configuration.adopt(found)
    assert not configuration.adopt(found)
    assert stored_configuration.last_good(found.layout) == found.settings
    assert stored_configuration.stored_file(found.layout).stat().st_mode & 0o777 == 0o600


def test_a_service_starts_on_the_configuration_files(home: Path) -> None:
    adopted(home)
    found = configuration.load_or_last_good(home)
    assert (slots(found.settings), found.broken) == (3, "")


def test_a_service_that_restarts_by_itself_does_not_adopt_a_changed_file(home: Path) -> None:
    adopted(home)
    write(home, BETTER)
    found = configuration.load_or_last_good(home)
    assert (slots(found.settings), found.unreviewed) == (3, True)
    assert slots(configuration.reload(found).settings) == 4
    found = configuration.load_or_last_good(home)
    assert (slots(found.settings), found.unreviewed) == (4, False)


@pytest.mark.parametrize("now", ["x = 2", None], ids=["changed", "removed"])
def test_a_changed_config_py_waits_for_a_check(home: Path, now: str | None) -> None:
    config_py = home / "config.py"
    config_py.write_text("x = 1")
    copy = config_py_copy(adopted(home).layout.state_dir)
    assert not configuration.load_or_last_good(home).unreviewed
    config_py.unlink()
    if now is not None:
        config_py.write_text(now)
    found = configuration.load_or_last_good(home)
    assert (found.unreviewed, copy.read_text()) == (True, "x = 1")
    configuration.reload(found)
    assert not configuration.load_or_last_good(home).unreviewed
    assert (copy.read_text() if copy.exists() else None) == now


@pytest.mark.parametrize(
    "torque",
    ["", "[TORQUE]\n", "[TORQUE]\nscgi_url = scgi:///nowhere/rt.sock\n", "# all else was lost\n", "\n \n"],
    ids=["empty", "section only", "cut off before the jobs", "comment", "blank lines"],
)
def test_a_file_that_lost_all_jobs_is_an_error_that_names_the_last_good_configuration(home: Path, torque: str) -> None:
    write(home, ACTIVE)
    before = adopted(home)
    write(home, torque)
    with pytest.raises(SettingsProblems) as error:
        configuration.read(home, Options())
    assert str(stored_configuration.stored_file(before.layout)) in str(error.value)
    assert "torque.ini.last-good" in str(error.value)
    assert stored_configuration.copy_file(before.layout).read_text() == ACTIVE
    found = configuration.load_or_last_good(home)
    assert (slots(found.settings), "sets no job" in found.broken) == (3, True)
    with pytest.raises(SettingsProblems, match="sets no job"):
        configuration.reload(before)


@pytest.mark.parametrize("content", [None, b"", b'{"digest": "'], ids=["removed", "empty", "truncated"])
def test_without_the_stored_configuration_its_copy_is_the_witness(home: Path, content: bytes | None) -> None:
    write(home, ACTIVE)
    stored = stored_configuration.stored_file(adopted(home).layout)
    for torque, warned in (("", 0), (ACTIVE.replace("3", "4"), 1), (ACTIVE.replace("3", "4"), 0)):
        stored.unlink(missing_ok=True)
        if content is not None:
            stored.write_bytes(content)
        write(home, torque)
        if not torque:
            with pytest.raises(SettingsProblems, match=r"sets no job.*torque\.ini\.last-good"):
                configuration.load_or_last_good(home)
            continue
        found = configuration.load_or_last_good(home)
        assert slots(found.settings) == 4
        assert sum("not reviewed" in str(warning) for warning in found.warnings) == warned


def test_jobs_that_are_switched_off_explicitly_are_no_error(home: Path) -> None:
    write(home, ACTIVE)
    adopted(home)
    write(home, "[TORQUE]\njob.queue.active = False\n")
    assert not any(job.active for job in configuration.read(home, Options()).settings.jobs if job.name == "queue")


def test_a_lost_state_dir_does_not_hide_the_last_good_configuration(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, ACTIVE + f"state_dir = {tmp_path / 'elsewhere'}\n")
    layout_of(home).prepare()
    before = adopted(home)
    config.write_programs(before.layout, Options(), guard_files=())
    write(home, "")
    with pytest.raises(SettingsProblems, match="sets no job"):
        configuration.read(home, Options())
    monkeypatch.setenv("SUPERVISOR_ENABLED", "1")
    found = configuration.load_or_last_good(home)
    assert (slots(found.settings), found.layout) == (3, before.layout)


def test_a_search_for_rtorrent_adopts_no_change_of_the_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, "[TORQUE]\nrtorrent_rc = /no/where.rc\njob.queue.active = True\njob.queue.downloading_max = 3\n")
    before = adopted(home)
    write(home, "[TORQUE]\nrtorrent_rc = /no/where.rc\njob.queue.active = True\njob.queue.downloading_max = 4\n")
    found = RTorrentSettings(url="scgi:///found.sock", origin="process 7")

    def discover(_: object) -> RTorrentSettings:
        return found

    monkeypatch.setattr(configuration, "_discover", discover)
    assert configuration.find_address(before.layout)
    assert not configuration.find_address(before.layout)
    stored = stored_configuration.last_good(before.layout)
    assert stored is not None
    assert (slots(stored), stored.rtorrent.url) == (3, "scgi:///found.sock")
    assert configuration.check_in_subprocess(home, address_only=True)


def test_a_service_that_starts_on_a_broken_one_gets_the_last_good_one_and_the_reason(home: Path) -> None:
    adopted(home)
    write(home, BROKEN)
    found = configuration.load_or_last_good(home)
    assert slots(found.settings) == 3
    assert "torque.ini:" in found.broken


def test_the_last_good_one_is_found_also_when_torque_ini_is_gone(home: Path) -> None:
    adopted(home)
    (home / "torque.ini").unlink()
    assert "there is no" in configuration.load_or_last_good(home).broken


def test_without_a_good_one_a_service_does_not_start(home: Path) -> None:
    write(home, BROKEN)
    with pytest.raises(SettingsError, match="downloading_mx"):
        configuration.load_or_last_good(home)


def test_a_kept_file_that_cannot_be_read_is_as_if_there_were_none(home: Path) -> None:
    found = adopted(home)
    stored_configuration.stored_file(found.layout).write_bytes(b"{half")
    assert stored_configuration.last_good(found.layout) is None
    assert configuration.load_or_last_good(home).broken == ""
    assert stored_configuration.last_good(found.layout) == found.settings


def test_a_reload_takes_what_is_good_and_refuses_what_is_broken(home: Path) -> None:
    current = adopted(home)
    write(home, BROKEN)
    with pytest.raises(SettingsProblems, match="did you mean downloading_max"):
        configuration.reload(current)
    assert stored_configuration.last_good(current.layout) == current.settings
    write(home, BETTER)
    assert slots(configuration.reload(current).settings) == 4


def test_a_valid_one_that_cannot_be_stored_is_not_adopted_and_that_is_reported(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else this service alone would run on it, or on the old one without a word."""
    current = adopted(home)
    write(home, BETTER)

    def is_good_and_not_kept(_home: Path) -> bool:
        return False

    monkeypatch.setattr(configuration, "check_in_subprocess", is_good_and_not_kept)
    with pytest.raises(SettingsError, match=r"valid, but it cannot be stored in .*disk full"):
        configuration.reload(current)
    assert slots(configuration.load_or_last_good(home).settings) == 3


def test_a_check_reports_whether_a_valid_configuration_was_stored(home: Path) -> None:
    assert configuration.check_in_subprocess(home)
    kept = stored_configuration.stored_file(layout_of(home))
    kept.unlink()
    kept.mkdir()
    assert not configuration.check_in_subprocess(home)
    assert slots(configuration.load_or_last_good(home).settings) == 3


def test_services_notice_that_the_group_has_another_configuration(home: Path) -> None:
    watch = ConfigurationWatch(adopted(home))
    assert watch.changed(100.0) is None
    write(home, BETTER)
    adopted(home)
    assert watch.changed(101.0) is None, "looked at most every two seconds"
    found = watch.changed(102.5)
    assert found is not None
    assert slots(found) == 4
    assert watch.changed(105.0) is None, "reported once"


def test_what_a_service_has_reloaded_itself_is_no_news_to_it(home: Path) -> None:
    current = adopted(home)
    watch = ConfigurationWatch(current)
    write(home, BETTER)
    watch.took(configuration.reload(current))
    assert watch.changed(100.0) is None


def test_a_file_that_was_only_written_again_is_no_news(home: Path) -> None:
    current = adopted(home)
    watch = ConfigurationWatch(current)
    kept = stored_configuration.stored_file(current.layout)
    kept.write_bytes(kept.read_bytes())
    os.utime(kept, (1, 1))
    assert watch.changed(100.0) is None


def test_an_address_that_was_found_at_a_process_stays_until_a_file_names_one(home: Path) -> None:
    write(home, "[TORQUE]\nrtorrent_rc = /no/where.rc\n")
    found = configuration.read(home, Options())
    address = RTorrentSettings(url="scgi:///found.sock", origin="process 7")
    settings = msgspec.structs.replace(found.settings, rtorrent=address)
    settings = msgspec.structs.replace(settings, digest=digest_of(settings))
    configuration.adopt(Configuration(settings, found.layout, Options()))
    assert configuration.read(home, Options()).settings == settings
    assert configuration.load_or_last_good(home).settings == settings
    write(home, GOOD)
    assert configuration.read(home, Options()).settings.rtorrent.url == "scgi:///nowhere/rt.sock"


def test_the_command_line_reaches_the_services(home: Path) -> None:
    layout = layout_of(home)
    assert read_options(layout) == Options()
    said = Options(dry_run=True, log_level="DEBUG", config_files=("/x.ini",), foreground=True, guard_file="/g")
    write_options(layout, said)
    assert read_options(layout) == said
    layout.options_file.write_text("half of it")
    assert read_options(layout) == said, "the copy for 1.0.0"
    layout.earlier_options_file.write_text("half of it")
    assert read_options(layout) == Options()


def test_options_outlive_a_swept_run_folder_and_those_of_an_earlier_version_are_read(home: Path) -> None:
    layout = layout_of(home)
    write_options(layout, Options(dry_run=True))
    layout.earlier_options_file.unlink()
    assert read_options(layout).dry_run
    layout.earlier_options_file.write_text('{"dry_run": false, "log_level": "DEBUG"}')
    os.utime(layout.options_file, (1, 1))
    assert read_options(layout) == Options(log_level="DEBUG"), "an earlier version was started since"


def test_a_dry_run_is_another_configuration(home: Path) -> None:
    current = adopted(home)
    write_options(current.layout, Options(dry_run=True))
    assert configuration.load_or_last_good(home).unreviewed
    assert configuration.reload(current).settings.dry_run


@pytest.mark.parametrize("active", [True, False])
def test_a_condition_that_cannot_mean_what_was_typed_is_an_error_in_check_and_one_warning_at_the_start(
    home: Path, active: bool
) -> None:
    write(home, GOOD + f"job.queue.active = {active}\njob.queue.startable = prio = 2 [tagged=new] !is_open\n")
    (warning,) = configuration.read(home, Options()).warnings
    assert warning.key == "job.queue.startable"
    assert str(warning).startswith("torque.ini:")
    assert "write `prio=2`" in str(warning)
    if not active:
        assert configuration.read(home, Options(), strict=True).warnings == (warning,)
        return
    with pytest.raises(SettingsProblems) as error:
        configuration.read(home, Options(), strict=True)
    assert error.value.problems == (warning,)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("startable", "prio>0 d_stop=0"),
        ("startable", "prio>0 [ NOT d_erase=1 ]"),
        ("downloading", "d_check_hash=0"),
        ("sort_fields", "-prio, -d_close"),
        ("group_by", "d_delete_tied"),
    ],
)
def test_so_is_a_field_that_would_change_items(home: Path, key: str, value: str) -> None:
    write(home, GOOD + f"job.queue.active = True\njob.queue.{key} = {value}\n")
    (warning,) = configuration.read(home, Options()).warnings
    assert warning.key == f"job.queue.{key}"
    assert "which changes something" in warning.text
    with pytest.raises(SettingsProblems) as error:
        configuration.read(home, Options(), strict=True)
    assert error.value.problems == (warning,)


def test_so_is_one_of_a_custom_job(home: Path) -> None:
    job = "job.tidy.handler = pyrotorque.jobs.action:Action\njob.tidy.schedule = hour=1\njob.tidy.action = stop\n"
    write(home, GOOD + job + "job.tidy.condition = prio>0 & size>1\n")
    (warning,) = configuration.read(home, Options()).warnings
    assert warning.key == "job.tidy.condition"
    assert "terms are joined by AND" in warning.text
    with pytest.raises(SettingsProblems) as error:
        configuration.read(home, Options(), strict=True)
    assert error.value.problems == (warning,)


@pytest.mark.parametrize("setting", ["condition", "protect", "rule.3.condition"])
@pytest.mark.parametrize("text", ["tagged = keep", '!tagged="keep"', 'tagged="keep me"', "d_stop=1"])
def test_one_of_a_clean_up_is_refused(home: Path, setting: str, text: str) -> None:
    job = "job.tidy.handler = pyrotorque.jobs.cleanup:Cleanup\njob.tidy.schedule = hour=1\n"
    condition = "" if setting == "condition" else "job.tidy.condition = is_complete=yes\n"
    write(home, GOOD + job + condition + f"job.tidy.{setting} = {text}\n")
    with pytest.raises(SettingsProblems, match=rf"job\.tidy\.{setting}: "):
        configuration.read(home, Options())


def test_a_template_file_is_part_of_the_reviewed_configuration(home: Path, tmp_path: Path) -> None:
    template = home / "templates" / "folder.txt"
    template.parent.mkdir()
    template.write_text("d.directory.set=/there\n")
    tree = f"job.treewatch.active = True\njob.treewatch.path = {tmp_path}\njob.treewatch.cmd.folder = file:folder.txt\n"
    write(home, ACTIVE + tree)
    before = adopted(home)
    assert watched(before.settings) == (("folder", "d.directory.set=/there"),)
    for text in ("d.directory.se", "", " \n", None):
        template.unlink() if text is None else template.write_text(text)
        found = configuration.load_or_last_good(home)
        assert watched(found.settings) == watched(before.settings)
        assert found.broken or found.unreviewed
        with pytest.raises(SettingsProblems, match=r"torque\.ini:7: job\.treewatch\.cmd\.folder: "):
            configuration.read(home, Options())
    template.write_text("print=1")
    assert watched(configuration.load_or_last_good(home).settings) == watched(before.settings)
    assert watched(adopted(home).settings) == (("folder", "print=1"),)


_FINISHED = "on = TorrentCompleted"
_HOURLY = "schedule = hour=*"
_TEMPLATES = [
    ("action:Action", "value", f"{_HOURLY}|condition = size>1|action = custom"),
    ("action:Action", "args", f"{_HOURLY}|condition = size>1|action = tag"),
    ("command:Command", "command", _FINISHED),
    ("command:Command", "args", f"{_FINISHED}|shell = on"),
    ("itemcommand:ItemCommand", "command", f"{_HOURLY}|condition = size>1"),
    ("mover:Mover", "target", _HOURLY),
    *(("notify:Notify", key, "url = http://127.0.0.1:9/") for key in ("text", "title", "json.a", "header.X-A")),
    ("notify:Notify", "command", "within = 5"),
]


@pytest.mark.parametrize(("handler", "key", "others"), _TEMPLATES)
def test_so_is_that_of_each_setting_of_a_shipped_job(home: Path, handler: str, key: str, others: str) -> None:
    template = home / "templates" / "text.txt"
    template.parent.mkdir()
    template.write_text("seven {{name}}\n")
    lines = [f"handler = pyrotorque.jobs.{handler}", *others.split("|"), f"{key} = file:text.txt"]
    write(home, ACTIVE + "".join(f"job.send.{line}\n" for line in lines))
    before = adopted(home)
    assert text_in(before.settings, key) == "seven {{name}}"
    for text in ("eight", "", " \n", None):
        template.unlink() if text is None else template.write_text(text)
        found = configuration.load_or_last_good(home)
        assert text_in(found.settings, key) == "seven {{name}}"
        assert found.broken or found.unreviewed
        if text != "eight":
            with pytest.raises(SettingsProblems, match=rf"torque\.ini:\d+: job\.send\.{key}: file:text\.txt"):
                configuration.read(home, Options())
    template.write_text("0012")
    assert text_in(configuration.load_or_last_good(home).settings, key) == "seven {{name}}"
    assert text_in(adopted(home).settings, key) == "0012"


def text_in(settings: Settings, key: str) -> object:
    return next(job.params[key] for job in settings.jobs if isinstance(job, CustomSettings) and job.name == "send")


def test_the_table_of_templates_has_every_setting_that_a_shipped_job_compiles() -> None:
    found = {(handler, key) for handler, keys in TEMPLATES.items() for key in keys}
    tested = {(f"pyrotorque.jobs.{handler}", key.partition(".")[0]) for handler, key, _ in _TEMPLATES}
    assert {(handler, key.rstrip(".")) for handler, key in found if key != "args"} == {
        (handler, key) for handler, key in tested if key != "args"
    }


def test_a_class_of_the_user_decides_itself_what_file_means(home: Path) -> None:
    (home / "jobs").mkdir()
    (home / "jobs" / "own.py").write_text("from pyrotorque.jobs import Job\nclass Own(Job):\n    pass\n")
    write(home, ACTIVE + "job.send.handler = own:Own\njob.send.schedule = hour=*\njob.send.target = file:nowhere\n")
    assert text_in(adopted(home).settings, "target") == "file:nowhere"


def test_what_a_template_file_contains_is_checked_like_the_setting(home: Path) -> None:
    template = home / "templates" / "run"
    template.parent.mkdir()
    template.write_text('sh -c "echo {{name}}"')
    job = "job.send.handler = pyrotorque.jobs.command:Command\njob.send.on = TorrentCompleted\n"
    (found,) = problems(home, ACTIVE + job + "job.send.command = file:run\n")
    assert "would be run as code by sh" in found
    template.write_text("file:run")
    (found,) = problems(home, ACTIVE + job + "job.send.command = file:run\n")
    assert found.endswith("names another file; write the text itself")
    template.unlink()
    os.mkfifo(template)
    (found,) = problems(home, ACTIVE + job + "job.send.command = file:run\n")
    assert found.endswith(f"cannot read {template}: it is no file")


def watched(settings: Settings) -> tuple[tuple[str, str], ...]:
    return next(job.commands for job in settings.jobs if isinstance(job, WatchSettings) and job.active)


def test_a_config_ini_that_lost_its_trackers_is_an_error_until_it_is_removed(home: Path) -> None:
    write(home, ACTIVE)
    file = home / "config.ini"
    file.write_text("[ANNOUNCE]\nMine = http://tracker.example.org/announce\n")
    before = adopted(home)
    for text in ("", "# lost\n", "[ANNOUNCE]\n"):
        file.write_text(text)
        with pytest.raises(SettingsProblems, match=r"config\.ini: sets nothing.*tracker\.example\.org"):
            configuration.read(home, Options())
        assert configuration.load_or_last_good(home).settings.aliases == before.settings.aliases
    file.write_text("[ANNOUNCE]\nOther = http://other.example.org/announce\n")
    assert configuration.read(home, Options()).settings.aliases == {"other.example.org": "Other"}
    file.unlink()
    assert configuration.read(home, Options()).settings.aliases == {}


def lost(home: Path, options: Options | None = None) -> list[str]:
    with pytest.raises(SettingsProblems) as caught:
        configuration.read(home, options or Options())
    return [str(problem) for problem in caught.value.problems]


NOTHING = ["", "\n", "# lost\n", "[TORQUE]\n", "[TORQUE]\n# job.queue.active = True\n", "[FORMATS]\nx = 1\n"]


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize(
    "line", ["scgi_url = scgi:///nowhere/rt.sock", "dry_run = on", "disk_free_bytes = 5", "panel.hosts = example.org"]
)
def test_an_emptied_torque_ini_is_an_error_whatever_it_had_set(home: Path, line: str, nothing: str) -> None:
    write(home, f"[TORQUE]\n{line}\n")
    before = adopted(home)
    write(home, nothing)
    (text,) = lost(home)
    assert text.startswith("torque.ini: sets nothing, but did so in the last good configuration (")
    assert f"Its last good content is in {stored_configuration.copy_file(before.layout)}." in text
    found = configuration.load_or_last_good(home)
    assert (found.settings, "sets nothing" in found.broken) == (before.settings, True)
    write(home, "[TORQUE]\ndry_run = False\n")
    assert not configuration.read(home, Options()).settings.dry_run


def test_an_emptied_torque_ini_is_an_error_although_another_file_has_jobs(home: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra.ini"
    extra.write_text("[TORQUE]\njob.queue.active = True\n")
    options = Options(config_files=(str(extra),))
    found = configuration.read(home, options)
    configuration.adopt(found)
    write(home, "")
    (text,) = lost(home, options)
    assert text.startswith("torque.ini: sets nothing")
    (home / "torque.ini").unlink()
    assert configuration.read(home, options).settings.files == (str(extra),)


@pytest.mark.parametrize("nothing", NOTHING)
def test_an_emptied_extra_file_is_an_error_while_it_is_read(home: Path, tmp_path: Path, nothing: str) -> None:
    extra = tmp_path / "extra.ini"
    extra.write_text(f"[TORQUE]\njob.treewatch.active = True\njob.treewatch.path = {tmp_path}\n")
    options = Options(config_files=(str(extra),))
    write(home, ACTIVE)
    configuration.adopt(configuration.read(home, options))
    extra.write_text(nothing)
    (text,) = lost(home, options)
    assert text.startswith("extra.ini: sets nothing")
    assert text.endswith("To do without its settings, remove it")
    assert configuration.read(home, Options()).settings.files == ("torque.ini",)


@pytest.mark.parametrize("is_recorded", [True, False], ids=["recorded", "stored by 1.1.0"])
def test_an_emptied_config_ini_with_the_address_is_an_error(home: Path, is_recorded: bool) -> None:
    write(home, "[TORQUE]\njob.queue.active = True\n")
    (home / "config.ini").write_text("[GLOBAL]\nscgi_url = scgi:///nowhere/rt.sock\n")
    found = configuration.read(home, Options())
    files = found.settings.files if is_recorded else ()
    settings = msgspec.structs.replace(found.settings, files=files)
    configuration.adopt(Configuration(settings, found.layout, Options()))
    (home / "config.ini").write_text("[GLOBAL]\n")
    (text,) = lost(home)
    assert text.startswith("config.ini: sets nothing")
    (home / "config.ini").unlink()
    assert configuration.read(home, Options()).settings.rtorrent.url is None


@pytest.mark.parametrize("left", ["", "# lost\n", "throttle.global_down.max_rate.set_kb = 100\nnetwork.scgi.open_lo"])
def test_an_rtorrent_rc_that_lost_the_address_is_an_error(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    rc = tmp_path / ".rtorrent.rc"
    rc.write_text("throttle.global_down.max_rate.set_kb = 100\nnetwork.scgi.open_local = /nowhere/rt.sock\n")
    write(home, "[TORQUE]\njob.queue.active = True\n")
    before = adopted(home)
    rc.write_text(left)
    (text,) = lost(home)
    assert f"{rc} has no address of rTorrent, but had scgi:///nowhere/rt.sock" in text
    assert configuration.load_or_last_good(home).settings == before.settings
    write(home, ACTIVE)
    assert adopted(home).settings.rtorrent.origin == "torque.ini:2"


def test_which_files_set_something_is_recorded_and_changes_no_digest(home: Path) -> None:
    found = configuration.read(home, Options())
    configuration.adopt(Configuration(msgspec.structs.replace(found.settings, files=()), found.layout, Options()))
    assert not configuration.adopt(found), "nothing else has changed"
    stored = stored_configuration.last_good(found.layout)
    assert stored is not None
    assert stored.files == ("torque.ini",)
    assert digest_of(stored) == digest_of(msgspec.structs.replace(stored, files=()))


@pytest.mark.parametrize("nothing", ["", "# lost\n", "\n\n"])
def test_an_emptied_config_py_is_an_error(home: Path, nothing: str) -> None:
    file = home / "config.py"
    file.write_text("from pyrotorque.customfields import field\n")
    adopted(home)
    file.write_text(nothing)
    assert lost(home)[0].startswith("config.py: sets nothing")
    file.unlink()
    assert configuration.read(home, Options()).settings.files == ("torque.ini",)


SETTINGS = {"config.ini": "[TORQUE]\ndry_run = True\n", "config.py": "import os\n"}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("lost", ["emptied by another path", "emptied after a move", "link to nothing"])
def test_a_file_is_known_by_its_place_in_the_folder(home: Path, tmp_path: Path, name: str, lost: str) -> None:
    (home / name).write_text(SETTINGS[name])
    adopted(home)
    other = tmp_path / "other"
    if lost == "link to nothing":
        (home / name).rename(tmp_path / "target")
        (home / name).symlink_to(tmp_path / "target")
        assert configuration.read(home, Options()).warnings == ()
        (tmp_path / "target").unlink()
        other.symlink_to(home)
    else:
        other.symlink_to(home) if lost == "emptied by another path" else home.rename(other)
        (other / name).write_text("")
    with pytest.raises(SettingsProblems, match=rf"{name}: .*last good configuration"):
        configuration.read(other, Options())
    (other / name).unlink()
    assert not configuration.read(other, Options()).settings.dry_run


def test_a_torque_ini_that_is_a_link_to_nothing_is_an_error(home: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra.ini"
    extra.write_text("[TORQUE]\njob.queue.active = True\n")
    write(home, GOOD + "dry_run = True\n")
    adopted(home)
    (home / "torque.ini").unlink()
    (home / "torque.ini").symlink_to(tmp_path / "unmounted")
    for options in (Options(), Options(config_files=(str(extra),))):
        with pytest.raises(
            SettingsError, match=rf"torque\.ini:? is a link to {tmp_path}/unmounted, which does not exist"
        ):
            configuration.read(home, options)


def test_a_config_py_that_is_a_link_to_nothing_keeps_its_copy(home: Path, tmp_path: Path) -> None:
    (home / "config.py").write_text(SETTINGS["config.py"])
    found = adopted(home)
    (home / "config.py").unlink()
    (home / "config.py").symlink_to(tmp_path / "unmounted")
    assert stored_configuration.is_config_py_changed(found.layout)
    stored_configuration.keep_copies(found.layout)
    assert config_py_copy(found.layout.state_dir).read_text() == SETTINGS["config.py"]


def test_trackers_of_an_earlier_version_are_not_lost_with_a_link_to_nothing(home: Path, tmp_path: Path) -> None:
    (home / "config.ini").write_text("[ANNOUNCE]\nOne = http://one.org/announce\n")
    found = configuration.read(home, Options())
    configuration.adopt(Configuration(msgspec.structs.replace(found.settings, files=()), found.layout, Options()))
    (home / "config.ini").unlink()
    (home / "config.ini").symlink_to(tmp_path / "unmounted")
    with pytest.raises(SettingsProblems, match=r"config\.ini: is a link to"):
        configuration.read(home, Options())


def test_a_first_start_with_a_link_to_nothing_is_a_warning(home: Path, tmp_path: Path) -> None:
    (home / "config.ini").symlink_to(tmp_path / "unmounted")
    assert "config.ini: is a link to" in str(configuration.read(home, Options()).warnings[0])


def test_an_rtorrent_rc_that_is_a_link_to_nothing_has_lost_the_address(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "target.rc"
    file.write_text("network.scgi.open_local = /nowhere/rt.sock\n")
    (tmp_path / "rtorrent.rc").symlink_to(file)
    write(home, f"[TORQUE]\nrtorrent_rc = {tmp_path}/rtorrent.rc\njob.queue.active = True\n")
    adopted(home)
    file.unlink()
    with pytest.raises(SettingsProblems, match="has no address of rTorrent"):
        configuration.read(home, Options())
