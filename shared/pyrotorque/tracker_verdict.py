"""Interprets the failure reason of a tracker: whether the torrent is gone. An outage proves nothing about a torrent.

rTorrent keeps one message for all trackers of an item. Only what stands in `Failure reason "…"` is the tracker's; all
else is transport: a page of a proxy, a status such as 404 or 503, an unreachable host.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Verdict: TypeAlias = Literal["gone", "replaced", "down", "user", "none"]

_REASON: Final = re.compile(r'Failure reason "(.*)"\]?\s*\Z', re.DOTALL)
_TRACKER: Final = re.compile(r"\s*Tracker: \[")
_LINK: Final = re.compile(r"\S*(?:://|www\.)\S*")
_SPACES: Final = re.compile(r"[\s_]+")
_LENGTH_MAX: Final = 4000

# These are about the tracker or its database, not about the torrent, and win over all others.
_DOWN: Final = (
    *("maintenance", "unavailable", "timeout", "timed out", "time out", "bad gateway", "gateway time", "error", "sql"),
    *("database", "too many requests", "rate limit", "slow down", "try again", "overload", "busy", "restart", "cache"),
    *("refused", "unreachable", "could not parse", "postponed", "offline", "is down", "down for", "temporar", "migrat"),
    *("warming up", "ddos", "attack", "issues", "problem", "read-only", "read only", " yet", "node", "backup", "sync"),
    *("wartung", "später", "spaeter", "mantenimiento", "en panne", "fehler", "erreur"),
)
# A status of a server: 500 to 599.
_STATUS: Final = re.compile(r"(?<!\d)5\d\d(?!\d)")
# These are about the user: the account, its client, its limits.
_USER: Final = (
    *("passkey", "pass key", "authkey", "auth key", "account", "client", "user", "your ip", "ip address", "ratio"),
    *("not authorized", "unauthorized", "unauthorised", "forbidden", "access denied", "connection limit", "slots"),
    *("already", "missing info_hash", "missing info hash", "invalid info_hash", "invalid request", "port "),
    *("torrent pass", "torrent_pass", " ip", "your class", "vip", "freeleech", "your rank", "permission", "member"),
)
# What mentions the torrent itself, although it may contain a word of the user's list.
_TORRENT_NOT_AUTHORIZED: Final = ("torrent not authorized", "torrent is not authorized", "torrent nicht autorisiert",
                                  "torrent not authorised", "torrent is not authorised")  # fmt: skip
_REPLACED: Final = (
    *(
        "trump",
        "duplicate",
        "dupe",
        "upgraded",
        "pack is available",
        "pack available",
        "season pack",
        "complete season",
    ),
    *("internal available", "internal is available", "repack available", "repack is available", "superseded"),
)
_GONE: Final = (
    *(
        "unregistered",
        "not registered",
        "unregistriert",
        "nicht registriert",
        "torrent not found",
        "torrent is not found",
    ),
    *("infohash not found", "info hash not found", "info_hash not found", "hash not found", "torrent does not exist"),
    *("torrent doesn't exist", "torrent not exist", "does not exist", "unknown torrent", "torrent unknown"),
    *("torrent has been deleted", "torrent was deleted", "torrent deleted", "has been removed", "torrent removed"),
    *("nuked", "torrent has been nuked", "torrent banned", "torrent is banned", "torrent rejected", "torrent is dead"),
    *("existiert nicht", "torrent nicht gefunden", "torrent non trouvé", "torrent introuvable", "non enregistré"),
    *(
        "torrent no encontrado",
        "no registrado",
        "não registrado",
        "nao registrado",
        "nem regisztrált",
        "nincs regisztrálva",
    ),
)


@dataclass(frozen=True, slots=True)
class TrackerVerdict:
    """The verdict, the phrase that it is from, and the tracker's own words."""

    verdict: Verdict
    phrase: str = ""
    reason: str = ""


def is_announced(rows: Sequence[Sequence[object]]) -> bool:
    """Whether a tracker has the torrent: its last answer was no failure. DHT is none.

    `rows` have the address, whether it is used, and the Unix times of the last success and the last failure.
    """
    for row in rows:
        address, is_enabled, succeeded, failed = (str(each) for each in row)
        if is_enabled != "0" and not address.startswith("dht://") and int(succeeded) > int(failed):
            return True
    return False


def failure_reason(message: str) -> str:
    """The tracker's own words in rTorrent's message; empty if there are none."""
    if not _TRACKER.match(message[:_LENGTH_MAX]):
        return ""
    found = _REASON.search(message[:_LENGTH_MAX])
    return found[1] if found else ""


def verdict(message: str, phrases: Iterable[str] = ()) -> TrackerVerdict:
    """What the message of an item says; `phrases` are further ones that say that a torrent is gone."""
    reason = failure_reason(message)
    if not reason:
        return TrackerVerdict("down" if _TRACKER.match(message) else "none")
    plain = _SPACES.sub(" ", _LINK.sub(" ", reason)).casefold()
    for phrase in phrases:
        if phrase and phrase.casefold() in plain:
            return TrackerVerdict("gone", phrase, reason)
    lists: tuple[tuple[Verdict, tuple[str, ...]], ...] = (
        ("down", _DOWN),
        ("gone", _TORRENT_NOT_AUTHORIZED),
        ("user", _USER),
        ("replaced", _REPLACED),
        ("gone", _GONE),
    )
    for kind, known in lists:
        if kind == "down" and (status := _STATUS.search(plain)):
            return TrackerVerdict("down", status[0], reason)
        for phrase in known:
            if phrase in plain:
                return TrackerVerdict(kind, phrase, reason)
    return TrackerVerdict("none", "", reason)
