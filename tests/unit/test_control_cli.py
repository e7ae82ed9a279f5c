"""The command line: one clear line for whatever is wrong, and the exit code that says what kind it is."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
import pytest

from pyrotorque.options import Options
from pyrotorque.settings import load, packaged_text
from pyrotorque.settings.locate import Listening, listening_rtorrents
from pyrotorque.store import open_store
from pyrotorque_control.cli import pyrotorque as pyrotorque_command
from pyrotorque_control.cli import run
from pyrotorque_control.commands.status import shown
from pyrotorque_control.cron import answer
from pyrotorque_control.includes import import_path, include_text
from pyrotorque_control.overview import Overview, ServiceView
from pyrotorque_control.preparing import write_defaults
from pyrotorque_control.terminal import aligned, console
from pyrotorque_watcher.tables import MIGRATIONS

NOWHERE = "scgi_url = scgi:///nowhere/rt.sock\n"


@dataclass
class Ended:
    code: int
    out: str
    err: str

    @property
    def problem(self) -> str:
        """The one line on the standard error that is no warning."""
        lines = [line for line in self.err.splitlines() if "warning: " not in line]
        assert len(lines) == 1, self.err
        return lines[0]


class Command:
    """`pyrotorque --config-dir HOME …` within this process."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.home, self.capture = home, capture

    def __call__(self, *words: str) -> Ended:
        code = run(["--config-dir", str(self.home), *words])
        said = self.capture.readouterr()
        return Ended(code, said.out, said.err)

    def configured(self, torque: str) -> "Command":
        self.home.mkdir(exist_ok=True)
        (self.home / "torque.ini").write_text(torque)
        (self.home / "run").mkdir(exist_ok=True, mode=0o700)
        (self.home / "run/pyrotorque").touch()
        return self


@pytest.fixture
def pyrotorque(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path / "home", capsys)


@pytest.mark.parametrize(
    ("torque", "said"),
    [
        (
            "[TORQUE]\njob.queue.downloading_mx = 1\n",
            "torque.ini:2: job.queue.downloading_mx: unknown setting, did you",
        ),
        (
            "[TORQUE]\njob.queue.active = 1\njob.queue.schedule = daily\n",
            "torque.ini:3: job.queue.schedule: 'daily' is",
        ),
        ("[TORQUE]\njob.treewatch.active = 1\njob.treewatch.path = /no/where\n", "/no/where does not exist"),
        ("[TORQUE]\njob.treewatch.active = 1\njob.treewatch.path = /etc/hosts\n", "/etc/hosts is not a folder"),
        ("[TORQUE]\nscgi_url = telnet://x\n", "torque.ini:2: scgi_url: "),
        ("job.queue.active = 1\n", "[TORQUE] is missing"),
    ],
)
def test_a_wrong_configuration_starts_nothing_and_ends_with_78(pyrotorque: Command, torque: str, said: str) -> None:
    for word in ((), ("--fg",), ("check",), ("--run-once", "queue")):
        ended = pyrotorque.configured(torque)(*word)
        assert ended.code == 78
        assert said in ended.problem
    assert not (pyrotorque.home / "run/pyrotorque.pid").exists()


def test_a_condition_gets_a_caret(pyrotorque: Command) -> None:
    ended = pyrotorque.configured("[TORQUE]\njob.queue.active = 1\njob.queue.startable = [ prio>0\n")()
    assert ended.code == 78
    assert "pyrotorque: torque.ini:3: job.queue.startable: " in ended.err
    assert "^" in ended.err


def test_without_a_torque_ini_the_way_out_is_named(pyrotorque: Command) -> None:
    pyrotorque.configured("")
    (pyrotorque.home / "torque.ini").unlink()
    ended = pyrotorque()
    assert (ended.code, "`pyrotorque init` writes a minimal one" in ended.problem) == (78, True)


def test_without_a_guard_file_nothing_is_started(pyrotorque: Command) -> None:
    pyrotorque.configured(f"[TORQUE]\n{NOWHERE}")
    (pyrotorque.home / "run/pyrotorque").unlink()
    ended = pyrotorque()
    assert ended.code == 75
    assert "the guard file" in ended.problem
    assert "or use --fg" in ended.problem


@pytest.mark.parametrize("words", [("--status",), ("-?",), ("status",)])
def test_what_does_not_run_is_said_with_69(pyrotorque: Command, words: tuple[str, ...]) -> None:
    ended = pyrotorque.configured("[TORQUE]\n")(*words)
    assert ended.code == 69
    assert ended.out == f"pyrotorque is not running ({pyrotorque.home})\n"


@pytest.mark.parametrize(
    "words", [("--stop",), ("pause", "queue"), ("explain",), ("retry", "--all"), ("ctl", "status")]
)
def test_what_needs_a_running_group_ends_with_69(pyrotorque: Command, words: tuple[str, ...]) -> None:
    ended = pyrotorque.configured("[TORQUE]\n")(*words)
    assert ended.code == 69
    assert ended.problem.startswith("pyrotorque: ")


def test_a_stale_pid_file_of_a_stranger_is_not_believed_and_nobody_is_killed(pyrotorque: Command) -> None:
    pyrotorque.configured("[TORQUE]\n")
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (pyrotorque.home / "run/pyrotorque.pid").write_text(f"{stranger.pid}\n")
        assert pyrotorque("--status").code == 69
        assert pyrotorque("--stop").code == 69
        assert stranger.poll() is None
        stranger.kill()


def test_status_as_json_is_one_object(pyrotorque: Command) -> None:
    ended = pyrotorque.configured("[TORQUE]\n")("status", "--json")
    assert json.loads(ended.out)["running"] is False
    assert ended.out.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--nonsense",),
        ("nonsense",),
        ("start", "xyz"),
        ("retry",),
        ("retry", "--all", "/x"),
        ("events", "--since", "x"),
    ],
)
def test_wrong_usage_ends_with_64(pyrotorque: Command, words: tuple[str, ...]) -> None:
    assert pyrotorque.configured("[TORQUE]\n")(*words).code == 64


def test_an_option_behind_the_sub_command_is_told_its_place(pyrotorque: Command) -> None:
    ended = pyrotorque("check", "--config-file", "x.ini")
    assert ended.code == 64
    assert "--config-file stands before the sub-command" in ended.err


def test_what_the_file_system_refuses_is_one_line(pyrotorque: Command) -> None:
    pyrotorque.home.touch()
    ended = pyrotorque("init")
    assert ended.code == 74
    assert ended.problem == f"pyrotorque: {pyrotorque.home}: File exists"


def test_a_misspelt_sub_command_gets_the_nearest(pyrotorque: Command) -> None:
    assert "No such command 'explane', did you mean explain?\n" in pyrotorque("explane").err


def test_help_names_every_command_and_ends_well(pyrotorque: Command) -> None:
    ended = pyrotorque("--help")
    assert ended.code == 0
    for word in ("--cron", "--fg", "--run-once", "status", "explain", "expand", "Exit codes"):
        assert word in ended.out


@pytest.mark.parametrize(
    "name", [(), *((name,) for name in pyrotorque_command.list_commands(click.Context(pyrotorque_command)))]
)
def test_every_help_fits_a_terminal_and_says_more_than_its_options(
    pyrotorque: Command, monkeypatch: pytest.MonkeyPatch, name: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = pyrotorque(*name, "--help")
    assert ended.code == 0
    assert [line for line in ended.out.splitlines() if len(line) > 80] == []
    text = ended.out.partition("\n\n")[2].partition("Options:")[0]
    assert len(text.split()) >= 15


def test_check_shows_jobs_and_that_rtorrent_is_away(pyrotorque: Command) -> None:
    ended = pyrotorque.configured(f"[TORQUE]\n{NOWHERE}job.queue.active = yes\n")("check")
    assert ended.code == 0
    assert "pyrocore.torrent.queue:QueueManager" in ended.out
    assert "rTorrent: scgi:///nowhere/rt.sock (from torque.ini:2) does not answer now" in ended.out
    assert "The configuration is good." in ended.out
    assert not (pyrotorque.home / "state").exists(), "nothing is changed"


def test_commands_that_ask_rtorrent_say_that_it_is_away(pyrotorque: Command) -> None:
    ended = pyrotorque.configured(f"[TORQUE]\n{NOWHERE}")("select", "prio>0")
    assert ended.code == 69
    assert "scgi:///nowhere/rt.sock" in ended.problem


def test_init_writes_a_directory_that_passes_check_and_overwrites_nothing(pyrotorque: Command) -> None:
    first = pyrotorque("init")
    assert first.code == 0
    names = ("torque.ini", "torque.ini.default", "rtorrent.d/torque.rc.default", "supervisor.conf", "run/pyrotorque")
    for name in names:
        assert f"written  {pyrotorque.home / name}" in first.out
    assert f"import = {pyrotorque.home / 'rtorrent.d/torque.rc.default'}" in first.out
    assert pyrotorque("check").code == 0
    (pyrotorque.home / "torque.ini").write_text("mine")
    second = pyrotorque("init")
    assert second.out.count("kept     ") == len(names)
    assert (pyrotorque.home / "torque.ini").read_text() == "mine"


@pytest.mark.parametrize(
    ("rc", "hint"),
    [("network.scgi.open_local = /run/rt.sock\n", False), ("directory.default.set = /data\n", None)],
)
def test_init_says_how_rtorrent_can_be_reached_where_nothing_says_that_it_can(
    pyrotorque: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rc: str, hint: bool | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".rtorrent.rc").write_text(rc)
    # Another test's rTorrent may be listening just now.
    wanted = not any(listening_rtorrents()) if hint is None else hint
    out = pyrotorque("init").out
    assert ("network.scgi.open_local = (cat,(session.path),rpc.socket)" in out) is wanted
    assert f"Add this line to {tmp_path}/.rtorrent.rc" in out
    if hint is False:
        assert f"rTorrent: listens at scgi:///run/rt.sock, says {tmp_path}/.rtorrent.rc" in out


def test_init_writes_the_socket_of_the_running_rtorrent_where_no_file_names_it(
    pyrotorque: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = [Listening("scgi:///s/50%.sock", 77), Listening("scgi://127.0.0.1:6881", 77)]
    monkeypatch.setattr("pyrotorque.settings.locate.listening_rtorrents", lambda: iter(seen))
    assert "rTorrent: listens at scgi:///s/50%.sock, seen at process 77" in pyrotorque("init").out
    assert load(pyrotorque.home, Options()).settings.rtorrent.url == "scgi:///s/50%.sock"


@pytest.mark.parametrize(("place", "why"), [("/proc/x", "No such file"), (__file__, "File exists")])
def test_init_where_no_folder_can_be_made_says_why(capsys: pytest.CaptureFixture[str], place: str, why: str) -> None:
    assert run(["--config-dir", place, "init"]) == 78
    assert f"cannot make the folder {place}: {why}" in capsys.readouterr().err


def test_watching_is_not_for_programs(pyrotorque: Command) -> None:
    ended = pyrotorque("status", "--watch", "--json")
    assert ended.code == 64
    assert "take one of them" in ended.err


def test_the_line_for_rtorrent_is_quoted_where_its_path_needs_that(tmp_path: Path) -> None:
    assert import_path(Path("/home/me/.pyroscope")) == "/home/me/.pyroscope/rtorrent.d/torque.rc.default"
    assert import_path(Path('/a, "b";')) == '"/a, \\"b\\";/rtorrent.d/torque.rc.default"'


def test_a_start_brings_the_files_that_nobody_edits_up_to_date(tmp_path: Path) -> None:
    (tmp_path / "rtorrent.d").mkdir()
    include = tmp_path / "rtorrent.d/torque.rc.default"
    include.write_text("of an older version")
    write_defaults(tmp_path)
    assert include.read_text() == include_text(tmp_path)
    assert (tmp_path / "torque.ini.default").read_text() == packaged_text()


@pytest.mark.parametrize("name", ["plain", "with a blank", 'quo"te', "com,ma", "semi;colon", "back\\slash"])
def test_the_include_quotes_the_directory(tmp_path: Path, name: str) -> None:
    found = include_text(tmp_path / name)
    quoted = str(tmp_path / name).replace("\\", "\\\\").replace('"', '\\"')
    assert f'"--config-dir", "{quoted}"))' in found
    assert "{" not in found.partition("schedule = ")[2]


def test_watched_lists_the_ledger(pyrotorque: Command) -> None:
    pyrotorque.configured("[TORQUE]\n")
    (pyrotorque.home / "state").mkdir()
    store = open_store(pyrotorque.home / "state/watcher.sqlite3", MIGRATIONS)
    columns = (
        "job, path, folder, root, size, mtime_ns, ctime_ns, device, inode, state, reason, "
        "first_seen, changed, closed, token"
    )
    for number, state in enumerate(("loaded", "failed")):
        path = f"/w/{number}\n.torrent".encode() + b"\xff"
        with store.transaction() as db:
            values = ("treewatch", path, b"/w", b"/w", 7, 0, 0, 0, 0, state, "why", 0.0, 0.0, 0.0, "t")
            db.execute(f"INSERT INTO metafiles ({columns}) VALUES ({', '.join('?' * len(values))})", values)
    store.close()
    rows = [json.loads(line) for line in pyrotorque("watched", "--json").out.splitlines()]
    assert [(row["path"], row["state"]) for row in rows] == [
        ("/w/0\\n.torrent\\xff", "loaded"),
        ("/w/1\\n.torrent\\xff", "failed"),
    ]
    day = datetime.fromtimestamp(0).strftime("%Y-%m-%d %H:%M:%S")
    assert pyrotorque("watched").out.splitlines() == [
        f"{day}  loaded  treewatch  /w/0\\n.torrent\\xff",
        f"{'':19}  why",
        f"{day}  failed  treewatch  /w/1\\n.torrent\\xff",
        f"{'':19}  why",
        "2 metafiles",
    ]
    assert pyrotorque("watched", "--state", "failed").out.endswith("1 metafile\n")


def test_columns_are_aligned_and_never_folded() -> None:
    rows = [("a", "size", "name"), ("longer", 7, "x" * 300), ("ü☃", 12345, "日本\n")]
    assert list(aligned(rows)) == ["a       size   name", f"longer  7      {'x' * 300}", "ü☃      12345  日本\\n"]
    assert list(aligned([])) == []


def test_watched_before_the_first_start_says_so(pyrotorque: Command) -> None:
    ended = pyrotorque.configured("[TORQUE]\n")("watched")
    assert ended.code == 74
    assert "has the service ever run?" in ended.problem


def test_the_table_of_services_has_one_row_for_each() -> None:
    services = (
        ServiceView(name="watcher", state="RUNNING", pid=7, since=940.0, says="1 tree"),
        ServiceView(name="mine:x", state="FATAL", pid=0, since=0.0, says="[red]no[/]\x1b"),
    )
    out = console()
    with out.capture() as captured:
        out.print(shown(Overview(config_dir="/c", running=True, pid=5, since=900.0, services=services), 1000.0))
    text = captured.get()
    assert "pyrotorque is running, pid 5, up 0:01:40 (/c)" in text
    assert "0:01:00" in text
    assert "[red]no[/]\\x1b" in text, "what a service says is no markup and cannot touch the terminal"


@pytest.mark.parametrize("more", [("--restart",), ("--stop",), ("status",), ("--fg",), ("--help",)])
def test_cron_with_more_than_a_start_is_left_to_the_command_line(tmp_path: Path, more: tuple[str, ...]) -> None:
    assert answer(["--cron", "--config-dir", str(tmp_path), *more]) is None


def test_what_a_start_by_cron_says_has_its_time_in_the_owners_log(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    command = [sys.executable, "-m", "pyrotorque_control.cron", str(tmp_path), f"--config-dir={tmp_path}"]
    assert subprocess.run(command, env=os.environ | {"PYTHONPATH": "services:shared"}, check=False).returncode == 75
    (line,) = (tmp_path / "log/torque.log").read_text().splitlines()
    assert re.match(r"20\d\d-\d\d-\d\d \S+ INFO cron: pyrotorque: the guard file ", line)


def test_cron_without_a_guard_file_ends_with_75(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["--cron", f"--config-dir={tmp_path}"]) == 75
    assert "the guard file" in capsys.readouterr().err


def test_the_answer_to_cron_loads_next_to_nothing() -> None:
    code = "import sys, pyrotorque_control.cron; print(*sys.modules)"
    paths = os.pathsep.join(("services", "shared"))
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {
        "click",
        "rich",
        "msgspec",
        "subprocess",
        "psutil",
        "dataclasses",
        "json",
        "xml",
        "lark",
        "zmq",
    }
