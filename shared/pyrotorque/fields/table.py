"""The fields of every item, in the order of the documentation."""

from typing import Final

from pyrotorque.fields import converters as convert
from pyrotorque.fields.field import Field, Rows
from pyrotorque.room import room

LOADED: Final = ("d.custom=tm_loaded", "d.load_date=")
STARTED: Final = ("d.custom=tm_started", "d.timestamp.started=")
COMPLETED: Final = ("d.custom=tm_completed", "d.timestamp.finished=")
PATH: Final = ("d.base_path=", "d.directory=", "d.name=", "d.is_multi_file=")
PARTIAL: Final = ("d.complete=", "d.is_partially_done=")
LEFT: Final = ("d.left_bytes=", "d.wanted_chunks=", "d.chunk_size=")
_ACTIVATIONS: Final = "d.custom=activations"


def _leech(act: str, start: str, started: str, end: str, completed: str, now: float) -> float | None:
    return convert.leech_time(act, convert.first_set(start, started), convert.first_set(end, completed), now)


def _seed(act: str, end: str, completed: str, done: str, now: float) -> float | None:
    return convert.seed_time(act, convert.first_set(end, completed), now) if convert.flag(done) else None


def room_field(min_free: int) -> Field:
    """The field `has_room` that keeps `min_free` bytes free."""

    def has_room(directory: str, left: str, wanted: str, chunk: str, files: Rows) -> bool:
        space = room(directory)
        return space is not None and convert.bytes_left(left, wanted, chunk, files) <= max(0, space.free - min_free)

    doc = "its filesystem has space for what is left to download, beyond `min_free`"
    return Field("has_room", "bool", ("d.directory=", *LEFT), has_room, doc, ("priorities",), local=True)


_TABLE: Final = (
    Field("hash", "text", ("d.hash=",), str, "info-hash, in upper-case hex"),
    Field("name", "text", ("d.name=",), str, "name of the torrent"),
    Field("size", "size", ("d.size_bytes=",), convert.number, "size of the whole torrent"),
    Field("prio", "number", ("d.priority=",), convert.number, "priority: 0 off, 1 low, 2 normal, 3 high"),
    Field("tracker", "text", (), convert.tracker, "announce URL of the first enabled tracker", ("trackers",)),
    Field(
        "alias",
        "text",
        (),
        convert.alias,
        "the tracker's alias from `[ANNOUNCE]`, else its domain",
        ("trackers",),
    ),
    Field("message", "text", ("d.message=",), str, "message of the tracker, or of rTorrent"),
    Field(
        "failure_reason",
        "text",
        ("d.message=",),
        convert.tracker_reason,
        "the reason that a tracker gave for a failure",
    ),
    Field("is_unregistered", "bool", ("d.message=",), convert.is_unregistered, "a tracker does not have it (any more)"),
    Field(
        "is_replaced", "bool", ("d.message=",), convert.is_replaced, "a tracker has another torrent that replaces it"
    ),
    Field("is_tracker_down", "bool", ("d.message=",), convert.is_tracker_down, "a tracker fails, whatever the torrent"),
    Field(
        "seeds",
        "number",
        (),
        convert.seeds,
        "seeds that a tracker counts; not known before its answer",
        ("swarm",),
        strict=True,
    ),
    Field("leeches", "number", (), convert.leeches, "the same for peers that are downloading", ("swarm",), strict=True),
    Field("scraped", "time or never", (), convert.scraped, "when a tracker gave these numbers", ("swarm",)),
    Field("is_private", "bool", ("d.is_private=",), convert.flag, "no DHT and no peer exchange"),
    Field("is_open", "bool", ("d.is_open=",), convert.flag, "its files are open"),
    Field("is_active", "bool", ("d.is_active=",), convert.flag, "started, and not paused"),
    Field("is_started", "bool", ("d.state=",), convert.flag, "started and not stopped, even if rTorrent closed it"),
    Field("is_multi_file", "bool", ("d.is_multi_file=",), convert.flag, "has a folder of files"),
    Field("is_complete", "bool", ("d.complete=",), convert.flag, "all of its data is complete"),
    Field("is_wanted_done", "bool", PARTIAL, convert.any_flag, "all data of the files that are selected is complete"),
    Field("is_partial", "bool", PARTIAL, convert.only_second, "the same, and data of deselected files is missing"),
    Field("is_check_failed", "bool", ("d.hashing_failed=",), convert.flag, "rTorrent could not check its data"),
    Field("is_ignored", "bool", ("d.ignore_commands=",), convert.flag, "ignores commands"),
    Field("is_ghost", "bool", PATH, convert.is_ghost, "its data is not on this machine's disk", local=True),
    Field("directory", "text", ("d.directory=",), str, "folder that holds the data"),
    Field("path", "text", PATH, convert.path, "path of the data"),
    Field("realpath", "text", PATH, convert.real_path, "path with symbolic links resolved", local=True),
    Field("metafile", "text", ("d.tied_to_file=",), str, "metafile that the item is tied to"),
    Field("sessionfile", "text", ("session.path=", "d.hash="), convert.session_file, "its file in the session folder"),
    Field("files", "files", (), convert.file_paths, "paths of the files, inside of the torrent", ("files",)),
    Field("fno", "number", ("d.size_files=",), convert.number, "number of files"),
    Field("left", "size", LEFT, convert.bytes_left, "bytes of the selected files still to download", ("priorities",)),
    Field("done", "number", ("d.completed_chunks=", "d.size_chunks="), convert.percent, "completed part, in percent"),
    Field("ratio", "number", ("d.ratio=",), convert.thousandth, "uploaded by downloaded; 1.0 is 1:1"),
    Field("uploaded", "size", ("d.up.total=",), convert.number, "bytes uploaded"),
    Field("down", "size", ("d.down.rate=",), convert.number, "download rate, bytes per second"),
    Field("up", "size", ("d.up.rate=",), convert.number, "upload rate, bytes per second"),
    Field("xfer", "size", ("d.down.rate=", "d.up.rate="), convert.total, "both rates, bytes per second"),
    Field("last_xfer", "time", ("d.timestamp.last_xfer=",), convert.number, "last time data was transferred"),
    Field(
        "throttle",
        "text",
        ("d.throttle_name=",),
        convert.throttle,
        "name of the throttle; NONE, or NULL = unlimited",
    ),
    Field("loaded", "time or never", LOADED, convert.first_set, "when it was loaded"),
    Field("started", "time or never", STARTED, convert.first_set, "when it was started, the first time if known"),
    Field("completed", "time or never", COMPLETED, convert.first_set, "when its download was completed"),
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
    Field("seeded", "duration", (), convert.unknown, "how long a clean-up job has counted it as seeding", strict=True),
    Field(
        "idle",
        "duration",
        (),
        convert.unknown,
        "how long it has transferred nothing, as far as such a job has seen",
        strict=True,
    ),
    Field(
        "links",
        "tags",
        (),
        convert.unknown_links,
        "links of its files: inside, outside, shared; or missing, unknown",
        strict=True,
    ),
    Field("frees", "size", (), convert.unknown, "what the removal of this item alone would free", strict=True),
    Field("active", "time", ("d.timestamp.last_active=",), convert.number, "last time a peer was connected"),
    Field("stopped", "time or never", (_ACTIVATIONS,), convert.stopped, "when it was last stopped"),
    Field("tagged", "tags", ("d.custom=tags",), convert.words, "the user's tags"),
    Field("views", "tags", (), convert.names, "views that hold the item", ("views",)),
    Field("kind", "tags", (), convert.kind(0), "extensions of its files; `kind_25`: with 25 % of the size", ("files",)),
    Field("traits", "tags", ("d.name=",), convert.traits_set, "what it is, by name and files", ("files",)),
    Field("label", "text", ("d.name=",), convert.label, "its traits joined by a slash", ("files",)),
    room_field(0),
)

FIELDS: Final[dict[str, Field]] = {field.name: field for field in _TABLE}
