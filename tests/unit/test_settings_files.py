"""Whatever is at the name of a file of settings: it is read, or an error, and never waited for."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrotorque import configuration
from pyrotorque.layout import Layout
from pyrotorque.linux.files import read_text_file
from pyrotorque.options import Options
from pyrotorque.settings import Report, SettingsProblems
from pyrotorque.supervisord.validation import check_conf


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _link_to_a_pipe(path: Path) -> None:
    os.mkfifo(f"{path}.pipe")
    path.symlink_to(f"{path}.pipe")


ODD: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": _socket,
    "folder": Path.mkdir,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "huge": _large,
    "link to itself": lambda path: path.symlink_to(path),
    "link to a pipe": _link_to_a_pipe,
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["torque.ini", "config.ini"])
def test_what_is_no_file_is_an_error_of_the_configuration(short_folder: Path, name: str, kind: str) -> None:
    (short_folder / "torque.ini").write_text("[TORQUE]\nscgi_url = scgi:///x\n")
    (short_folder / name).unlink(missing_ok=True)
    ODD[kind](short_folder / name)
    with pytest.raises(SettingsProblems, match=f"{name}: cannot be read"):
        configuration.read(short_folder, Options())


@pytest.mark.parametrize("kind", sorted(ODD.keys() - {"link to itself"}))
@pytest.mark.parametrize("name", ["supervisor.conf", "more.conf"])
def test_what_is_no_file_is_an_error_of_supervisor_conf(short_folder: Path, name: str, kind: str) -> None:
    include = "[include]\nfiles = run/programs.conf more.conf\n"
    (short_folder / "supervisor.conf").write_text(include)
    (short_folder / name).unlink(missing_ok=True)
    ODD[kind](short_folder / name)
    report = Report()
    check_conf(Layout.below(short_folder), Options(), report)
    assert report.problems


def test_an_empty_device_is_an_empty_file() -> None:
    assert read_text_file("/dev/null") == b""
