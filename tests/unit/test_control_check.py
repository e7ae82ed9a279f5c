"""The results of `check` and `status`: overlaps, missing parts of the include, the activity of services."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.humanize import time_of_day
from pyrotorque.options import Options
from pyrotorque.settings import load
from pyrotorque.settings.discovery import ListeningAddress
from pyrotorque.settings.rtorrent_rc import loads_in
from pyrotorque_control.checks.report import JobCheck
from pyrotorque_control.checks.rtorrent import unknown_address
from pyrotorque_control.checks.rtorrent_rc import overlap, overlapping_schedules, unsafe_shell_commands
from pyrotorque_control.cli import run
from pyrotorque_control.commands.check import runs
from pyrotorque_control.commands.status import activity_lines
from pyrotorque_control.overview import ServiceView

DEBIAN = """
method.insert = cfg.basedir, private|const|string, (cat,"/home/me/rtorrent/")
method.insert = cfg.watch, private|const|string, (cat,(cfg.basedir),"watch/")
schedule2 = watch_start, 10, 10, ((load.start, (cat, (cfg.watch), "start/*.torrent")))
schedule2 = watch_load, 11, 10, ((load.normal, (cat, (cfg.watch), "load/*.torrent"), "d.delete_tied="))
schedule2 = session_save, 300, 300, ((session.save))
"""


def loads(text: str) -> list[str]:
    nothing: dict[str, str] = {}
    return loads_in(text, home="/home/me", environ=nothing, read=nothing.get)


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        pytest.param(DEBIAN, ["/home/me/rtorrent/watch/start/*.torrent", "/home/me/rtorrent/watch/load/*.torrent"]),
        pytest.param(
            "schedule = watch,5,5,load_start=~/watch/*.torrent", ["/home/me/watch/*.torrent"], id="oldest form"
        ),
        pytest.param(
            'schedule2 = w,5,5,"load.start=/w/*.torrent,d.custom1.set=x"', ["/w/*.torrent"], id="with commands"
        ),
        pytest.param("#schedule2 = w,5,5,load.start=/w/*.torrent", [], id="commented out"),
        pytest.param("schedule2 = untied, 5, 5, stop_untied=", [], id="no load"),
        pytest.param("schedule2 = w, 5", [], id="too short"),
        pytest.param("schedule2 = w,5,5,((load.start,(cat,(some.command))))", [], id="only rTorrent has the value"),
    ],
)
def test_what_rtorrents_own_schedules_load_is_found(text: str, patterns: list[str]) -> None:
    assert loads(text) == patterns


@pytest.mark.parametrize(
    ("root", "pattern", "verdict"),
    [
        ("/w", "/w/*.torrent", True),
        ("/w", "/w/tv/*.torrent", True),
        ("/w/tv", "/w/*.torrent", False),
        ("/w/tv", "/w/*/*.torrent", True),
        ("/w", "/watch/*.torrent", False),
    ],
)
def test_an_overlap_is_a_file_that_both_would_load(root: str, pattern: str, verdict: bool) -> None:
    assert overlap(Path(root), pattern) is verdict


def test_a_watched_tree_that_rtorrent_loads_from_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "watch").mkdir()
    (tmp_path / ".rtorrent.rc").write_text("schedule2 = w,5,5,load.start=~/watch/*.torrent\n")
    torque = f"[TORQUE]\njob.treewatch.active = 1\njob.treewatch.path = {tmp_path}/watch\n"
    (tmp_path / "torque.ini").write_text(torque)
    (said,) = overlapping_schedules(load(tmp_path, Options()).settings, tmp_path)
    assert f"a schedule in rtorrent.rc also loads metafiles from {tmp_path}/watch" in said
    assert "remove that schedule" in said


def test_a_link_to_a_folder_that_rtorrent_loads_from_is_a_warning_too(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "watch").symlink_to(tmp_path / "data")
    (tmp_path / "more.rc").write_text(f"schedule2 = w,5,5,load.start={tmp_path}/data/*.torrent\n")
    (tmp_path / ".rtorrent.rc").write_text(f"import = {tmp_path}/more.rc\n")
    torque = f"[TORQUE]\njob.treewatch.active = 1\njob.treewatch.path = {tmp_path}/watch\n"
    (tmp_path / "torque.ini").write_text(torque)
    assert len(list(overlapping_schedules(load(tmp_path, Options()).settings, tmp_path))) == 1


def test_a_hook_that_hands_a_torrents_value_to_a_shell_is_a_warning(tmp_path: Path) -> None:
    hook = 'method.set_key = event.download.finished, move, "execute=sh,-c,\\"mv $d.base_path= /done\\""'
    (tmp_path / ".rtorrent.rc").write_text(f"# mine\n{hook}\n")
    (tmp_path / "torque.ini").write_text("[TORQUE]\n")
    (said,) = unsafe_shell_commands(load(tmp_path, Options()).settings, tmp_path)
    assert said.startswith(f"{tmp_path}/.rtorrent.rc:2: a shell command contains d.base_path")
    assert said.endswith('sh, -c, "… \\"$1\\"", sh, $d.base_path=')


def test_check_shows_what_a_sample_gets_and_leaves_idle_jobs_without_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "watch").mkdir()
    torque = f"""[TORQUE]
scgi_url = scgi:///nowhere
job.connstats.active = no
job.treewatch.active = yes
job.treewatch.path = {tmp_path}/watch
job.treewatch.cmd.label = {{{{# label }}}}d.custom1.set={{{{label}}}}
"""
    (tmp_path / "torque.ini").write_text(torque)
    assert run(["--config-dir", str(tmp_path), "check"]) == 0
    out = capsys.readouterr().out
    assert 'd.custom1.set="tv' in out
    assert "when a metafile is written" in out
    assert ":00:00" not in out


def view(name: str, data: object, says: str = "") -> ServiceView:
    return ServiceView(name=name, state="RUNNING", pid=1, since=0.0, says=says, data=data)


def test_a_queue_shows_its_last_check_and_a_paused_one_how_to_resume() -> None:
    jobs = [
        {"job": "queue", "paused": False, "next_fire": None, "last": "started 1; then: 3 of 3 slots are taken"},
        {"job": "night", "paused": True, "next_fire": 5.0, "last": None},
        {"job": "unpack", "paused": True, "last": None, "on": ["TorrentCompleted"], "after": [], "events": 1},
        {"job": "move", "paused": False, "last": None, "on": ["TorrentCompleted"], "after": ["unpack"], "events": 2},
        {"job": "note", "paused": False, "last": None, "on": ["TorrentErased"], "after": [], "events": 0},
    ]
    assert activity_lines(view("scheduler", {"jobs": jobs}, "4 jobs")) == [
        "4 jobs",
        "queue: started 1; then: 3 of 3 slots are taken",
        "night: paused (`pyrotorque resume night`)",
        "unpack: paused (`pyrotorque resume unpack`); 1 event queued",
        "move: runs on TorrentCompleted, after unpack; 2 events queued",
    ]


def test_a_watcher_shows_its_trees_and_number_of_loads() -> None:
    job = {"roots": ["/w"], "missing": ["/gone"], "polled": {"/nfs": "network filesystem"}}
    data = {"rtorrent": "away", "metafiles": {"loaded": 5, "failed": 1}, "jobs": {"treewatch": job}}
    assert activity_lines(view("watcher", data)) == [
        "treewatch: watches /w; missing: /gone; polled: /nfs (network filesystem)",
        "metafiles: 1 failed, 5 loaded",
        "rTorrent is unavailable: new metafiles are loaded when it is back",
    ]


def test_a_watcher_without_trees_shows_that() -> None:
    assert activity_lines(view("watcher", {"rtorrent": "unknown", "metafiles": {}, "jobs": {}})) == [
        "no tree watch is active"
    ]


def test_a_service_that_is_only_starting_is_no_cause_for_alarm() -> None:
    starting = ServiceView(name="watcher", state="STARTING", pid=1, since=0.0, says="watcher is unreachable")
    assert activity_lines(starting) == [""]


def checked_json(folder: Path, torque: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    (folder / "torque.ini").write_text(f"[TORQUE]\nscgi_url = scgi:///nowhere/rt.sock\n{torque}")
    code = run(["--config-dir", str(folder), "check", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_programs_get_all_that_check_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = checked_json(
        tmp_path,
        "queue_startable_base = is_open=no\njob.queue.active = yes\njob.queue.startable = prio>0 done=0\n"
        "job.queue.downloading = down>3\njob.queue.sort_fields = -prio,name\n",
        capsys,
    )
    assert (code, found["good"], found["problems"]) == (0, True, [])
    assert found["conditions"] == {
        "job.queue.startable": "is_open=no prio>0 done=0",
        "job.queue.downloading": "is_active=yes is_complete=no is_wanted_done=no down>3",
        "job.queue.sort_fields": "-prio, name",
    }
    (queue,) = [job for job in found["jobs"] if job["name"] == "queue"]
    assert [int(fire) % 15 for fire in queue["fires"]] == [0, 0, 0]
    assert found["rtorrent"]["answers"] is False
    assert "/nowhere/rt.sock" in found["rtorrent"]["problem"]


def test_programs_get_what_is_wrong_and_the_code_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = checked_json(tmp_path, "job.queue.active = yes\njob.queue.startable = prio>\n", capsys)
    assert (code, found["good"]) == (78, False)
    assert found["problems"][0].startswith("torque.ini:4: job.queue.startable")


def test_a_condition_with_a_field_of_config_py_is_shown_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.py").write_text(
        "from pyrotorque.customfields import field\n"
        '@field("is_big", kind="bool", needs=("size",), doc="large")\ndef big(item):\n    return item.size > 10\n'
    )
    _, found = checked_json(tmp_path, "job.queue.active = yes\njob.queue.startable = is_big=yes\n", capsys)
    assert found["conditions"]["job.queue.startable"].endswith("is_big=yes")


def test_a_schedule_without_a_next_fire_time_shows_that() -> None:
    job = JobCheck(name="x", active=True, handler="a:B", runs="never again")
    assert runs(job, 0.0) == "never again"


def test_fire_times_of_another_day_have_their_date() -> None:
    noon = datetime(2026, 11, 25, 12).timestamp()
    job = JobCheck(name="x", active=True, handler="a:B", fires=(noon, noon + 86400))
    assert runs(job, noon) == "12:00:00, 2026-11-26 12:00:00"


@pytest.mark.parametrize(
    ("running", "said"),
    [
        ([], "start rTorrent with network.scgi.open_local"),
        (
            [
                ListeningAddress("scgi:///b.sock", 2),
                ListeningAddress("scgi://127.0.0.1:6881", 2),
                ListeningAddress("scgi:///a.sock", 1),
            ],
            "2 run as this user, and no address is configured; set scgi_url in [TORQUE]: scgi:///a.sock, scgi:///b.sock",
        ),
    ],
)
def test_an_unknown_address_is_reported_with_the_candidates(
    running: list[ListeningAddress], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyrotorque.settings.discovery.listening_rtorrents", lambda: iter(running))
    assert said in unknown_address()


@pytest.mark.parametrize(
    ("fires", "active", "expected"),
    [
        ((), True, "at events after unpack, scan"),
        ((5.0,), True, f"{time_of_day(5.0)}; at events after unpack, scan"),
        ((), False, "at events"),
    ],
)
def test_the_order_of_jobs_is_shown(fires: tuple[float, ...], active: bool, expected: str) -> None:
    job = JobCheck(name="move", active=active, handler="", fires=fires, runs="at events", after=("unpack", "scan"))
    assert runs(job, 0.0) == expected
