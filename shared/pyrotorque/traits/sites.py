"""Which site a tracker belongs to: the domain of its announce URL, or the alias that the user gave it."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

# Labels under which everybody may register a name below a country: the site is then one label longer.
_SECOND_LEVEL: Final = frozenset(("co", "com", "org", "net", "ac", "edu", "gov"))


def alias(tracker: str, aliases: Mapping[str, str]) -> str:
    """The alias of an announce URL by its host or domain (in lower case), else the domain itself."""
    return aliases.get(_host(tracker)) or aliases.get(domain(tracker)) or domain(tracker)


def domain(url: str) -> str:
    """The site of an announce URL: `http://tracker.example.org:80/x` is of `example.org`."""
    host = _host(url)
    labels = host.split(".")
    if ":" in host or labels[-1].isdigit():
        return host
    longer = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    return ".".join(labels[-3 if longer else -2 :])


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""
