"""The names that templates of load commands can use: the metafile, its path, torrent, tracker and traits."""

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Final

from pyrotorque.metafile import Magnet, Metafile
from pyrotorque.trackers import alias
from pyrotorque.traits import dominant_kind, label, name_traits, traits_of

NAME_DOCS: Final[Mapping[str, tuple[str, str]]] = {
    "pathname": ("text", "path of the metafile"),
    "relpath": ("text", "its folder relative to the root of the tree; empty at the root"),
    "watch_path": ("set", "all roots of the job"),
    "watch_root": ("text", "the root that contains the metafile"),
    "flags": ("set", "the flags in its path: `start`, `load`, `queue`"),
    "job_name": ("text", "name of the job"),
    "info_hash": ("text", "info-hash, in upper-case hex"),
    "info_name": ("text", "name of the torrent, as in rTorrent"),
    "size": ("number", "size of the whole torrent, in bytes"),
    "file_count": ("number", "number of files"),
    "multi_file": ("bool", "has a folder of files"),
    "private": ("bool", "no DHT and no peer exchange"),
    "comment": ("text", "this field of the metafile"),
    "created_by": ("text", "this field of the metafile"),
    "source": ("text", "this field of the metafile"),
    "tracker": ("text", "the first announce URL"),
    "tracker_alias": ("text", "its alias from `[ANNOUNCE]`, else its domain"),
    "filetype": ("text", "extension of the largest file, with the dot"),
    "traits": (
        "object",
        "parts of the name: `traits.kind`, `.show`, `.season`, `.episode`, `.title`, `.year`, `.codec`, …",
    ),
    "label": ("text", "its traits as folders: `tv/mkv`, `audio/flac`, `misc/other`"),
    "commands": ("list", "the commands rendered so far"),
}
"""Kind and meaning of each name."""
NAMES: Final = frozenset(NAME_DOCS)


def namespace(
    metafile: Metafile | Magnet,
    path: str | bytes | os.PathLike[str],
    root: str | bytes | os.PathLike[str],
    *,
    roots: Sequence[str | bytes | os.PathLike[str]] = (),
    flags: frozenset[str] = frozenset(),
    job_name: str = "",
    aliases: Mapping[str, str] | None = None,
    traits_by_alias: Mapping[str, str] | None = None,
    commands: Sequence[str] = (),
) -> dict[str, object]:
    """The names and values for the metafile at `path` in the watched tree `root` (one of `roots`)."""
    pathname, watch_root = os.fsdecode(path), os.fsdecode(root)
    relative = os.path.relpath(os.path.dirname(pathname), watch_root)
    return {
        "pathname": pathname,
        "relpath": "" if relative == "." or relative.startswith("..") else relative,
        "watch_path": {os.fsdecode(each) for each in roots} | {watch_root},
        "watch_root": watch_root,
        "flags": flags,
        "job_name": job_name,
        "commands": tuple(commands),
        **_torrent_values(metafile),
        **_tracker_and_traits(metafile, aliases or {}, traits_by_alias or {}),
    }


SAMPLE_METAFILE: Final = Metafile(
    info_hash="0123456789ABCDEF0123456789ABCDEF01234567",
    info_hash_v2=None,
    name_bytes=b"Sample.Show.S01E02.720p.WEB-DL.x264-GROUP",
    size=1_500_000_000,
    piece_length=1_048_576,
    multi_file=True,
    private=True,
    files=(("sample.show.s01e02.mkv", 1_499_990_000), ("sample.show.s01e02.nfo", 10_000)),
    announce=("http://tracker.example.com/announce",),
    comment="a comment",
    created_by="a program",
    creation_date=1_700_000_000,
    source="EXAMPLE",
)
"""Checks templates before there is a real one."""


@functools.cache
def sample() -> Mapping[str, object]:
    """The names and values for the sample metafile."""
    return namespace(
        SAMPLE_METAFILE,
        "/watch/tv/sample/start/sample.torrent",
        "/watch",
        flags=frozenset({"start"}),
        job_name="treewatch",
    )


def _torrent_values(metafile: Metafile | Magnet) -> dict[str, object]:
    """A magnet link has few values: sizes are 0 and texts empty."""
    known = {"info_hash": metafile.info_hash, "info_name": _file_name(metafile.name)}
    if isinstance(metafile, Magnet):
        unknown = {"size": 0, "file_count": 0, "multi_file": False, "private": False}
        return {**known, **unknown, "comment": "", "created_by": "", "source": ""}
    return {
        **known,
        "size": metafile.size,
        "file_count": len(metafile.files),
        "multi_file": metafile.multi_file,
        "private": metafile.private,
        "comment": metafile.comment,
        "created_by": metafile.created_by,
        "source": metafile.source,
    }


def _file_name(name: str) -> str:
    """The name as one part of a path: that of a magnet link may be anything, and become a part of a target."""
    plain = name.replace("/", "_").replace("\0", "_")
    return "" if plain in (".", "..") else plain


def _tracker_and_traits(
    metafile: Metafile | Magnet, aliases: Mapping[str, str], traits_by_alias: Mapping[str, str]
) -> dict[str, object]:
    files = () if isinstance(metafile, Magnet) else metafile.files
    tracker = metafile.announce[0] if metafile.announce else ""
    tracker_alias = alias(tracker, aliases) if tracker else ""
    largest = max(files, key=lambda file: file[1], default=(metafile.name, 0))[0]
    theme = traits_by_alias.get(tracker_alias, "")
    return {
        "tracker": tracker,
        "tracker_alias": tracker_alias,
        "filetype": os.path.splitext(largest)[1],
        "traits": name_traits(metafile.name),
        "label": label(traits_of(metafile.name, dominant_kind(files), theme)),
    }
