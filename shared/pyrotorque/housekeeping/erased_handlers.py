"""Finds handlers of `event.download.erased` that run programs: some remove the data of each erased item."""

import re
from typing import Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import RTorrent
from pyrotorque.text import printable

_EVENT: Final = "event.download.erased"
_BUILT_IN: Final = {"!_download_list": "ui.unfocus_download=", "~_delete_tied": "d.delete_tied="}
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_RUNS: Final = re.compile(r"(?:^|\.)(?:execute\w*|import|try_import|schedule2?|load)(?:\.|$)")
_DEPTH_MAX: Final = 5
_SHOWN_MAX: Final = 80


def foreign_erased_handlers(rtorrent: RTorrent) -> dict[str, str]:
    """The handlers that run a program, or may do so, when an item is erased: their names and texts.

    Raises RTorrentError.
    """
    try:
        found = rtorrent.call("method.get", "", _EVENT)
    except RTorrentFault:
        return {}  # this event has no handlers
    handlers = found if isinstance(found, dict) else {"?": found}
    return {
        printable(str(name)): printable(_text(value))[:_SHOWN_MAX]
        for name, value in handlers.items()
        if _text(value) != _BUILT_IN.get(str(name)) and _runs_program(rtorrent, _text(value), _DEPTH_MAX)
    }


def erased_handler_refusal(rtorrent: RTorrent) -> str:
    """Why no item may be erased without `erased_handler = accept`; empty if it may be. Raises RTorrentError."""
    for name, text in foreign_erased_handlers(rtorrent).items():
        return (
            f"rTorrent runs `{text}` ({_EVENT}, {name}) for each item that is erased, which may remove its data, also "
            "files that other items use: remove that line from rtorrent.rc, or set erased_handler = accept"
        )
    return ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _runs_program(rtorrent: RTorrent, text: str, depth: int) -> bool:
    """Whether a command runs a program, itself or through methods that the user defined. In doubt it does."""
    for name in set(_NAME.findall(text)):
        if _RUNS.search(name):
            return True
        # A method of the user; rTorrent's own cannot be read, and those that run programs were found above.
        if "." not in name and name in ("cat", "print", "branch", "if", "and", "or", "not", "equal", "less", "greater"):
            continue
        if not rtorrent.known(name):
            continue
        try:
            inner = rtorrent.call("method.get", "", name)
        except RTorrentFault:
            continue
        if isinstance(inner, str | dict | list) and inner and (depth <= 0 or _inner_runs(rtorrent, inner, depth)):
            return True
    return False


def _inner_runs(rtorrent: RTorrent, inner: object, depth: int) -> bool:
    if isinstance(inner, dict):
        return any(_inner_runs(rtorrent, each, depth) for each in inner.values())
    if isinstance(inner, list):
        return any(_inner_runs(rtorrent, each, depth) for each in inner)
    return isinstance(inner, str) and _runs_program(rtorrent, inner, depth - 1)
