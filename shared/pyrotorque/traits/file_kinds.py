"""The kinds of files in a torrent, by extension and share of the total size."""

from collections.abc import Sequence
from typing import Any, Final

AUDIO: Final = frozenset(("flac", "mp3", "ogg", "wav", "dts", "ac3", "alac", "wma"))
VIDEO: Final = frozenset(["avi", "mkv", "m4v", "vob", "mp4", "mpg", "mpeg", "m2ts", "ts", "ogv", "wmv"])
IMAGE: Final = frozenset(("jpg", "png", "gif", "tif", "bmp", "svg"))
DOCS: Final = frozenset(["chm", "pdf", "cbr", "cbz", "odt", "ods", "doc", "xls", "ppt", "epub", "mobi", "azw3", "djvu"])
ARCHIVE: Final = frozenset(("rar", "zip", "tgz", "bz2", "iso", "bin"))
_ALIASES: Final = {"jpeg": "jpg", "mpeg": "mpg"}
_DOMINANT: Final = 51


def extension(path: str) -> str:
    """The lower-case extension of a path without its dot: parts of an archive are `rar`, `jpeg` is `jpg`."""
    stem, _, found = path.rpartition("/")[2].rpartition(".")
    if not stem:
        return ""
    found = found.lower()
    if len(found) == 3 and found[0] == "r" and found[1:].isdigit():
        return "rar"
    return _ALIASES.get(found, found)


def kind_histogram(files: Sequence[Sequence[Any]]) -> dict[str, int]:
    """Extension → percent of the total size, rounded, the largest share first; `files` holds (path, size)."""
    sizes: dict[str, int] = {}
    for path, size in files:
        kind = extension(str(path))
        if kind:
            sizes[kind] = sizes.get(kind, 0) + int(size)
    whole = sum(int(row[1]) for row in files)
    shares = {kind: round(100 * size / whole) if whole else 0 for kind, size in sizes.items()}
    return dict(sorted(shares.items(), key=lambda entry: (-entry[1], entry[0])))


def kinds_from(files: Sequence[Sequence[Any]], percent: int) -> list[str]:
    """Extensions with at least `percent` of the total size."""
    return [kind for kind, share in kind_histogram(files).items() if share >= percent]


def dominant_kind(files: Sequence[Sequence[Any]]) -> str:
    """The extension that makes up more than half of the size; empty if none does."""
    return next(iter(kinds_from(files, _DOMINANT)), "")
