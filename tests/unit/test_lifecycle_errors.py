"""How a service ends or waits when something is wrong: exit codes, lines, and a full disk that passes."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyrotorque.errors import AlreadyRunning, LayoutError, PyrotorqueError, SettingsError, StateError
from pyrotorque.layout import Layout
from pyrotorque.outbox import Outbox
from pyrotorque.service import lifecycle
from pyrotorque.service.lifecycle import Lifecycle, ServiceStart, exit_code, running, service_main
from tests.waiting import bound

INI = "[TORQUE]\nscgi_url = scgi:///nowhere/rtorrent.sock\n"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:], logging.raiseExceptions = handlers, raises
    root.setLevel(level)


@pytest.fixture
def config_dir(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (short_folder / "torque.ini").write_text(INI)
    monkeypatch.setattr(sys, "argv", ["pyrotorque_watcher", "--config-dir", str(short_folder)])
    monkeypatch.setattr(lifecycle, "_RETRY_STATE_AFTER", 0.02)
    return short_folder


def raising(error: Exception) -> Callable[[ServiceStart], int]:
    def run(_start: ServiceStart) -> int:
        raise error

    return run


def test_a_service_is_started_with_its_configuration(config_dir: Path) -> None:
    started: list[ServiceStart] = []

    def run(start: ServiceStart) -> int:
        started.append(start)
        return 0

    assert service_main("watcher", run) == 0
    (start,) = started
    assert (start.service, start.layout.config_dir) == ("watcher", config_dir)
    assert start.settings.rtorrent.url == "scgi:///nowhere/rtorrent.sock"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("torque.ini:3: no such key"), 78),
        (LayoutError("the socket path is too long"), 78),
        (AlreadyRunning("watcher runs already"), 75),
        (PyrotorqueError("something else"), 70),
    ],
    ids=["settings", "layout", "already running", "another"],
)
def test_errors_for_a_person_are_lines_and_exit_codes(
    config_dir: Path, capsys: pytest.CaptureFixture[str], error: PyrotorqueError, code: int
) -> None:
    assert service_main("watcher", raising(error)) == code == exit_code(error)
    said = capsys.readouterr().out
    assert str(error) in said
    assert "Traceback" not in said
    assert str(error) in (config_dir / "log" / "torque.log").read_text()


def test_a_bug_is_logged_with_its_traceback(config_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert service_main("watcher", raising(ZeroDivisionError("oops"))) == 70
    said = capsys.readouterr().out
    assert "ZeroDivisionError: oops" in said
    assert "unexpected error, please report it" in said


def test_a_full_disk_is_waited_for_and_said_once(config_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tries: list[int] = []

    def run(start: ServiceStart) -> int:
        tries.append(len(tries))
        if len(tries) < 5:
            raise StateError("disk is full" if len(tries) < 4 else "disk is read-only")
        with running("watcher", start.layout, config_digest=lambda: "", outbox=None):
            return 0

    assert service_main("watcher", run) == 0
    assert len(tries) == 5
    said = capsys.readouterr().out
    assert (said.count("disk is full"), said.count("disk is read-only")) == (1, 1)


def test_an_error_that_returns_after_a_minute_of_work_is_logged_again(
    config_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_REPEAT_AFTER", -1.0)
    errors: list[Exception] = [StateError("disk is full"), StateError("disk is full")]

    def run(_start: ServiceStart) -> int:
        if errors:
            raise errors.pop()
        return 0

    assert service_main("watcher", run) == 0
    assert capsys.readouterr().out.count("disk is full") == 2


def test_a_service_that_waits_for_its_disk_stops_on_request(config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_RETRY_STATE_AFTER", 0.5)

    def run(_start: ServiceStart) -> int:
        # TERM comes while it waits: the kernel delivers it as soon as the handler is there.
        monkeypatch.setattr(lifecycle, "running", stopped_at_once)
        raise StateError("disk is full")

    assert service_main("watcher", run) == 0


def test_term_before_there_is_a_loop_is_as_good_an_end_as_later(short_folder: Path) -> None:
    (short_folder / "torque.ini").write_text(INI)
    code = """if True:
        import time
        from pyrotorque.service.lifecycle import service_main
        def work(start):
            print("no loop yet", flush=True)
            while True:
                time.sleep(0.01)  # a signal right before one long sleep is handled after it
        service_main("watcher", work)
    """
    with subprocess.Popen(
        [sys.executable, "-c", code, "--config-dir", str(short_folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    ) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == b"no loop yet\n"
        service.terminate()
        assert service.wait(bound(1.0)) == 0


@contextmanager
def stopped_at_once(
    service: str, layout: Layout, *, config_digest: Callable[[], str], outbox: Outbox | None
) -> Generator[Lifecycle]:
    with running(service, layout, config_digest=config_digest, outbox=outbox) as life:
        os.kill(os.getpid(), signal.SIGTERM)
        yield life


def test_without_any_configuration_it_logs_that_and_exits_with_78(
    config_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (config_dir / "torque.ini").unlink()
    assert service_main("watcher", raising(AssertionError("never"))) == 78
    assert "pyrotorque init" in capsys.readouterr().out
