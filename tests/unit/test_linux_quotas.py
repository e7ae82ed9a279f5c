"""Quotas limit the space that a user may still write, where the kernel has any."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrotorque.linux import filesystems, quotas
from pyrotorque.linux.filesystems import disk_space
from pyrotorque.linux.quotas import Quota, QuotaReader, parse_quota


def dqblk(hard: int, soft: int, used: int) -> bytes:
    return quotas._DQBLK.pack(hard, soft, used, 0, 0, 0, 0, 0, 63)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("hard", "soft", "expected"),
    [(0, 0, 0), (10, 0, 10 << 10), (0, 8, 8 << 10), (10, 8, 8 << 10)],
)
def test_the_smaller_limit_counts(hard: int, soft: int, expected: int) -> None:
    quota = parse_quota("user", dqblk(hard, soft, 3000))
    assert (quota.limit, quota.used) == (expected, 3000)
    assert quota.free == max(0, expected - 3000)


def test_all_quotas_with_a_limit_are_read(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def get(_folder: int, kind: int, number: int) -> bytes:
        asked.append((kind, number))
        return dqblk(0, 4 if kind == 0 else 0, 1024)

    assert QuotaReader(get).read(tmp_path, 1) == [Quota("user", 4096, 1024)]
    assert asked == [(0, os.geteuid()), (1, os.getegid())]


def test_a_filesystem_without_quotas_is_left_alone_for_a_minute(tmp_path: Path) -> None:
    calls, now = 0, 0.0

    def get(_folder: int, _kind: int, _number: int) -> bytes:
        nonlocal calls
        calls += 1
        raise OSError(errno.ESRCH, "no quotas")

    reader = QuotaReader(get, lambda: now)
    for _ in range(3):
        assert reader.read(tmp_path, 1) == []
    assert calls == 2
    reader.read(tmp_path, 2)
    now = 61.0
    reader.read(tmp_path, 1)
    assert calls == 6


def test_a_quota_that_may_not_be_seen_is_read_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def get(_folder: int, kind: int, _number: int) -> bytes:
        calls.append(kind)
        raise OSError(errno.EPERM, "no permission")

    reader = QuotaReader(get, lambda: 0.0)
    reader.read(tmp_path, 1)
    reader.read(tmp_path, 1)
    assert calls == [0, 1, 0, 1]


def test_the_space_of_a_disk_is_the_least(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(_folder: int, _kind: int, _number: int) -> bytes:
        return dqblk(0, 1, 24)

    reader = QuotaReader(get)
    monkeypatch.setattr(filesystems, "_quotas", reader)
    space = disk_space(str(tmp_path))
    assert space is not None
    assert space.free == 1000


@pytest.fixture
def limited_disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 with user quotas, where this machine can mount one."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or not shutil.which("mkfs.ext4") or not shutil.which("setquota"):
        pytest.skip("quotas need root, mkfs.ext4 and setquota")
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-O", "quota", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, folder], check=False, capture_output=True).returncode:
        pytest.skip("this kernel has no quota format (CONFIG_QFMT_V2); tests/contracts/test_real_quotas.py has one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_real_quota_is_the_room(limited_disk: Path) -> None:
    subprocess.run(["setquota", "-u", str(os.geteuid()), "8192", "8192", "0", "0", limited_disk], check=True)
    (limited_disk / "data").write_bytes(b"x" * (2 << 20))
    os.sync()
    space = disk_space(str(limited_disk))
    assert space is not None
    assert 0 < space.free <= 6 << 20
