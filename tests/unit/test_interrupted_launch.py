"""A start that is interrupted by several signals in one moment undoes what it has begun, before it ends."""

import ctypes
import os
import signal
from pathlib import Path

import pytest

from pyrotorque.layout import Layout
from pyrotorque.supervisord import launch

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("numbers", [SIGNALS[:1], SIGNALS[:2], SIGNALS[1:], SIGNALS])
def test_signals_in_one_moment_do_not_prevent_the_undoing(
    numbers: tuple[signal.Signals, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undone: list[Layout] = []

    def note(layout: Layout, _pid_file: Path) -> None:
        undone.append(layout)

    monkeypatch.setattr(launch, "_end_started", note)
    layout = Layout.below(tmp_path)
    before = [signal.getsignal(number) for number in SIGNALS]
    libc = ctypes.PyDLL(None)

    def interrupted() -> None:
        with launch._undone_on_failure(layout, tmp_path / "pid"):  # pyright: ignore[reportPrivateUsage]
            # In one step of the interpreter, which `os.kill` is not.
            list(map(libc.kill, [os.getpid()] * len(numbers), numbers))

    # The exception is kept: with it Python keeps the block, which is undone at the latest when both are freed.
    with pytest.raises(KeyboardInterrupt) as error:
        interrupted()
    assert (undone, error.type) == ([layout], KeyboardInterrupt)
    assert [signal.getsignal(number) for number in SIGNALS] == before
