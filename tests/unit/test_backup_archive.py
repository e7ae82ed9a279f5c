"""An archive is read only as it was written: truncated, changed and hostile ones are refused."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrotorque_control.backup.archive import Member, is_archive, read_archive, written_archive
from pyrotorque_control.backup.manifest import (
    MANIFEST,
    ArchivedFile,
    ArchiveError,
    Manifest,
    encode_manifest,
    name_problem,
)

HASH = "A" * 40


class Received:
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def receive(self, member: Member, chunks: Iterator[bytes]) -> None:
        self.files[member.name] = b"".join(chunks)


def manifest(files: dict[str, ArchivedFile], version: int = 1) -> Manifest:
    return Manifest(
        format=version,
        pyrotorque="1",
        created=1.0,
        host="h",
        user="u",
        home="/h",
        config_dir="/c",
        state_dir="/c/state",
        files=files,
    )


def written(path: Path, files: dict[str, bytes]) -> Path:
    with written_archive(path) as writer:
        for name, data in files.items():
            writer.add(name, data, mtime=1.0)
        writer.finish(manifest(writer.files))
    return path


FILES = {
    "config/torque.ini": b"[TORQUE]\n",
    "config/" + "long/" * 30 + "ü " * 60: b"x" * 3000,
    "state/watcher.sqlite3": b"",
    f"session/{HASH}.torrent": b"d" * 100_000,
}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    received = Received()
    found = read_archive(written(tmp_path / "one.tar.gz", FILES), received)
    assert received.files == FILES
    assert found.size == sum(map(len, FILES.values()))
    assert (tmp_path / "one.tar.gz").stat().st_mode & 0o777 == 0o600


def test_an_archive_is_recognized_by_its_content(tmp_path: Path) -> None:
    assert is_archive(written(tmp_path / "mine.gz", {}))
    (tmp_path / "other.gz").write_bytes(gzip.compress(b"x"))
    assert not is_archive(tmp_path / "other.gz")
    assert not is_archive(tmp_path / "none.gz")


def test_tar_reads_an_archive(tmp_path: Path) -> None:
    with tarfile.open(written(tmp_path / "one.tar.gz", FILES)) as tar:
        assert tar.getnames() == [*FILES, MANIFEST]


def interrupted(path: Path) -> None:
    with written_archive(path) as writer:
        writer.add("config/a", b"a", mtime=1.0)
        raise RuntimeError


def test_a_failed_archive_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        interrupted(tmp_path / "one.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "one.tar.gz").write_text("mine")
    with pytest.raises(FileExistsError), written_archive(tmp_path / "one.tar.gz"):
        pass
    assert (tmp_path / "one.tar.gz").read_text() == "mine"


def written_late(path: Path) -> None:
    with written_archive(path) as writer:
        path.write_text("mine")
        writer.finish(manifest({}))


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "one.tar.gz"
    with pytest.raises(FileExistsError) as error:
        written_late(path)
    assert error.value.filename == str(path)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_truncated_archive_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    data = written(tmp_path / "one.tar.gz", FILES).read_bytes()
    cut = tmp_path / "cut.tar.gz"
    for end in (*range(0, len(data), 7), len(data) - 1):
        cut.write_bytes(data[:end])
        with pytest.raises(ArchiveError):
            read_archive(cut)


def test_a_changed_byte_is_refused_unless_it_means_the_same(tmp_path: Path) -> None:
    data = bytearray(written(tmp_path / "one.tar.gz", FILES).read_bytes())
    changed, refused = tmp_path / "changed.tar.gz", 0
    for at in range(len(data)):
        data[at] ^= 0x41
        changed.write_bytes(data)
        data[at] ^= 0x41
        received = Received()
        try:
            read_archive(changed, received)
        except ArchiveError:
            refused += 1
        else:
            assert received.files == FILES
    assert refused > len(data) / 3


@pytest.mark.parametrize(
    "files",
    [
        {"config/a": ArchivedFile(1, "0" * 64)},
        {},
        {"config/a": ArchivedFile(1, hashlib.sha256(b"a").hexdigest()), "config/b": ArchivedFile(0, "")},
    ],
    ids=["another checksum", "a file that is not in the manifest", "a file that is missing"],
)
def test_files_that_are_not_those_of_the_manifest_are_refused(tmp_path: Path, files: dict[str, ArchivedFile]) -> None:
    with written_archive(tmp_path / "one.tar.gz") as writer:
        writer.add("config/a", b"a", mtime=1.0)
        writer.finish(manifest(files))
    with pytest.raises(ArchiveError, match="not those of its manifest"):
        read_archive(tmp_path / "one.tar.gz")


def test_an_archive_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with written_archive(tmp_path / "one.tar.gz") as writer:
        writer.finish(manifest({}, version=2))
    with pytest.raises(ArchiveError, match="newer pyrotorque"):
        read_archive(tmp_path / "one.tar.gz")


# --- hostile archives


def crafted(path: Path, *members: tuple[tarfile.TarInfo, bytes], complete: bool = True) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as tar:
        for header, data in members:
            header.size = header.size or len(data)
            tar.addfile(header, io.BytesIO(data))
        if complete:
            data = encode_manifest(manifest({}))
            last = tarfile.TarInfo(MANIFEST)
            last.size = len(data)
            tar.addfile(last, io.BytesIO(data))
    return path


def header(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "config/../../x", "config/./x", "config//x", "config/", "x", "other/x", "config", "",
        "session/x", f"session/{HASH.lower()}.torrent", f"session/{HASH}.torrent/x", f"session/{HASH}.torrent.new",
        "session/rtorrent.lock", "state/group.lock", "state/watcher.sqlite3-wal", "state/options.json",
        "state/watcher.head", "state/.hidden", "state/other.sqlite3", "state/mine/x",
        "config/run/pyrotorque", "config/state/watcher.sqlite3",
        "config/.pyrotorque-restore.json", "config/before-restore-1/x", "config/" + "a" * 256, "config/a\0b",
        "config/" + "a/" * 50 + "b", "config/\udc80",
    ],
)  # fmt: skip
def test_a_name_that_has_no_place_is_refused(tmp_path: Path, name: str) -> None:
    assert name_problem(name)
    if "\0" not in name and name and not name.endswith("/"):
        with pytest.raises(ArchiveError):
            read_archive(crafted(tmp_path / "one.tar.gz", (header(name), b"x")))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE,
     tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK, b"9"],
)  # fmt: skip
def test_only_regular_files_are_accepted(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(ArchiveError, match="is not a regular file"):
        read_archive(crafted(tmp_path / "one.tar.gz", (header("config/x", kind, "/etc/passwd"), b"")))


def test_a_file_that_is_twice_in_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="is in it twice"):
        read_archive(crafted(tmp_path / "one.tar.gz", (header("config/x"), b"1"), (header("config/x"), b"2")))


def test_a_configuration_after_the_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="order"):
        read_archive(crafted(tmp_path / "one.tar.gz", (header("state/jobs/x"), b"1"), (header("config/x"), b"2")))


def test_an_archive_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no manifest"):
        read_archive(crafted(tmp_path / "one.tar.gz", (header("config/x"), b"1"), complete=False))


def test_something_after_the_manifest_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "one.tar.gz", {})
    path.write_bytes(path.read_bytes() + gzip.compress(b"x" * 512))
    with pytest.raises(ArchiveError, match="follows its manifest"):
        read_archive(path)


def test_a_bomb_ends_early_and_writes_nothing_beyond_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrotorque_control.backup.archive._SMALL", 1 << 20)
    with pytest.raises(ArchiveError, match="200 times"):
        read_archive(crafted(tmp_path / "one.tar.gz", (header("config/x"), b"\0" * (64 << 20))))


def test_a_long_name_is_limited(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="is not a regular file"):
        read_archive(crafted(tmp_path / "one.tar.gz", (header("config/" + "a/" * 100_000), b"")))


def test_a_size_beyond_the_file_is_refused(tmp_path: Path) -> None:
    claimed = header("config/x")
    claimed.size = 1 << 60
    block = claimed.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "one.tar.gz").write_bytes(gzip.compress(block + b"x" * 512))
    with pytest.raises(ArchiveError, match="truncated"):
        read_archive(tmp_path / "one.tar.gz")


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\0" * 2000, gzip.compress(b""), gzip.compress(b"\1" * 600)],
    ids=["empty", "one byte", "zeros", "compressed nothing", "compressed bytes"],
)
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "one.tar.gz").write_bytes(content)
    with pytest.raises(ArchiveError):
        read_archive(tmp_path / "one.tar.gz")
