"""Reads the SCGI address and the scheduled loads from the text of an rtorrent.rc."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Node: TypeAlias = "str | list[Node]"
ReadText: TypeAlias = Callable[[str], str | None]

_UNIX: Final = frozenset(("network.scgi.open_local", "scgi_local"))
_PORT: Final = frozenset(("network.scgi.open_port", "scgi_port"))
_SESSION: Final = frozenset(("session.path.set", "session", "session_directory", "directory.session.set"))
_IMPORT: Final = frozenset(("import", "try_import"))
_SCHEDULE: Final = frozenset(("schedule", "schedule2", "schedule.if_absent"))
_COMMAND: Final = re.compile(r"\s*(?P<name>[A-Za-z][\w.]*)\s*=\s*(?P<value>.*)", re.DOTALL)
_TOKEN: Final = re.compile(r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<mark>[(){},])|(?P<bare>(?:[^(){},"\\]|\\.)+))')
_DEPTH_MAX: Final = 10


@dataclass(slots=True)
class _RcValues:
    """Values read so far; `values` maps commands such as `session.path` to their results."""

    unix: str | None = None
    port: str | None = None
    values: dict[str, str] = field(default_factory=dict[str, str])
    loads: list[str] = field(default_factory=list[str])


def loads_in(text: str, *, home: str, environ: Mapping[str, str], read: ReadText) -> list[str]:
    """The patterns of the metafiles that rTorrent's own schedules load, such as `/home/me/watch/*.torrent`."""
    found = _RcValues()
    _RcParser(home, environ, read, found).parse(text, 0)
    return found.loads


def address_in(text: str, *, home: str, environ: Mapping[str, str], read: ReadText) -> str | None:
    """The `scgi_url` of an rtorrent.rc, or None; `read` returns the text of imported files.

    A socket takes precedence over a port; the last setting of each counts, as in rTorrent.
    """
    found = _RcValues(values={})
    _RcParser(home, environ, read, found).parse(text, 0)
    if found.unix:
        return f"scgi://{found.unix}"
    return f"scgi://{_host_and_port(found.port)}" if found.port else None


def _host_and_port(value: str) -> str:
    host, colon, port = value.rpartition(":")
    return f"{host if colon and host else '127.0.0.1'}:{port}"


class _RcParser:
    def __init__(self, home: str, environ: Mapping[str, str], read: ReadText, found: _RcValues) -> None:
        self.home, self.environ, self.read, self.found = home, environ, read, found

    def parse(self, text: str, depth: int) -> None:
        for line in text.replace("\\\n", " ").split("\n"):
            if not line.lstrip().startswith("#") and (command := _COMMAND.match(line)):
                self._command(command["name"], command["value"].strip(), depth)

    def _command(self, name: str, value: str, depth: int) -> None:
        if name == "method.insert":
            self._constant(value)
        elif name in _IMPORT and depth < _DEPTH_MAX:
            path = self._value(value)
            self.parse((self.read(self._expand_home(path)) if path else None) or "", depth + 1)
        elif name in _UNIX:
            self.found.unix = self._path(value) or self.found.unix
        elif name in _PORT:
            self.found.port = self._value(value) or self.found.port
        elif name in _SESSION and (path := self._path(value)):
            self.found.values["session.path"] = path.rstrip("/") + "/"
        elif name in _SCHEDULE:
            self._schedule(_parse(value)[3:])

    def _schedule(self, commands: list[Node]) -> None:
        """`schedule = NAME, START, INTERVAL, COMMAND`, the command as text or as a call in brackets."""
        command: Node = commands[0] if commands else ""
        while isinstance(command, list) and len(command) == 1:
            command = command[0]
        if isinstance(command, str):
            name, _, arguments = command.partition("=")
            command = [name.strip(), *_parse(arguments)]
        if isinstance(command[0], str) and command[0].startswith("load") and len(command) > 1:
            pattern = self._evaluated(command[1])
            self.found.loads += [self._expand_home(pattern)] if pattern else []

    def _constant(self, value: str) -> None:
        """`method.insert = NAME, string|const|private, VALUE` defines the result of `(NAME)`."""
        name, _, rest = value.partition(",")
        kinds, _, definition = rest.partition(",")
        if "string" in kinds and (text := self._value(definition.strip())) is not None:
            self.found.values[name.strip()] = text

    def _path(self, value: str) -> str | None:
        text = self._value(value)
        return self._expand_home(text) if text else None

    def _expand_home(self, path: str) -> str:
        return self.home + path[1:] if path == "~" or path.startswith("~/") else path

    def _value(self, text: str) -> str | None:
        """The value of an argument; None if it needs a command whose result only rTorrent has."""
        if text.startswith("$"):
            command = text[1:].partition("=")
            return self._call([command[0].strip(), *_parse(command[2])])
        nodes = _parse(text)
        return self._evaluated(nodes[0]) if nodes else ""

    def _evaluated(self, node: Node) -> str | None:
        if isinstance(node, str):
            return self._value(node) if node.startswith("$") else node
        return self._call(node)

    def _call(self, nodes: list[Node]) -> str | None:
        name = nodes[0] if nodes and isinstance(nodes[0], str) else ""
        if name == "cat":
            parts = [self._evaluated(node) for node in nodes[1:]]
            return None if None in parts else "".join(part for part in parts if part is not None)
        if name == "system.env" and len(nodes) > 1:
            return self.environ.get(self._evaluated(nodes[1]) or "")
        return self.found.values.get(name)


def _parse(text: str) -> list[Node]:
    """Arguments between commas; `( … )` is a call, `{ … }` a list that reads as `cat`, `$command=…` stays text."""
    root: list[Node] = []
    open_lists = [root]
    for found in _TOKEN.finditer(text):
        mark = found["mark"]
        if mark in ("(", "{"):
            inner: list[Node] = ["cat"] if mark == "{" else []
            open_lists[-1].append(inner)
            open_lists.append(inner)
        elif mark in (")", "}"):
            if len(open_lists) > 1:
                open_lists.pop()
        elif mark is None:
            open_lists[-1].append(_plain(found["text"], found["bare"]))
    return root


def _plain(quoted: str | None, bare: str | None) -> str:
    text = quoted[1:-1] if quoted is not None else (bare or "").strip()
    return re.sub(r"\\(.)", r"\1", text)


def usual_files(home: str, configured: str | None) -> Iterable[str]:
    """Paths of rTorrent's configuration file, in order of preference."""
    return (configured,) if configured else (f"{home}/.rtorrent.rc", f"{home}/.config/rtorrent/rtorrent.rc")
