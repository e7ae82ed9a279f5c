"""What is known about a watched root from one walk to the next."""

from dataclasses import dataclass


@dataclass
class Root:
    """A root and what is known about it now."""

    path: bytes
    since_ns: int
    complete: bool
    there: bool = True
    deaf: str = ""
    """Why it is polled, if it is."""
    due: float = 0.0
    """When it is to be walked next (monotonic)."""
