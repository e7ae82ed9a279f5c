"""A broken supervisor.conf never reaches a running supervisord: it is refused by `check`, `--restart` and a start."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from demo.group import Group, environment, free_port
from pyrotorque.layout import Layout
from pyrotorque.supervisord import config
from tests.waiting import eventually

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
    "an rpc interface that fails when it is made": (
        "[rpcinterface:mine]\nsupervisor.rpcinterface_factory = os:getpgid\n", "[rpcinterface:mine] cannot be created"
    ),
    "a wrong setting of an rpc interface": (
        "[rpcinterface:mine]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
        "nonsense = 1\n", "nonsense"
    ),
    "a socket of FastCGI in a missing folder": (
        "[fcgi-program:x]\ncommand = x\nsocket = unix:///no/where/x.sock\n", "[fcgi-program:x] socket = unix:///no/where"
    ),
    "a socket of FastCGI with the name of a folder": (
        "[fcgi-program:x]\ncommand = x\nsocket = unix://{here}/log\n", "Is a directory"
    ),
    "a socket of FastCGI whose path is too long": (
        f"[fcgi-program:x]\ncommand = x\nsocket = unix://{{here}}/{'x' * 108}\n", "107 bytes"
    ),
    "a port of FastCGI that is in use": (
        "[fcgi-program:x]\ncommand = x\nsocket = tcp://127.0.0.1:{taken}\n", "Address already in use"
    ),
    "an address of FastCGI that is not here": (
        "[fcgi-program:x]\ncommand = x\nsocket = tcp://192.0.2.1:9\n", "192.0.2.1:9 cannot be opened"
    ),
    "two servers at one port": (
        "[inet_http_server]\nport = 127.0.0.1:{free}\n[inet_http_server:more]\nport = 127.0.0.1:{free}\n",
        "[inet_http_server:more] cannot listen",
    ),
    "more open files than the kernel allows": ("[supervisord]\nminfds = 999999999999\n", "minfds"),
    "another control socket": (
        "[include]\nfiles = run/programs.conf socket.conf\n", "[unix_http_server] file must be "
    ),
    "a control socket in a missing folder": ("[include]\nfiles = run/programs.conf lost.conf\n", "/no/where"),
    "a log that is a folder": ("[include]\nfiles = run/programs.conf log.conf\n", "cannot be written: Is a directory"),
    "a user that does not exist": ("[supervisord]\nuser = no-such-user\n", "no-such-user"),
    "a umask that is none": ("[program:mine]\ncommand = x\numask = 9\n", "9"),
    "a working directory that is missing": ("[supervisord]\ndirectory = /no/where\n", "/no/where"),
    "an owner of the socket that does not exist": ("[unix_http_server]\nchown = no-such-user\n", "chown"),
    "an event listener without a buffer": (
        "[eventlistener:mine]\ncommand = x\nevents = TICK_5\nbuffer_size = 0\n", "buffer_size"
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
    "services in a group": ("[group:all]\nprograms = watcher,scheduler\n", ""),
    "another command of a service": (
        "[include]\nfiles = run/programs.conf command.conf\n", "which must run pyrotorque_exporter in the end"
    ),
    "a program that does not exist": (
        "[program:x]\ncommand = /nosuch/x\n", "[program:x] command cannot be run now: can't find command '/nosuch/x'"
    ),
    "a program that is not on the PATH": (
        "[program:x]\ncommand = nosuch a b\nautostart = false\n", "can't find command 'nosuch'"
    ),
    "a program that is not on its own PATH": (
        '[program:x]\ncommand = sleep 9\nenvironment = PATH="/nosuch"\n', "[program:x] command cannot be run now"
    ),
    "a program that is not executable": ("[program:x]\ncommand = /etc/passwd\n", "is not executable"),
    "an event listener that is a folder": (
        "[eventlistener:x]\nevents = TICK_60\ncommand = /etc\n", "[eventlistener:x] command cannot be run now"
    ),
    "a command with a quote that is not closed": (
        "[program:x]\ncommand = sh -c 'pw=secret\n", "it is no list of words"
    ),
    "a setting of a service": ("[program:scheduler]\nenvironment = A=1\npriority = 5\n", ""),
    "a FastCGI program at a unix socket": (
        "[fcgi-program:x]\ncommand = x\nautostart = false\nsocket = unix://{here}/x.sock\nsocket_mode = 0600\n", ""
    ),
    "a service of another group": (
        "[program:other]\ncommand = python3 -m pyrotorque_scheduler --config-dir /elsewhere\nautostart = false\n", ""
    ),
}  # fmt: skip

COPY = "command = python3 -m pyrotorque_scheduler --config-dir {here}\n"

COPIES = {
    "a second scheduler": (f"[program:second]\n{COPY}", "[program:second] runs the service scheduler a second time"),
    "one behind a shell": (
        "[program:second]\ncommand = sh -c 'exec python3 -m pyrotorque_watcher --config-dir \"{here}\"'\n",
        "[program:second] runs the service watcher a second time",
    ),
    "a second guardian": (
        "[eventlistener:second]\nevents = TICK_5\ncommand = python3 -m pyrotorque_guardian --config-dir {here}\n",
        "[eventlistener:second] runs the service guardian a second time",
    ),
    "a second one by a wrapper of numbers": (
        f"[program:more]\nnumprocs = 2\nprocess_name = more%(process_num)d\n{COPY}",
        "[program:more] runs the service scheduler a second time",
    ),
    "a service twice": (
        "[program:scheduler]\nnumprocs = 2\nprocess_name = s%(process_num)d\n", "under another name (s0, s1)"
    ),
    "a renamed service": ("[program:exporter]\nprocess_name = metrics\n", "under another name (metrics)"),
    "the name of a service": (
        "[program:mine]\ncommand = sleep 1\nprocess_name = scheduler\n", "the name of a service: choose another one"
    ),
    "a group with the name of a service": (
        "[program:mine]\ncommand = sleep 1\n[group:scheduler]\nprograms = mine\n", "supervisord keeps only one"
    ),
    "a service that is not started": ("[program:watcher]\nautostart = false\n", "the service watcher does not run"),
}  # fmt: skip


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
    (folder / "c" / "socket.conf").write_text(f"[unix_http_server]\nfile = {folder}/c/other.sock\n")
    (folder / "c" / "lost.conf").write_text("[unix_http_server]\nfile = /no/where/other.sock\n")
    (folder / "c" / "log.conf").write_text(f"[supervisord]\nlogfile = {folder}/c/log\n")
    (folder / "c" / "command.conf").write_text("[program:exporter]\ncommand = nice start-exporter\n")
    with made:
        yield made


@pytest.fixture
def conf(group: Group) -> Iterator[Path]:
    path = group.config_dir / "supervisor.conf"
    good = path.read_text()
    yield path
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.write_text(good)


@pytest.fixture(scope="module")
def taken() -> Iterator[int]:
    """A port at which another process listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def write(conf: Path, text: str) -> None:
    """Replace the include of the stub if `text` has its own, and `{here}` by its folder."""
    stub, text = conf.read_text(), text.replace("{here}", str(conf.parent))
    if "[include]" in text:
        stub = stub.replace("[include]\nfiles = run/programs.conf\n", "")
    conf.write_text(stub + text, encoding="utf-8", errors="surrogateescape")


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_restart_with_a_broken_file_is_refused_and_the_group_runs_on(
    group: Group, conf: Path, taken: int, text: str, expected: str
) -> None:
    before = group.supervisord_pid(), (group.config_dir / "run/programs.conf").read_bytes()
    write(conf, text.replace("{taken}", str(taken)).replace("{free}", str(free_port())))
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


def test_programs_that_can_be_run_give_no_warning(group: Group, conf: Path) -> None:
    (conf.parent / "mine").write_text("#!/bin/sh\n")
    (conf.parent / "mine").chmod(0o700)
    write(
        conf, "[program:a]\ncommand = {here}/mine x\n[program:b]\ncommand = sleep 1\n[program:c]\ncommand = ./later\n"
    )
    ended = group.command("check")
    assert (ended.returncode, "cannot be run" in ended.stderr) == (0, False), ended.stderr


@pytest.mark.parametrize(("text", "expected"), COPIES.values(), ids=COPIES)
def test_check_refuses_what_runs_a_service_twice_or_under_another_name(
    group: Group, conf: Path, text: str, expected: str
) -> None:
    write(conf, text)
    ended = group.command("check")
    assert ended.returncode == 78
    assert len([line for line in ended.stderr.splitlines() if expected in line]) >= 1, ended.stderr
    assert "supervisor.conf" in ended.stderr


def _directory(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


def _text(content: bytes) -> Callable[[Path], None]:
    def write_content(path: Path) -> None:
        path.write_bytes(content)

    return write_content


INCLUDE = b"[include]\nfiles = run/programs.conf\n"
UNREADABLE: dict[str, Callable[[Path], None]] = {
    "a folder": _directory,
    "a pipe": _pipe,
    "a link to nowhere": _link_to_nowhere,
    "nothing": _text(b""),
    "no section": _text(b"files = run/programs.conf\n"),
    "no section for supervisorctl": _text(INCLUDE),
    "bytes that are not UTF-8": _text(INCLUDE + b"[supervisorctl]\nprompt = \xff\n"),
    "NULs, as after a power cut": _text(b"\0" * 512),
    "a variable that is not set": _text(INCLUDE + b"[supervisorctl]\nserverurl = %(ENV_NOPE)s\n"),
    "the socket of another run_dir": _text(INCLUDE + b"[supervisorctl]\nserverurl = unix:///nowhere/supervisor.sock\n"),
    "a plugin that is missing": _text(
        INCLUDE + b"[supervisorctl]\n[ctlplugin:x]\nsupervisor.ctl_factory = no.where:x\n"
    ),
    "a byte order mark": _text(b"\xef\xbb\xbf" + INCLUDE + b"[supervisorctl]\n"),
}


@pytest.mark.parametrize("make", UNREADABLE.values(), ids=UNREADABLE)
def test_a_running_group_is_controlled_whatever_its_file_is(
    group: Group, conf: Path, make: Callable[[Path], None]
) -> None:
    conf.unlink()
    make(conf)
    supervisord = group.supervisord_pid()
    status = group.command("ctl", "status")
    assert status.returncode == 0, status.stderr
    assert status.stdout.count("RUNNING") >= 4
    assert "Traceback" not in status.stderr
    assert len(status.stderr.splitlines()) <= 1, "what is wrong, and how to go on"
    assert int(group.command("ctl", "pid", "scheduler").stdout) > 1
    for words in (("--status",), ("status",), ("pause", "queue"), ("resume", "queue")):
        assert group.command(*words).returncode == 0, words
    assert group.supervisord_pid() == supervisord


def test_the_interactive_shell_refuses_what_would_end_supervisord(group: Group, conf: Path) -> None:
    write(conf, "[program:mine]\n")
    supervisord = group.supervisord_pid()
    typed = "reread\nupdate\nreload\ny\nstatus\n"
    words = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(group.config_dir), "ctl"]
    ended = subprocess.run(words, input=typed, capture_output=True, text=True, env=environment(), check=False)
    assert len(ended.stderr.splitlines()) == 3, ended.stderr
    assert ended.stdout.count("RUNNING") >= 8, "at the beginning and at the end"
    assert group.supervisord_pid() == supervisord
    assert group.command("--status").returncode == 0


def _with_a_stopped_guardian(
    group: Group, change: Callable[[], object], words: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """What a command says after a change that the guardian would undo.

    A guardian that is stopped for 15 s is replaced, and a busy machine takes longer for some commands: then it counts
    for nothing, and is tried with the next one.
    """

    def attempt() -> subprocess.CompletedProcess[str]:
        guardian = eventually(lambda: group.pid("guardian"), 60)
        os.kill(guardian, signal.SIGSTOP)
        try:
            change()
            return group.command(*words)
        finally:
            os.kill(guardian, signal.SIGCONT)

    return eventually(attempt, 60, why="a command ends before the guardian is replaced")


@pytest.mark.parametrize("kept", [0, 700, -2], ids=["emptied", "cut off", "its last byte lost"])
def test_a_damaged_process_table_is_never_read_and_is_put_back(group: Group, kept: int) -> None:
    eventually(group.running, 60)
    table, supervisord = group.config_dir / "run/programs.conf", group.supervisord_pid()
    whole = table.read_bytes()
    for words in (("ctl", "reload"), ("ctl", "update"), ("ctl", "reread")):
        refused = _with_a_stopped_guardian(group, lambda: table.write_bytes(whole[:kept]), words)
        assert refused.returncode == 78, words
        assert f"{table} " in refused.stderr
        assert "pyrotorque --restart" in refused.stderr
        eventually(lambda: table.read_bytes() == whole, 60)
    assert _with_a_stopped_guardian(group, table.unlink, ("ctl", "reload")).returncode == 78
    table.write_bytes(whole[:kept])
    eventually(lambda: table.read_bytes() == whole, 60)
    assert group.supervisord_pid() == supervisord
    assert group.running()


def test_a_restart_with_a_damaged_process_table_stays_guarded(group: Group) -> None:
    table = group.config_dir / "run/programs.conf"
    table.write_bytes(b"")
    assert group.command("--restart").returncode == 0
    assert "--guard-file" in table.read_text()


def test_a_restart_reads_another_file_than_the_start_did(group: Group, conf: Path) -> None:
    """supervisord itself would end without the file of its start, and not read one that was written since."""
    own = conf.read_text()
    conf.unlink()
    assert group.command("ctl", "reload").returncode == 78
    assert group.command("--status").returncode == 0
    assert group.command("--restart").returncode == 0
    conf.write_text(own + "[program:mine]\ncommand = sleep 1000\n")
    assert group.command("ctl", "reload").returncode == 78, "supervisord would not read it"
    assert group.command("--restart").returncode == 0
    assert "mine" in group.command("ctl", "status").stdout
    conf.write_text(own)
    assert group.command("--restart").returncode == 0


def test_a_link_to_nothing_takes_no_programs_from_a_running_group(group: Group, conf: Path) -> None:
    target = conf.with_name("unmounted.conf")
    target.write_text(conf.read_text() + "[program:mine]\ncommand = sleep 1000\n")
    conf.unlink()
    conf.symlink_to(target)
    assert group.command("--restart").returncode == 0
    target.rename(away := conf.with_name("away.conf"))
    for words in (("--restart",), ("check",), ("ctl", "reload")):
        ended = group.command(*words)
        assert ended.returncode == 78, (words, ended.stderr)
        assert "supervisor.conf" in ended.stderr
    assert "RUNNING" in group.command("ctl", "status", "mine").stdout
    away.rename(target)
    assert group.command("--restart").returncode == 0


def test_a_running_group_is_controlled_although_its_folders_have_changed(group: Group, folder: Path) -> None:
    torque = group.config_dir / "torque.ini"
    for text in (f"{TORQUE}run_dir = {folder}/other\nstate_dir = {folder}/state\n", "", TORQUE[:30], "[TORQUE"):
        torque.write_text(text)
        for words in (("--status",), ("status",), ("ctl", "status"), ("pause", "queue"), ("resume", "queue")):
            ended = group.command(*words)
            assert ended.returncode == 0, (text, words, ended.stderr)
    torque.write_text(f"{TORQUE}run_dir = {folder}/other\n")
    assert group.command("--restart").returncode == 0
    eventually(lambda: group.command("ctl", "status").stdout.count("RUNNING") >= 4)
    assert (folder / "other" / "supervisor.sock").exists()
    torque.write_text(TORQUE)
    assert group.command("--restart").returncode == 0


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


def test_the_sockets_of_the_running_group_are_no_obstacle(group: Group, conf: Path) -> None:
    port, path = free_port(), conf.parent / "own.sock"
    fcgi = "command = sleep 1000\nsocket = "
    write(
        conf,
        f"[fcgi-program:tcp]\n{fcgi}tcp://127.0.0.1:{port}\n[fcgi-program:unix]\n{fcgi}unix://{path}\n"
        "[rpcinterface:second]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n",
    )
    assert group.command("--restart").returncode == 0
    eventually(lambda: group.command("ctl", "status").stdout.count("RUNNING") == 6, 60)
    before = path.stat()
    assert group.command("check").returncode == 0
    assert path.stat() == before, "the check leaves it alone"
    assert not list(conf.parent.glob(".probe*"))
    for words in (("ctl", "reload"), ("--restart",)):
        assert group.command(*words).returncode == 0, words
        eventually(lambda: group.command("ctl", "status").stdout.count("RUNNING") == 6, 60)


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
    pgrep = ["pgrep", "-f", str(folder / "other")]
    eventually(lambda: subprocess.run(pgrep, capture_output=True, text=True, check=False).stdout == "")


def test_a_second_copy_of_a_service_ends_and_the_service_itself_works(folder: Path) -> None:
    """Whichever of them starts first: otherwise the copy could hold the locks, unguarded."""
    made = Group(folder / "twice", TORQUE)
    layout = Layout.below(folder / "twice")
    command = f"{sys.executable} -m pyrotorque_scheduler --config-dir {folder}/twice"
    config.stub_file(layout).write_text(
        config.stub(layout)
        + f"[program:second]\ncommand = {command}\npriority = 1\nstartsecs = 0\nautorestart = false\n"
        "[group:ours]\nprograms = watcher,exporter\n"
    )
    ended = made.command()
    try:
        assert ended.returncode == 0, ended.stderr
        assert "warning: supervisor.conf" in ended.stderr
        assert "a second time" in ended.stderr
        wanted = {"second": "EXITED"} | dict.fromkeys(("ours:watcher", "ours:exporter", "scheduler"), "RUNNING")

        def states() -> dict[str, str]:
            lines = made.command("ctl", "status").stdout.splitlines()
            return {line.split()[0]: line.split()[1] for line in lines}

        eventually(lambda: wanted.items() <= states().items())
        assert "supervisord runs scheduler a second time, as the program second" in made.log("torque")
        holder = layout.database("scheduler").with_name("scheduler.sqlite3.lock").read_text()
        assert int(holder) == made.pid("scheduler")
        for service in ("watcher", "exporter"):
            assert made.command("restart", service).returncode == 0
        eventually(lambda: made.command("ctl", "status").stdout.count("RUNNING") == 4)
    finally:
        made.stop()
