"""Decides whether a request names this machine: a page of another site must not read names through DNS rebinding.

A browser sends the host of the address that it shows. A site whose name is resolved to 127.0.0.1 after its page was
loaded can request ours, but cannot choose that host.
"""

import ipaddress
import os
from collections.abc import Sequence


def host_of(authority: str) -> str:
    """The host in `host:port`, `[address]:port` or `host`, in lower case, without the final dot of a name."""
    text = authority.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


def address_of(text: str) -> str:
    """The address in `address`, `address:port` or `[address]:port`, always spelled alike; empty if there is none.

    A socket for both families, such as one on `::`, has an IPv4 client as `::ffff:192.0.2.7`: here it is 192.0.2.7.
    """
    has_port = text.startswith("[") or text.count(":") == 1
    try:
        found = ipaddress.ip_address(host_of(text) if has_port else text.strip())
    except ValueError:
        return ""
    return str(found.ipv4_mapped) if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped else str(found)


def is_own_host(authority: str | None, configured: Sequence[str] = ()) -> bool:
    """Whether a site on the internet cannot have this host: an address, a name without a domain, or one of ours.

    `configured` are the names of reverse proxies. Programs that are no browsers may send no host (None).
    """
    if authority is None:
        return True
    host = host_of(authority)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        own = {os.uname().nodename.lower(), *(host_of(name) for name in configured)}
        return bool(host) and ("." not in host or host.endswith(".localhost") or host in own)
    return True
