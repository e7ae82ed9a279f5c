"""The only interface to rTorrent: SCGI over a unix socket or TCP, with deadlines; unusual names break no answer."""

from pyrotorque.rtorrent.address import Address, TcpAddress, UnixAddress, parse_url
from pyrotorque.rtorrent.answers import ExchangeFailed
from pyrotorque.rtorrent.client import Call, RTorrent
from pyrotorque.rtorrent.identity import Identity
from pyrotorque.rtorrent.stats import CallStats, Durations
from pyrotorque.rtorrent.xml import Param, Value

__all__ = [
    "Address",
    "Call",
    "CallStats",
    "Durations",
    "ExchangeFailed",
    "Identity",
    "Param",
    "RTorrent",
    "TcpAddress",
    "UnixAddress",
    "Value",
    "parse_url",
]
