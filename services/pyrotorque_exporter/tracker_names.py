"""The tracker of each item, by alias or registered domain; never by its announce URL, which contains the passkey."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pyrotorque.trackers import alias_of_host, host_of, is_address, registered_domain
from pyrotorque_exporter.command_metrics import text
from pyrotorque_exporter.labels import label_value
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls

NONE: Final = "none"
REFRESH_AFTER: Final = 6 * 3600.0
# Reading single items costs rTorrent several times more per item than one call over all items.
SINGLY_MAX: Final = 200

# One text for each tracker of an item: whether it is enabled, then its URL, then what cannot stand in a URL.
END: Final = ">"
TRACKERS_COMMAND: Final = f't.multicall=,t.is_enabled=,t.url=,"cat={END}"'
# A long hexadecimal number, or a mixture of letters and digits that is unlikely as a name.
_KEY: Final = re.compile(r"[0-9a-f]{16}|(?=.{20})(?:.*?[a-z][0-9]){3}")
# Addresses of hidden services are public keys, not passkeys.
_HIDDEN_SERVICE: Final = re.compile(r"(?:[a-z2-7]{16}|[a-z2-7]{56})\.onion|[a-z2-7]{52,60}\.b32\.i2p")


class TrackerNames:
    """Caches the tracker name of each item; reads new items only, and all items every few hours."""

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._aliases = {**aliases, **{host_of(url): alias for url, alias in aliases.items() if host_of(url)}}
        self._names: dict[str, str] = {}
        self._complete_at = float("-inf")

    def update(self, calls: RTorrentCalls, group: str, hashes: Sequence[str], now: float) -> Mapping[str, str]:
        """The names of the trackers of the items `hashes`."""
        outdated = now - self._complete_at >= REFRESH_AFTER
        unknown = [info_hash for info_hash in hashes if info_hash not in self._names]
        if outdated or len(unknown) > SINGLY_MAX:
            commands = ("d.hash=", "d.custom=memo_alias", TRACKERS_COMMAND)
            rows = calls.rows(group, "main", commands)
            self._names = {info_hash: self._name(alias, trackers) for info_hash, alias, trackers in rows}
            self._complete_at = now
        elif unknown:
            self._names |= self._singly(calls, group, unknown)
        if len(self._names) > 2 * len(hashes) + SINGLY_MAX:
            present = set(hashes)
            self._names = {one: name for one, name in self._names.items() if one in present}
        return self._names

    def _singly(self, calls: RTorrentCalls, group: str, hashes: Sequence[str]) -> dict[str, str]:
        aliases = [("d.custom", (info_hash, "memo_alias")) for info_hash in hashes]
        trackers = [("t.multicall", (info_hash, "", "t.is_enabled=", "t.url=")) for info_hash in hashes]
        results = calls.multicall(group, [*aliases, *trackers], restricted=True)
        pairs = zip(hashes, results[: len(hashes)], results[len(hashes) :], strict=True)
        return {info_hash: self._name(text(alias), _joined(urls)) for info_hash, alias, urls in pairs}

    def _name(self, alias: str, trackers: str) -> str:
        if alias and "/" not in alias:
            return label_value(alias)
        return tracker_name(enabled_urls(trackers), self._aliases)


def enabled_urls(trackers: str) -> list[str]:
    """The URLs in a result of TRACKERS_COMMAND, only those that are enabled, or all if none is."""
    entries = [entry for entry in trackers.split(END) if len(entry) > 1]
    enabled = [entry[1:] for entry in entries if entry[0] == "1"]
    return enabled or [entry[1:] for entry in entries]


def tracker_name(urls: Iterable[str], aliases: Mapping[str, str]) -> str:
    """The alias of the first of `urls` that has one, else the domain of the first; NONE where there is no host."""
    hosts = [(url, host) for url in urls if (host := host_of(url))]
    for url, host in hosts:
        found = aliases.get(url) or alias_of_host(host, aliases)
        if found:
            return label_value(found)
    return label_value(shown_domain(hosts[0][1])) if hosts else NONE


def shown_domain(host: str) -> str:
    """The registered domain of `host`: a subdomain may be a passkey. NONE if even the domain may be one."""
    found = registered_domain(host)
    if is_address(found) or _HIDDEN_SERVICE.fullmatch(found):
        return found
    labels = found.split(".")
    return NONE if labels[-1].isdecimal() or any(map(_KEY.search, labels)) else found


def _joined(result: object) -> str:
    """A result of `t.multicall` in the form of TRACKERS_COMMAND."""
    rows = result if isinstance(result, list) else []
    return "".join(f"{row[0]}{row[1]}{END}" for row in rows if isinstance(row, list) and len(row) == 2)
