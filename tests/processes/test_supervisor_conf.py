"""A broken supervisor.conf never reaches a running supervisord: it is refused by `check`, `--restart` and a start."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import Group
from pyrotorque.layout import Layout
from pyrotorque.supervisord import config

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("supervisor_conf")]

TORQUE = "[TORQUE]\nscgi_url = scgi:///nowhere/rt.sock\njob.queue.active = True\n"

BROKEN = {
    "unescaped percent sign": ("[program:mine]\ncommand = date +%F\n", r"program:mine"),
    "unescaped percent sign in a value": ('[program:mine]\ncommand = x\nenvironment = A="50%"\n', "program:mine"),
    "unknown variable": ("[program:mine]\ncommand = %(ENV_NOPE)s\n", "ENV_NOPE"),
    "unknown name": ("[program:mine]\ncommand = x\nprocess_name = %(program)s\n", "program"),
    "no command": ("[program:mine]\nautostart = true\n", "program:mine"),
    "missing log folder": ("[program:mine]\ncommand = x\nstdout_logfile = /no/where/mine.log\n", "/no/where"),
    "missing folder of its own log": ("[supervisord]\nchildlogdir = /no/where\n[include]\nfiles = run/programs.conf "
                                      "x.conf\n", "x.conf"),
    "a number that is none": ("[program:mine]\ncommand = x\nstartsecs = soon\n", "soon"),
    "an invalid size": ("[program:mine]\ncommand = x\nstdout_logfile_maxbytes = 1TBB\n", "1tbb"),
    "an invalid signal": ("[program:mine]\ncommand = x\nstopsignal = KILLALL\n", "KILLALL"),
    "several processes of one name": ("[program:mine]\ncommand = x\nnumprocs = 2\n", "process_num"),
    "a line that is no setting": ("[program:mine]\ncommand = x\nthis is no setting\n", "this is no setting"),
    "an included file that is missing": ("[include]\nfiles = run/programs.conf mine.conf\n", "mine.conf"),
    "an included file that is broken": ("[include]\nfiles = run/programs.conf broken.conf\n", "program:included"),
    "an include without our file": ("[include]\nfiles = other.conf ; run/programs.conf\n", "scheduler is missing"),
    "a password for our socket": ("[unix_http_server]\nusername = u\npassword = p\n", "username"),
    "a group of unknown programs": ("[group:all]\nprograms = mine,yours\n", "group:all"),
    "an unknown event": ("[eventlistener:mine]\ncommand = x\nevents = NOTHING\n", "NOTHING"),
    "an rpc interface that cannot be imported": (
        "[rpcinterface:mine]\nsupervisor.rpcinterface_factory = no.where:make\n", "no.where"
    ),
    "bytes that are not UTF-8": ("[program:mine]\ncommand = \udcff\n", "UTF-8"),
}  # fmt: skip

GOOD = {
    "a program": ("[program:mine]\ncommand = sleep %(ENV_HOME)s\n", ""),
    "an escaped percent sign": ("[program:mine]\ncommand = date +%%F\nautostart = false\n", ""),
    "an empty folder of includes": ("[include]\nfiles = run/programs.conf conf.d/*.conf\n", "nothing matches"),
    "two programs of one name": (
        "[program:mine]\ncommand = sleep 1\nautostart = false\n[program:mine]\ncommand = sleep 2\n",
        "makes one program of both",
    ),
    "a section without its end": ("[program:mine\ncommand = x\n", "begins like a section"),
    "a service in a group": ("[group:all]\nprograms = watcher\n", "leave it out"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="pt-", ignore_cleanup_errors=True) as short:
        yield Path(short)


@pytest.fixture(scope="module")
def group(folder: Path) -> Iterator[Group]:
    made = Group(folder / "c", TORQUE)
    layout = Layout.below(folder / "c")
    config.stub_file(layout).write_text(config.stub(layout))
    (folder / "c" / "other.conf").write_text("[supervisord]\n")
    (folder / "c" / "broken.conf").write_text("[program:included]\nstartsecs = 1\n")
    with made:
        yield made


@pytest.fixture
def conf(group: Group) -> Iterator[Path]:
    path = group.config_dir / "supervisor.conf"
    good = path.read_text()
    yield path
    path.write_text(good)


def write(conf: Path, text: str) -> None:
    """Replace the include of the stub if `text` has its own."""
    stub = conf.read_text()
    if "[include]" in text:
        stub = stub.replace("[include]\nfiles = run/programs.conf\n", "")
    conf.write_text(stub + text, encoding="utf-8", errors="surrogateescape")


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_restart_with_a_broken_file_is_refused_and_the_group_runs_on(
    group: Group, conf: Path, text: str, expected: str
) -> None:
    before = group.supervisord_pid(), (group.config_dir / "run/programs.conf").read_bytes()
    write(conf, text)
    for words in (("--restart",), ("check",), ("ctl", "reload")):
        ended = group.command(*words)
        assert ended.returncode == 78, (words, ended.stderr)
        assert expected in ended.stderr
        assert ".conf" in ended.stderr
        assert "Traceback" not in ended.stderr
    assert (group.supervisord_pid(), (group.config_dir / "run/programs.conf").read_bytes()) == before
    assert group.command("--status").returncode == 0


@pytest.mark.parametrize(("text", "warning"), GOOD.values(), ids=GOOD)
def test_check_accepts_what_supervisord_accepts_and_warns(group: Group, conf: Path, text: str, warning: str) -> None:
    write(conf, text)
    ended = group.command("check")
    assert ended.returncode == 0, ended.stderr
    assert warning in ended.stderr


def test_a_port_that_another_process_has_is_refused_and_our_own_is_not(group: Group, conf: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        write(conf, f"[inet_http_server]\nport = 127.0.0.1:{port}\n")
        ended = group.command("--restart")
        assert ended.returncode == 78
        assert f"127.0.0.1:{port}: Address already in use" in ended.stderr
    assert group.command("--restart").returncode == 0, "the port is free now"
    assert group.command("--restart").returncode == 0, "supervisord itself has it"


def test_variables_are_those_of_the_running_supervisord(
    group: Group, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET_SINCE", "x")
    write(conf, "[program:mine]\ncommand = sleep %(ENV_SET_SINCE)s\n")
    assert group.command("--restart").returncode == 78


def test_a_start_with_a_broken_file_starts_nothing(folder: Path) -> None:
    made = Group(folder / "other", TORQUE)
    layout = Layout.below(folder / "other")
    config.stub_file(layout).write_text(config.stub(layout) + "[program:mine]\n")
    for words in ((), ("--fg",)):
        ended = made.command(*words)
        assert ended.returncode == 78
        assert "supervisor.conf:" in ended.stderr
    found = subprocess.run(["pgrep", "-f", str(folder / "other")], capture_output=True, text=True, check=False)
    assert found.stdout == ""
