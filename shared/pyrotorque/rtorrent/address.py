"""Where rTorrent listens: a unix socket or a TCP port, read from the setting `scgi_url`."""

import ipaddress
import re
from dataclasses import dataclass
from typing import TypeAlias

from pyrotorque.errors import SettingsError
from pyrotorque.home import expand_home
from pyrotorque.text import printable

# The kernel's sun_path has 108 bytes, one of them for the closing NUL (unix(7)).
_SOCKET_PATH_MAX = 107

_UNIX = re.compile(r"scgi(?:\+unix)?://(?P<path>[/~].*)", re.DOTALL)
_TCP = re.compile(r"scgi://(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\s/:@\[\]]+)):(?P<port>\d{1,5})/?")


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The path of rTorrent's socket (`network.scgi.open_local`)."""

    path: str

    def __str__(self) -> str:
        return f"scgi://{printable(self.path)}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """The port of rTorrent (`network.scgi.open_port`): any process that connects can run programs as its user."""

    host: str
    port: int

    @property
    def is_number(self) -> bool:
        """Whether no name has to be looked up."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return f"scgi://[{self.host}]:{self.port}" if ":" in self.host else f"scgi://{self.host}:{self.port}"


Address: TypeAlias = UnixAddress | TcpAddress


def parse_url(text: str) -> Address:
    """The address in `text`.

    Raises SettingsError with the allowed forms, or when the path is too long for a unix socket.
    """
    url = text.strip()
    if found := _UNIX.fullmatch(url):
        return _unix(found["path"])
    if (found := _TCP.fullmatch(url)) and 0 < int(found["port"]) < 65536:
        return TcpAddress(found["six"] or found["host"], int(found["port"]))
    raise SettingsError(
        f"scgi_url = {printable(text)}: not an address of rTorrent; write scgi:///path/to/rtorrent.sock "
        "(also scgi+unix:///path/to/rtorrent.sock) or scgi://host:port"
    )


def _unix(text: str) -> UnixAddress:
    path = str(expand_home(text)) if text.startswith("~") else text
    size = len(path.encode("utf-8", "surrogateescape"))
    if size > _SOCKET_PATH_MAX or "\0" in path:
        raise SettingsError(
            f"scgi_url = {printable(text)}: the path has {size} bytes, the kernel accepts at most "
            f"{_SOCKET_PATH_MAX} without NUL; "
            "let rTorrent open its socket (network.scgi.open_local) in a shorter folder"
        )
    return UnixAddress(path)
