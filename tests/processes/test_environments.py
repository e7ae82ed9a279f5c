"""A matrix of environments and commands: exit codes as documented, no traceback, the right local time."""

import os
import re
import signal
import subprocess
import sys
import time
from calendar import timegm
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.group import REPOSITORY, SERVICES, free_port
from pyrotorque.group_lock import running_group
from pyrotorque.layout import Layout
from tests.environments import (
    Environment,
    block_signals,
    clean_environment,
    closed,
    enter_removed_folder,
    hide_all,
    ignore_hangup,
    limits,
)
from tests.waiting import eventually

pytestmark = pytest.mark.process

IMPORTED = os.pathsep.join(str(REPOSITORY / part) for part in ("services", "shared", "."))
GOOD = {"check": 0, "--run-once hello": 0, "init": 0}
UNREACHABLE = {"--status": 69, "status": 69, "select done<100": 69, "watched": 74, "explain": 69, "--stop": 69}
"""Exit codes while no group and no rTorrent run."""

ENVIRONMENTS = {
    "TZ is a rule": Environment({"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}),
    "TZ with a colon": Environment({"TZ": ":Europe/Berlin"}),
    "TZ is a path": Environment({"TZ": "/usr/share/zoneinfo/Asia/Tokyo"}),
    "TZ counts leap seconds": Environment({"TZ": "right/Europe/Berlin"}),
    "the machine's zone counts leap seconds": Environment(
        {"TZ": None}, script="mount --bind /usr/share/zoneinfo/right/Asia/Tokyo $(readlink -f /etc/localtime)"
    ),
    "TZ is unknown": Environment({"TZ": "Europe/Berln"}),
    "TZ is a folder": Environment({"TZ": "Europe"}),
    "no tzdata": Environment({"TZ": "Europe/Berlin"}, script="mount -t tmpfs none /usr/share/zoneinfo"),
    "conflicting zones": Environment(script="echo Asia/Tokyo >$HOME/zone; mount --bind $HOME/zone /etc/timezone"),
    "zone file is broken": Environment(script="echo junk >$HOME/zone; mount --bind $HOME/zone /etc/localtime"),
    "no HOME": Environment({"HOME": None}),
    "empty HOME": Environment({"HOME": ""}),
    "relative HOME": Environment({"HOME": "somewhere"}),
    "unknown user": Environment(uid=54321),
    "unknown user, no HOME": Environment({"HOME": None}, uid=54321),
    "C locale": Environment({"LC_ALL": "C"}),
    "ASCII": Environment({"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    "missing locale": Environment({"LC_ALL": "de_DE.ISO-8859-1"}),
    "unknown language": Environment({"LANG": "xx_YY.UTF-8"}),
    "ASCII streams": Environment({"PYTHONIOENCODING": "ascii"}),
    "Latin-1 streams": Environment({"PYTHONIOENCODING": "latin-1:strict"}),
    "nohup": Environment(before=ignore_hangup),
    "signals blocked": Environment(before=block_signals),
    "a Python for tests": Environment({"PYTHONTRACEMALLOC": "1", "PYTHONPROFILEIMPORTTIME": ""}),
    "stdin closed": Environment(before=closed(0)),
    "stdout closed": Environment(before=closed(1)),
    "all closed": Environment(before=closed(0, 1, 2)),
    "few files": Environment(before=limits(NOFILE=64)),
    "no core files": Environment(before=limits(CORE=0)),
    "little address space": Environment(before=limits(AS=400 << 20)),
    "working directory removed": Environment(before=enter_removed_folder),
    "umask 777": Environment(before=hide_all),
    "umask 777 as another user": Environment(before=hide_all, uid=54321),
    "junk in PYTHONPATH": Environment({"PYTHONPATH": f"{IMPORTED}:/nowhere:\udcff:"}),
    "warnings are errors": Environment({"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2"}),
    "interactive Python": Environment({"PYTHONINSPECT": ""}),
    "no /tmp": Environment({"TMPDIR": "/nowhere"}, script="mount -t tmpfs -o size=4k,nr_inodes=1 none /var/tmp"),
    "no /proc": Environment(script="umount -l /proc; mount -t tmpfs none /proc"),
    "junk in COLUMNS": Environment({"COLUMNS": "junk", "LINES": "-1"}),
    "one column": Environment({"COLUMNS": "1"}),
    "no TERM": Environment({"TERM": None}),
    "junk in TERM": Environment({"TERM": "\udcff", "FORCE_COLOR": "1"}),
    "no PATH": Environment({"PATH": None}),
    "bytes in a variable": Environment({"NAME\udcff": "\udcfe\n"}),
    "inside of supervisord": Environment({"SUPERVISOR_ENABLED": "1", "SUPERVISOR_SERVER_URL": "unix:///x"}),
}
BERLIN, TOKYO = 1, 9
OFFSETS = {
    "TZ is a rule": BERLIN,
    "TZ with a colon": BERLIN,
    "TZ is a path": TOKYO,
    "TZ counts leap seconds": BERLIN,
    "the machine's zone counts leap seconds": TOKYO,
}
if not Path("/usr/share/zoneinfo/right").is_dir():
    for name in [name for name in ENVIRONMENTS if "leap seconds" in name]:
        del ENVIRONMENTS[name]
ALL_COMMANDS = ("TZ is a rule", "unknown user, no HOME", "ASCII", "all closed", "no /proc", "one column")
FAILING = {
    "no files": (Environment(before=limits(NOFILE=10)), 75, "file can be opened: raise the limit (`ulimit -n` is 10)"),
    "no temporary file": (
        Environment(before=limits(FSIZE=0)),
        78,
        "pyrotorque: supervisord cannot start: no folder takes a temporary file (/tmp: the file is larger "
        "than allowed: raise the limit (`ulimit -f` is 0)); make that possible there",
    ),
    "everything read-only": (
        Environment(
            script="mount -o remount,bind,ro /;"
            " for each in /tmp /var/tmp; do mount --bind $each $each; mount -o remount,bind,ro $each; done"
        ),
        78,
        "(/tmp: Read-only file system); make that possible there, or set TMPDIR",
    ),
    "full output": (Environment(output="/dev/full"), 74, "No space left on device"),
    "no /dev": (
        Environment(script="mount -t tmpfs none /dev"),
        74,
        "of job hello: /dev/null: No such file",
    ),
}


@dataclass
class Home:
    """A configuration directory whose names need UTF-8."""

    folder: Path

    @property
    def config_dir(self) -> Path:
        return self.folder / "cönf"

    def command(self, environment: Environment, *words: str) -> subprocess.Popen[str]:
        config_dir = self.folder / "frësh" if words == ("init",) else self.config_dir
        command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(config_dir), *words]
        base = {**clean_environment(), "HOME": str(self.folder), "PYTHONPATH": IMPORTED}
        with open(environment.output or os.devnull, "w", encoding="utf-8") as output:
            return subprocess.Popen(
                environment.wrapped(command), stdin=subprocess.DEVNULL,
                stdout=output if environment.output else subprocess.PIPE, stderr=subprocess.PIPE,
                encoding="utf-8", errors="strict", cwd=self.folder, env=environment.applied(base),
                preexec_fn=environment.before, start_new_session=True,
            )  # fmt: skip

    def logs(self) -> str:
        return "".join(path.read_text("utf-8") for path in sorted((self.config_dir / "log").glob("*.log")))


@pytest.fixture
def home(short_folder: Path) -> Home:
    made = Home(short_folder)
    (made.config_dir / "run").mkdir(parents=True, mode=0o700)
    (made.config_dir / "run/pyrotorque").touch()
    (short_folder / "wätch").mkdir()
    (made.config_dir / "torque.ini").write_text(
        f"""\
[TORQUE]
scgi_url = scgi://{short_folder}/nowhere.sock
job.queue.active = True
job.queue.schedule = second=*/1
job.treewatch.active = True
job.treewatch.path = {short_folder}/wätch
job.treewatch.load_mode = start
job.exporter.active = True
job.exporter.port = {free_port()}
job.hello.handler = pyrotorque.jobs.command:Command
job.hello.active = True
job.hello.schedule = hour=12 minute=0
job.hello.command = echo grüße
""",
        encoding="utf-8",
    )
    return made


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate()
    return process.returncode, output or "", errors


def assert_no_traceback(*texts: str) -> None:
    for text in texts:
        assert "Traceback" not in text
        assert "unexpected error" not in text


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_all_commands_work(home: Home, name: str) -> None:
    environment = ENVIRONMENTS[name]
    for words, code in (GOOD | (UNREACHABLE if name in ALL_COMMANDS else {})).items():
        found, output, errors = ended(home.command(environment, *words.split()))
        assert_no_traceback(output, errors)
        assert found == code, (words, output, errors)
        is_closed = name in ("stdout closed", "all closed")
        if words == "check" and not is_closed:
            assert_local_time(output, OFFSETS.get(name, 0))
            assert name == "one column" or ("wätch" in output and "12:00:00" in output)
            assert ("so local time is UTC" in errors) == (name in ("TZ is unknown", "TZ is a folder", "no tzdata"))
        if words == "--run-once hello" and not is_closed:
            assert "grüße" in output
    assert (home.folder / "frësh/torque.ini").stat().st_mode & 0o600 == 0o600
    assert_no_traceback(home.logs())


def assert_local_time(output: str, offset: int) -> None:
    """The printed time is now in that zone, in winter or in summer."""
    if not (found := re.search(r"^Local time: (\S+ \S+) \S+ \(([+-]\d\d):00\)$", output, re.MULTILINE)):
        raise AssertionError(output)
    now = time.time()
    expected = {
        time.strftime("%Y-%m-%d %H:%M", time.gmtime(now + 3600 * hours - ago))
        for hours in ((offset, offset + 1) if offset == BERLIN else (offset,))
        for ago in range(0, 60, 5)
    }
    assert found[1][:-3] in expected
    assert int(found[2]) in (offset, offset + (offset == BERLIN))


@pytest.mark.parametrize("name", FAILING)
def test_what_the_machine_refuses_is_one_line_with_cause_and_cure(home: Home, name: str) -> None:
    environment, code, text = FAILING[name]
    words = ("--run-once", "hello") if name == "no /dev" else ("check",)
    found, _, errors = ended(home.command(environment, *words))
    assert_no_traceback(errors)
    lines = [line for line in errors.splitlines() if "warning: " not in line]
    assert (found, len(lines)) == (code, 1), errors
    assert lines[0].startswith("pyrotorque: ")
    assert text in lines[0]


@pytest.mark.parametrize("mebibytes", [60, 90, 150, 200, 250])
def test_a_start_with_little_address_space_succeeds_or_leaves_nothing(home: Home, mebibytes: int) -> None:
    """libzmq aborts its process when it has no memory for a thread."""
    layout = Layout.below(home.config_dir)
    started = home.command(Environment(before=limits(AS=mebibytes << 20)))
    code, _, errors = ended(started)
    try:
        assert code in (0, 1, 75), errors
        assert code != 1 or mebibytes < 100, errors  # Python itself does not start
    finally:
        found = running_group(layout.group_lock, home.config_dir, layout.pid_file)
        ended(home.command(Environment(), "--stop"))
    assert (found is None) == (code != 0)


def test_a_configuration_directory_below_an_unknown_home_names_the_cure(home: Home) -> None:
    environment = Environment({"HOME": None, "PYTHONPATH": IMPORTED}, uid=54321)
    for words in (["check"], [], ["--cron"], ["init"]):
        command = environment.wrapped([sys.executable, "-m", "pyrotorque_control", *words])
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment.applied(clean_environment()), check=False
        )
        assert (done.returncode, done.stdout) == (78, ""), done.stderr
        assert done.stderr == (
            "pyrotorque: the home folder for ~/.pyroscope is unknown: HOME is not set, and user 54321 is not in "
            "/etc/passwd; set HOME, or use an absolute path\n"
        )


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["fields", "tracker"], 0, "tracker"),
        (["--help"], 0, "Usage: pyrotorque"),
        (["--version"], 0, "pyrotorque "),
        *(
            ([name, "--help"], 0, f"Usage: pyrotorque {name}")
            for name in ("check", "fields", "accept-rtorrent", "backup", "panel", "ctl", "fleet")
        ),
        (["panel", "token", "--help"], 0, "Usage: pyrotorque panel token"),
        *(([name], 78, "the home folder for ~/.pyroscope is unknown") for name in ("status", "events", "panel", "ctl")),
        (["explain", "x"], 78, "the home folder for ~/.pyroscope is unknown"),
    ],
)
def test_help_and_what_needs_no_group_need_no_home(words: list[str], code: int, text: str) -> None:
    environment = Environment({"HOME": None, "PYTHONPATH": IMPORTED}, uid=54321)
    command = environment.wrapped([sys.executable, "-m", "pyrotorque_control", *words])
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment.applied(clean_environment()), check=False
    )
    assert done.returncode == code, done.stderr
    assert text in (done.stderr if code else done.stdout)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["check"], ["status"], [], ["--restart"]])
def test_a_file_instead_of_the_configuration_directory_is_one_message(tmp_path: Path, words: list[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    environment = Environment({"PYTHONPATH": IMPORTED})
    command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(file), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment.applied(clean_environment()), check=False
    )
    assert done.returncode in (69, 78), done.stderr
    assert len((done.stdout + done.stderr).splitlines()) == 1, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "TZ is a rule",
        "TZ counts leap seconds",
        "signals blocked",
        "ASCII",
        "unknown user, no HOME",
        "all closed",
        "nohup",
        "warnings are errors",
        "umask 777 as another user",
    ],
)
def test_the_group_runs_in_the_foreground(home: Home, name: str) -> None:
    environment = ENVIRONMENTS[name]
    running = home.command(environment, "--fg", "-v")
    try:
        eventually(lambda: running.poll() is not None or _all_started(home), timeout=40, why=home.logs())
        assert running.poll() is None, running.communicate()
        if name == "nohup":
            os.killpg(running.pid, signal.SIGHUP)
        stamp = eventually(lambda: _first_stamp(home.config_dir / "log/torque.log"), timeout=20, why=home.logs())
        assert stamp is not None
        expected = time.gmtime(time.time() + 3600 * OFFSETS.get(name, 0))
        assert abs(timegm(stamp) - timegm(expected)) < (3900 if OFFSETS.get(name) == BERLIN else 300)
        os.killpg(running.pid, signal.SIGTERM)
        code, output, errors = ended(running)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    assert code == 0, errors
    assert_no_traceback(output, errors, home.logs())


def _first_stamp(log: Path) -> time.struct_time | None:
    line = log.read_text("utf-8").partition("\n")[0] if log.exists() else ""
    return time.strptime(line[:19], "%Y-%m-%d %H:%M:%S") if line else None


def _all_started(home: Home) -> bool:
    logs = [home.config_dir / "log" / f"{service}.log" for service in SERVICES]
    sockets = [home.config_dir / "run" / f"{service}.requests" for service in SERVICES]
    return all(path.exists() for path in (*logs, *sockets)) and "wätch" in home.logs()
