"""A home whose path is too long for sockets: `init`, `check` and a start agree, and their advice can be followed."""

from pathlib import Path

import pytest

from pyrotorque.layout import Layout
from pyrotorque.socket_paths import longest_socket, too_long
from tests.commanding import NOWHERE, Command

MAX = 107


def home_with(folder: Path, size: int) -> Path:
    """A folder whose longest socket has a path of `size` bytes."""
    left = size - len(longest_socket(folder / "run").encode())
    parts = ["x" * 99] * (left // 100)
    return folder.joinpath(*parts, "x" * (left % 100 - 1))


@pytest.mark.parametrize("size", [MAX, MAX + 1, 300])
def test_the_limit_counts_bytes(short_folder: Path, size: int) -> None:
    home = home_with(short_folder, size)
    assert len(longest_socket(home / "run")) == size
    assert bool(too_long(home / "run")) is (size > MAX)


def test_a_path_of_umlauts_is_longer_than_its_characters(short_folder: Path) -> None:
    run_dir = short_folder / ("ü" * 40) / "run"
    assert len(longest_socket(run_dir)) < MAX
    assert too_long(run_dir)


def test_check_and_a_start_refuse_a_path_that_is_too_long(
    short_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pyrotorque = Command(home_with(short_folder, MAX + 1), capsys)
    pyrotorque.home.mkdir(parents=True)
    pyrotorque.configured(f"[TORQUE]\n{NOWHERE}")
    for words in (["check"], []):
        ended = pyrotorque(*words)
        assert ended.code == 78, words
        assert "has 108 bytes, the kernel allows 107" in ended.err
        assert f"set run_dir in [TORQUE] of {pyrotorque.home}/torque.ini" in ended.err


def test_check_accepts_the_longest_path_that_works(short_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pyrotorque = Command(home_with(short_folder, MAX), capsys)
    pyrotorque.home.mkdir(parents=True)
    assert pyrotorque.configured(f"[TORQUE]\n{NOWHERE}")("check").code == 0
    Layout.below(pyrotorque.home).prepare()


def test_the_advice_of_init_can_be_followed(short_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pyrotorque = Command(home_with(short_folder, 200), capsys)
    first = pyrotorque("init")
    assert first.code == 78
    torque = pyrotorque.home / "torque.ini"
    assert f"set run_dir in [TORQUE] of {torque}" in first.err
    torque.write_text(torque.read_text() + f"run_dir = {short_folder}/run\n{NOWHERE}")
    second = pyrotorque("init")
    assert second.code == 0, second.err
    assert (pyrotorque.home / "run" / "pyrotorque").exists()
    assert pyrotorque("check").code == 0
