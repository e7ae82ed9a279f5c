"""Names cause and cure of errors that come from the machine: used up limits, memory, disks and descriptors."""

import errno
import os
import resource
from typing import Final, NamedTuple

EX_IOERR: Final = 74
EX_TEMPFAIL: Final = 75

_NO_THREAD: Final = "can't start new thread"
_NO_MAPPING: Final = ("failed to map segment", "cannot allocate memory", "annot map zero-fill pages")
_MEMORY: Final = "out of memory"
_PROCESSES: Final = "no further process or thread can be started"
_CURES: Final = {
    errno.EAGAIN: (_PROCESSES, EX_TEMPFAIL),
    errno.ENOMEM: (_MEMORY, EX_TEMPFAIL),
    errno.EMFILE: ("no further file can be opened", EX_TEMPFAIL),
    errno.ENFILE: ("no further file can be opened on this machine", EX_TEMPFAIL),
    errno.EFBIG: ("the file is larger than allowed", EX_IOERR),
}
_MEMORY_LIMITS: Final = (("-v", resource.RLIMIT_AS, 1024), ("-d", resource.RLIMIT_DATA, 1024))
_LIMITS: Final = {
    # A thread needs memory for its stack.
    errno.EAGAIN: (("-u", resource.RLIMIT_NPROC, 1), *_MEMORY_LIMITS),
    errno.ENOMEM: _MEMORY_LIMITS,
    errno.EMFILE: (("-n", resource.RLIMIT_NOFILE, 1),),
    errno.EFBIG: (("-f", resource.RLIMIT_FSIZE, 1024),),
}


class ForeignError(NamedTuple):
    """One line with cause and cure, and an exit code of sysexits.h."""

    text: str
    exit_code: int


def explain(error: BaseException) -> ForeignError | None:
    """None for what is no error of the machine, but a fault of this program."""
    is_unmapped = isinstance(error, ImportError) and any(text in str(error) for text in _NO_MAPPING)
    if isinstance(error, MemoryError) or is_unmapped:
        return _used_up(errno.ENOMEM, "")
    if isinstance(error, RuntimeError) and _NO_THREAD in str(error):
        return _used_up(errno.EAGAIN, "")
    number = getattr(error, "errno", None)
    if not isinstance(number, int):
        return None
    name = getattr(error, "filename", None)
    place = f"{os.fsdecode(name)}: " if isinstance(name, str | bytes) else ""
    if number in _CURES:
        return _used_up(number, place)
    if number == errno.ENOENT and not place and not _has_folder():
        return ForeignError("the current folder was removed: change to another one, or write absolute paths", EX_IOERR)
    return ForeignError(f"{place}{os.strerror(number)}", EX_IOERR) if isinstance(error, OSError) else None


def _has_folder() -> bool:
    """Whether the current folder of this process still exists."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def summary(error: BaseException) -> str:
    """Cause and cure, else the error itself."""
    found = explain(error)
    return found.text if found is not None else str(error)


def _used_up(number: int, place: str) -> ForeignError:
    text, code = _CURES[number]
    limits = ((option, unit, resource.getrlimit(kind)[0]) for option, kind, unit in _LIMITS.get(number, ()))
    finite = [f"`ulimit {option}` is {soft // unit}" for option, unit, soft in limits if soft >= 0]
    cure = f"raise the limit ({', '.join(finite)})" if finite else "the limit is that of the machine or container"
    return ForeignError(f"{place}{text}: {cure}", code)
