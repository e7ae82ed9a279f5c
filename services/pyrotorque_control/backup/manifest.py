"""The last member of an archive: what it contains, from where, and the checksum of each file."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from pyrotorque import fleet_inbox
from pyrotorque.json_input import decode_json
from pyrotorque.layout import ALL_SERVICES
from pyrotorque_control.exit_codes import EX_IOERR
from pyrotorque_control.group import CommandError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
INBOX: Final = fleet_inbox.FOLDER
CONFIG, STATE, SESSION = AREAS = ("config", "state", "session")
"""The first part of each name; the members are in this order."""
MARK_NAME: Final = "pyrotorque.mark"

SESSION_FILE: Final = re.compile(r"([0-9A-F]{40})\.torrent(|\.rtorrent|\.libtorrent_resume)", re.ASCII)
ASIDE_PREFIX: Final = "before-restore-"
STAGING: Final = ".pyrotorque-restore"
JOURNAL: Final = ".pyrotorque-restore.json"
_FOLDERS_OF_GROUP: Final = frozenset(("run", "state", "log"))
# What a backup contains of the state folder, which may have files of others; each new file belongs to one of the lists.
JOURNAL_FOLDERS: Final = ("jobs", "housekeeping")
KEPT_STATE: Final = frozenset(
    (*JOURNAL_FOLDERS, INBOX, "marks", "torque.ini.last-good", *(f"{service}.sqlite3" for service in ALL_SERVICES))
)
STAYING_STATE: Final[Mapping[str, str]] = {
    "group.lock": "a lock",
    **{f"{service}.sqlite3.lock": "a lock" for service in ALL_SERVICES},
    "large_metafiles": "copies of metafiles for ten minutes, while rTorrent reads them",
}
"""What is in no backup, and stays where it is at a restore, with the reason; so do databases that were set aside as
damaged (`NAME.damaged-TIME`)."""
# Belongs to the other files at their place, or is written at each start. Metafiles in the inbox stay, see `inbox`.
REPLACED_STATE: Final = (KEPT_STATE - {INBOX}) | {
    *(f"{service}{suffix}" for service in ALL_SERVICES for suffix in (".head", ".sqlite3-wal", ".sqlite3-shm")),
    "options.json",
    "configuration.json",
    "config.py.last-good",
    "fleet-targets.json",
    "rtorrent.json",
}
_PART_MAX: Final = 255
_NAME_MAX: Final = 2000
_DEPTH_MAX: Final = 40


class ArchiveError(CommandError):
    """The archive is damaged, truncated, changed, or was not written by pyrotorque; nothing was changed."""

    def __init__(self, text: str) -> None:
        super().__init__(text, EX_IOERR)


class ArchivedFile(msgspec.Struct, frozen=True):
    size: int
    sha256: str


class ArchivedSession(msgspec.Struct, frozen=True):
    """rTorrent's session: its folder, the version of rTorrent that wrote it (if it answered), its number of items, and
    the items that were not saved completely, which are missing in the archive."""

    path: str
    rtorrent: str = ""
    items: int = 0
    incomplete: Sequence[str] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`created` is the instant of the databases, in Unix seconds. `left_out` names files with the reason."""

    format: int = FORMAT
    pyrotorque: str
    created: float
    host: str
    user: str
    home: str
    config_dir: str
    state_dir: str
    session: ArchivedSession | None = None
    left_out: Sequence[str] = ()
    files: Mapping[str, ArchivedFile]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())


def encode_manifest(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decode_manifest(data: bytes) -> Manifest:
    """Raises ArchiveError if it is of a newer version, or no manifest."""
    try:
        found = decode_json(data, type=dict[str, msgspec.Raw])
        version = decode_json(found.get("format", msgspec.Raw(b"0")), type=int)
    except msgspec.DecodeError as error:
        raise ArchiveError(f"its manifest cannot be read: {error}") from error
    if version > FORMAT:
        raise ArchiveError(f"it was written by a newer pyrotorque (format {version}, this version reads {FORMAT})")
    try:
        return decode_json(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise ArchiveError(f"its manifest cannot be read: {error}") from error


def area_of(name: str) -> str:
    return name.partition("/")[0]


def name_problem(name: str) -> str:
    """Why a file of this name has no place in an archive; empty if it has one."""
    area, _, rest = name.partition("/")
    parts = rest.split("/")
    try:
        encoded = [os_part.encode() for os_part in parts]
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if len(name.encode()) > _NAME_MAX or len(parts) > _DEPTH_MAX or any(len(part) > _PART_MAX for part in encoded):
        return "its path is too long"
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        return "its path is not relative"
    if area == SESSION:
        return "" if SESSION_FILE.fullmatch(rest) or rest == MARK_NAME else "it is no session file"
    if area == STATE:
        return "" if parts[0] in KEPT_STATE else "it belongs to a running group, or is no state of one"
    if area != CONFIG:
        return "it is in no known folder"
    if parts[0] in _FOLDERS_OF_GROUP or parts[0].startswith((ASIDE_PREFIX, STAGING)):
        return "it belongs to a running group, or to an earlier restore"
    return ""
