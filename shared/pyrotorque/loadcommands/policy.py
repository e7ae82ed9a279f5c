"""Decides where a load command may contain an inserted value: only where rTorrent uses it as data."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pyrotorque.errors import CommandRefused
from pyrotorque.loadcommands.grammar import Argument, ParsedCommand
from pyrotorque.templates import Inserted
from pyrotorque.text import printable

# Names whose values are paths of the user's own folders, not text from a torrent.
OWNED: Final = frozenset({"pathname", "relpath", "watch_path", "watch_root"})

Check = Callable[[bytes], str]


def _any(_: bytes) -> str:
    return ""


def _number(value: bytes) -> str:
    return "" if re.fullmatch(rb"-?\d{1,18}", value) else "is not a whole number"


def _priority(value: bytes) -> str:
    return "" if value in (b"0", b"1", b"2", b"3") else "is not a priority from 0 to 3"


def _path(value: bytes) -> str:
    if not value.startswith((b"/", b"~/")):
        return "is not an absolute path"
    if b".." in value.split(b"/"):
        return "leaves its folder with .."
    return "contains a NUL byte" if b"\0" in value else ""


_PATHS: Final = ("d.directory.set", "d.directory_base.set", "d.tied_to_file.set")
_NUMBERS: Final = (
    "d.ignore_commands.set",
    "d.max_file_size.set",
    "d.peer_exchange.set",
    "d.tracker_numwant.set",
    *(f"d.{what}_{bound}.set" for what in ("peers", "uploads", "downloads") for bound in ("min", "max")),
)
_TEXTS: Final = ("d.throttle_name.set", "d.message.set", *(f"d.custom{n}.set" for n in range(1, 6)))

# Each command that accepts an inserted value as its last argument: number of arguments, and check of the value.
_ACCEPTING: Final[Mapping[str, tuple[int, Check]]] = {
    "d.custom.set": (2, _any),
    "d.priority.set": (1, _priority),
    **dict.fromkeys(_TEXTS, (1, _any)),
    **dict.fromkeys(_PATHS, (1, _path)),
    **dict.fromkeys(_NUMBERS, (1, _number)),
}
# Their arguments after the first are commands that run for each file, peer or tracker of the item.
MULTICALLS: Final = frozenset({"f.multicall", "p.multicall", "t.multicall"})
_RESTRICTED: Final = re.compile(
    r"[fpt]\.multicall|cat|print|(?:(?!d\.tied_to_file)[dft]\.[a-z0-9_.]+\.set)|[dft]\.(?:custom[1-5]?|[a-z_]+)"
)
_FORBIDDEN: Final = re.compile(
    r"[dft]\.set_.*|d\.(?:multicall2?|create_link|delete_link|delete_tied|erase|open|start|stop|try_.*|close|resume|pause)"
)
_REPARSED: Final = re.compile(
    r"(.*\.)?(multicall2?|filtered|call_target)|branch|if|not|and|or|less|greater|equal|match|view\..*|schedule2?(\..*)?|method\..*"
    r"|execute2?(\..*)?|import|try_import|load\..*|event\..*|catch|cat|on_ratio|ratio\..*|group2?\..*|choke_group\..*"
)


def check(command: ParsedCommand) -> None:
    """Raise CommandRefused if `command` has an inserted value that rTorrent could run or interpret."""
    if not command.inserted:
        return
    shape = _ACCEPTING.get(command.name)
    if shape is None:
        raise CommandRefused(f"{command.name}: {_closed(command.name)}")
    count, wanted = shape
    if len(command.arguments) != count:
        raise CommandRefused(
            f"{command.name} needs {count} argument{'s' * (count > 1)} if one contains an inserted value, "
            f"not {len(command.arguments)}: put double quotes around one with commas in it"
        )
    for argument in command.arguments[:-1]:
        if argument.inserted:
            raise CommandRefused(f"{command.name}: the key cannot be an inserted value")
    _check_place(command.name, command.arguments[-1], wanted is _path)


def check_restricted(names: Iterable[str]) -> None:
    """Raise CommandRefused if a command could run programs, or do more than set and read values of one item."""
    for name in sorted(names):
        if not _RESTRICTED.fullmatch(name) or _FORBIDDEN.fullmatch(name):
            raise CommandRefused(f"{name} is not allowed in a file in a watched tree: put it into torque.ini")


# The commands that choose where content is stored, and the custom key by which the completion hook does so.
STORING: Final = frozenset({"d.directory.set", "d.directory_base.set"})
TARGET_KEY: Final = b"targetdir"


def check_nested(names: Iterable[str]) -> None:
    """Raise CommandRefused if a command inside the arguments of another one could choose where content is stored."""
    for name in sorted(names):
        if name in STORING or name == "d.custom.set":
            raise CommandRefused(f"{name} is allowed in a file in a watched tree only as a command of its own")


def check_value(name: str, value: bytes) -> None:
    """Raise CommandRefused if the last argument of the command `name` cannot have this value."""
    if reason := _ACCEPTING[name][1](value):
        raise CommandRefused(f"{name}: {printable(value[:200])} {reason}")


def _check_place(name: str, argument: Argument, is_path: bool) -> None:
    if not argument.plain:
        raise CommandRefused(f"{name}: no value may be inserted into a list {{…}} or a function object (…)")
    first = argument.parts[0]
    if not isinstance(first, Inserted):
        if first.startswith(b"$"):
            raise CommandRefused(
                f"{name}: rTorrent runs an argument that starts with $, so nothing may be inserted there"
            )
    elif is_path and not (first.fields and first.fields <= OWNED):
        raise CommandRefused(
            f"{name}: the start of a path must be written text or one of {', '.join(sorted(OWNED))}; "
            "a torrent must not choose where it is stored"
        )


def _closed(name: str) -> str:
    if _REPARSED.fullmatch(name):
        return "rTorrent parses its arguments as commands again, so nothing may be inserted there; use {{if}} around it"
    return f"no value may be inserted into its arguments, only into those of {', '.join(sorted(_ACCEPTING))}"
