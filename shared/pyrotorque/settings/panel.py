"""Reads the settings `panel.*` of [TORQUE]."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Final

from pyrotorque.hosts import address_of
from pyrotorque.listen_address import address_error, bare_address, is_loopback
from pyrotorque.settings.ini import Entry
from pyrotorque.settings.prefixed import read_values
from pyrotorque.settings.problems import Problem, Report
from pyrotorque.settings.schema import PanelSettings
from pyrotorque.settings.values import folder, truth, words

PREFIX: Final = "panel."
_PORT_MAX: Final = 65_535
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,60}")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_BASE: Final = re.compile(r"/([A-Za-z0-9._~-]+/?)*")
_MODE: Final = re.compile(r"0?[0-7]{3}")


def read_panel(entries: Mapping[str, Entry], report: Report) -> PanelSettings:
    """The settings in `entries`, by name without `panel.`; problems are added to `report`."""
    values = read_values(PanelSettings, PREFIX, entries, _value, report)
    made = PanelSettings(**values)
    if made.active and made.port == 0 and made.socket is None:
        _add(report, entries, "port", "is 0, and panel.socket is not set: nothing could reach the panel")
    if made.auth_header and not made.trusted_proxies and made.socket is None:
        text = "is believed from panel.socket or panel.trusted_proxies only: set one of them"
        _add(report, entries, "auth_header", text)
    if made.active and made.auth_header:
        _warn_of_local_users(made, entries, report)
    return made


def _warn_of_local_users(made: PanelSettings, entries: Mapping[str, Entry], report: Report) -> None:
    """Who reaches the panel as a proxy does chooses who they are."""
    local = [each for each in made.trusted_proxies if is_loopback(each)]
    found = {"trusted_proxies": f"{local[0]} is every user of this machine"} if local else {}
    if made.socket is not None and made.socket_mode & 0o002:
        found["socket_mode"] = f"{made.socket_mode:04o} admits every user of this machine"
    for name, text in found.items():
        entry = entries[name]
        text += f", and each of them can name a user in {made.auth_header}: let only the proxy use panel.socket"
        report.warnings.append(Problem(entry.file, entry.line, PREFIX + name, text))


def _add(report: Report, entries: Mapping[str, Entry], name: str, text: str) -> None:
    entry = entries[name]
    report.problems.append(Problem(entry.file, entry.line, PREFIX + name, text))


def _value(name: str, text: str, kind: Any) -> Any:
    match name:
        case "port":
            if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= _PORT_MAX):
                raise ValueError(f"expected a port from 1 to {_PORT_MAX}, or 0 for none, got {text!r}")
            return int(text)
        case "address":
            if problem := address_error(text):
                raise ValueError(problem)
            return bare_address(text)
        case "socket_mode":
            if not _MODE.fullmatch(text):
                raise ValueError(f"expected an octal mode such as 0660, got {text!r}")
            return int(text, 8)
        case "base_path":
            return _matching(_BASE, text, "a path such as / or /pyrotorque/")
        case "name":
            return _matching(_NAME, text, "letters, digits, - and _")
        case "auth_header":
            return _matching(_HEADER, text, "the name of a header, such as Remote-User")
        case "trusted_proxies":
            return tuple(_address(each) for each in words(text))
        case "hosts":
            return words(text)
        case "groups":
            return tuple(folder(each.strip()) for each in text.split(",") if each.strip())
        case _ if kind is bool:
            return truth(text)
        case _:
            return folder(text)


def _matching(pattern: re.Pattern[str], text: str, expected: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"expected {expected}, got {text!r}")
    return text


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"expected addresses of proxies, such as 192.0.2.7, got {text!r}") from None
    return address_of(text)
