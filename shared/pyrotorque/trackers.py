"""Which site a tracker belongs to: the registered domain of its announce URL, or the alias that the user configured."""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_HOST: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*")
# What else separates the labels of an international name (RFC 3490, section 3.1).
_DOTS: Final = re.compile("[\u3002\uff0e\uff61]")
# A suffix that is not in the public suffix list: each name below it is an address of its own.
_I2P_ADDRESSES: Final = ".b32.i2p"


def alias(tracker: str, aliases: Mapping[str, str]) -> str:
    """The alias of an announce URL, by host or domain (in lower case); the registered domain if it has none."""
    host = host_of(tracker)
    return alias_of_host(host, aliases) or registered_domain(host)


def alias_of_host(host: str, aliases: Mapping[str, str]) -> str:
    """The alias of a host or of the nearest domain above it that has one; empty if there is none."""
    found = aliases.get(host, "")
    while not found and "." in (host := host.partition(".")[2]):
        found = aliases.get(host, "")
    return found


def domain(url: str) -> str:
    """The registered domain of an announce URL: that of `http://tracker.example.org:80/x` is `example.org`."""
    return registered_domain(host_of(url))


def host_of(url: str) -> str:
    """The host in a URL, in lower case without port, user and password; empty if there is none."""
    try:
        host = (urlsplit(url).hostname or "") if "://" in url else ""
    except ValueError:
        return ""
    host = _DOTS.sub(".", host.partition("%")[0]).removesuffix(".")
    return host if _HOST.fullmatch(host) or is_address(host) else ""


@lru_cache(maxsize=1024)
def registered_domain(host: str) -> str:
    """The part of a host name that its owner registered; the whole of an address, a bare name or a public suffix."""
    if host.count(".") == 0 or is_address(host) or host.rpartition(".")[2].isdecimal():
        return host
    if host.endswith(_I2P_ADDRESSES):
        return host.removesuffix(_I2P_ADDRESSES).rpartition(".")[2] + _I2P_ADDRESSES
    return _public_suffixes().privatesuffix(host) or host


def is_address(host: str) -> bool:
    """Whether the host is an IP address."""
    if ":" not in host and not host[-1:].isdecimal():
        return False
    import ipaddress  # only few trackers need it

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@cache
def _public_suffixes() -> "PublicSuffixList":
    """Loaded by the processes that need it: 2.5 MiB and 35 ms."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()
