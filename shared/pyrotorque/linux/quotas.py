"""The bytes that quotas of the user, its group and a folder's project still allow on a filesystem (quotactl(2))."""

import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

_SYS_QUOTACTL_FD: Final = 443  # the same on all architectures
_Q_GETQUOTA: Final = 0x800007
_KINDS: Final = {"user": 0, "group": 1, "project": 2}
_DQBLK: Final = struct.Struct("=8QI4x")
_LIMIT_BLOCK: Final = 1024
# FS_IOC_FSGETXATTR and struct fsxattr: flags, extent size, extents, project, cow extent size.
_FSGETXATTR: Final = 0x801C581F
_FSXATTR: Final = struct.Struct("=5I8x")
_NONE: Final = frozenset((errno.ESRCH, errno.ENOSYS, errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOENT))
_REMEMBERED: Final = 60.0  # seconds

GetQuota = Callable[[int, int, int], bytes]


class Quota(NamedTuple):
    """A limit and what is used of it, in bytes; `limit` is the smaller of the soft and the hard one."""

    kind: str
    limit: int
    used: int

    @property
    def free(self) -> int:
        return max(0, self.limit - self.used)


def get_quota(folder: int, kind: int, number: int) -> bytes:
    """The kernel's struct dqblk for a user, group or project on the filesystem of an open folder. Raises OSError."""
    import ctypes  # costs memory in services that never ask

    buffer = ctypes.create_string_buffer(_DQBLK.size)
    command = ctypes.c_uint((_Q_GETQUOTA << 8) | kind)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(_SYS_QUOTACTL_FD), folder, command, ctypes.c_uint(number), buffer) != 0:
        raise OSError(code := ctypes.get_errno(), os.strerror(code))
    return buffer.raw


class QuotaReader:
    """Reads quotas; a filesystem without any is not asked again for a minute."""

    def __init__(self, get: GetQuota = get_quota, clock: Callable[[], float] = time.monotonic) -> None:
        self._get = get
        self._clock = clock
        self._without: dict[int, float] = {}

    def read(self, folder: Path, device: int) -> list[Quota]:
        """The quotas with a limit that hold in a folder for this process; none where they cannot be seen."""
        if self._clock() < self._without.get(device, 0.0):
            return []
        found: list[Quota] = []
        has_quotas = False
        try:
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return []
        try:
            numbers = {"user": os.geteuid(), "group": os.getegid(), "project": _project(opened)}
            for kind, number in numbers.items():
                if kind == "project" and not number:
                    continue  # files of no project
                try:
                    quota = parse_quota(kind, self._get(opened, _KINDS[kind], number))
                except OSError as error:
                    has_quotas = has_quotas or error.errno not in _NONE
                    continue
                has_quotas = True
                found += [quota] if quota.limit else []
        finally:
            os.close(opened)
        if not has_quotas:
            self._without[device] = self._clock() + _REMEMBERED
        return found


def parse_quota(kind: str, content: bytes) -> Quota:
    """The quota in a struct dqblk; limit 0 is none."""
    hard, soft, used, *_ = _DQBLK.unpack(content[: _DQBLK.size])
    limits = [limit * _LIMIT_BLOCK for limit in (hard, soft) if limit]
    return Quota(kind, min(limits, default=0), used)


def _project(folder: int) -> int:
    """The project of an open folder; 0 is none."""
    buffer = bytearray(_FSXATTR.size)
    try:
        fcntl.ioctl(folder, _FSGETXATTR, buffer)
    except OSError:
        return 0
    return int(_FSXATTR.unpack(buffer)[3])
