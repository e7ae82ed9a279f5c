"""Label values from arbitrary text: valid UTF-8, one line, at most 200 characters."""

from typing import Final

MAX_LENGTH: Final = 200


def label_value(text: str) -> str:
    """`text` without control characters, with U+FFFD for what is not UTF-8, cut to a length that Prometheus accepts."""
    if len(text) <= MAX_LENGTH and text.isascii() and text.isprintable():
        return text
    kept = "".join(
        "\ufffd" if _is_surrogate(char) else char for char in text if char.isprintable() or _is_surrogate(char)
    )
    return kept if len(kept) <= MAX_LENGTH else kept[: MAX_LENGTH - 1] + "…"


def _is_surrogate(char: str) -> bool:
    return "\ud800" <= char <= "\udfff"


def escaped(value: str) -> str:
    """`value` as it is written between the quotes of the text format."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
