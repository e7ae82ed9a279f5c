"""Which parts of a group are to listen on one port, so that only the first of them can.

A module of its own: a running 1.0.0 process may import what uses it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pyrotorque.listen_address import bare_address
from pyrotorque.settings.schema import ExporterSettings, Settings

_ALL_IPV4: Final = ("0.0.0.0",)
_ALL: Final = ("", "::")


@dataclass(frozen=True, slots=True)
class ListeningPort:
    """A TCP port that a part of the group listens on, and the setting that names it."""

    setting: str
    address: str
    port: int

    def clashes_with(self, other: "ListeningPort") -> bool:
        """Whether both cannot listen; names other than `localhost` are compared as they are written."""
        return self.port == other.port and (self.includes(other.address) or other.includes(self.address))

    def includes(self, address: str) -> bool:
        """Whether this one receives connections to `address`."""
        own, given = _normal(self.address), _normal(address)
        return own == given or own in _ALL or (own in _ALL_IPV4 and ":" not in given)


def clashing_ports(settings: Settings) -> Iterator[tuple[str, str]]:
    """The setting of each port that an earlier part of the group has, and why it cannot be used."""
    known: list[ListeningPort] = []
    for found in _ports(settings):
        if first := next((each for each in known if each.clashes_with(found)), None):
            yield found.setting, f"{found.port} is the port of {first.setting}, too: choose another one for one of them"
        known.append(found)


def _ports(settings: Settings) -> Iterator[ListeningPort]:
    for job in settings.active_jobs(ExporterSettings):
        yield ListeningPort(f"job.{job.name}.port", job.address, job.port)
    if settings.panel.active and settings.panel.port:
        yield ListeningPort("panel.port", settings.panel.address, settings.panel.port)


def _normal(address: str) -> str:
    bare = bare_address(address).lower().rstrip(".")
    # The panel keeps its port on both addresses of `localhost`.
    return "localhost" if bare in ("127.0.0.1", "::1") else bare
