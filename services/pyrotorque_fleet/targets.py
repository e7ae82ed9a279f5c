"""Targets of the fleet's exporters for Prometheus, as `file_sd` and the exporter's `/fleet/targets` give them."""

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pyrotorque.layout import Layout
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.settings.fleet import is_address
from pyrotorque.settings.schema import FleetSettings

log = logging.getLogger(__name__)

_SETTLED_AFTER: Final = 5.0
"""Seconds after connecting until the values of all groups have arrived."""
_LOOK_EVERY: Final = 10.0


def targets(addresses: Mapping[str, str], realm: str) -> list[dict[str, Any]]:
    """One entry for each group that has an exporter, gone ones included: then Prometheus shows them as down.

    The labels are those of the shipped rules and dashboard; what another group wrote is only in its own entry.
    """
    return [
        {
            "targets": [address],
            "labels": {"cluster": realm, "host": address.rpartition(":")[0], "rtorrent": name},
        }
        for name, address in sorted(addresses.items())
        if is_address(address)
    ]


class TargetFiles:
    """Keeps the file of the exporter, and that of `fleet.file_sd`. Nothing is written before all groups are known."""

    def __init__(self, layout: Layout) -> None:
        self._own = layout.fleet_targets
        self._connected_at: float | None = None
        self._look_at = 0.0
        self._logged = ""

    def write(self, settings: FleetSettings, addresses: Mapping[str, str], connected: bool, now: float) -> None:
        """`now` is CLOCK_MONOTONIC. An outage changes nothing: the groups that were known last stay targets."""
        if not connected:
            self._connected_at = None
            return
        self._connected_at = now if self._connected_at is None else self._connected_at
        if now - self._connected_at < _SETTLED_AFTER or now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY
        found = targets(addresses, settings.realm)
        for path in filter(None, (self._own, settings.file_sd)):
            error = write_targets(path, found)
            if error and error != self._logged:
                self._logged = error
                log.warning("%s", error)


def write_targets(path: Path, found: list[dict[str, Any]]) -> str:
    """Replace the file if it differs; the error in one line, or an empty text."""
    content = json.dumps(found, indent=1).encode() + b"\n"
    try:
        if path.exists() and read_regular_file(path) == content:
            return ""
        part = path.with_name(f"{path.name}.part")
        with suppress(FileNotFoundError):
            part.unlink()
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        part.replace(path)
    except OSError as error:
        return f"cannot write {path}: {error.strerror}"
    return ""
