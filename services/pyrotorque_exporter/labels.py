"""Text from torrents and trackers becomes a label value here: valid UTF-8, one line, at most 200 characters."""

from typing import Final

MAX_LENGTH: Final = 200


def label_value(text: str) -> str:
    """`text` without control characters, what is not UTF-8 shown as U+FFFD, cut before Prometheus would refuse it."""
    if len(text) <= MAX_LENGTH and text.isascii() and text.isprintable():
        return text
    kept = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text if _shown(char))
    return kept if len(kept) <= MAX_LENGTH else kept[: MAX_LENGTH - 1] + "…"


def _shown(char: str) -> bool:
    return char.isprintable() or "\ud800" <= char <= "\udfff"


def escaped(value: str) -> str:
    """`value` as it stands between the quotes of the text format."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def capped(values: dict[str, float], limit: int, rest: str = "other") -> dict[str, float]:
    """The `limit` largest entries of `values`; all others are summed up under `rest`."""
    if len(values) <= limit:
        return values
    ranked = sorted(values.items(), key=lambda entry: (-entry[1], entry[0]))
    kept = dict(ranked[:limit])
    kept[rest] = kept.get(rest, 0.0) + sum(value for _, value in ranked[limit:])
    return kept
