"""The target of an HTTP request in the form that is sent to proxies: it has a host, which replaces the header Host."""

import re
from typing import Final

_ABSOLUTE: Final = re.compile(r"https?://(?P<host>[^/?#]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)


def absolute_target(target: str) -> tuple[str, str] | None:
    """The host, without a user, and the path with what follows; None for another form (RFC 9112, 3.2.2)."""
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        return None
    rest = found["rest"]
    return found["host"].rpartition("@")[2], rest if rest.startswith("/") else f"/{rest}"
