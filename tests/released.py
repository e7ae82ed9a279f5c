"""The wheel of 1.0.0, which every later version must be able to replace under a running group."""

import zipfile
from pathlib import Path

import pytest

from demo.group import REPOSITORY

WHEEL = REPOSITORY / "tests" / "data" / "pyrotorque-1.0.0-py3-none-any.whl"


def released_texts() -> list[str]:
    """Its modules, configuration files and documentation; none where the wheel is absent, as in an unpacked sdist."""
    if not WHEEL.exists():
        return []
    with zipfile.ZipFile(WHEEL) as wheel:
        names = [name for name in wheel.namelist() if name.endswith((".py", ".md", ".ini", ".conf"))]
        return [wheel.read(name).decode() for name in names]


def unpack_released(folder: Path) -> Path:
    """The packages of 1.0.0 below `folder`; skips the test where the wheel is absent."""
    if not WHEEL.exists():
        pytest.skip(f"{WHEEL.name} is only in the repository, not in the sdist")
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(folder)
    return folder
