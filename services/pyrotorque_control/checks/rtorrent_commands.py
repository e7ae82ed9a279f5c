"""Finds commands in an rtorrent.rc that a version of rTorrent does not have, refuses or ignores."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pyrotorque.loadcommands.shell_hooks import logical_lines
from pyrotorque.rtorrent_version import RTorrentVersion
from pyrotorque_control.checks.removed_commands import DELETE, removal_of, replacement


@dataclass(frozen=True)
class OutdatedCommand:
    """A finding: the line number, the command, and the text that explains it."""

    line: int
    name: str
    text: str


_ELSE_IF: Final = (0, 16, 15)
# libtorrent's src/torrent/utils/option_strings.cc; 0.14.0 belongs to rTorrent 0.10.0.
_LOG_GROUPS: Final[dict[RTorrentVersion, str]] = {
    (0, 10, 0): r"connection_(?:critical|error|warn|notice|info|debug)",
    (0, 16, 0): r"(?:dht|tracker)_(?:critical|error|warn|notice|info|debug)|dht_manager",
    (0, 16, 17): r"(?:peer|socket|thread)_(?:critical|error|warn|notice|info|debug)",
}
# Smaller values are errors; src/torrent/runtime/socket_manager.cc and memory_manager.cc of libtorrent.
_MINIMA: Final[dict[str, tuple[RTorrentVersion, int, str]]] = {
    "network.max_open_sockets.set": ((0, 16, 13), 512, "512"),
    "pieces.memory.max.set": ((0, 16, 18), 512 << 20, "512M"),
}
_NUMBER: Final = re.compile(r"(?P<digits>\d+)(?P<unit>[kmg]?)", re.IGNORECASE)
_UNITS: Final = {"": 0, "k": 10, "m": 20, "g": 30}
# Their arguments are data unless they start with `$` or a bracket.
_TAKES_DATA: Final = re.compile(r"execute.*|print|log\..*|cat")
_COMMAND: Final = re.compile(r"\s*\$?(?P<name>[A-Za-z][\w.]*)\s*=(?P<arguments>.*)", re.DOTALL)
_DEFINITION: Final = re.compile(r"\s*method\.(?:insert|redirect|const)\w*(?:\.\w+)?\s*=\s*\"?(?P<name>[\w.]+)")
_DEPTH_MAX: Final = 20


def defined_in(rc: str) -> set[str]:
    """Names of the commands that an rtorrent.rc defines itself."""
    return {found["name"] for _, line in logical_lines(rc) if (found := _DEFINITION.match(line))}


def outdated_commands(rc: str, version: RTorrentVersion) -> Iterator[OutdatedCommand]:
    """What does not work in this version, in the order of the lines; each command once per line."""
    for number, line in logical_lines(rc):
        findings: dict[str, str] = {}
        for name, arguments in _calls(line, 0):
            findings.update(_findings(name, arguments, version))
        for name, text in findings.items():
            yield OutdatedCommand(number, name, text)


def _findings(name: str, arguments: list[str], version: RTorrentVersion) -> Iterator[tuple[str, str]]:
    removal = removal_of(name)
    shown = _dotted(version)
    if removal and removal.applies(version):
        instead = replacement(name, version)
        advice = instead if instead.startswith(DELETE) else f"write {instead}"
        what = "has no effect" if removal.has_no_effect else "does not exist"
        yield name, f"{name} {what} in rTorrent {shown} (since {_dotted(removal.since)}): {advice}"
    elif name in _MINIMA and arguments and (number := _NUMBER.fullmatch(_plain(arguments[0]))):
        since, minimum, written = _MINIMA[name]
        if version >= since and int(number["digits"]) << _UNITS[number["unit"].lower()] < minimum:
            yield (
                name,
                f"{name} refuses {number[0]} in rTorrent {shown} (since {_dotted(since)}): write {written} or more",
            )
    elif name in ("branch", "if") and len(arguments) > 3 and version >= _ELSE_IF:
        yield (
            name,
            f"{name} with more than three arguments ignores those after the third in rTorrent {shown} "
            f'(since {_dotted(_ELSE_IF)}): nest it, for example branch=A,B,"branch=C,D,E"',
        )
    elif name == "log.add_output" and arguments:
        group = _plain(arguments[0])
        gone = [since for since, names in _LOG_GROUPS.items() if since <= version and re.fullmatch(names, group)]
        for since in gone:
            yield (
                group,
                f"the log group {group} does not exist in rTorrent {shown} (since {_dotted(since)}): "
                f"write {group.partition('_')[0]}_… as listed by strings.log_group, or delete the line",
            )


def _calls(text: str, depth: int) -> Iterator[tuple[str, list[str]]]:
    """Each command in `NAME=ARGUMENT,…`, with those in its arguments."""
    found = _COMMAND.match(text)
    if found and depth < _DEPTH_MAX:
        yield from _call(found["name"], _split(found["arguments"]), depth)


def _call(name: str, arguments: list[str], depth: int) -> Iterator[tuple[str, list[str]]]:
    yield name, arguments
    if name == "catch":
        return  # its errors are ignored on purpose
    for argument in arguments:
        if not _TAKES_DATA.fullmatch(name) or argument.startswith(("$", '"$', "(", "{")):
            yield from _nested(argument, depth + 1)


def _nested(argument: str, depth: int) -> Iterator[tuple[str, list[str]]]:
    if depth >= _DEPTH_MAX:
        return
    if argument.startswith("("):
        first, *rest = _split(_inside(argument)) or [""]
        if first.startswith("("):
            yield from _nested(first, depth + 1)
        else:
            yield from _call(_plain(first), rest, depth)
    elif argument.startswith("{"):
        for each in _split(_inside(argument)):
            yield from _nested(each, depth + 1)
    else:
        for each in _split(_plain(argument), ";\n"):
            yield from _calls(each, depth + 1)


def _inside(text: str) -> str:
    return text[1:].rstrip()[:-1]


def _split(text: str, separators: str = ",") -> list[str]:
    """`text` at separators that are outside quotes and brackets."""
    parts: list[str] = []
    depth, begin, quoted, escaped = 0, 0, False, False
    for place, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in "({":
            depth += 1
        elif char in ")}":
            depth = max(depth - 1, 0)
        elif depth == 0 and char in separators:
            parts.append(text[begin:place].strip())
            begin = place + 1
    parts.append(text[begin:].strip())
    return parts if parts != [""] else []


def _plain(argument: str) -> str:
    """An argument without its quotes and escapes."""
    text = argument[1:-1] if argument.startswith('"') and argument.endswith('"') else argument
    return re.sub(r"\\(.)", r"\1", text)


def _dotted(version: RTorrentVersion) -> str:
    return ".".join(map(str, version))
