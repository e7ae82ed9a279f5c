"""Fixtures for all tests: a private or a shared rTorrent, each test with each version in turn."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque import logs
from pyrotorque.layout import Layout
from tests import rtorrents

_PROGRAM = "rtorrent_program"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that needs a real rTorrent once with each version, which is then part of its id."""
    if _PROGRAM not in metafunc.fixturenames:
        return
    programs = rtorrents.programs()
    metafunc.parametrize(
        _PROGRAM, programs, ids=[program.version for program in programs], indirect=True, scope="session"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unneeded: list[pytest.Item] = []
    for item in items:
        if not isinstance(item, pytest.Function) or _PROGRAM not in item.fixturenames:
            continue
        item.add_marker(pytest.mark.rtorrent)
        program = item.callspec.params[_PROGRAM]
        assert isinstance(program, rtorrents.Program)
        if not all(program.satisfies(mark.args[0]) for mark in item.iter_markers("rtorrent_version")):
            unneeded.append(item)
    if unneeded:
        config.hook.pytest_deselected(items=unneeded)
        items[:] = [item for item in items if item not in set(unneeded)]


@pytest.fixture(scope="session")
def rtorrent_program(request: pytest.FixtureRequest) -> Iterator[rtorrents.Program]:
    """The rTorrent that this test and all its child processes start, as it is the first one on the PATH."""
    program: rtorrents.Program = request.param
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{program.path.parent}{os.pathsep}{before}"
    yield program
    os.environ["PATH"] = before


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
def rtorrent(rtorrent_program: rtorrents.Program, short_folder: Path) -> Iterator[PrivateRTorrent]:
    """A fresh rTorrent that belongs to one test."""
    running = PrivateRTorrent(short_folder / "rt").start()
    yield running
    running.kill()


@pytest.fixture(scope="session")
def shared_rtorrent(rtorrent_program: rtorrents.Program) -> Iterator[PrivateRTorrent]:
    """One rTorrent of each version for all tests that tolerate the items of other tests in it."""
    with tempfile.TemporaryDirectory(prefix="prt-", ignore_cleanup_errors=True) as folder:
        running = PrivateRTorrent(Path(folder) / "rt").start()
        yield running
        running.kill()
