"""A configuration directory is loaded as typed settings, or all its problems are reported with their places."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from demo.group import REPOSITORY
from pyrotorque.errors import SettingsError
from pyrotorque.options import Options
from pyrotorque.settings import SettingsProblems, digest_of, layout_of, load, packaged_text
from pyrotorque.settings.handlers import PATHS
from pyrotorque.settings.schema import (
    CustomSettings,
    ExporterSettings,
    JobSettings,
    QueueSettings,
    StatsSettings,
    WatchSettings,
)
from pyrotorque.settings.serialization import from_json, to_json
from tests.configured import MANUAL, configured, job, problems, queue
from tests.released import unpack_released

# What a complete file of the earlier daemon held: every job with every setting, and all that was around them.
COMPLETE = """\
[TORQUE]
queue_startable_base = is_open=no is_active=no is_complete=no
; the scheduler
apscheduler.threadpool.core_threads = 1
apscheduler.threadpool.max_threads = 1
apscheduler.misfire_grace_time = 7
apscheduler.coalesce = True
; the web server
httpd.active = False
httpd.waitress.url_scheme = http
httpd.waitress.host = 127.0.0.1
httpd.waitress.port = 8042
httpd.json.disk_usage_path = ~
job.connstats.handler = pyrocore.torrent.jobs:EngineStats
job.connstats.schedule = minute=*
job.fluxstats.handler = pyrocore.torrent.jobs:InfluxDBStats
job.fluxstats.schedule = second=*/15
job.fluxstats.active = False
job.fluxstats.dbname = torque
job.fluxstats.series = rtorrent
job.fluxstats.series_host = host
job.queue.handler = pyrocore.torrent.queue:QueueManager
job.queue.schedule = second=*/15
job.queue.active = true
job.queue.dry_run = N
job.queue.quiet = -
job.queue.log_level = warn
job.queue.sort_fields = -prio, loaded, name
job.queue.downloading_min = 1
job.queue.downloading_max = 9
job.queue.start_at_once = 1
job.queue.intermission = 0
job.queue.startable = is_ignored=no done=0 message= prio>0
job.queue.downloading = down>0
job.treewatch.handler = pyrocore.torrent.watch:TreeWatch
job.treewatch.schedule = hour=*
job.treewatch.active = y
job.treewatch.path = ~/rtorrent/watch:/srv/watch
job.treewatch.load_mode = started
job.treewatch.queued = +
job.treewatch.trace_inotify = no
job.exporter.handler = pyrocore.daemon.exporter:RtorrentExporter
job.exporter.schedule = hour=*
job.exporter.active = False
job.exporter.jobs = system,tracker,item
job.exporter.port = 8000
job.exporter.item-stats = down.total,up.total
job.exporter.item_labels = hash,name

[STATS_UI]
anything = goes
"""


def test_the_manuals_minimal_example_means_what_the_manual_says(tmp_path: Path) -> None:
    loaded = configured(tmp_path, MANUAL)
    queue, watch = job(loaded, "queue"), job(loaded, "treewatch")
    assert isinstance(queue, QueueSettings)
    assert isinstance(watch, WatchSettings)
    assert (queue.active, queue.schedule, queue.intermission, queue.downloading_max) == (True, "second=*/5", 60, 3)
    assert " ".join(queue.startable.split()) == (
        "is_ignored=0 message= prio>0 [ prio>2 OR [ NOT [ traits=audio kind_25=jpg,png,tif,bmp ] ] ]"
    )
    assert (watch.load_mode, watch.queued, watch.path) == ("start", True, (Path("/var/torrent/watch"),))
    assert [name for name, _ in watch.commands] == ["jpg", "nfo", "png", "target", "tif"]
    assert dict(watch.commands)["target"].endswith("}}d.custom.set=targetdir,/var/torrent/done/{{label}}/{{relpath}}")
    assert loaded.warnings == ()


def test_what_is_not_set_has_the_packaged_default(tmp_path: Path) -> None:
    loaded = configured(tmp_path, MANUAL)
    stats, exporter = job(loaded, "connstats"), job(loaded, "exporter")
    assert isinstance(stats, StatsSettings)
    assert stats.active
    assert isinstance(exporter, ExporterSettings)
    assert (exporter.active, exporter.address, exporter.port) == (False, "127.0.0.1", 9135)
    assert loaded.settings.queue_startable_base == "is_open=no is_active=no is_complete=no"


def test_a_complete_old_file_with_foreign_keys_loads(tmp_path: Path) -> None:
    loaded = configured(tmp_path, COMPLETE)
    queue, watch, exporter = job(loaded, "queue"), job(loaded, "treewatch"), job(loaded, "exporter")
    assert isinstance(queue, QueueSettings)
    assert (queue.active, queue.dry_run, queue.quiet, queue.log_level) == (True, False, False, "WARNING")
    assert isinstance(watch, WatchSettings)
    assert watch.path == (Path.home() / "rtorrent/watch", Path("/srv/watch"))
    assert (watch.load_mode, watch.queued) == ("start", True)
    assert isinstance(exporter, ExporterSettings)
    assert exporter.jobs == ("system", "trackers", "items")
    assert exporter.item_stats == ("down.total", "up.total")
    assert exporter.item_labels == ("hash", "name")
    assert [job.name for job in loaded.settings.jobs] == ["connstats", "exporter", "queue", "treewatch"]
    assert loaded.warnings == ()


def test_the_packaged_file_shows_exactly_the_defaults_of_the_code(tmp_path: Path) -> None:
    for found in configured(tmp_path, "[TORQUE]\n").settings.jobs:
        shown = {line.split("=")[0].strip().removeprefix(f"job.{found.name}.") for line in _shown_lines(found.name)}
        fields = {field.name: field for field in msgspec.structs.fields(type(found))}
        assert shown - {"group_max.nfo"} == fields.keys() - {"name", "log_level", "commands", "group_maxima"}
        for name, field in fields.items():
            # Only the packaged statistics are active without being asked to.
            if field.default is not msgspec.NODEFAULT:
                assert getattr(found, name) == field.default, name


def _shown_lines(name: str) -> list[str]:
    """With those that are comments because 1.0.0 does not have the setting."""
    lines = [line.removeprefix("#").strip() for line in packaged_text().splitlines()]
    return [line for line in lines if line.startswith(f"job.{name}.") and f"job.{name}.cmd." not in line]


def test_1_0_0_accepts_each_line_of_the_packaged_file(tmp_path: Path) -> None:
    """During an upgrade its running services read the new file."""
    released = (unpack_released(tmp_path) / "pyrotorque/defaults/torque.ini").read_text()
    names = {line.split("=")[0].strip() for line in released.splitlines() if line.startswith("job.")}
    assert {line.split("=")[0].strip() for line in packaged_text().splitlines() if line.startswith("job.")} <= names


def test_a_second_job_with_the_same_handler_has_its_defaults_and_runs(tmp_path: Path) -> None:
    loaded = configured(
        tmp_path,
        "[TORQUE]\njob.night.handler = pyrocore.torrent.queue:QueueManager\njob.night.downloading_max = 2\n",
    )
    night = job(loaded, "night")
    assert isinstance(night, QueueSettings)
    assert (night.active, night.schedule, night.downloading_max, night.downloading_min) == (True, "second=*/15", 2, 1)


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        ("pyrosimple.job.queue:QueueManager", QueueSettings),
        ("pyrosimple.torrent.queue:QueueManager", QueueSettings),
        ("pyrosimple.job.watch:TreeWatch", WatchSettings),
        ("pyrosimple.torrent.jobs:EngineStats", StatsSettings),
        ("pyrosimple.job.metrics:RtorrentExporter", ExporterSettings),
        ("my.jobs:QueueManager", CustomSettings),
    ],
)
def test_handlers_of_the_earlier_daemons_are_known(tmp_path: Path, handler: str, kind: type[JobSettings]) -> None:
    text = f"[TORQUE]\njob.x.handler = {handler}\njob.x.schedule = minute=*\n"
    assert type(job(configured(tmp_path, text), "x")) is kind


def test_settings_of_pyrosimple_are_understood(tmp_path: Path) -> None:
    found = queue(
        tmp_path,
        "job.queue.matcher = prio>1",
        "job.queue.sort = name",
        "job.queue.log_to_client = no",
        "job.queue.downloading_traffic_max = 1m",
    )
    assert (found.startable, found.sort_fields, found.quiet, found.max_down_rate) == ("prio>1", "name", True, 1 << 20)


def test_a_removed_setting_of_pyrosimple_names_its_replacement(tmp_path: Path) -> None:
    assert problems(tmp_path, "[TORQUE]\njob.treewatch.remove_already_added = True\n") == [
        "torque.ini:2: job.treewatch.remove_already_added: set on_loaded = delete (or rename, move) instead"
    ]


def test_a_problem_of_an_older_name_has_its_line(tmp_path: Path) -> None:
    loaded = configured(tmp_path, "[TORQUE]\njob.queue.active = 1\njob.queue.matcher = [\njob.treewatch.cmd_a = b\n")
    assert loaded.problem("job.queue.startable", "x").line == 3
    assert loaded.problem("job.treewatch.cmd.a", "x").line == 4
    assert loaded.problem("job.queue.view", "x").line == 2, "a missing setting has the line of its job"


def test_a_file_without_our_section_is_a_warning(tmp_path: Path) -> None:
    assert "has no section [TORQUE]" in str(configured(tmp_path, "[OTHER]\na = 1\n").warnings[0])


def test_a_users_own_job_gets_its_settings_as_the_earlier_daemons_gave_them(tmp_path: Path) -> None:
    found = job(
        configured(
            tmp_path,
            "[TORQUE]\njob.tidy.handler = my.jobs:Tidy\njob.tidy.schedule = hour=3\njob.tidy.days = 30\n"
            "job.tidy.really = yes\njob.tidy.path = ~/done\njob.tidy.timeout = 5\njob.tidy.memory_max = 200m\n",
        ),
        "tidy",
    )
    assert isinstance(found, CustomSettings)
    assert found.params == {"days": 30, "really": True, "path": str(Path.home() / "done")}
    assert (found.active, found.timeout, found.memory_max) == (True, 5.0, 200 << 20)


_SEND = "[TORQUE]\njob.send.handler = pyrotorque.jobs.notify:Notify\njob.send.url = http://127.0.0.1/\n"


@pytest.mark.parametrize("key", ["title", "text", "header.X-Path", "json.path", "priority.JobFailed"])
def test_a_text_that_begins_like_a_path_stays_as_it_is(tmp_path: Path, key: str) -> None:
    found = job(configured(tmp_path, f"{_SEND}job.send.{key} = ~/0012345\n"), "send")
    assert isinstance(found, CustomSettings)
    assert found.params[key] == "~/0012345"


@pytest.mark.parametrize("section", ["ANNOUNCE", "TRAITS_BY_ALIAS"])
def test_so_does_a_text_of_another_section(tmp_path: Path, section: str) -> None:
    found = configured(tmp_path, f"[{section}]\na = ~/b\n[TORQUE]\njob.queue.sort_fields = name\n")
    values = [*found.settings.aliases, *found.settings.traits_by_alias.values()]
    assert values == ["~/b"]


@pytest.mark.parametrize(
    ("handler", "key"), [(handler, key) for handler, keys in sorted(PATHS.items()) for key in keys]
)
def test_a_path_of_a_shipped_job_may_begin_at_home(tmp_path: Path, handler: str, key: str) -> None:
    text = f"[TORQUE]\njob.send.handler = {handler}\njob.send.schedule = hour=*\njob.send.{key} = ~/a b\n"
    found = job(configured(tmp_path, text), "send")
    assert isinstance(found, CustomSettings)
    assert found.params[key] == str(Path.home() / "a b")


def test_each_shipped_job_declares_its_paths() -> None:
    """Settings of a handler that is not declared are read as those of a user's own class."""
    named = re.findall(
        r"pyrotorque\.jobs\.\w+:\w+", "".join(path.read_text() for path in (REPOSITORY / "docs").glob("*.md"))
    )
    assert set(named) == PATHS.keys()


_PATH_SETTINGS = [
    "run_dir", "state_dir", "panel.socket", "panel.groups", "fleet.credentials", "fleet.ca", "fleet.certificate",
    "fleet.key", "fleet.file_sd", "job.treewatch.path", "job.treewatch.below", "job.treewatch.loaded_path",
    "job.treewatch.failed_path",
]  # fmt: skip


@pytest.mark.parametrize("key", _PATH_SETTINGS)
def test_a_path_of_the_group_may_begin_at_home(tmp_path: Path, key: str) -> None:
    (tmp_path / "torque.ini").write_text(f"[TORQUE]\n{key} = ~/x\n")
    loaded = load(tmp_path, Options())
    watch = job(loaded, "treewatch")
    settings = loaded.settings
    values = [loaded.layout, settings.panel, settings.fleet, watch]
    assert repr(Path.home() / "x") in repr(values)


def test_the_paths_of_a_map_and_of_rtorrents_file_may_begin_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = job(configured(tmp_path, "[TORQUE]\njob.treewatch.path_map = ~/a=/b\n"), "treewatch")
    assert isinstance(watch, WatchSettings)
    assert watch.path_map == ((str(Path.home() / "a"), "/b"),)
    (tmp_path / "my.rc").write_text("network.scgi.open_local = /tmp/one.sock\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert configured(tmp_path, "[TORQUE]\nrtorrent_rc = ~/my.rc\n").settings.rtorrent.url == "scgi:///tmp/one.sock"


def test_sizes_are_exact_however_large(tmp_path: Path) -> None:
    found = job(
        configured(tmp_path, f"[TORQUE]\njob.queue.min_free = 1.5k\njob.queue.max_down_rate = {'9' * 400}\n"), "queue"
    )
    assert isinstance(found, QueueSettings)
    assert (found.min_free, found.max_down_rate) == (1536, int("9" * 400))


def test_a_users_own_queue_inherits_nothing_of_ours(tmp_path: Path) -> None:
    text = "[TORQUE]\njob.queue.handler = my.jobs:Queue\njob.queue.schedule = minute=*\njob.queue.mine = 1\n"
    found = job(configured(tmp_path, text), "queue")
    assert isinstance(found, CustomSettings)
    assert found.params == {"mine": 1}


def test_config_ini_gives_address_aliases_and_traits(tmp_path: Path) -> None:
    text = (
        "[GLOBAL]\nscgi_url = scgi:///from/config\nlog_execute = False\n[ANNOUNCE]\nDebian = http://bttracker.debian.org:6969"
        "\n[TRAITS_BY_ALIAS]\nDebian = linux\n[FORMATS]\nx = %(undefined)s 100%\n"
    )
    settings = configured(tmp_path, "[TORQUE]\n", config_ini=text).settings
    assert (settings.rtorrent.url, settings.rtorrent.origin) == ("scgi:///from/config", "config.ini:2")
    assert settings.aliases == {"bttracker.debian.org": "Debian"}
    assert settings.traits_by_alias == {"Debian": "linux"}


def test_later_files_win(tmp_path: Path) -> None:
    extra = tmp_path / "extra.ini"
    extra.write_text("[TORQUE]\nscgi_url = scgi:///third\njob.queue.downloading_max = 4\n")
    loaded = configured(
        tmp_path,
        "[TORQUE]\nscgi_url = scgi:///second\njob.queue.downloading_max = 3\njob.queue.downloading_min = 2\n",
        Options(config_files=(str(extra),)),
        config_ini="[GLOBAL]\nscgi_url = scgi:///first\n",
    )
    found = job(loaded, "queue")
    assert isinstance(found, QueueSettings)
    assert (loaded.settings.rtorrent.url, found.downloading_max, found.downloading_min) == ("scgi:///third", 4, 2)
    assert loaded.problem("job.queue.downloading_max", "wrong").file == "extra.ini"


def test_rtorrents_own_configuration_gives_the_address(tmp_path: Path) -> None:
    rc = tmp_path / "my.rc"
    rc.write_text("network.scgi.open_local = /run/my.sock\n")
    settings = configured(tmp_path, f"[TORQUE]\nrtorrent_rc = {rc}\n").settings
    assert (settings.rtorrent.url, settings.rtorrent.origin) == ("scgi:///run/my.sock", str(rc))


def test_the_command_line_asks_for_a_dry_run_and_a_level(tmp_path: Path) -> None:
    settings = configured(tmp_path, "[TORQUE]\nlog_level = error\n", Options(dry_run=True, log_level="DEBUG")).settings
    assert (settings.dry_run, settings.log_level) == (True, "DEBUG")


def test_without_a_torque_ini_the_way_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no .*torque\.ini: `pyrotorque init`"):
        load(tmp_path, Options())
    with pytest.raises(SettingsError, match="there is no configuration directory"):
        load(tmp_path / "nowhere", Options())


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "torque.ini").mkdir()
    with pytest.raises(SettingsProblems, match=r"torque\.ini: cannot be read: Is a directory"):
        load(tmp_path, Options())


def test_a_file_that_is_no_text_is_one_problem(tmp_path: Path) -> None:
    tmp_path.joinpath("torque.ini").write_bytes("[TORQUE]\njob.queue.active = True\n".encode("utf-16"))
    with pytest.raises(
        SettingsProblems, match=r"\A\S+/torque.ini: contains NUL bytes: save it as plain text in UTF-8\Z"
    ):
        load(tmp_path, Options())


def test_folders_may_live_elsewhere_also_when_the_rest_is_broken(tmp_path: Path) -> None:
    (tmp_path / "torque.ini").write_text("[TORQUE]\nrun_dir = /run/user/1/pt\nstate_dir = ~/state\nnonsense\n")
    layout = layout_of(tmp_path)
    assert (layout.run_dir, layout.state_dir) == (Path("/run/user/1/pt"), Path.home() / "state")


def test_folders_cannot_be_set_in_a_file_that_services_learn_of_later(tmp_path: Path) -> None:
    extra = tmp_path / "extra.ini"
    extra.write_text("[TORQUE]\nrun_dir = /elsewhere\n")
    found = problems(tmp_path, "[TORQUE]\n", Options(config_files=(str(extra),)))
    assert found == ["extra.ini:2: run_dir: belongs into torque.ini: services need it before they read this file"]


def test_the_digest_names_the_configuration_and_not_its_text(tmp_path: Path) -> None:
    one = configured(tmp_path, "[TORQUE]\njob.queue.active = yes\n").settings
    same = configured(tmp_path, "# a comment\n[torque]\njob.queue.active=True\n").settings
    other = configured(tmp_path, "[TORQUE]\njob.queue.active = no\n").settings
    assert one.digest == same.digest == digest_of(one)
    assert one.digest != other.digest


def test_settings_survive_being_kept(tmp_path: Path) -> None:
    odd = b"[TORQUE]\njob.treewatch.path = /caf\xe9:/srv\njob.mine.handler = a.b:C\njob.mine.schedule = hour=1\n"
    (tmp_path / "torque.ini").write_bytes(odd + b"job.mine.x = 1\n" + COMPLETE.partition("\n")[2].encode())
    settings = load(tmp_path, Options()).settings
    assert from_json(to_json(settings)) == settings


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"jobs": 1}', b'{"jobs": [{"kind": "x"}]}', b"\xff"])
def test_what_was_not_kept_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a stored configuration"):
        from_json(content)


def test_reading_settings_loads_nothing_heavy() -> None:
    heavy = "{'apscheduler', 'lark', 'jinja2', 'psutil', 'zmq', 'rich', 'click'}"
    code = f"import sys, pyrotorque.settings; sys.exit(len({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd="shared", check=False).returncode == 0


def test_a_service_has_its_own_level(tmp_path: Path) -> None:
    text = "[TORQUE]\nlog_level = warn\nlog_level.watcher = debug\nlog_format = json\n"
    settings = configured(tmp_path, text).settings
    assert (settings.level_of("watcher"), settings.level_of("scheduler")) == ("DEBUG", "WARNING")
    assert settings.log_format == "json"
    assert configured(tmp_path, text, Options(log_level="ERROR")).settings.level_of("watcher") == "ERROR"


@pytest.mark.parametrize("file", ["torque.ini", "extra.ini"])
@pytest.mark.parametrize("section", ["QUEUE", "job.queue", "panel", "TORQE", "Torque.Queue"])
def test_settings_in_a_section_that_is_not_read_are_a_warning(tmp_path: Path, file: str, section: str) -> None:
    texts = {"torque.ini": "[TORQUE]\njob.queue.active = True\n"}
    texts[file] = texts.get(file, "") + f"\n[{section}]\ndownloading_max = 3\nactive = True\n"
    (tmp_path / "extra.ini").write_text(texts.get("extra.ini", ""))
    loaded = configured(tmp_path, texts["torque.ini"], Options(config_files=(str(tmp_path / "extra.ini"),)))
    (warning,) = [each for each in loaded.warnings if "ignored" in each.text]
    assert (warning.file, warning.key) == (file, "downloading_max")
    assert warning.line == texts[file].split("\n").index("downloading_max = 3") + 1
    assert f"[{section.lower()}]" in warning.text
    assert "[TORQUE]" in warning.text


def test_sections_that_are_read_and_those_of_pyrocores_tools_are_no_warning(tmp_path: Path) -> None:
    torque = "[DEFAULT]\na = b\n[GLOBAL]\nscgi_url = scgi:///x\n[announce]\nx = http://t\n[EMPTY]\n[Torque]\n"
    loaded = configured(tmp_path, torque, config_ini="[FORMATS]\na = b\n[XMLRPC_0_8]\nc = d\n")
    assert loaded.warnings == ()
