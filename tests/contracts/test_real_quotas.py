"""The room with real quotas of a user, a group and a project: exactly what can still be written.

Kernels are often built without a quota format (`CONFIG_QFMT_V2`, `CONFIG_XFS_QUOTA`, `CONFIG_TMPFS_QUOTA`), so the
quotas are those of a User-mode Linux, which Debian packages. test_linux_quotas.py tests what this kernel has.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from typing import Any

import pytest

from demo.group import REPOSITORY

UML = max(REPOSITORY.glob(".user-mode-linux/*/bin/linux.uml"), default=None)
_BLOCK = 4096


def search_path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin"


def missing() -> str:
    """Why no User-mode Linux can be started here; empty if it can."""
    if platform.machine() != "x86_64":
        return "User-mode Linux is for x86-64"
    if UML is None:
        return "missing: linux.uml, which `make packages` installs"
    return "" if shutil.which("mkfs.ext4", path=search_path()) else "missing: mkfs.ext4 (Debian: e2fsprogs)"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a user of that machine had for room, and could write, under each kind of quota."""
    if UML is None or missing():
        pytest.skip(f"REAL QUOTAS ARE NOT TESTED: {missing()}")
    folder = tmp_path_factory.mktemp("machine")
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    # It stores its memory and its sockets in these folders.
    environment = {**os.environ, "TMPDIR": str(folder), "HOME": str(folder), "PATH": search_path()}
    options = ["-q", "-F", "-O", "quota,project", "-E", "quotatype=usrquota:grpquota:prjquota"]
    subprocess.run(["mkfs.ext4", *options, str(image)], check=True, env=environment)
    modules = REPOSITORY / UML.parents[1] / "root/usr/lib/uml/modules"
    words = [
        *(str(UML), "mem=256M", "root=/dev/root", "rootfstype=hostfs", "rw", f"ubd0={image}"),
        *(f"init={sys.executable}", "con=null", "con0=fd:0,fd:1", "quiet"),
        *("--", str(REPOSITORY / "tests/quota_machine.py"), "/mnt", str(modules)),
    ]
    done = subprocess.run(
        words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, f"no result: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    found: dict[str, dict[str, Any]] = json.loads(lines[0].removeprefix("RESULT "))
    assert "error" not in found, done.stdout[-3000:]
    return found


@pytest.mark.parametrize("kind", ["user", "group", "project"])
def test_the_room_is_what_can_be_written(measured: dict[str, dict[str, Any]], kind: str) -> None:
    found = measured[kind]
    assert found["error"] == "EDQUOT", "the quota ends the writing, not the disk"
    assert 0 <= found["room"] - found["written"] <= _BLOCK
    assert found["disk"] >= found["room"]
    if kind != "project":  # ext4 shows that of a project itself
        assert found["disk"] > 5 * found["room"]
