"""Fixtures for all tests: a private or a shared rTorrent, each test with each version in turn."""

import os
import re
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import hypothesis
import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque import logs
from pyrotorque.layout import Layout
from pyrotorque.owner_events import BurstFolding
from pyrotorque.store import Store
from tests import programs

_PROGRAM = "rtorrent_program"
_VERSIONS = {
    _PROGRAM: programs.rtorrents,
    "prometheus_program": programs.prometheuses,
    "nats_program": programs.nats_servers,
}

# The time limit of an example says nothing on a busy machine. The examples are the same in each run, so that a change
# fails by what it changes; `make explore` makes new ones.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("explore", deadline=None, print_blob=True)
hypothesis.settings.load_profile("steady")


class _ReportsByTest:
    """pytest-xdist reports a test of a group as `name@group`; this removes the group.

    `--last-failed` finds no test by that name, and then runs all tests.
    """

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        report.nodeid = re.sub(r"@[^\]:/]*$", "", report.nodeid)


def pytest_configure(config: pytest.Config) -> None:
    """A shell's background job ignores Ctrl-C, and its children would inherit that: tests that press it would wait.

    The tests start thousands of processes. Without cached bytecode each would compile all its modules.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_ReportsByTest())


def pytest_collection_finish(session: pytest.Session) -> None:
    """`--last-failed` runs only what failed: an hour of other tests would exceed the time of CI."""
    cache = getattr(session.config, "cache", None)  # there is none with -p no:cacheprovider
    failed = cache.get("cache/lastfailed", {}) if cache else {}
    is_repeat = session.config.getoption("lf", default=False) and failed
    if is_repeat and not {item.nodeid for item in session.items} <= failed.keys():
        pytest.exit(f"these failed, and are no test by that name: {', '.join(failed)}", pytest.ExitCode.TESTS_FAILED)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that needs one of these programs once with each version, which is then part of its id."""
    for name, versions in _VERSIONS.items():
        if name in metafunc.fixturenames:
            ids = [program.version for program in versions()]
            metafunc.parametrize(name, versions(), ids=ids, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unneeded: set[pytest.Item] = set()
    for item in items:
        if not isinstance(item, pytest.Function) or _PROGRAM not in item.fixturenames:
            continue
        item.add_marker(pytest.mark.rtorrent)
        if not _runs_with(item):
            unneeded.add(item)
    if unneeded:
        config.hook.pytest_deselected(items=list(unneeded))
        items[:] = [item for item in items if item not in unneeded]


def _runs_with(item: pytest.Function) -> bool:
    """Whether a test is true for this version; of several programs, only all the oldest and all the newer ones run."""
    params = item.callspec.params
    rtorrent = params[_PROGRAM]
    assert isinstance(rtorrent, programs.Program)
    if len({params[name] is versions()[0] for name, versions in _VERSIONS.items() if name in params}) > 1:
        return False
    if item.get_closest_marker("one_rtorrent") and rtorrent is not _VERSIONS[_PROGRAM]()[-1]:
        return False
    requirements = [mark.args[0] for mark in item.iter_markers("rtorrent_version")]
    possible = [each for each in _VERSIONS[_PROGRAM]() if all(each.satisfies(wanted) for wanted in requirements)]
    if item.get_closest_marker("either_rtorrent"):
        return rtorrent is possible[_number(item, rtorrent) % len(possible)] if possible else False
    return rtorrent in possible


def _number(item: pytest.Function, rtorrent: programs.Program) -> int:
    """The same for each version of a test, and as good as random between tests."""
    return crc32(item.nodeid.replace(rtorrent.version, "").encode())


@pytest.fixture(scope="session")
def rtorrent_program(request: pytest.FixtureRequest) -> Iterator[programs.Program]:
    """The rTorrent of this test."""
    with programs.first_on_path(request.param) as program:
        yield program


@pytest.fixture(scope="session")
def prometheus_program(request: pytest.FixtureRequest) -> Iterator[programs.Program]:
    """The Prometheus and the promtool of this test."""
    with programs.first_on_path(request.param) as program:
        yield program


@pytest.fixture(scope="session")
def nats_program(request: pytest.FixtureRequest) -> programs.Program:
    """The nats-server of this test."""
    program: programs.Program = request.param
    return program


@pytest.fixture(autouse=True)
def no_rtorrent_of_unknown_version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that starts an rTorrent without the fixture `rtorrent_program` fails: it would run with one version."""

    def refuse(_: PrivateRTorrent) -> PrivateRTorrent:
        raise AssertionError("this test starts an rTorrent: use the fixture rtorrent_program")

    if _PROGRAM not in request.fixturenames:
        monkeypatch.setattr(PrivateRTorrent, "start", refuse)


@pytest.fixture(autouse=True)
def no_owners_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test configured as the owner's log is no other's."""
    monkeypatch.setattr(logs, "_owners", {})
    monkeypatch.setattr(logs, "_folding", BurstFolding())


@pytest.fixture(autouse=True)
def closed_stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each store that a test opens is closed after it; Python 3.13 and later report one that is collected unclosed.

    Its lock is not released earlier than the test does it: a test that opens a file again closes the store first.
    """
    opened: list[Store] = []
    initialise = Store.__init__

    def remember(store: Store, *arguments: Any, **named: Any) -> None:
        initialise(store, *arguments, **named)
        opened.append(store)

    monkeypatch.setattr(Store, "__init__", remember)
    yield
    for store in opened:
        with suppress(sqlite3.ProgrammingError):  # a thread that opened one closes it itself
            store.close()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder whose path leaves room for the names of unix sockets, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="prt-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def layout(short_folder: Path) -> Layout:
    """A configuration directory that has all its folders."""
    found = Layout.below(short_folder)
    found.prepare()
    return found


@pytest.fixture
def rtorrent(rtorrent_program: programs.Program, short_folder: Path) -> Iterator[PrivateRTorrent]:
    """A fresh rTorrent that belongs to one test."""
    running = PrivateRTorrent(short_folder / "rt").start()
    yield running
    running.kill()


@pytest.fixture(scope="session")
def shared_rtorrent(rtorrent_program: programs.Program) -> Iterator[PrivateRTorrent]:
    """One rTorrent of each version for all tests that tolerate the items of other tests in it."""
    with tempfile.TemporaryDirectory(prefix="prt-", ignore_cleanup_errors=True) as folder:
        running = PrivateRTorrent(Path(folder) / "rt").start()
        yield running
        running.kill()
