"""A changed time zone is detected; an updated file with the same rules is no change."""

import os
from pathlib import Path

import pytest

from pyrotorque.local_time import zone_file
from pyrotorque.service.time_zone import TimeZoneWatch


@pytest.fixture
def local(tmp_path: Path) -> Path:
    for name in ("Berlin", "Tokyo"):
        (tmp_path / name).write_bytes(name.encode())
    link = tmp_path / "localtime"
    link.symlink_to("Berlin")
    return link


def point_to(local: Path, name: str) -> None:
    local.with_name("new").symlink_to(name)
    local.with_name("new").rename(local)


def test_a_zone_that_stays_is_no_change(local: Path) -> None:
    watch = TimeZoneWatch({}, local)
    assert not any(watch.has_changed(at) for at in range(100))


def test_another_zone_is_a_change_after_some_seconds(local: Path) -> None:
    watch = TimeZoneWatch({}, local)
    point_to(local, "Tokyo")
    assert [at for at in range(10) if watch.has_changed(at)] == [5, 6, 7, 8, 9]


def test_a_zone_that_is_set_back_at_once_is_no_change(local: Path) -> None:
    watch = TimeZoneWatch({}, local)
    point_to(local, "Tokyo")
    assert not watch.has_changed(0)
    point_to(local, "Berlin")
    assert not any(watch.has_changed(at) for at in range(1, 100))


def test_a_file_that_is_written_again_or_missing_for_a_moment_is_no_change(local: Path) -> None:
    watch = TimeZoneWatch({}, local)
    local.unlink()
    assert not watch.has_changed(0)
    local.write_bytes(b"Berlin")
    os.utime(local, (1, 1))
    assert not any(watch.has_changed(at) for at in range(1, 100))


def test_a_machine_without_a_zone_gets_one(tmp_path: Path) -> None:
    watch = TimeZoneWatch({}, tmp_path / "localtime")
    (tmp_path / "localtime").write_bytes(b"Tokyo")
    watch.has_changed(0)
    assert watch.has_changed(5)


@pytest.mark.parametrize(
    ("environ", "file"),
    [
        ({}, "/etc/localtime"),
        ({"TZ": ""}, "/etc/localtime"),
        ({"TZ": "Europe/Berlin"}, "/usr/share/zoneinfo/Europe/Berlin"),
        ({"TZ": ":Europe/Berlin"}, "/usr/share/zoneinfo/Europe/Berlin"),
        ({"TZ": ":/etc/localtime"}, "/etc/localtime"),
        ({"TZ": "/opt/zone"}, "/opt/zone"),
    ],
)
def test_the_file_of_the_zone(environ: dict[str, str], file: str) -> None:
    assert zone_file(environ) == Path(file)
