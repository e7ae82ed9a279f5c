"""Classifies a torrent by its name and files: kinds, traits and a label for folders."""

from collections.abc import Sequence

from pyrotorque.traits.file_kinds import ARCHIVE, AUDIO, DOCS, IMAGE, VIDEO, dominant_kind, kind_histogram, kinds_from
from pyrotorque.traits.release_names import Traits, name_traits

__all__ = [
    "Traits",
    "dominant_kind",
    "kind_histogram",
    "kinds_from",
    "label",
    "name_traits",
    "traits_of",
]

_UNKNOWN = ("misc", "other")


def traits_of(name: str, kind: str, theme: str = "") -> list[str]:
    """The traits of an item, the most general first: `tv, mkv`, `audio, flac`; empty if nothing is known.

    `kind` is the extension of its dominant files, `theme` the theme of its tracker (`[TRAITS_BY_ALIAS]`).
    """
    if theme:
        return [theme, kind or "other"]
    if kind in AUDIO:
        return ["audio", kind]
    if kind in VIDEO:
        return [name_traits(name).kind or "video", kind]
    if kind in IMAGE:
        return ["img"]
    if kind in DOCS:
        return ["docs"]
    if kind in ARCHIVE:
        return [name_traits(name).kind or "misc", kind]
    return []


def label(traits: Sequence[str]) -> str:
    """Traits as a path of folders; `misc/other` if there are none."""
    return "/".join(traits or _UNKNOWN)
