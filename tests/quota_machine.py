"""The first process of a User-mode Linux: sets real quotas on an ext4, and prints what the room is and what fits.

Kernels of many machines have no quota format; this one (Debian's package user-mode-linux) loads it from MODULES. Its
root is the folder tree of the host, so the program under test is the one in this repository.

    linux.uml root=/dev/root rootfstype=hostfs rw ubd0=IMAGE init=PYTHON -- quota_machine.py /mnt MODULES
"""

import ctypes
import errno
import fcntl
import json
import os
import struct
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "shared"), str(REPOSITORY)]

USER, GROUP, PROJECT = 1234, 2345, 3456
LIMIT = 8 << 20
_FINIT_MODULE = 313  # x86-64
_QUOTACTL_FD = 443
_SETQUOTA = 0x800008
_FSSETXATTR = 0x401C5820
_INHERITED = 0x200
_REBOOT, _POWER_OFF = 169, 0x4321FEDC
_libc = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: Any) -> None:
    if _libc.syscall(ctypes.c_long(number), *arguments) != 0:
        raise OSError(code := ctypes.get_errno(), os.strerror(code))


def load_format(modules: Path) -> None:
    for name in ("quota_tree", "quota_v2"):
        with open(modules / os.uname().release / "kernel/fs/quota" / f"{name}.ko", "rb") as module:
            call(_FINIT_MODULE, module.fileno(), b"", 0)


def limit(folder: Path, kind: int, number: int, size: int) -> None:
    """A hard limit, which is set in blocks of 1 KiB; 0: none."""
    blocks = struct.pack("=8QI4x", size >> 10, 0, 0, 0, 0, 0, 0, 0, 1)
    opened = os.open(folder, os.O_RDONLY)
    try:
        call(_QUOTACTL_FD, opened, ctypes.c_uint((_SETQUOTA << 8) | kind), ctypes.c_uint(number), blocks)
    finally:
        os.close(opened)


def as_user(folder: Path, group: int) -> dict[str, Any]:
    """What the room is for a user in a group, and how much it can really write."""
    from pyrotorque.linux.filesystems import disk_space

    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with open(reading, "rb") as answer:
            found: dict[str, Any] = json.loads(answer.read())
        os.wait()
        return found
    try:
        os.setgroups([])
        os.setgid(group)
        os.setuid(USER)
        (folder / "before").write_bytes(os.urandom(2 << 20))
        os.sync()
        room, status = disk_space(str(folder)), os.statvfs(folder)
        written, problem = fill(folder / "filled")
        result = {"room": room.free if room else None, "disk": status.f_bavail * status.f_frsize}
        os.write(writing, json.dumps({**result, "written": written, "error": problem}).encode())
    except BaseException as error:
        os.write(writing, json.dumps({"error": repr(error)}).encode())
    finally:
        os._exit(0)


def fill(path: Path) -> tuple[int, str]:
    """How many bytes can be written, and which error ends it."""
    written = 0
    with path.open("wb", buffering=0) as file:
        try:
            while written < 64 << 20:
                written += file.write(bytes(4096))
        except OSError as error:
            return written, errno.errorcode[error.errno or 0]
    return written, ""


def measure(mount: Path, modules: Path) -> dict[str, Any]:
    load_format(modules)
    found: dict[str, Any] = {}
    subprocess.run(["mount", "-t", "ext4", "-o", "usrquota,grpquota,prjquota", "/dev/ubda", mount], check=True)
    for kind, (name, number) in enumerate((("user", USER), ("group", GROUP), ("project", PROJECT))):
        folder = mount / name
        folder.mkdir()
        os.chmod(folder, 0o777)
        if name == "project":
            opened = os.open(folder, os.O_RDONLY)
            fcntl.ioctl(opened, _FSSETXATTR, struct.pack("=5I8x", _INHERITED, 0, 0, PROJECT, 0))
            os.close(opened)
        limit(mount, kind, number, LIMIT)
        found[name] = as_user(folder, GROUP if name == "group" else 99)
        limit(mount, kind, number, 0)
    return found


def main() -> None:
    try:
        subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=False)
        answer = measure(Path(sys.argv[1]), Path(sys.argv[2]))
    except BaseException as error:
        traceback.print_exc()
        answer = {"error": repr(error)}
    print(f"RESULT {json.dumps(answer)}", flush=True)
    os.sync()
    call(_REBOOT, ctypes.c_uint(0xFEE1DEAD), ctypes.c_uint(672274793), ctypes.c_uint(_POWER_OFF), None)


if __name__ == "__main__":
    main()
