"""The command line: one clear line for whatever is wrong, and the exit code for this kind of error."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pyrotorque import configuration
from pyrotorque.options import Options
from pyrotorque_control.cli import pyrotorque as pyrotorque_command
from pyrotorque_control.commands.status import rtorrent_line
from pyrotorque_control.cron import answer
from pyrotorque_control.group import Group
from tests.commanding import NOWHERE, Command


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
        ("[TORQUE]\njob.treewatch.active = 1\njob.treewatch.path = /etc/hosts\n", "/etc/hosts is not a folder"),
        ("[TORQUE]\nscgi_url = telnet://x\n", "torque.ini:2: scgi_url: "),
        ("job.queue.active = 1\n", "add [TORQUE] above it"),
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


@pytest.mark.parametrize("run_dir", ["run", "a b"])
@pytest.mark.parametrize("is_swept", [False, True], ids=["the file is removed", "its folder is swept"])
def test_the_command_that_permits_a_start_works(pyrotorque: Command, run_dir: str, is_swept: bool) -> None:
    pyrotorque.configured(f"[TORQUE]\n{NOWHERE}")
    guard_file = pyrotorque.home / run_dir / "pyrotorque"
    (pyrotorque.home / "run/pyrotorque").unlink()
    if is_swept:
        shutil.rmtree(pyrotorque.home / "run")
    elif run_dir != "run":
        guard_file.parent.mkdir()
    ended = pyrotorque("--guard-file", str(guard_file))
    assert ended.code == 75
    _, command, _ = ended.problem.replace("\n", " ").split("`")
    subprocess.run(command, shell=True, check=True)
    assert guard_file.is_file()
    assert not guard_file.parent.stat().st_mode & 0o077 or not is_swept


@pytest.mark.parametrize("option", ["--guard-file", "--pid-file", "--config-file"])
@pytest.mark.parametrize("words", [(), ("--fg",), ("check",), ("--cron",), ("--restart",)], ids=" ".join)
def test_a_path_that_is_not_utf_8_is_refused(
    pyrotorque: Command, tmp_path: Path, option: str, words: tuple[str, ...]
) -> None:
    path = os.fsdecode(bytes(tmp_path) + b"/\xff")
    Path(path).touch()
    ended = pyrotorque.configured(f"[TORQUE]\n{NOWHERE}")(option, path, *words)
    assert ended.code == 78
    assert f"cannot use the path {tmp_path}/\\xff: it contains bytes that are not UTF-8" in ended.problem


@pytest.mark.parametrize("name", ["two\nlines", "a ;b", "sta*r", "\x1b[31m"])
def test_init_refuses_a_folder_that_no_start_can_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    ended = Command(tmp_path / name, capsys)("init")
    assert ended.code == 78
    assert ended.problem.startswith("pyrotorque: supervisord cannot ")
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    "words",
    [("--status",), ("status",), ("--stop",), ("ctl", "status"), (), ("--cron",), ("check",), ("pause", "queue")],
    ids=" ".join,
)
def test_a_line_break_in_a_path_splits_no_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    home = tmp_path / "two\nlines"
    for configured in (False, True):
        command = Command(home, capsys)
        if configured:
            command.configured(f"[TORQUE]\n{NOWHERE}")
            (home / "run/pyrotorque").unlink()
        ended = command(*words)
        assert ended.code
        lines = (ended.out + ended.err).splitlines()
        assert not [line for line in lines if line.startswith("lines")], lines


@pytest.mark.parametrize("words", [("--status",), ("-?",), ("status",)])
def test_what_does_not_run_is_reported_with_69(pyrotorque: Command, words: tuple[str, ...]) -> None:
    ended = pyrotorque.configured("[TORQUE]\n")(*words)
    assert ended.code == 69
    assert ended.out == f"pyrotorque is not running ({pyrotorque.home})\n"


@pytest.mark.parametrize(
    "words",
    [
        ("--stop",),
        ("pause", "queue"),
        ("explain",),
        ("retry", "--all"),
        ("ctl", "status"),
        ("fleet",),
        ("fleet", "find", "x"),
        ("panel", "logout"),
    ],
)
def test_what_needs_a_running_group_ends_with_69(pyrotorque: Command, words: tuple[str, ...]) -> None:
    ended = pyrotorque.configured("[TORQUE]\n")(*words)
    assert ended.code == 69
    assert ("was never started" if words[0] == "ctl" else "not running") in ended.problem


def test_a_stale_pid_file_of_another_process_is_ignored_and_the_process_survives(pyrotorque: Command) -> None:
    pyrotorque.configured("[TORQUE]\n")
    with subprocess.Popen(["sleep", "60"]) as other:
        (pyrotorque.home / "run/pyrotorque.pid").write_text(f"{other.pid}\n")
        assert pyrotorque("--status").code == 69
        assert pyrotorque("--stop").code == 69
        assert other.poll() is None
        other.kill()


def test_status_reports_a_wrong_configuration_in_one_line(pyrotorque: Command) -> None:
    pyrotorque.configured("[TORQUE]\njob.queue.start_at_once = many\njob.queue.downloading_max = few\n")
    said = rtorrent_line(Group(pyrotorque.home))
    assert "torque.ini is wrong" in said
    assert "\n" not in said


def test_status_names_the_setting_when_the_address_of_rtorrent_is_not_known(pyrotorque: Command) -> None:
    pyrotorque.configured("[TORQUE]\n")
    said = rtorrent_line(Group(pyrotorque.home))
    assert "set scgi_url in [TORQUE]" in said
    assert "is wrong" not in said


def test_status_as_json_is_one_object(pyrotorque: Command) -> None:
    ended = pyrotorque.configured("[TORQUE]\n")("status", "--json")
    assert json.loads(ended.out)["running"] is False
    assert ended.out.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--nonsense",),
        ("nonsense",),
        ("start", "A" * 39),
        ("stop", "A" * 41),
        ("retry",),
        ("retry", "--all", "/x"),
        ("events", "--since", "x"),
    ],
)
def test_wrong_usage_ends_with_64(pyrotorque: Command, words: tuple[str, ...]) -> None:
    assert pyrotorque.configured("[TORQUE]\n")(*words).code == 64


def test_an_option_after_the_sub_command_gets_a_hint(pyrotorque: Command) -> None:
    ended = pyrotorque("check", "--config-file", "x.ini")
    assert ended.code == 64
    assert "--config-file must precede the sub-command" in ended.err


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
    assert "rTorrent: scgi:///nowhere/rt.sock (from torque.ini:2) does not answer" in ended.out
    assert "The configuration is valid." in ended.out
    assert not (pyrotorque.home / "state").exists(), "nothing is changed"


def test_commands_that_query_rtorrent_report_that_it_is_unavailable(pyrotorque: Command) -> None:
    ended = pyrotorque.configured(f"[TORQUE]\n{NOWHERE}")("select", "prio>0")
    assert ended.code == 69
    assert "scgi:///nowhere/rt.sock" in ended.problem


@pytest.mark.parametrize("words", [("prio", "=", "2"), ("(prio>0)",), ("is_complete",), ("ratio<1,5",)])
def test_a_condition_that_cannot_mean_what_was_typed_is_wrong_usage(
    pyrotorque: Command, words: tuple[str, ...]
) -> None:
    ended = pyrotorque.configured(f"[TORQUE]\n{NOWHERE}")("select", *words)
    assert ended.code == 64
    assert "write `" in ended.err


def test_check_refuses_a_condition_that_a_start_only_warns_of(pyrotorque: Command) -> None:
    ended = pyrotorque.configured(f"[TORQUE]\n{NOWHERE}job.queue.active = 1\njob.queue.startable = prio >0\n")("check")
    assert ended.code == 78
    assert "torque.ini:4: job.queue.startable: a comparison has no spaces" in ended.err
    assert "write `prio>0`" in ended.err


def test_watching_is_not_for_programs(pyrotorque: Command) -> None:
    ended = pyrotorque("status", "--watch", "--json")
    assert ended.code == 64
    assert "use one of them" in ended.err


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


_NAMED = [
    "explain", "explain --job", "start", "stop", "park", "park x --job", "pause", "resume", "cleanup",
    "quarantine restore", "quarantine purge", "retry", "forget", "fleet find", "fleet why", "fleet release", "restart",
    "add", "add x --to", "events --since", "backup", "restore", "restore x --session", "panel token",
]  # fmt: skip


@pytest.mark.parametrize("word", ["", " "])
@pytest.mark.parametrize("words", _NAMED)
def test_an_empty_word_is_a_usage_error_also_while_nothing_runs(
    pyrotorque: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, word: str
) -> None:
    """As a path it would be the current folder."""
    monkeypatch.chdir(tmp_path)
    ended = pyrotorque.configured("[TORQUE]\n")(*words.split(), word)
    assert (ended.code, ended.out) == (64, "")
    assert list(tmp_path.glob("*.gz")) == []


@pytest.mark.parametrize(
    "words",
    ["park x --for never", "events -n 0", "events -n some", "events --since never", "start " + "A" * 39,
     "fleet events -n 0", "fleet claims --limit 0", "backup . --keep 0", "fleet why " + "A" * 39],
)  # fmt: skip
def test_so_is_a_wrong_number_time_or_hash(pyrotorque: Command, words: str) -> None:
    assert pyrotorque.configured("[TORQUE]\n")(*words.split()).code == 64


def test_a_wrong_configuration_is_a_warning_once_for_each_command(pyrotorque: Command) -> None:
    pyrotorque.configured(f"[TORQUE]\n{NOWHERE}")
    found = configuration.read(pyrotorque.home, Options())
    found.layout.prepare()
    configuration.adopt(found)
    pyrotorque.configured("[TORQUE]\nnonsense\n")
    for _ in range(2):
        ended = pyrotorque("explain", "some")
        assert ended.err.count("using the last good configuration") == 1


@pytest.mark.parametrize("words", [("-n", "--stop"), ("--stop", "--dry-run"), ("--stop", "-n", "--cron")], ids=" ".join)
def test_a_stop_is_never_only_shown(pyrotorque: Command, words: tuple[str, ...]) -> None:
    """Who adds `--dry-run` wants nothing to happen; jobs have it, a stop does not."""
    ended = pyrotorque.configured("[TORQUE]\n")(*words)
    assert ended.code == 64
    assert "would do that for real" in ended.problem
    assert pyrotorque("--stop").code == 69


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--stop", "backup", "/tmp"), "--stop and `backup`"),
        (("--restart", "status"), "--restart and `status`"),
        (("--run-once", "queue", "--stop"), "--stop and --run-once"),
        (("--status", "--restart"), "--restart and --status"),
    ],
    ids=str,
)
def test_two_actions_at_once_are_refused(pyrotorque: Command, words: tuple[str, ...], named: str) -> None:
    """Only one of them was done, with 0: a backup of a group that was not stopped."""
    ended = pyrotorque.configured("[TORQUE]\n")(*words)
    assert ended.code == 64
    assert f"{named} cannot be used together: nothing was done" in ended.err


def test_supervisorctl_only_reads_with_dry_run(pyrotorque: Command) -> None:
    pyrotorque.configured("[TORQUE]\n")
    for words in ((), ("shutdown",), ("stop", "watcher"), ("restart", "all"), ("reload",), ("-i",), ("signal", "HUP")):
        ended = pyrotorque("--dry-run", "ctl", *words)
        assert ended.code == 64, words
        assert "would do that for real" in ended.problem
    assert pyrotorque("--dry-run", "ctl", "status").code == 69
