"""The base of all events."""

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all events: `at` is when it happened, in Unix seconds."""

    at: float
