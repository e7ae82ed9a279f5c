"""A check of supervisor.conf that a signal ends says nothing about the file."""

import logging
import sys

import pytest

from pyrotorque.layout import Layout
from pyrotorque.options import Options
from pyrotorque.supervisord import validation
from pyrotorque.supervisord.config import write_programs
from pyrotorque.supervisord.validation import CheckInterrupted, require_conf
from pyrotorque_guardian.run_files import Restorer, RunFiles


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_an_interrupted_check_is_no_problem_and_no_warning(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    code = f"import os, signal; signal.signal(signal.{name}, signal.SIG_DFL); os.kill(os.getpid(), signal.{name})"

    def ending(_module: str) -> list[str]:
        return [sys.executable, "-c", code]

    write_programs(layout, Options(), guard_files=())
    monkeypatch.setattr(validation, "module_command", ending)
    with pytest.raises(CheckInterrupted, match="was interrupted: try again"):
        require_conf(layout)
    restarts: list[str] = []
    files = RunFiles(layout, None, {})
    with caplog.at_level(logging.WARNING):
        Restorer(files, lambda: require_conf(layout), lambda: restarts.append("restarted")).restore()
    assert (restarts, caplog.messages) == ([], [])
