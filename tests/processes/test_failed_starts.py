"""A start succeeds or leaves nothing: where a filesystem lacks something, where services fail, and interrupted."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from demo.group import Group, environment
from pyrotorque.errors import StateError
from pyrotorque.group_lock import open_lock, read_identity
from pyrotorque.layout import SERVICES
from pyrotorque.store import open_store
from tests.waiting import eventually

pytestmark = pytest.mark.process

INI = "[TORQUE]\nscgi_url = scgi:///nowhere/rtorrent.sock\njob.queue.active = True\n"
Mount = Callable[..., Path]


@pytest.fixture
def mount(short_folder: Path) -> Iterator[Mount]:
    """Mounts a real filesystem, for the time of the test; skips it where that is not allowed."""
    mounted: list[Path] = []

    def make(*command: str) -> Path:
        (short_folder / "branch").mkdir()
        place = short_folder / "m"
        place.mkdir()
        words = [word.format(branch=short_folder / "branch", place=place) for word in command]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            trouble = done.stderr.strip() if done.returncode else ""
        except FileNotFoundError:
            trouble = "it is not installed"
        if trouble:
            pytest.skip(f"not tested: `{' '.join(command)}` is not possible here: {trouble}")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


def tmpfs(options: str) -> tuple[str, ...]:
    return ("mount", "-t", "tmpfs", "-o", options, "tmpfs", "{place}")


def processes_of(group: Group) -> list[str]:
    """The command lines of all processes that belong to the group."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(group.config_dir) in words:
                    found.append(words)
    return found


def assert_nothing_is_left(group: Group) -> None:
    """No process, no lock, and the next start is not refused for the sake of this one."""
    assert processes_of(group) == []
    assert not (group.config_dir / "run" / "pyrotorque.pid").is_file()
    assert not (group.config_dir / "run" / "supervisor.sock").is_socket()
    path = group.config_dir / "state" / "group.lock"
    if path.exists():
        lock = open_lock(path)
        assert lock is not None
        os.close(lock)


def start_fails(group: Group) -> tuple[int, str]:
    """Its exit code and its last line."""
    ended = group.command()
    assert ended.returncode != 0, "it started"
    assert "Traceback" not in ended.stderr
    assert_nothing_is_left(group)
    return ended.returncode, ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("program", ["mergerfs", "bindfs"])
def test_sockets_that_cannot_be_linked_on_fuse_end_a_start_with_the_setting(
    mount: Mount, short_folder: Path, program: str
) -> None:
    place = mount(program, "{branch}", "{place}")
    group = Group(place / "conf", INI)
    code, line = start_fails(group)
    assert (code, "sockets in" in line, "fuse" in line, "set run_dir in [TORQUE]" in line) == (78, True, True, True)
    # Its advice works.
    (group.config_dir / "torque.ini").write_text(f"{INI}run_dir = {short_folder / 'r'}\n")
    try:
        started = group.command()
        assert (started.returncode, started.stderr.count("sockets in")) == (0, 0)
    finally:
        group.command("--stop")
    assert processes_of(group) == []


def test_folders_on_noexec_are_no_obstacle(mount: Mount) -> None:
    group = Group(mount(*tmpfs("noexec,nodev,nosuid")) / "conf", INI)
    try:
        assert group.command().returncode == 0
    finally:
        group.command("--stop")
    assert processes_of(group) == []


@pytest.mark.parametrize("size", ["64k", "400k"])
def test_a_disk_without_room_for_the_databases_ends_a_start(mount: Mount, size: str) -> None:
    code, line = start_fails(Group(mount(*tmpfs(f"size={size}")) / "conf", INI))
    assert (code in (74, 75), bool(re.search(r"space|full", line))) == (True, True), line


def opened(path: Path) -> str:
    """The error of opening a new state file of a hundred tables; empty if there was room."""
    try:
        open_store(path, [f"CREATE TABLE t{number} (x)" for number in range(100)]).close()
    except StateError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("limit", ["size", "nr_inodes"])
def test_whatever_room_is_left_a_full_disk_is_called_full(mount: Mount, limit: str) -> None:
    """SQLite gives three different errors, depending on which file cannot grow or be made."""
    place = mount(*tmpfs(f"{limit}={'4k' if limit == 'size' else 1}"))
    errors: list[str] = []
    error = "not tried"
    for amount in range(1, 300):
        room = f"{4 * amount}k" if limit == "size" else str(amount)
        subprocess.run(["mount", "-o", f"remount,{limit}={room}", str(place)], check=True)
        if not (error := opened(place / "x.sqlite3")):
            break
        errors.append(error)
        for left in place.iterdir():
            left.unlink()
    assert len(errors) > 2
    assert error == ""
    words = "space|full" if limit == "size" else "inodes|No space"
    assert [error for error in errors if not re.search(words, error)] == []


@pytest.mark.parametrize("inodes", [12, 16, 40])
def test_a_disk_without_inodes_ends_a_start(mount: Mount, inodes: int) -> None:
    code, line = start_fails(Group(mount(*tmpfs(f"nr_inodes={inodes}")) / "conf", INI))
    assert (code in (74, 75, 78), bool(re.search(r"space|inodes|ENOSPC|unable to open", line))) == (True, True), line


@pytest.mark.parametrize("setting", ["run_dir", "state_dir"])
@pytest.mark.parametrize("kind", ["full", "read-only"])
@pytest.mark.parametrize("conf", ["no supervisor.conf", "supervisor.conf of init"])
def test_a_folder_that_cannot_be_written_ends_a_start(
    mount: Mount, short_folder: Path, setting: str, kind: str, conf: str
) -> None:
    place = mount(*tmpfs("size=64k"))
    (place / "own").mkdir(mode=0o700)
    group = Group(short_folder / "conf", f"{INI}{setting} = {place / 'own'}\n")
    if conf == "supervisor.conf of init":
        assert group.command("init").returncode == 0
    if kind == "full":
        with suppress(OSError), (place / "noise").open("wb", buffering=0) as noise:
            while True:
                noise.write(bytes(4096))
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    wanted = "No space left on device" if kind == "full" else "Read-only file system"
    code, line = start_fails(group)
    assert (code, wanted in line, str(place) in line) == (74, True, True), line


def test_a_read_only_disk_below_the_whole_group_is_no_fault_of_supervisor_conf(mount: Mount) -> None:
    place = mount(*tmpfs("size=4m"))
    group = Group(place / "conf", INI)
    assert group.command("init").returncode == 0
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    code, line = start_fails(group)
    assert (code, "Read-only file system" in line, "supervisor.conf" in line) == (74, True, False), line
    assert "supervisor.conf" not in group.command("check").stderr


@pytest.mark.parametrize("words", [(), ("--cron",)], ids=["start", "cron"])
def test_a_full_disk_of_logs_is_named_though_supervisord_cannot_write_its_reason(
    mount: Mount, short_folder: Path, words: tuple[str, ...]
) -> None:
    place = mount(*tmpfs("size=64k"))
    group = Group(short_folder / "conf", INI)
    (group.config_dir / "log").symlink_to(place)
    with suppress(OSError), (place / "noise").open("wb", buffering=0) as noise:
        while True:
            noise.write(bytes(4096))
    text = f"no space left for {group.config_dir / 'log'}: free some"
    if not words:
        code, line = start_fails(group)
        assert (code, text in line) == (74, True), line
        return
    ended = group.command(*words)
    assert (ended.returncode, text in ended.stderr) == (0, True)
    eventually(lambda: not processes_of(group), why="the start that it began has ended")
    assert_nothing_is_left(group)


@pytest.mark.parametrize("instead", ["read-only disk", "a file for the folder", "a folder for the file"])
def test_cron_names_a_log_that_cannot_be_written(mount: Mount, short_folder: Path, instead: str) -> None:
    """Its start reports to that log, so a group that is never started would be one without a word."""
    group = Group(short_folder / "conf", INI)
    log = group.config_dir / "log"
    if instead == "read-only disk":
        log.symlink_to(mount(*tmpfs("size=64k,ro")))
    elif instead == "a file for the folder":
        log.touch()
    else:
        (log / "torque.log").mkdir(parents=True)
    ended = group.command("--cron")
    assert ended.stderr.startswith(f"pyrotorque: the group is being started, but {log}/torque.log cannot be written: ")
    assert (ended.returncode, ended.stderr.count("\n")) == (0, 1)
    eventually(lambda: not processes_of(group) or group.supervisord_pid(), why="the start that it began has ended")
    group.stop()


@pytest.mark.parametrize("service", ["scheduler", "guardian"])
def test_a_service_that_cannot_start_is_named_with_its_cause(short_folder: Path, service: str) -> None:
    group = Group(short_folder / "conf", INI)
    (group.config_dir / "run" / f"{service}.requests").mkdir()
    code, line = start_fails(group)
    assert (code, line.count("did not start"), "the group was stopped again" in line) == (75, 1, True)
    assert line.startswith(f"pyrotorque: {service} did not start: cannot create the socket {group.config_dir}/run/")


def test_a_state_that_cannot_be_opened_is_named_though_its_service_runs_and_waits(short_folder: Path) -> None:
    group = Group(short_folder / "conf", INI)
    (group.config_dir / "state").mkdir(mode=0o700)
    (group.config_dir / "state" / "watcher.sqlite3").symlink_to("watcher.sqlite3")
    code, line = start_fails(group)
    assert (code, "watcher did not start: cannot open the state file" in line, "scheduler" in line) == (75, True, False)


def test_a_restart_keeps_the_services_that_answer(short_folder: Path) -> None:
    group = Group(short_folder / "conf", INI)
    try:
        assert group.command().returncode == 0
        pids = {name: group.pid(name) for name in SERVICES}
        database = group.config_dir / "state" / "exporter.sqlite3"
        for path in database.parent.glob("exporter.sqlite3*"):
            path.unlink()
        database.symlink_to(database.name)
        ended = group.command("--restart")
        assert (ended.returncode, "the other services run" in ended.stderr) == (75, True), ended.stderr
        assert "exporter did not start: cannot open the state file" in ended.stderr
        assert not set(pids.values()) & {group.pid(name) for name in SERVICES}
        assert group.states()["scheduler"] == "RUNNING"
    finally:
        group.command("--stop")
    assert processes_of(group) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("words", [(), ("--restart",)])
def test_an_interrupted_start_leaves_nothing(
    short_folder: Path, number: signal.Signals, words: tuple[str, ...]
) -> None:
    """At moments spread over the whole start; a start that had succeeded before the signal stays."""
    chance = Random(number)
    group = Group(short_folder / "conf", INI)
    command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(group.config_dir), *words]
    lock = group.config_dir / "state" / "group.lock"
    codes: list[int] = []
    for _ in range(3):
        lock.unlink(missing_ok=True)
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), start_new_session=True
        ) as starting:
            # From the moment that the group's lock is taken: before, nothing has begun.
            eventually(lambda: lock.exists() or starting.poll() is not None, timeout=60)
            time.sleep(chance.uniform(0.0, 1.0))
            starting.send_signal(number)
            output, errors = starting.communicate()
        codes.append(starting.returncode)
        assert b"Traceback" not in errors, errors
        if starting.returncode == 0 or b"has started" in output:
            assert group.command("--stop").returncode == 0
        assert_nothing_is_left(group)
    # CPython 3.11 ends by INT after an interruption in `exec` of a string (dataclasses), even if it was handled.
    assert set(codes) <= {0, 130, -number, -signal.SIGINT}


def test_an_interruption_that_is_repeated_leaves_nothing_either(short_folder: Path) -> None:
    group = Group(short_folder / "conf", INI)
    command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(group.config_dir)]
    lock = group.config_dir / "state" / "group.lock"
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(), start_new_session=True
    ) as starting:
        eventually(lambda: read_identity(lock) is not None, timeout=60)
        while starting.poll() is None:
            starting.send_signal(signal.SIGINT)
            starting.send_signal(signal.SIGTERM)
            time.sleep(0.01)
    # One that arrives after the command has undone its start ends it by the signal itself.
    assert starting.returncode in (130, -signal.SIGINT, -signal.SIGTERM)
    assert_nothing_is_left(group)
