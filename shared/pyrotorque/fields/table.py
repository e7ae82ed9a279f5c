"""The fields that every item has, in the order in which the documentation shows them."""

from typing import Final

from pyrotorque.fields import reading
from pyrotorque.fields.field import Field
from pyrotorque.fields.room import room_field

LOADED: Final = ("d.custom=tm_loaded", "d.load_date=")
STARTED: Final = ("d.custom=tm_started", "d.timestamp.started=")
COMPLETED: Final = ("d.custom=tm_completed", "d.timestamp.finished=")
PATH: Final = ("d.base_path=", "d.directory=", "d.name=", "d.is_multi_file=")
_ACTIVATIONS: Final = "d.custom=activations"


def _leech(act: str, start: str, started: str, end: str, completed: str, now: float) -> float | None:
    return reading.leech_time(act, reading.first_set(start, started), reading.first_set(end, completed), now)


def _seed(act: str, end: str, completed: str, done: str, now: float) -> float | None:
    return reading.seed_time(act, reading.first_set(end, completed), now) if reading.flag(done) else None


_TABLE: Final = (
    Field("hash", "text", ("d.hash=",), str, "info-hash, in upper-case hex"),
    Field("name", "text", ("d.name=",), str, "name of the torrent"),
    Field("size", "size", ("d.size_bytes=",), reading.number, "size of the whole torrent"),
    Field("prio", "number", ("d.priority=",), reading.number, "priority: 0 off, 1 low, 2 normal, 3 high"),
    Field("tracker", "text", (), reading.tracker, "announce URL of the first enabled tracker", ("trackers",)),
    Field(
        "alias",
        "text",
        (),
        reading.alias,
        "the tracker's alias from `[ANNOUNCE]`, else its domain",
        ("trackers",),
    ),
    Field("message", "text", ("d.message=",), str, "message of the tracker, or of rTorrent"),
    Field("is_private", "bool", ("d.is_private=",), reading.flag, "no DHT and no peer exchange"),
    Field("is_open", "bool", ("d.is_open=",), reading.flag, "its files are open"),
    Field("is_active", "bool", ("d.is_active=",), reading.flag, "started, and not paused"),
    Field("is_multi_file", "bool", ("d.is_multi_file=",), reading.flag, "has a folder of files"),
    Field("is_complete", "bool", ("d.complete=",), reading.flag, "all that is wanted is there"),
    Field("is_ignored", "bool", ("d.ignore_commands=",), reading.flag, "ignores commands"),
    Field("is_ghost", "bool", PATH, reading.is_ghost, "its data is not on this machine's disk", local=True),
    Field("directory", "text", ("d.directory=",), str, "folder that holds the data"),
    Field("path", "text", PATH, reading.path, "path of the data"),
    Field("realpath", "text", PATH, reading.real_path, "path with symbolic links resolved", local=True),
    Field("metafile", "text", ("d.tied_to_file=",), str, "metafile that the item is tied to"),
    Field("sessionfile", "text", ("session.path=", "d.hash="), reading.session_file, "its file in the session folder"),
    Field("files", "files", (), reading.file_paths, "paths of the files, inside of the torrent", ("files",)),
    Field("fno", "number", ("d.size_files=",), reading.number, "number of files"),
    Field(
        "done", "number", ("d.completed_chunks=", "d.size_chunks="), reading.percent, "how much is there, in percent"
    ),
    Field("ratio", "number", ("d.ratio=",), reading.thousandth, "uploaded by downloaded; 1.0 is 1:1"),
    Field("uploaded", "size", ("d.up.total=",), reading.number, "bytes uploaded"),
    Field("down", "size", ("d.down.rate=",), reading.number, "download rate, bytes per second"),
    Field("up", "size", ("d.up.rate=",), reading.number, "upload rate, bytes per second"),
    Field("xfer", "size", ("d.down.rate=", "d.up.rate="), reading.total, "both rates, bytes per second"),
    Field("last_xfer", "time", ("d.timestamp.last_xfer=",), reading.number, "last time data was transferred"),
    Field(
        "throttle", "text", ("d.throttle_name=",), reading.throttle, "name of the throttle; NONE, or NULL = unlimited"
    ),
    Field("loaded", "time or never", LOADED, reading.first_set, "when it was loaded"),
    Field("started", "time or never", STARTED, reading.first_set, "when it was started, the first time if known"),
    Field("completed", "time or never", COMPLETED, reading.first_set, "when its download was complete"),
    Field(
        "leechtime",
        "duration",
        (_ACTIVATIONS, *STARTED, *COMPLETED),
        _leech,
        "how long it was downloading",
        clock=True,
    ),
    Field(
        "seedtime",
        "duration",
        (_ACTIVATIONS, *COMPLETED, "d.complete="),
        _seed,
        "how long it was active after completion",
        clock=True,
    ),
    Field("active", "time", ("d.timestamp.last_active=",), reading.number, "last time a peer was connected"),
    Field("stopped", "time or never", (_ACTIVATIONS,), reading.stopped, "when it was last stopped"),
    Field("tagged", "tags", ("d.custom=tags",), reading.words, "the user's tags"),
    Field("views", "tags", (), reading.names, "views that hold the item", ("views",)),
    Field("kind", "tags", (), reading.kind(0), "extensions of its files; `kind_25`: with 25 % of the size", ("files",)),
    Field("traits", "tags", ("d.name=",), reading.traits_set, "what it is, by name and files", ("files",)),
    Field("label", "text", ("d.name=",), reading.label, "its traits joined by a slash", ("files",)),
    room_field(0),
)

FIELDS: Final[dict[str, Field]] = {field.name: field for field in _TABLE}
