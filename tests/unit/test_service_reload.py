"""A service adopts a valid configuration with its log level, and keeps the current one when the new one is broken."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyrotorque import configuration, logs
from pyrotorque.options import Options
from pyrotorque.service.reload import ConfigurationReloader
from pyrotorque.settings import layout_of

GOOD = "[TORQUE]\nscgi_url = scgi:///nowhere/rt.sock\nlog_level = ERROR\n"
BETTER = GOOD.replace("ERROR", "DEBUG")
BROKEN = GOOD + "job.queue.downloading_mx = 3\n"


@dataclass
class SignalledLife:
    """A lifecycle that got SIGHUP once."""

    reload: bool = True

    def take_reload(self) -> bool:
        taken, self.reload = self.reload, False
        return taken

    def step(self, _name: str, _deadline: float) -> Any:
        return contextlib.nullcontext()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "torque.ini").write_text(GOOD)
    layout_of(tmp_path).prepare()
    return tmp_path


@pytest.fixture
def reloader(home: Path) -> Iterator[ConfigurationReloader]:
    found = configuration.read(home, Options())
    configuration.adopt(found)
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    logs.configure(found.settings.log_level, "exporter", found.layout)
    yield ConfigurationReloader(found)
    root.handlers[:] = handlers
    root.setLevel(level)


def polled(reloader: ConfigurationReloader, *, hup: bool) -> configuration.Configuration | None:
    life: Any = SignalledLife(hup)
    return reloader.poll(life)


def test_a_hup_loads_the_files_and_their_log_level(home: Path, reloader: ConfigurationReloader) -> None:
    (home / "torque.ini").write_text(BETTER)
    found = polled(reloader, hup=True)
    assert found is reloader.current
    assert logging.getLogger().level == logging.DEBUG
    assert polled(reloader, hup=False) is None


def test_the_groups_configuration_is_loaded_with_its_log_level(home: Path, reloader: ConfigurationReloader) -> None:
    before = reloader.digest()
    (home / "torque.ini").write_text(BETTER)
    configuration.adopt(configuration.read(home, Options()))
    assert polled(reloader, hup=False) is not None
    assert logging.getLogger().level == logging.DEBUG
    assert reloader.digest() != before


def test_a_broken_configuration_changes_nothing_and_both_logs_say_why(
    home: Path, reloader: ConfigurationReloader, caplog: pytest.LogCaptureFixture
) -> None:
    before = reloader.current
    (home / "torque.ini").write_text(BROKEN)
    assert polled(reloader, hup=True) is None
    assert reloader.current is before
    owners = (before.layout.log_dir / logs.OWNERS_LOG).read_text()
    for text in (caplog.text, owners):
        assert "downloading_mx" in text
        assert "the previous one stays in force" in text
