"""The address that an exporter listens on, as its owner wrote it: checked and opened by the same rules."""

import ipaddress
import re
from typing import Final

_LABEL: Final = r"[a-zA-Z0-9_-]{1,63}"
_HOST_NAME: Final = re.compile(rf"(?=.*[a-zA-Z])(?!.{{254}}){_LABEL}(\.{_LABEL})*\.?")


def bare_address(address: str) -> str:
    """`address` without the brackets that an IPv6 address has in a URL; an IPv4 address in an IPv6 one as itself.

    The kernel binds no socket for IPv6 alone to `::ffff:127.0.0.1`.
    """
    text = address.strip()
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") and len(text) > 2 else text
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return bare
    return str(found.ipv4_mapped) if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped else bare


def address_error(address: str) -> str:
    """Why nothing can listen on `address` on any machine; empty if it may be an address or a host name."""
    bare = bare_address(address)
    if not bare or _HOST_NAME.fullmatch(bare):
        return ""
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return f"{address!r} is neither an IP address nor a host name: write for example 127.0.0.1, ::1 or 0.0.0.0"
    if isinstance(found, ipaddress.IPv6Address):
        if found.is_link_local and not found.scope_id:
            return f"{address!r} is a link-local address: add its interface, for example {bare}%eth0"
        if found.scope_id and not found.is_link_local:
            return f"{address!r} is no link-local address: remove %{found.scope_id}"
    return ""


def is_loopback(address: str) -> bool:
    """Whether `address` is reachable from this machine only."""
    bare = bare_address(address)
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return bare.lower().rstrip(".") == "localhost"
