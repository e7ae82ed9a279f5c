"""How Python runs our code: in UTF-8 mode whatever the locale, with open standard streams; commands that start modules.

Only this module decides about encodings of streams: paths and texts are UTF-8, with other bytes kept (surrogateescape).
"""

import os
import signal
import sys
import time
from types import FrameType
from typing import IO, Final

# -P: never import from the working directory. utf8: independent of the locale, and of PYTHONUTF8.
UTF8: Final = ("-X", "utf8")
FLAGS: Final = ("-P", *UTF8)
# no_debug_ranges: saves about a tenth of the memory that our code takes.
_FULL_MINUTE: Final = 1_800_000_000  # Unix seconds
SERVICE_FLAGS: Final = (*FLAGS, "-X", "no_debug_ranges")


def module_command(module: str, *arguments: str, flags: tuple[str, ...] = FLAGS) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, *flags, "-m", module, *arguments]


def import_path() -> str:
    """`PYTHONPATH` for a process that must find the modules of this one."""
    return os.pathsep.join(path for path in sys.path if path)


def prepare_command() -> None:
    """Prepare this process for a command line; called before anything else.

    Starts the interpreter again if another encoding than UTF-8 is in force for paths and arguments.
    """
    _open_standard_streams()
    # A umask that takes rights from the owner, such as 777, would make our own files unreadable.
    os.umask(os.umask(0o077) & 0o077)
    _ignore_leap_seconds()
    # A parent with threads may have blocked signals: supervisord would not stop, and would not restart what has ended.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _end_at_signals_as_init()
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
        program, *words = sys.orig_argv
        os.execv(sys.executable, [os.fsencode(word) for word in (program, "-X", "utf8", *words)])
    for stream in (sys.stdout, sys.stderr):
        use_utf8(stream)


def use_utf8(stream: IO[str] | None) -> None:
    """Write UTF-8 to a stream, also with PYTHONIOENCODING; what is no character is written as `\\xNN` or `\\uNNNN`."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8", errors="backslashreplace")


def _ignore_leap_seconds() -> None:
    """Zones below `right/` count leap seconds, and Unix time has none: Python's own conversions would disagree, and a
    fire time would never be reached. For this process and all that it starts.
    """
    if time.gmtime(_FULL_MINUTE).tm_sec:
        from pyrotorque.local_time import zone_without_leap_seconds

        os.environ["TZ"] = zone_without_leap_seconds(os.environ)
        time.tzset()


def _end_at_signals_as_init() -> None:
    """Let TERM and HUP end process 1 of a container as they end any other process: without a handler the kernel drops
    them, and a stop right after the start would be lost.
    """
    if os.getpid() == 1:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)  # as shells and container runtimes show such an end


def _open_standard_streams() -> None:
    """Open /dev/null for each standard stream that is closed: otherwise the next file would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            if not _open_null(number):
                return
        if getattr(sys, name) is None:
            stream = os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False)
            setattr(sys, name, stream)


def _open_null(number: int) -> bool:
    try:
        opened = os.open(os.devnull, os.O_RDWR)
    except OSError:  # as in a chroot without /dev
        return False
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    os.set_inheritable(number, True)
    return True
