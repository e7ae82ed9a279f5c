"""Files below `run/` and `state/` that are damaged, or something else, are the same as missing ones."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrotorque.housekeeping.cleanup_state import take_accepted
from pyrotorque.housekeeping.last_run import read_last_run
from pyrotorque.layout import Layout
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.long_work import FOLDER, running_work
from pyrotorque.options import Options, read_options
from pyrotorque.port_reservation import PortReservation
from pyrotorque.room import Room, store_used
from pyrotorque.state_witness import StateMark, StateWitness
from pyrotorque.stored_configuration import keep_copies, last_good

DAMAGED = [b"", b'{"log_level":"\xff\xfe"}', b"[" * 100_000, b"7", None]


def damage(path: Path, content: bytes | None) -> None:
    """A file with this content, or a pipe."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)


def _options(folder: Path, content: bytes | None) -> None:
    layout = Layout.below(folder)
    damage(layout.options_file, content)
    damage(layout.earlier_options_file, content)
    assert read_options(layout) == Options()


def _work(folder: Path, content: bytes | None) -> None:
    damage(folder / FOLDER / "1-0.json", content)
    assert running_work(folder) == []


def _room(folder: Path, content: bytes | None) -> None:
    damage(folder / "used.json", content)
    assert Room(folder).at(str(folder)) is not None
    store_used(folder, "job", [folder], 1, 2)


def _port(folder: Path, content: bytes | None) -> None:
    damage(folder / "panel.port", content)
    PortReservation(folder / "panel.port").update()


def _configuration(folder: Path, content: bytes | None) -> None:
    layout = Layout.below(folder)
    damage(layout.state_dir / "configuration.json", content)
    assert last_good(layout) is None
    (folder / "torque.ini").touch()
    damage(layout.state_dir / "torque.ini.last-good", content)
    keep_copies(layout)


def _witness(folder: Path, content: bytes | None) -> None:
    damage(folder / "watcher.head", content)
    witness = StateWitness(folder / "watcher.sqlite3")
    assert witness.compare(StateMark("d", 0, 0, "b"), "watcher", "e", 0) is None
    witness.write(StateMark("d", 0, 0, "b"))


def _accepted(folder: Path, content: bytes | None) -> None:
    damage(folder / "accepted-items", content)
    assert take_accepted(folder, 0.0) is None


def _last_run(folder: Path, content: bytes | None) -> None:
    damage(folder / "last-run.json", content)
    assert read_last_run(folder) is None


@pytest.mark.parametrize("content", DAMAGED, ids=lambda each: repr(each)[:20])
@pytest.mark.parametrize("read", [_options, _work, _room, _port, _configuration, _witness, _accepted, _last_run])
def test_what_cannot_be_read_is_as_if_it_were_missing(
    short_folder: Path, content: bytes | None, read: Callable[[Path, bytes | None], None]
) -> None:
    read(short_folder, content)


def test_damaged_options_are_reported_once(short_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    layout = Layout.below(short_folder)
    read_options(layout)
    assert not caplog.text, "a missing file is nothing special"
    damage(layout.options_file, b'{"log_level":"\xff\xfe"}')
    for _ in range(2):
        read_options(layout)
    assert caplog.text.count("options.json cannot be read: it is not UTF-8") == 1


def test_only_a_file_of_limited_size_is_read(short_folder: Path) -> None:
    path = short_folder / "file"
    path.write_bytes(b"12345")
    assert read_regular_file(path, limit=5) == b"12345"
    with pytest.raises(OSError, match="more than") as error:
        read_regular_file(path, limit=4)
    assert error.value.errno == errno.EFBIG
    os.mkfifo(short_folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_folder / "socket"))
        for other in (short_folder / "pipe", short_folder / "socket", short_folder, "/dev/zero", "/dev/null"):
            with pytest.raises(OSError, match=r"it is no file|No such device|Is a directory"):
                read_regular_file(other)
