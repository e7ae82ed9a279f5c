"""Writes any bytes as one argument of a command, so that rTorrent reads them back unchanged and runs nothing."""


def quoted(value: bytes) -> bytes:
    """`value` as a whole argument.

    rTorrent runs an argument whose first byte is `$` even when it is quoted, but not a string inside a list: there the
    function object hands it through. Measured on rTorrent 0.9.8 and 0.16 with all bytes.
    """
    text = b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"(cat,{" + text + b"})" if value.startswith(b"$") else text
