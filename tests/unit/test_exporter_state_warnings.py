"""A state that cannot be written is reported when that begins, and once a minute: not at each try."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from pyrotorque.errors import StateError
from pyrotorque_exporter.service import Exporter
from pyrotorque_exporter.state_warnings import EVERY, StateWarnings


def test_each_error_is_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    warnings = StateWarnings(lambda: now[0])
    for second in range(int(2 * EVERY)):
        now[0] = float(second)
        warnings.warn(StateError("disk I/O error"))
        warnings.warn(StateError("the disk is full"))
    assert [record.message for record in caplog.records] == ["disk I/O error", "the disk is full"] * 2


def test_texts_that_differ_each_time_take_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    warnings = StateWarnings(lambda: 0.0)
    for number in range(1000):
        warnings.warn(StateError(f"error {number}"))
    assert len(caplog.records) == 1000
    assert len(vars(warnings)["_next"]) <= 100


def test_the_exporter_reports_both_of_its_writes_so(caplog: pytest.LogCaptureFixture) -> None:
    exporter: Any = Exporter.__new__(Exporter)
    error = StateError("disk I/O error")
    exporter._state = SimpleNamespace(save_totals=Mock(side_effect=error), save_tracker_traffic=Mock(side_effect=error))
    exporter._trackers = Mock()
    exporter._unsaved_totals = {"watcher": Mock()}
    exporter._warnings = StateWarnings(lambda: 0.0)
    for _ in range(5):
        exporter.save()
    assert exporter._state.save_totals.call_count == 5, "it is tried again each time"
    assert [record.message for record in caplog.records] == ["disk I/O error"]
