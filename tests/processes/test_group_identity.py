"""A group keeps running, and is found and stopped as itself, when its run folder is swept or supervisord hangs."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from demo.group import SERVICES, Group
from pyrotorque.group_lock import read_identity
from pyrotorque.interpreter import module_command
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import running_process
from pyrotorque.options import read_options
from pyrotorque.stored_configuration import last_good
from pyrotorque.supervisord import Supervisord
from pyrotorque.supervisord.config import programs_file, stub
from tests.waiting import eventually, remove_tree

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("group_identity")]

TORQUE = "[TORQUE]\nscgi_url = scgi:///nowhere/rt.sock\njob.queue.active = True\n"


class IdentifiedGroup(Group):
    """With `run_dir` elsewhere if `run` is given."""

    def __init__(self, folder: Path, run: Path | None = None) -> None:
        super().__init__(folder, TORQUE + (f"run_dir = {run}\n" if run else ""))
        self.layout = Layout.below(folder, run_dir=run)

    def supervisord_pid(self) -> int | None:
        found = read_identity(self.layout.group_lock)
        return found.pid if found and found.process.is_running() else None

    def answers(self) -> bool:
        return Supervisord(self.layout.supervisor_socket).listens() and self.running()


@pytest.fixture
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pt-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def made(short: Path) -> Iterator[Callable[..., IdentifiedGroup]]:
    groups: list[IdentifiedGroup] = []

    def make(name: str, run: Path | None = None) -> IdentifiedGroup:
        groups.append(IdentifiedGroup(short / name, run))
        return groups[-1]

    yield make
    for group in groups:
        group.stop()


def _remove(folder: Path) -> None:
    # Services may create a socket meanwhile.
    shutil.rmtree(folder, ignore_errors=True)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _age_out(folder: Path) -> None:
    """As systemd-tmpfiles: regular files that were not used for days, not sockets."""
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in the configuration directory", "run_dir elsewhere"])
@pytest.mark.parametrize("sweep", [_remove, _empty, _age_out], ids=["removed", "emptied", "old files only"])
def test_a_swept_run_folder_neither_stops_nor_doubles_the_group(
    made: Callable[..., IdentifiedGroup], short: Path, sweep: Callable[[Path], None], elsewhere: bool
) -> None:
    group = made("c", short / "run" if elsewhere else None)
    group.start()
    pid = group.supervisord_pid()
    assert pid is not None
    assert group.command("-n", "--restart").returncode == 0, "the options are lasting as well"
    sweep(group.layout.run_dir)
    assert group.command("--status").stdout.startswith(f"pyrotorque is running, pid {pid}, ")
    assert group.command("--cron").returncode == 0
    assert f"already running, pid {pid}" in group.command().stderr
    eventually(lambda: group.layout.supervisor_socket.exists() and group.layout.pid_file.exists(), 30)
    eventually(group.answers, 60)
    assert group.supervisord_pid() == pid
    assert group.layout.guard_file.exists()
    assert '"dry_run": true' in (group.layout.state_dir / "configuration.json").read_text()
    assert '"dry_run":true' in group.layout.options_file.read_text()
    assert group.command("--stop").returncode == 0
    assert group.supervisord_pid() is None


@pytest.mark.parametrize("sweep", ["socket", "socket and pid file", "pid file"])
def test_what_was_removed_of_supervisord_is_put_back(made: Callable[..., IdentifiedGroup], sweep: str) -> None:
    group = made("c")
    group.start()
    pid = group.supervisord_pid()
    if "socket" in sweep:
        group.layout.supervisor_socket.unlink()
    if "pid file" in sweep:
        group.layout.pid_file.unlink()
    eventually(lambda: group.layout.supervisor_socket.exists() and group.layout.pid_file.exists(), 30)
    eventually(group.answers, 60)
    assert group.supervisord_pid() == pid


@pytest.mark.parametrize("swept", ["process table", "run folder"])
def test_a_restart_right_after_a_sweep_works_and_stays_guarded(
    made: Callable[..., IdentifiedGroup], swept: str
) -> None:
    group = made("c")
    group.start()
    if swept == "process table":
        programs_file(group.layout).unlink()
    else:
        _remove(group.layout.run_dir)
    restarted = group.command("--restart")
    assert (restarted.returncode, restarted.stdout) == (0, "pyrotorque has restarted\n"), restarted.stderr
    assert "--guard-file" in programs_file(group.layout).read_text()
    group.layout.guard_file.unlink()
    eventually(lambda: group.supervisord_pid() is None, 60)


def replaced(group: IdentifiedGroup) -> int:
    """The exit code of what the guardian starts to replace a supervisord that hangs."""
    command = module_command("pyrotorque.supervisord.relaunch", str(group.layout.config_dir))
    return subprocess.run(command, check=False, cwd="/").returncode


def test_the_replacement_of_a_hung_supervisord_after_a_sweep_is_guarded(made: Callable[..., IdentifiedGroup]) -> None:
    group = made("c")
    group.start()
    before = group.supervisord_pid()
    # Else it may put the file back first.
    os.kill(group.pid("guardian"), signal.SIGSTOP)
    _remove(group.layout.run_dir)
    assert replaced(group) == 0
    assert group.supervisord_pid() not in (None, before)
    assert group.layout.guard_file.exists()
    assert "--guard-file" in programs_file(group.layout).read_text()


def test_a_hung_group_comes_back_as_it_was_started_although_its_files_were_emptied(
    made: Callable[..., IdentifiedGroup], short: Path
) -> None:
    group = made("c", short / "run")
    torque = group.config_dir / "torque.ini"
    torque.write_text(f"{torque.read_text()}state_dir = {short / 'state'}\n")
    group.layout = Layout.below(group.config_dir, run_dir=short / "run", state_dir=short / "state")
    assert group.command("-n").returncode == 0
    before, table = group.supervisord_pid(), programs_file(group.layout).read_text()
    assert before is not None
    torque.write_text("")

    def is_replaced() -> bool:
        """The guardian continues it first, and replaces it 30 s later."""
        with suppress(ProcessLookupError):
            os.kill(before, signal.SIGSTOP)
        return group.supervisord_pid() not in (None, before)

    eventually(is_replaced, 120)
    eventually(group.answers, 60)
    assert programs_file(group.layout).read_text() == table, "the folders, the services, the umask"
    assert not (group.config_dir / "state").exists()
    settings = last_good(group.layout)
    assert settings is not None
    assert settings.dry_run
    assert "queue" in [job.name for job in settings.jobs if job.active]
    assert read_options(group.layout).dry_run


def test_a_hung_group_runs_on_while_its_supervisor_conf_is_broken(made: Callable[..., IdentifiedGroup]) -> None:
    group = made("c")
    conf = group.config_dir / "supervisor.conf"
    conf.write_text(stub(group.layout))
    group.start()
    before = group.supervisord_pid()
    conf.write_text(stub(group.layout) + "[program:y]\n")
    assert replaced(group) == 1
    assert group.supervisord_pid() == before
    assert "supervisord hangs, and is not replaced, because it could not start again: supervisor.conf:" in group.log(
        "torque"
    )
    conf.write_text(stub(group.layout))
    assert replaced(group) == 0
    assert group.supervisord_pid() not in (None, before)


def test_a_hung_group_without_its_guard_file_is_not_started_again(made: Callable[..., IdentifiedGroup]) -> None:
    group = made("c")
    group.start()
    group.layout.guard_file.unlink()
    assert replaced(group) == 0
    assert group.supervisord_pid() is None


def test_a_restart_after_only_the_guard_file_was_removed_is_refused_and_the_group_stops(
    made: Callable[..., IdentifiedGroup],
) -> None:
    group = made("c")
    group.start()
    table = programs_file(group.layout).read_text()
    group.layout.guard_file.unlink()
    refused = group.command("--restart")
    # The guardian may have stopped the group before the command looked at it, which then starts no other one.
    assert refused.returncode == 75, refused.stdout
    assert f"the guard file {group.layout.guard_file} is missing" in refused.stderr
    assert not programs_file(group.layout).exists() or programs_file(group.layout).read_text() == table
    eventually(lambda: group.supervisord_pid() is None, 60)


@pytest.mark.parametrize("removed", ["group.lock", "watcher.sqlite3", "all"])
def test_what_was_removed_of_the_state_is_there_again(made: Callable[..., IdentifiedGroup], removed: str) -> None:
    group = made("c")
    group.start()
    state, pid, watcher = group.layout.state_dir, group.supervisord_pid(), group.pid("watcher")
    if removed == "all":
        remove_tree(state)
    else:
        (state / removed).unlink()
    names = ("group.lock", "watcher.sqlite3", "scheduler.sqlite3", "options.json")
    eventually(lambda: all((state / name).exists() for name in names), 60)
    if removed != "group.lock":
        eventually(lambda: group.pid("watcher") not in (0, watcher), 60)
    eventually(group.answers, 60)
    eventually(lambda: group.command("status").returncode == 0, 60)
    assert group.supervisord_pid() == pid
    assert group.command().returncode == 75, "a second one is refused"
    assert group.command("--stop").returncode == 0


@pytest.mark.parametrize("service", ["exporter", "scheduler", "watcher"])
def test_a_database_that_was_removed_before_the_guardian_looked_is_there_again(
    made: Callable[..., IdentifiedGroup], service: str
) -> None:
    group = made("c")
    group.start()
    guardian, process = group.pid("guardian"), group.pid(service)
    os.kill(guardian, signal.SIGKILL)
    group.layout.database(service).unlink()
    eventually(group.layout.database(service).exists, 60)
    assert guardian != group.pid("guardian")
    eventually(lambda: group.pid(service) not in (0, process), 60)
    eventually(group.answers, 60)


@pytest.mark.parametrize("guardian", ["runs", "is killed after a restart"])
@pytest.mark.parametrize("which", ["new", "earlier"])
def test_either_guard_file_stops_an_upgraded_group(
    made: Callable[..., IdentifiedGroup], short: Path, which: str, guardian: str
) -> None:
    group = made("c", short / "run")
    group.layout.guard_file.unlink()
    (short / "run").mkdir(mode=0o700)
    group.layout.earlier_guard_file.touch()
    group.start()
    assert group.layout.guard_file.exists(), "adopted"
    if guardian != "runs":
        restarted = group.command("--restart")
        assert restarted.returncode == 0, restarted.stderr
    pid, killed = group.supervisord_pid(), group.pid("guardian")
    {"new": group.layout.guard_file, "earlier": group.layout.earlier_guard_file}[which].unlink()
    if guardian != "runs":
        os.kill(killed, signal.SIGKILL)
    eventually(lambda: group.supervisord_pid() is None, 20)
    assert pid is not None
    assert not group.layout.guard_file.exists()
    assert not group.layout.earlier_guard_file.exists()
    assert group.command("--cron").returncode == 75


@pytest.mark.parametrize("words", [("--stop",), ("--restart",)], ids=["stop", "restart"])
def test_a_supervisord_that_was_stopped_is_ended_with_its_services(
    made: Callable[..., IdentifiedGroup], words: tuple[str, ...]
) -> None:
    group, other = made("c"), made("d")
    group.start()
    other.begin()
    pid, others = group.supervisord_pid(), other.supervisord_pid()
    assert pid is not None
    services = [running_process(group.pid(name)) for name in SERVICES]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert group.command("--status").returncode == 0
        ended = group.command(*words)
        assert ended.returncode == 0, ended.stderr
        assert not any(service.is_running() for service in services if service)
        assert other.supervisord_pid() == others, "another group was ended"
        assert (group.supervisord_pid() is None) == (words == ("--stop",))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_two_groups_with_one_run_folder_or_one_state_folder_stay_apart(
    made: Callable[..., IdentifiedGroup], short: Path
) -> None:
    first, second = made("c", short / "run"), made("d", short / "run")
    first.begin()
    ended = second.command()
    assert ended.returncode == 75
    assert f"belongs to another group and uses the same run folder {short}/run: set another run_dir" in ended.stderr
    assert second.command("--status").returncode == 69
    assert second.command("--stop").returncode == 69
    third = made("e")
    (short / "e" / "torque.ini").write_text(TORQUE + f"state_dir = {first.layout.state_dir}\n")
    ended = third.command()
    assert ended.returncode == 75
    assert "uses the same state folder" in ended.stderr
    assert third.command("--stop").returncode == 69
    assert first.supervisord_pid() is not None


def test_a_second_start_at_the_same_moment_is_refused(made: Callable[..., IdentifiedGroup]) -> None:
    group = made("c")
    command = [*_command(group)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ends = [(process.communicate()[1], process.returncode) for process in running]
    assert sorted(code for _, code in ends) == [0, 75, 75], ends


def _command(group: Group) -> list[str]:
    import sys

    return [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(group.config_dir)]
