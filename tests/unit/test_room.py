"""One computation of room: what clean-up jobs have measured for `max_used` also limits the queue and the mover."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrotorque import room as rooms
from pyrotorque.fields import configured
from pyrotorque.linux.filesystems import disk_space
from pyrotorque.room import FILE, Room, room, store_used, use_limits_of
from pyrotorque_scheduler.queue.disk_space import disk_of


@pytest.fixture(autouse=True)
def limits(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "housekeeping"
    folder.mkdir()
    use_limits_of(folder)
    yield folder
    rooms._current = Room()  # pyright: ignore[reportPrivateUsage]


def test_without_limits_it_is_the_space_of_the_disk(tmp_path: Path) -> None:
    found, disk = room(str(tmp_path)), disk_space(str(tmp_path))
    assert found is not None
    assert disk is not None
    assert (found.device, found.folder) == (disk.device, disk.folder)
    assert room("relative") is None


def test_the_least_limit_counts_below_its_folders_only(tmp_path: Path, limits: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "link").symlink_to(data)
    store_used(limits, "a", [data], 900, 1000)
    store_used(limits, "b", [tmp_path / "link"], 950, 1000)
    for directory in (data, data / "not yet", tmp_path / "link/x"):
        found = room(str(directory))
        assert found is not None
        assert found.free == 50
        assert disk_of(str(directory))[1] == 50, "the queue"
    beside = room(str(tmp_path / "database"))
    assert beside is not None
    assert beside.free > 1000
    store_used(limits, "b", [data], 950, 0)
    assert disk_of(str(data))[1] == 100
    store_used(limits, "a", [data], 1200, 1000)
    assert disk_of(str(data))[1] == 0


def test_a_limit_that_is_not_measured_any_more_ends(
    tmp_path: Path, limits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_used(limits, "a", [tmp_path], 900, 1000)
    later = time.time() + 90_000
    monkeypatch.setattr(time, "time", lambda: later)
    assert disk_of(str(tmp_path))[1] > 1000


def test_a_damaged_file_limits_nothing(tmp_path: Path, limits: Path) -> None:
    (limits / FILE).write_text("{")
    assert disk_of(str(tmp_path))[1] > 1000
    store_used(limits, "a", [tmp_path], 900, 1000)
    assert disk_of(str(tmp_path))[1] == 100


def test_the_field_and_the_mover_use_it(tmp_path: Path, limits: Path) -> None:
    store_used(limits, "a", [tmp_path / "data"], 0, 1000)
    values = {"d.directory=": str(tmp_path / "data"), "d.left_bytes=": "500", "d.wanted_chunks=": "1"}
    values["d.chunk_size="] = "500"
    field = configured()["has_room"]
    assert field.read(values) is True
    assert field.read({**values, "d.left_bytes=": "5000", "d.chunk_size=": "5000"}) is False
    (tmp_path / "data").mkdir()
    folder = os.open(tmp_path / "data", os.O_RDONLY)
    try:
        assert disk_of(f"/proc/self/fd/{folder}")[1] == 1000, "as the mover names its target"
    finally:
        os.close(folder)
