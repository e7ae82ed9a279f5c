"""The exporter's port: opened where the settings say, loopback unless somebody asked for more."""

import errno
import ipaddress
import socket

from pyrotorque.errors import PyrotorqueError


class PortUnavailable(PyrotorqueError):
    """The address cannot be listened on now."""


def is_loopback(address: str) -> bool:
    """Whether only processes of this machine can reach `address`."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def listen(address: str, port: int) -> socket.socket:
    """A listening socket.

    Raises PortUnavailable, with what to do, when the port is taken or the address is not ours.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(
            address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(where[:2], family=family, backlog=256)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "another program listens there: stop it, or set another job.NAME.port in torque.ini"
        else:
            reason = f"{error.strerror}: set job.NAME.address in torque.ini to an address of this machine"
        raise PortUnavailable(f"cannot listen on {address}:{port}: {reason}") from error
