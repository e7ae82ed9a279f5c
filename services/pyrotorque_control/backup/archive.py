"""The archive file: a compressed tar with a manifest as its last member, readable by tar, written all or nothing.

The reader accepts only what the writer writes: regular files with safe names, each once, in the order of the areas.
"""

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

from pyrotorque.linux.files import path_name, rename_noreplace, sync_folder
from pyrotorque.long_work import WorkReport
from pyrotorque.text import printable
from pyrotorque_control.backup.manifest import (
    AREAS,
    MANIFEST,
    ArchivedFile,
    ArchiveError,
    Manifest,
    area_of,
    decode_manifest,
    encode_manifest,
    name_problem,
)

PART_SUFFIX: Final = ".pyrotorque-part"
"""Of an archive that is being written."""
_ORIGINAL_NAME: Final = "pyrotorque-backup.tar"
# gzip's header has 10 bytes before the name of the original file; byte 3 has the flag for it.
_BEGIN: Final = (b"\x1f\x8b\x08\x08", _ORIGINAL_NAME.encode() + b"\0")
_LEVEL: Final = 3
_CHUNK: Final = 1 << 20
_BLOCK: Final = tarfile.BLOCKSIZE
_LONG_NAME_MAX: Final = 4096
_MANIFEST_MAX: Final = 256 << 20
_FILES_MAX: Final = 2_000_000
# What is unpacked is at most this many times as large as the archive: tables of a database compress well.
_RATIO_MAX: Final = 200
_SMALL: Final = 1 << 30
_MODES: Final = 0o755


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    size: int
    mtime: float
    mode: int


class ArchiveTarget(Protocol):
    """Receives the files of an archive; `path` of a member is only valid after all of it was read."""

    def receive(self, member: Member, chunks: Iterator[bytes]) -> None: ...


@dataclass
class ArchiveWriter:
    """Adds files; `files` are those that were added."""

    _tar: tarfile.TarFile
    _work: WorkReport | None = None
    origin: str = ""
    files: dict[str, ArchivedFile] = field(default_factory=dict[str, ArchivedFile])

    def add(self, name: str, data: bytes, *, mtime: float, mode: int = 0o600) -> None:
        self._add(Member(name, len(data), mtime, mode), BytesIO(data))

    def add_file(self, name: str, path: Path) -> None:
        """A file that does not change while it is read."""
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            self._add(Member(name, found.st_size, found.st_mtime, found.st_mode), file)

    def finish(self, manifest: Manifest) -> None:
        data = encode_manifest(manifest)
        self._tar.addfile(self._header(Member(MANIFEST, len(data), manifest.created, 0o600)), BytesIO(data))

    def _add(self, member: Member, content: IO[bytes]) -> None:
        hashing = _HashingReader(content, self._work)
        self._tar.addfile(self._header(member), hashing)
        self.files[member.name] = ArchivedFile(member.size, hashing.digest.hexdigest())

    def _header(self, member: Member) -> tarfile.TarInfo:
        header = tarfile.TarInfo(member.name)
        header.size, header.mtime, header.mode = member.size, int(max(member.mtime, 0)), member.mode & _MODES
        header.gname = self.origin
        return header


class _HashingReader:
    """Computes the checksum of what tarfile reads."""

    def __init__(self, content: IO[bytes], work: WorkReport | None) -> None:
        self._content, self._work = content, work
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._content.read(size)
        self.digest.update(data)
        if self._work is not None:
            self._work.advance(len(data))
        return data


@contextmanager
def written_archive(path: Path, work: WorkReport | None = None, origin: str = "") -> Generator[ArchiveWriter]:
    """Write the archive to `path`, private, synced, and complete or not at all. Raises FileExistsError, OSError.

    `work` counts the bytes of the files; `origin` is the mark of the group, see `backup.origin`.
    """
    if os.path.lexists(path):
        raise FileExistsError(17, "exists already", str(path))
    part = path.with_name(f".{path.name}.{os.getpid()}{PART_SUFFIX}")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            with (
                gzip.GzipFile(filename=_ORIGINAL_NAME, mode="wb", compresslevel=_LEVEL, fileobj=file) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar,
            ):
                yield ArchiveWriter(tar, work, origin)
            file.flush()
            os.fsync(file.fileno())
        rename_noreplace(path_name(part), path_name(path))
        sync_folder(path.parent)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def is_archive(path: Path) -> bool:
    """Whether the file begins as an archive does, whatever its name."""
    try:
        with path.open("rb") as file:
            begin = file.read(10 + len(_BEGIN[1]))
    except OSError:
        return False
    return begin[:4] == _BEGIN[0] and begin[10:] == _BEGIN[1]


def read_archive(path: Path, target: ArchiveTarget | None = None, work: WorkReport | None = None) -> Manifest:
    """Check all of an archive, and give each file to `target` as it is read.

    `work` counts the bytes of the archive that were read. Raises ArchiveError if anything in it is not as it was
    written, and OSError. Until this returns, nothing that the target received may be used.
    """
    try:
        with path.open("rb") as raw:
            limit = _SMALL + _RATIO_MAX * os.fstat(raw.fileno()).st_size
            with gzip.GzipFile(fileobj=raw, mode="rb") as packed:
                return _Reader(packed, limit, target, lambda: _count_to(work, raw.tell())).read()
    except ArchiveError as error:
        raise ArchiveError(f"{printable(str(path))} is refused: {error}") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ArchiveError(f"{printable(str(path))} is refused: truncated or no archive ({error})") from error


@dataclass
class _Reader:
    packed: gzip.GzipFile
    limit: int
    target: ArchiveTarget | None
    report: Callable[[], None]
    """Is called as reading proceeds."""
    files: dict[str, ArchivedFile] = field(default_factory=dict[str, ArchivedFile])
    total: int = 0

    def read(self) -> Manifest:
        area = 0
        while (member := self._next_member()) is not None and member.name != MANIFEST:
            if problem := name_problem(member.name):
                raise ArchiveError(f"{printable(member.name)}: {problem}")
            if member.name in self.files or len(self.files) >= _FILES_MAX:
                raise ArchiveError(f"{printable(member.name)} is in it twice, or it has too many files")
            if AREAS.index(area_of(member.name)) < area:
                raise ArchiveError(f"{printable(member.name)} is not in its order")
            area = AREAS.index(area_of(member.name))
            self._file(member)
        if member is None or member.size > _MANIFEST_MAX:
            raise ArchiveError("it has no manifest: it is truncated, or was not written by pyrotorque")
        manifest = decode_manifest(self._content(member.size))
        self._padding(member.size)
        self._end()
        if manifest.files != self.files:
            raise ArchiveError(_difference(manifest, self.files))
        return manifest

    def _next_member(self) -> Member | None:
        """The next regular file; None at the end."""
        long_name: str | None = None
        while True:
            block = self._exactly(_BLOCK)
            if not block.strip(b"\0"):
                return None
            try:
                header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.HeaderError as error:
                raise ArchiveError(f"it has an invalid header ({error})") from error
            if header.type == tarfile.GNUTYPE_LONGNAME and long_name is None and 0 < header.size <= _LONG_NAME_MAX:
                long_name = self._content(header.size).rstrip(b"\0").decode("utf-8", "surrogateescape")
                self._padding(header.size)
                continue
            name = header.name if long_name is None else long_name
            if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or header.linkname:
                raise ArchiveError(f"{printable(name)} is not a regular file")
            if header.size < 0:
                raise ArchiveError(f"{printable(name)} has no valid size")
            return Member(name, header.size, float(min(max(header.mtime, 0), 2**40)), header.mode & _MODES)

    def _file(self, member: Member) -> None:
        digest = hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            left = member.size
            while left:
                data = self._exactly(min(left, _CHUNK))
                left -= len(data)
                digest.update(data)
                yield data

        content = chunks()
        if self.target is not None:
            self.target.receive(member, content)
        for _ in content:
            pass
        self._padding(member.size)
        self.files[member.name] = ArchivedFile(member.size, digest.hexdigest())

    def _content(self, size: int) -> bytes:
        return b"".join(self._exactly(min(_CHUNK, size - at)) for at in range(0, size, _CHUNK))

    def _padding(self, size: int) -> None:
        self._exactly(-size % _BLOCK)

    def _end(self) -> None:
        """Only zeros follow the manifest; reading them also verifies the checksum of gzip."""
        while data := self.packed.read(_CHUNK):
            self._count(len(data))
            if data.strip(b"\0"):
                raise ArchiveError("something follows its manifest")

    def _exactly(self, size: int) -> bytes:
        data = self.packed.read(size)
        if len(data) != size:
            raise ArchiveError("it is truncated")
        self._count(size)
        return data

    def _count(self, size: int) -> None:
        self.total += size
        self.report()
        if self.total > self.limit:
            raise ArchiveError(f"it unpacks to more than {_RATIO_MAX} times its size")


def _count_to(work: WorkReport | None, read: int) -> None:
    if work is not None and read > work.done:
        work.advance(read - work.done)


def _difference(manifest: Manifest, files: dict[str, ArchivedFile]) -> str:
    changed = sorted(name for name in manifest.files.keys() & files.keys() if manifest.files[name] != files[name])
    missing, added = sorted(manifest.files.keys() - files.keys()), sorted(files.keys() - manifest.files.keys())
    what = [
        f"{text}: {printable(names[0])}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        for text, names in (("changed", changed), ("missing", missing), ("added", added))
        if names
    ]
    return f"its files are not those of its manifest ({'; '.join(what)})"
