"""Reads the settings `fleet.*` of [TORQUE]."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pyrotorque.settings.ini import Entry
from pyrotorque.settings.prefixed import read_values
from pyrotorque.settings.problems import Problem, Report
from pyrotorque.settings.schema import FleetSettings
from pyrotorque.settings.values import duration, folder, truth

PREFIX: Final = "fleet."
NAME_VARIABLE: Final = "PYROTORQUE_FLEET_NAME"
_NAME: Final = re.compile(r"[a-z0-9-]{1,63}")
_SCHEMES: Final = ("nats", "tls")
_REPLICAS: Final = ("1", "3", "5")
_DURATIONS: Final = {"beat": (0.1, 60.0), "silent": (1.0, 3600.0), "turn": (0.0, 10.0)}
_PENDING_MAX: Final = 1000
_ADDRESS: Final = re.compile(r"[^\s/@]+:[0-9]{1,5}")


def read_fleet(home: Path, entries: Mapping[str, Entry], report: Report) -> FleetSettings:
    """The settings in `entries`, by name without `fleet.`; problems are added to `report`."""
    values = read_values(FleetSettings, PREFIX, entries, _value, report)
    if values.get("servers") and "name" not in entries:
        try:
            values["name"] = fleet_name(os.environ.get(NAME_VARIABLE, "") or default_name(home))
        except ValueError as error:
            first = entries["servers"]
            report.problems.append(Problem(first.file, first.line, "fleet.name", str(error)))
    return FleetSettings(**values)


def default_name(home: Path) -> str:
    """The host's name; beside a configuration directory such as `.pyroscope-two` with its suffix."""
    suffix = home.name.partition("-")[2]
    text = "-".join(part for part in (os.uname().nodename.partition(".")[0], suffix) if part)
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")[:63]


def fleet_name(text: str) -> str:
    """Raises ValueError unless it can be a name of a group in a fleet."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"expected at most 63 of a to z, 0 to 9 and -, got {text!r}")
    return text


def read_credentials(path: Path) -> dict[str, str]:
    """`user` and `password` of a file with these two lines, or `nkeys_seed` (its path) of a file with a seed.

    Raises ValueError when it cannot be read, when others may read it, or when it has neither.
    """
    try:
        # A pipe would be waited for, and a device never ends.
        with open(path, encoding="utf-8", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ValueError(f"{path} is no file")
            # Kubernetes gives a Secret to root, and to the group of the pod, which may read it.
            if found.st_mode & (0o077 if found.st_uid == os.geteuid() else 0o037):
                raise ValueError(f"others may read or change {path}: chmod 600 {path}")
            lines = [line.strip() for line in file.read(65_536).splitlines()]
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not in UTF-8") from None
    if any(line.startswith("SU") and line.isalnum() for line in lines):
        return {"nkeys_seed": str(path)}
    pairs = {key.strip(): value.strip() for key, equals, value in (line.partition("=") for line in lines) if equals}
    if not (pairs.get("user") and pairs.get("password")):
        raise ValueError(f"{path} needs two lines: user = NAME and password = PASSWORD")
    return {"user": pairs["user"], "password": pairs["password"]}


def _value(name: str, text: str, kind: Any) -> Any:
    match name:
        case "servers":
            return tuple(_server(each) for each in text.replace(",", " ").split())
        case "name" | "realm":
            return fleet_name(text)
        case "replicas":
            if text not in _REPLICAS:
                raise ValueError(f"expected one of {', '.join(_REPLICAS)}, got {text!r}")
            return int(text)
        case "pending_max":
            if not (text.isdecimal() and 1 <= int(text) <= _PENDING_MAX):
                raise ValueError(f"expected a number from 1 to {_PENDING_MAX}, got {text!r}")
            return int(text)
        case "metrics":
            if not is_address(text):
                raise ValueError(f"expected the host and port of this exporter, such as box1.lan:9135, got {text!r}")
            return text
        case _ if name in _DURATIONS:
            return _bounded(text, *_DURATIONS[name])
        case _ if kind is bool:
            return truth(text)
        case _ if kind is str:
            return text
        case _:
            return folder(text)


def is_address(text: str) -> bool:
    """Whether it is `host:port`, which Prometheus can scrape."""
    return bool(_ADDRESS.fullmatch(text))


def _bounded(text: str, least: float, most: float) -> float:
    found = duration(text)
    if not least <= found <= most:
        raise ValueError(f"expected {least:g} s to {most:g} s, got {text!r}")
    return found


def _server(text: str) -> str:
    """Credentials in an address would be in logs."""
    if "@" in text:
        raise ValueError("an address must not contain a user or password: write them into the file fleet.credentials")
    try:
        parts = urlsplit(text)
        valid = parts.scheme in _SCHEMES and bool(parts.hostname) and not parts.path.strip("/") and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"expected addresses such as nats://box1:4222 or tls://box1:4222, got {text!r}")
    return text
