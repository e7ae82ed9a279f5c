"""The metrics and labels of single items, parsed from the settings `item_stats` and `item_labels`."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pyrotorque.rtorrent.effects import changes_something

Kind = Literal["counter", "gauge"]

_ENTRY: Final = re.compile(
    r"(?:d\.)?(?P<command>[a-z][a-z0-9_.]*)(?::(?P<key>[A-Za-z0-9_-]+))?"
    r"(?:=(?P<name>[a-z][a-z0-9_]*)(?:/(?P<divisor>[1-9][0-9]*))?)?"
)
_LABEL: Final = re.compile(r"(?:d\.)?(?P<command>[a-z][a-z0-9_.]*)(?::(?P<key>[A-Za-z0-9_-]+))?")
# Commands with paths, URLs or keys as values, which are never shown in a label.
_PRIVATE: Final = re.compile(r"path|director|tied|session|file|url|tracker_|peer_id|local_id|mode|multicall|_raw")


@dataclass(frozen=True, slots=True)
class ItemStat:
    """One metric of each item, named `rtorrent_item_NAME`: the result of `command` divided by `divisor`."""

    command: str
    name: str
    kind: Kind = "gauge"
    divisor: float = 1.0
    help: str = ""


@dataclass(frozen=True, slots=True)
class ItemLabel:
    """One label of `rtorrent_item_info`; the command is empty for the tracker, which is read separately."""

    name: str
    command: str


def _known(command: str, metric: str, help_text: str, kind: Kind = "gauge", divisor: float = 1.0) -> ItemStat:
    return ItemStat(
        f"d.{command}=", metric.removeprefix("rtorrent_item_"), kind, divisor, f"{help_text} (d.{command})."
    )


KNOWN: Final = {
    stat.command: stat
    for stat in (
        _known("size_bytes", "rtorrent_item_size_bytes", "Size of an item"),
        _known("completed_bytes", "rtorrent_item_completed_bytes", "Completed bytes of an item"),
        _known("left_bytes", "rtorrent_item_left_bytes", "Bytes of an item left to download"),
        _known("up.total", "rtorrent_item_uploaded_bytes_total", "Bytes sent of an item", "counter"),
        _known("down.total", "rtorrent_item_downloaded_bytes_total", "Bytes received of an item", "counter"),
        _known("up.rate", "rtorrent_item_upload_rate_bytes_per_second", "Current upload rate of an item"),
        _known("down.rate", "rtorrent_item_download_rate_bytes_per_second", "Current download rate of an item"),
        _known("ratio", "rtorrent_item_ratio", "Sent by received of an item, 1 is 1:1", divisor=1000.0),
        _known("peers_connected", "rtorrent_item_connected_peers", "Peers connected for an item"),
        _known("is_active", "rtorrent_item_active", "Whether an item is started and open"),
        _known("priority", "rtorrent_item_priority", "Priority of an item, 0 to 3"),
        _known("load_date", "rtorrent_item_loaded_timestamp_seconds", "When an item was loaded"),
        _known(
            "timestamp.finished",
            "rtorrent_item_finished_timestamp_seconds",
            "When an item was completed, 0 if it is not",
        ),
    )
}
DEFAULT_STATS: Final = ("down.total", "up.total")
DEFAULT_LABELS: Final = ("name",)
SYNTAX: Final = "expected COMMAND, COMMAND=NAME or COMMAND=NAME/DIVISOR, for example up.total or custom:score=score"


def parse_stats(entries: Iterable[str]) -> list[ItemStat]:
    """The metrics in `item_stats`.

    `up.total` has a predefined name and type; `ratio=share/1000` sets them (a name that ends in `_total` is a
    counter); `custom:KEY` reads `d.custom=KEY`. Raises ValueError for an invalid entry, and for two with one name.
    """
    stats = [_stat(entry) for entry in dict.fromkeys(entries)]
    _must_differ("item_stats", "metrics", ("info", "series_dropped", *(stat.name for stat in stats)))
    return stats


def parse_labels(entries: Iterable[str]) -> list[ItemLabel]:
    """The labels in `item_labels` without the hash, which is always a label.

    Raises ValueError for an invalid label, for attributes whose values are paths or URLs, and for two with one name.
    """
    labels = [_label(entry) for entry in dict.fromkeys(entries) if entry not in ("hash", "d.hash")]
    _must_differ("item_labels", "labels", ("info_hash", *(label.name for label in labels)))
    return labels


def _must_differ(key: str, what: str, names: Sequence[str]) -> None:
    """Prometheus rejects a whole scrape with a duplicate name."""
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        hint = ": choose another with COMMAND=NAME" if key == "item_stats" else ""
        raise ValueError(f"{key} has two {what} named {twice[0]!r}, or one that always exists{hint}")


def _stat(entry: str) -> ItemStat:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise ValueError(f"item_stats has {entry!r}: {SYNTAX}")
    command = _command(entry, found["command"], found["key"])
    if found["name"] is None and command in KNOWN:
        return KNOWN[command]
    name = found["name"] or found["key"] or found["command"]
    name = re.sub(r"[^a-z0-9_]", "_", name.lower())
    kind: Kind = "counter" if name.endswith("_total") and found["name"] else "gauge"
    # promtool reserves this suffix for counters, so generated names do not end with it.
    name = name if found["name"] else name.removesuffix("_total")
    help_text = f"Attribute {command.rstrip('=')} of an item."
    return ItemStat(command, name, kind, float(found["divisor"] or 1), help_text)


def _label(entry: str) -> ItemLabel:
    if entry in ("tracker", "alias"):
        return ItemLabel("tracker", "")
    found = _LABEL.fullmatch(entry)
    if found is None:
        raise ValueError(f"item_labels has {entry!r}: expected names such as name, custom1 or custom:KEY")
    command = _command(entry, found["command"], found["key"])
    if _PRIVATE.search(found["command"]):
        raise ValueError(f"item_labels has {entry!r}: paths and URLs are never shown")
    name = re.sub(r"[^a-z0-9_]", "_", (found["key"] or found["command"]).lower())
    # A label cannot start with a digit, and two leading underscores are reserved by Prometheus.
    return ItemLabel(name if name[0].isalpha() else f"custom_{name.lstrip('_')}", command)


def _command(entry: str, command: str, key: str | None) -> str:
    if changes_something(f"d.{command}") or "multicall" in command:
        raise ValueError(f"{entry!r} changes something in rTorrent: only attributes can be shown")
    if key is not None and command != "custom":
        raise ValueError(f"{entry!r}: only custom takes a key")
    return f"d.{command}={key or ''}"
