"""How text from torrents, files and the network is shown: never able to break a line, a terminal or JSON."""


def printable(text: str | bytes) -> str:
    """`text` with every byte that is not UTF-8 shown as `\\xNN`, and control characters and surrogates escaped."""
    decoded = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    return decoded if decoded.isprintable() else "".join(map(_shown, decoded))


def _shown(char: str) -> str:
    if char.isprintable():
        return char
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
