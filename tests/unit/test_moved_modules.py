"""Modules that 1.0.0 starts by name or imports late still exist, so its wheel can be replaced under a running group.

Where such a module has moved, a shim stays at the old place. `SHIMS` lists all of them; they go with 2.0.
Names of 1.0.0 come from its wheel, or are written without `pyrotorque.` here: a tool that renames modules in this
checkout must not rename them.
"""

import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import REPOSITORY, environment
from tests.released import WHEEL, released_texts, unpack_released

SHIMS = {
    "jobs.child": "pyrotorque.workers.child",
    "jobs.probing": "pyrotorque.workers.trial",
}
"""What 1.0.0 calls `pyrotorque.KEY`, and the module that replaced it."""

# What the processes of a running 1.0.0 group have loaded when they enter their loop: modules of the service, and of the
# library.
_SERVICE = "configuration backwatch bus.beats"
LOADED = {
    "scheduler": ("pyrotorque_scheduler", "service", _SERVICE),
    "watcher": ("pyrotorque_watcher", "living", _SERVICE),
    "exporter": ("pyrotorque_exporter", "service", _SERVICE),
    "guardian": ("pyrotorque_guardian", "service guarding", _SERVICE),
    "worker of a job": ("pyrotorque", "jobs jobs.child", ""),
    "worker of custom fields": ("pyrotorque", "customfields customfields.child", ""),
    "--fg": ("pyrotorque_control", "foreground", "checks"),
}

# Documented for authors of jobs and of config.py.
DOCUMENTED = {
    "conditions": ("parse",),
    "customfields": ("field",),
    "errors": ("UserError",),
    "jobs": ("Job", "JobConfig", "UserError"),
}


def started_by_name() -> set[str]:
    """Started by supervisord from the programs.conf of 1.0.0, by its running services, by crontabs and the include."""
    return {name for text in released_texts() for name in re.findall(r'(?:"-m", "|\} -m )(pyrotorque[\w.]*)', text)}


def handlers() -> set[str]:
    """Classes of jobs in configurations."""
    return {name for text in released_texts() for name in re.findall(r"pyrotorque\.[\w.]+:[A-Z]\w+", text)}


def modules(process: str) -> Iterator[str]:
    package, own, shared = LOADED[process]
    yield from (f"{package}.{name}" for name in own.split())
    yield from (f"pyrotorque.{name}" for name in shared.split())


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_released(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def replaced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of this checkout in one folder, as in site-packages."""
    folder = tmp_path_factory.mktemp("replaced")
    for place in (REPOSITORY / "services", REPOSITORY / "shared"):
        for package in place.glob("pyrotorque*/"):
            (folder / package.name).symlink_to(package)
    return folder


@pytest.mark.skipif(not WHEEL.exists(), reason="the wheel of 1.0.0 is only in the repository")
def test_the_wheel_of_1_0_0_names_what_it_starts_and_its_handlers() -> None:
    assert len(started_by_name()) == 9
    assert len(handlers()) == 5


@pytest.mark.parametrize("module", sorted(started_by_name()))
def test_a_module_that_1_0_0_starts_by_name_can_be_started(module: str) -> None:
    words = ["--version"] if module == "pyrotorque_control" else []
    ended = subprocess.run(
        [sys.executable, "-P", "-m", module, *words],
        env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert not re.search("ImportError|ModuleNotFoundError|No module named", ended.stderr), ended.stderr
    # Without its arguments it complains: a shim that does nothing when it is started would not.
    assert words or ended.returncode != 0


@pytest.mark.parametrize("process", LOADED)
def test_late_imports_of_a_running_process_find_the_replaced_modules(
    process: str, released: Path, replaced: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.symlink_to(released)
    ended = subprocess.run(
        [sys.executable, "-P", str(REPOSITORY / "tests/late_imports.py"), str(site), str(replaced), *modules(process)],
        env=environment() | {"PYTHONPATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("handler", sorted(handlers()))
def test_handlers_in_configurations_of_1_0_0_are_found(handler: str) -> None:
    module, _, name = handler.partition(":")
    assert isinstance(getattr(importlib.import_module(module), name), type)


@pytest.mark.parametrize(("module", "name"), [(module, name) for module in DOCUMENTED for name in DOCUMENTED[module]])
def test_documented_imports_stay_valid(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(f"pyrotorque.{module}"), name)


def test_each_shim_names_its_successor_and_its_end() -> None:
    for old, new in SHIMS.items():
        spec = importlib.util.find_spec(f"pyrotorque.{old}")
        assert spec is not None, old
        assert spec.origin is not None, old
        source = Path(spec.origin).read_text()
        assert new in source, old
        assert "remove with 2.0" in source, old
