"""What the JSON API receives and returns: the structs of requests and answers, and the types of parameters."""

from typing import Annotated, Any, Final

import msgspec

BODY_MAX: Final = 256 << 10
_BASE64: Final = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_BASE64_MAX: Final = 23 << 20
UPLOAD_MAX: Final = 24 << 20  # base64
ItemName = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Word = Annotated[str, msgspec.Meta(pattern="^[a-z_]{0,40}$")]
Words = Annotated[str, msgspec.Meta(pattern="^[A-Za-z,]{0,1000}$")]
Number = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
UnixTime = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
Hours = Annotated[float, msgspec.Meta(ge=0, le=24)]
InfoHash = Annotated[str, msgspec.Meta(pattern="^[0-9A-Fa-f]{40}$")]


class GroupTile(msgspec.Struct, frozen=True, kw_only=True):
    """The group in a few values, for a tile or a sensor; None is unknown."""

    group: str
    well: bool
    needs: int
    first_need: str
    download_rate: int | None
    upload_rate: int | None
    downloading: int | None
    seeding: int | None
    waiting: int | None
    items: int | None
    failed_metafiles: int | None
    failed_jobs: int | None
    free_bytes: int | None
    at: float


class GroupList(msgspec.Struct, frozen=True, kw_only=True):
    groups: list[GroupTile]


class NeedList(msgspec.Struct, frozen=True, kw_only=True):
    needs: list[dict[str, Any]]


class DiskList(msgspec.Struct, frozen=True, kw_only=True):
    """Each disk by its `mountpoint`: `free` and `size` in bytes, `used` in percent; those that answered."""

    disks: list[dict[str, Any]]


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    jobs: list[dict[str, Any]]


class QueueList(msgspec.Struct, frozen=True, kw_only=True):
    queues: list[dict[str, Any]]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why an item is started or not, for each queue that has it."""

    text: str
    queues: list[dict[str, Any]]


class MetafilePage(msgspec.Struct, frozen=True, kw_only=True):
    """`next` is the value of `after` for the following page, None at the end."""

    metafiles: list[dict[str, Any]]
    next: int | None


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    events: list[dict[str, Any]]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Transfer over time; None where rTorrent did not answer."""

    points: list[dict[str, Any]]


class ServiceList(msgspec.Struct, frozen=True, kw_only=True):
    services: list[dict[str, Any]]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, as a sentence."""

    text: str


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """Metafiles, or folders with metafiles, by their absolute paths."""

    paths: Annotated[
        list[Annotated[str, msgspec.Meta(pattern="^/", max_length=4096)]], msgspec.Meta(min_length=1, max_length=1000)
    ]


Folder = Annotated[str, msgspec.Meta(max_length=4096)]


class MetafileAddition(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a metafile in base64, and one of the watched folders."""

    metafile: Annotated[str, msgspec.Meta(min_length=4, max_length=_BASE64_MAX, pattern=_BASE64)]
    folder: Folder = ""


class MagnetAddition(msgspec.Struct, frozen=True, kw_only=True):
    """A magnet link, and one of the watched folders."""

    magnet: Annotated[str, msgspec.Meta(pattern="^magnet:", max_length=8192)]
    folder: Folder = ""


class FolderList(msgspec.Struct, frozen=True, kw_only=True):
    folders: list[str]


class CleanupList(msgspec.Struct, frozen=True, kw_only=True):
    plans: list[dict[str, Any]]


class QuarantineList(msgspec.Struct, frozen=True, kw_only=True):
    entries: list[dict[str, Any]]


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """`plan` as `cleanups` shows it."""

    plan: Annotated[str, msgspec.Meta(pattern="^[0-9a-zA-Z]{1,64}$")]


class ParkingTime(msgspec.Struct, frozen=True, kw_only=True):
    """How long the item stays closed, in seconds."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=366 * 86_400)]


class ApiProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not carried out: a sentence, and a word for programs."""

    error: str
    kind: str
