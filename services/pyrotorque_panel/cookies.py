"""Reads cookies of one name from a header that also has those of other programs on this host, whatever they contain.

Browsers do not separate cookies by port, so any server of the host can set some that no strict parser accepts.
"""


def cookie_values(header: str, name: str) -> list[str]:
    """All values of the cookie `name` in the order of the header: which of several is ours, only its value shows."""
    pairs = (part.partition("=") for part in header.split(";"))
    return [value.strip().strip('"') for key, separator, value in pairs if separator and key.strip() == name]
