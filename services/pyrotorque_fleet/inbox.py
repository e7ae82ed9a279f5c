"""Puts metafiles into the inbox after every check, reads those to offer, and reads what the watcher's ledger has."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrotorque.errors import MetafileError, StateError
from pyrotorque.fleet_inbox import FleetHold, inbox_of, inbox_path
from pyrotorque.metafile import Metafile, take
from pyrotorque.metafile import read as read_metafile
from pyrotorque.sha256 import hexdigest
from pyrotorque.store import read_rows_of_other
from pyrotorque.text import printable
from pyrotorque.trackers import host_of
from pyrotorque_fleet.claims import FLAGS, Claim, Flag, Metafacts, folder_error
from pyrotorque_fleet.handovers import Load

_NAME_MAX: Final = 512
_OFFERS: Final = (
    "SELECT turn, token, path, root, job, info_hash FROM metafiles WHERE state = 'offered' AND gone = 0"
    " AND turn > ? ORDER BY turn LIMIT ?"
)
_WAITING: Final = "SELECT turn, token FROM metafiles WHERE state IN ('seen', 'offered') AND gone = 0 AND turn >= ?"
_HELD: Final = "SELECT path, state, kind, hold FROM metafiles WHERE hold IN (1, 2) AND gone = 0"
_AT: Final = "SELECT path, state, kind, hold FROM metafiles WHERE job = ? AND path = ? AND gone = 0"
_LOADS: Final[dict[str, Load]] = {"seen": "pending", "sent": "pending", "baseline": "none", "duplicate": "foreign"}


@dataclass(frozen=True, slots=True)
class OfferedFile:
    """A row of the watcher's ledger that waits for the fleet."""

    turn: int
    token: str
    path: bytes
    root: bytes
    job: str
    info_hash: str


class BadContent(Exception):
    """The stored content of a metafile is not what was offered."""


class BadOffer(Exception):
    """The content of a metafile is what was offered, and no group can load it."""


@dataclass(frozen=True, slots=True)
class Inbox:
    """Of the group with this state folder. Reads of the ledger raise StateError."""

    state_dir: Path

    @property
    def _ledger(self) -> Path:
        return self.state_dir / "watcher.sqlite3"

    # -- the ledger

    def offers(self, after: int, limit: int) -> list[OfferedFile]:
        return [OfferedFile(*row) for row in read_rows_of_other(self._ledger, _OFFERS, after, limit)]

    def waiting(self, first: int) -> dict[int, str]:
        """The tokens of all files, from this turn on, that are offers or may become offers again."""
        return dict(read_rows_of_other(self._ledger, _WAITING, first))

    def loads(self, places: dict[str, tuple[str, bytes]]) -> dict[str, Load]:
        """What the ledger has for each info-hash with its job and path."""
        held = {row[0]: row for row in read_rows_of_other(self._ledger, _HELD)}
        found: dict[str, Load] = {}
        for info_hash, (job, path) in places.items():
            row = held.get(path)
            if row is None and path:
                rows = read_rows_of_other(self._ledger, _AT, job, path)
                row = rows[0] if rows else None
            found[info_hash] = "none" if row is None else _load(*row[1:])
        return found

    # -- metafiles

    def claim_for(self, file: OfferedFile, sender: str, now: float) -> tuple[Claim, bytes]:
        """The offer of a file, and its content; raises MetafileError and OSError."""
        content = take(Path(os.fsdecode(file.path)))
        torrent = read_metafile(content)
        if torrent.info_hash != file.info_hash:
            raise MetafileError("the file changed")
        folder, flags = _place(file)
        claim = Claim(
            info_hash=torrent.info_hash, sha256=hexdigest(content), length=len(content), job=file.job[:64],
            folder=folder, flags=flags, facts=_facts(torrent), sender=sender, offered=now,
            offer=f"{file.turn}-{file.token}", state="offered",
        )  # fmt: skip
        return claim, content

    def put(self, claim: Claim, content: bytes) -> bytes:
        """Check the content of a claim, and put it into the inbox; its path.

        Raises BadContent, BadOffer and OSError.
        """
        if len(content) != claim.length or hexdigest(content) != claim.sha256:
            raise BadContent("its content is not what was offered")
        try:
            torrent = read_metafile(content)
        except MetafileError as error:
            raise BadOffer(str(error)) from error
        if torrent.info_hash != claim.info_hash:
            raise BadOffer("its content has another info-hash")
        path = self.path_of(claim)
        if reason := folder_error(claim.folder):
            raise BadOffer(reason)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f".{claim.info_hash}.part")
        with suppress(FileNotFoundError):
            part.unlink()
        with open(
            os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return os.fsencode(path)

    def path_of(self, claim: Claim) -> Path:
        return inbox_path(self.state_dir.absolute(), claim.job, claim.folder, claim.info_hash, claim.flags)

    def is_ready(self, job: str) -> bool:
        """Whether the watcher has made the inbox of a job."""
        return inbox_of(self.state_dir, job).is_dir()


def _load(state: str, kind: str, hold: int) -> Load:
    if state in ("visible", "loaded"):
        return {FleetHold.HELD: "held", FleetHold.PERMITTED: "pending"}.get(FleetHold(hold), "open")  # type: ignore[return-value]
    if state == "failed":
        return "bad" if kind == "invalid" else "failed"
    return _LOADS.get(state, "none")


def _place(file: OfferedFile) -> tuple[str, tuple[Flag, ...]]:
    """The folder below the root, as far as it may be used elsewhere, and the flags in the name of the file."""
    relative = file.path[len(file.root.rstrip(b"/")) + 1 :]
    folder, _, name = relative.rpartition(b"/")
    words = [part.decode("utf-8", "replace") for part in name.split(b".")]
    flags: tuple[Flag, ...] = tuple(flag for flag in FLAGS if flag in words)
    text = folder.decode("utf-8", "replace")
    if not folder_error(text):
        return text, flags
    # The flags in its folders remain.
    parts = text.split("/")
    kept: list[Flag] = [flag for flag in FLAGS if flag in parts or flag in flags]
    return "", tuple(kept)


def _facts(torrent: Metafile) -> Metafacts:
    tracker = next((host for url in torrent.announce if (host := host_of(url))), "")
    return Metafacts(
        name=printable(torrent.name)[:_NAME_MAX], size=min(torrent.size, 2**53), files=max(1, len(torrent.files)),
        tracker=tracker[:253], private=torrent.private,
    )  # fmt: skip


__all__ = ["BadContent", "BadOffer", "Inbox", "OfferedFile", "StateError"]
