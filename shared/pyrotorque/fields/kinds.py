"""The kinds of fields and the type of value of each kind."""

from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["text", "files", "tags", "bool", "number", "size", "time", "time or never", "duration", "any"]
Value: TypeAlias = "str | bool | float | int | list[str] | frozenset[str] | None"
KINDS: Final[dict[Kind, str]] = {
    "text": "a text; compared with glob patterns or /regular expressions/",
    "files": "paths of files; compared with patterns, one that matches is enough",
    "tags": "a set of lower-case words",
    "bool": "yes or no",
    "number": "a number",
    "size": "bytes (or bytes per second), written with b, k, m, g or t",
    "time": "a point in time; 0 counts as long ago",
    "time or never": "a point in time; one that is not set only matches a comparison with 0",
    "duration": "a length of time in seconds, written like 1w or 2h30i",
    "any": "any value; its kind follows from the value that it is compared with",
}


class Tags(frozenset[str]):
    """A set of lower-case words; matching does not convert them again."""

    __slots__ = ()
