"""The functions that templates may call: as `h.NAME(…)`, as `NAME(…)`, and as filters `VALUE|NAME`."""

import json as _json
import os
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Final

from pyrotorque import humanize
from pyrotorque.humanize import DATE_TIME
from pyrotorque.local_time import local_text

TEXT_MAX: Final = 65_536
_SPANS: Final = (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))

Function = Callable[..., object]


def sz(size: float) -> str:
    """A number of bytes with its unit: `1.5 GiB`."""
    return humanize.size(size, "bytes")


def iso(at: float) -> str:
    """Unix seconds as local date and time: `2026-11-23 22:41:07`; empty for 0."""
    return local_text(float(at), DATE_TIME) if at else ""


def duration(seconds: float) -> str:
    """Seconds with units: `2d 3h 4m 5s`."""
    left, words = int(seconds), list[str]()
    for unit, length in _SPANS:
        count, left = divmod(left, length)
        words += [f"{count}{unit}"] if count else []
    return " ".join(words) or "0s"


def delta(at: float) -> str:
    """The time since a Unix time, as `duration`."""
    return duration(max(0.0, time.time() - float(at)))


def pc(part: float) -> str:
    """A fraction of one as percent: `0.5` is `50.0`."""
    return f"{float(part) * 100:.1f}"


def strip(text: object) -> str:
    return str(text).strip()


def mtime(path: str) -> float:
    """When a file was last written, in Unix seconds; 0 if there is none."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def pathbase(path: str) -> str:
    """The last part of a path: `/a/b.torrent` is `b.torrent`."""
    return os.path.basename(path)


def pathname(path: str) -> str:
    """The last part of a path without its extension: `/a/b.torrent` is `b`."""
    return os.path.splitext(os.path.basename(path))[0]


def pathext(path: str) -> str:
    """The extension of a path with its dot: `/a/b.torrent` is `.torrent`."""
    return os.path.splitext(path)[1]


def pathdir(path: str) -> str:
    """The folder of a path: `/a/b.torrent` is `/a`."""
    return os.path.dirname(path)


def unquote(text: object) -> str:
    """Percent-encoded text as it is meant: `TV%20shows` is `TV shows`. ruTorrent stores its labels in this form."""
    from urllib.parse import unquote as decoded

    return decoded(str(text), errors="surrogateescape")


def json(value: object) -> str:
    return _json.dumps(value, default=_plain, sort_keys=True)


def subst(regex: str, replacement: str) -> Callable[[object], str]:
    """A function that replaces every match of `regex` in its argument: `subst("[.]", " ")(info_name)`."""
    from pyrotorque.templates.substitution import substitution

    substituted = substitution(str(regex), str(replacement))
    return lambda text: substituted(str(text))


def _subst_filter(text: object, regex: str, replacement: str) -> str:
    return subst(regex, replacement)(text)


def _plain(value: object) -> object:
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)


HELPERS: Final[Mapping[str, Function]] = {
    "sz": sz,
    "iso": iso,
    "duration": duration,
    "delta": delta,
    "pc": pc,
    "strip": strip,
    "mtime": mtime,
    "pathbase": pathbase,
    "pathname": pathname,
    "pathext": pathext,
    "pathdir": pathdir,
    "json": json,
    "subst": subst,
    "unquote": unquote,
}
# The bare name `pathname` is the metafile's path, so this function is only available as `h.pathname`.
FUNCTIONS: Final[Mapping[str, object]] = {
    **{name: function for name, function in HELPERS.items() if name != "pathname"},
    "h": SimpleNamespace(**HELPERS),
    "len": len,
    "str": str,
    "int": int,
    "float": float,
    "min": min,
    "max": max,
    "sorted": sorted,
    "round": round,
    "abs": abs,
}
_AS_FILTERS: Final = {**HELPERS, "subst": _subst_filter}
FILTERS: Final[Mapping[str, Function]] = {
    **_AS_FILTERS,
    **{f"h.{name}": function for name, function in _AS_FILTERS.items()},
    "len": len,
    "str": str,
    "repr": repr,
    "sorted": sorted,
}
