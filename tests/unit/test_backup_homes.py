"""A restore to another home: items stay tied to the metafiles of the fleet, and no user loses access to files."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from demo.metafiles import bencode
from pyrotorque.fleet_inbox import FleetHold, inbox_path
from pyrotorque.layout import Layout
from pyrotorque.metafile.bencode_scan import plain_values, top_level
from pyrotorque.outbox import Outbox
from pyrotorque.store import open_store, rows_of_other
from pyrotorque_control.backup.contents import Contents
from pyrotorque_control.backup.create import make_backup
from pyrotorque_control.backup.manifest import Manifest
from pyrotorque_control.backup.moved_paths import parse_moves
from pyrotorque_control.backup.restore import restore
from pyrotorque_control.backup.session_files import SavedItem, SessionSource
from pyrotorque_control.backup.staged_files import RestoreRequest
from pyrotorque_control.backup.staged_state import MIGRATIONS
from pyrotorque_control.exit_codes import EX_TEMPFAIL, EX_USAGE
from pyrotorque_control.group import CommandError, Group

HASH = "A" * 40
CONTENT = b"d4:infode"
WRITTEN_NS = 1_700_000_000_123_456_789


class Home(NamedTuple):
    """A configuration directory, and the session of its rTorrent."""

    config: Path
    session: Path

    @property
    def layout(self) -> Layout:
        return Layout.below(self.config)

    def inbox(self, folder: str = "", info_hash: str = HASH) -> Path:
        return inbox_path(self.layout.state_dir, "treewatch", folder, info_hash)

    def tie(self) -> str:
        """The metafile to which the item is tied."""
        data = (self.session / f"{HASH}.torrent.rtorrent").read_bytes()
        found = plain_values(data, top_level(data))["tied_to_file"]
        assert isinstance(found, bytes)
        return os.fsdecode(found)

    def ledger(self, query: str, service: str = "watcher") -> list[str]:
        return [os.fsdecode(path) for (path,) in rows_of_other(self.layout.database(service), query)]


def home_at(folder: Path) -> Home:
    for name in ("config", "session"):
        (folder / name).mkdir(parents=True)
    return Home(folder / "config", folder / "session")


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    os.utime(path, ns=(WRITTEN_NS, WRITTEN_NS))
    return path


@pytest.fixture
def old(tmp_path: Path) -> Home:
    """A group with one item that the fleet placed."""
    home = home_at(tmp_path / "old")
    (home.config / "torque.ini").write_text("[TORQUE]\n")
    home.layout.state_dir.mkdir()
    place(home, home.inbox("tv/x"))
    return home


def place(home: Home, metafile: Path) -> None:
    path = os.fsencode(put(metafile))
    root = os.fsencode(home.layout.state_dir / "fleet_inbox" / "treewatch")
    for service in ("watcher", "fleet"):
        with closing(open_store(home.layout.database(service), MIGRATIONS[service])) as store:
            Outbox(store, service).close()
            with store.transaction() as db:
                if service == "fleet":
                    db.execute("INSERT INTO handovers VALUES (?, 1, 'released', 'treewatch', ?)", (HASH, path))
                    continue
                db.execute("INSERT INTO configured_folders VALUES (?)", (os.fsencode(home.config.parent / "watch"),))
                db.execute("INSERT INTO roots (job, path, since_ns) VALUES ('treewatch', ?, 5)", (root,))
                values = (path, os.path.dirname(path), root, WRITTEN_NS, FleetHold.RELEASED)
                db.execute(INSERTED, values)
    item = {"tied_to_file": path, "loaded_file": path, "directory": b"/data"}
    for suffix, content in (("", b"de"), (".rtorrent", bencode(item)), (".libtorrent_resume", b"de")):
        (home.session / f"{HASH}.torrent{suffix}").write_bytes(content)


INSERTED = (
    "INSERT INTO metafiles (job, path, folder, root, size, mtime_ns, ctime_ns, inode, device, state, reason, info_hash,"
    " hold, first_seen, changed, closed, settled, token)"
    f" VALUES ('treewatch', ?, ?, ?, {len(CONTENT)}, ?, 0, 0, 0, 'loaded', '', '{HASH}', ?, 0, 0, 0, 1, 't')"
)


def backup(home: Home, archive: Path) -> Manifest:
    return make_backup(home.layout, archive, SessionSource(home.session), lambda _: None)


def restored(home: Home, archive: Path, *moves: str, session: bool = True, dry_run: bool = False) -> None:
    request = RestoreRequest(
        archive, home.session if session else None, without_session=not session, replace=True,
        moved=parse_moves(moves), dry_run=dry_run,
    )  # fmt: skip
    restore(Group(home.config), request, lambda _: None)


@pytest.mark.parametrize("is_given", [True, False], ids=["with --move", "without"])
def test_an_item_of_the_fleet_is_tied_to_its_metafile_in_a_new_home(tmp_path: Path, old: Home, is_given: bool) -> None:
    archive = tmp_path / "one.tar.gz"
    assert backup(old, archive).left_out == ()
    new = home_at(tmp_path / "new")
    restored(new, archive, *((f"{tmp_path / 'old'}={tmp_path / 'new'}",) if is_given else ()))
    metafile = new.inbox("tv/x")
    assert metafile.read_bytes() == CONTENT
    assert metafile.stat().st_mtime_ns == WRITTEN_NS  # else the watcher sees another file, and loads it
    assert new.tie() == str(metafile)
    assert new.ledger("SELECT path FROM metafiles") == [str(metafile)]
    assert new.ledger("SELECT root FROM metafiles") == new.ledger("SELECT path FROM roots")
    assert new.ledger("SELECT path FROM roots") == [str(new.layout.state_dir / "fleet_inbox" / "treewatch")]
    assert new.ledger("SELECT path FROM handovers", "fleet") == [str(metafile)]
    watch = (new if is_given else old).config.parent / "watch"
    assert new.ledger("SELECT path FROM configured_folders") == [str(watch)]


def test_an_inbox_that_stays_is_not_moved_with_other_folders(tmp_path: Path, old: Home) -> None:
    archive = tmp_path / "one.tar.gz"
    backup(old, archive)
    restored(old, archive, f"{tmp_path}=/elsewhere")
    assert old.tie() == str(old.inbox("tv/x"))


@pytest.mark.parametrize("session", [True, False])
def test_a_restore_takes_no_metafile_of_the_fleet_away(tmp_path: Path, old: Home, session: bool) -> None:
    """An rTorrent that keeps its session has items that were placed since the backup, too."""
    archive = tmp_path / "one.tar.gz"
    backup(old, archive)
    later, changed = put(old.inbox(info_hash="B" * 40)), old.inbox("tv/x")
    inode = later.stat().st_ino
    changed.write_bytes(b"other")
    restored(old, archive, session=session, dry_run=True)
    assert changed.read_bytes() == b"other"
    restored(old, archive, session=session)
    assert later.stat().st_ino == inode
    assert changed.read_bytes() == CONTENT
    aside = [path.read_bytes() for path in old.layout.state_dir.glob("before-restore-*/fleet_inbox/**/*.torrent")]
    assert aside == [b"other"]


class SessionAfterRestore(SessionSource):
    """Files are restored after the databases were read, before the session is."""

    def items(self) -> Iterator[SavedItem]:
        restored(Home(self.folder.parent / "config", self.folder), self.folder.parent / "one.tar.gz")
        return super().items()


def test_a_backup_into_which_files_were_restored_is_refused(old: Home) -> None:
    first, second = (old.session.parent / name for name in ("one.tar.gz", "two.tar.gz"))
    backup(old, first)
    with pytest.raises(CommandError, match="files were restored while they were read") as error:
        make_backup(old.layout, second, SessionAfterRestore(old.session), lambda _: None)
    assert error.value.exit_code == EX_TEMPFAIL
    assert not second.exists()
    assert backup(old, second).left_out == ()


def test_only_complete_metafiles_of_the_fleet_are_in_a_backup(tmp_path: Path) -> None:
    layout = Layout.below(tmp_path)
    put(inbox_path(layout.state_dir, "w", "__pycache__", HASH))
    job = layout.state_dir / "fleet_inbox" / "w"
    put(job / f"{HASH}.start.torrent")
    put(job / f".{HASH}.part")
    (tmp_path / "secret").write_text("x")
    (job / "link.torrent").symlink_to(tmp_path / "secret")
    (job / "folder").symlink_to(tmp_path)
    os.mkfifo(job / "pipe.torrent")
    put(Path(os.fsdecode(os.fsencode(job) + b"/\xff.torrent")))
    with (job / "large.torrent").open("wb") as file:
        file.truncate(65 << 20)
    contents = Contents(layout)
    assert {name for name, _ in contents.state()} == {
        f"state/fleet_inbox/w/__pycache__/{HASH}.torrent", f"state/fleet_inbox/w/{HASH}.start.torrent",
    }  # fmt: skip
    assert sorted(line.partition(": ")[2].split(" ")[0:3] for line in contents.left_out) == [
        ["a", "link,", "where"], ["a", "link,", "where"], ["it", "is", "larger"], ["its", "name", "is"],
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to another user")
@pytest.mark.parametrize("place", ["config", "session", "config/run", "config/state", "outside", "missing/outside"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_root_restores_nothing_into_a_folder_of_another_user(
    tmp_path: Path, old: Home, place: str, dry_run: bool
) -> None:
    """The user of that folder could not read what root has written there."""
    if "outside" in place:
        folder = tmp_path / "new" / place
        (old.config / "torque.ini").write_text(f"[TORQUE]\nstate_dir = {folder}\n")
        backup_layout = Layout.below(old.config, state_dir=old.layout.state_dir)
        archive = tmp_path / "one.tar.gz"
        make_backup(backup_layout, archive, SessionSource(old.session), lambda _: None)
    else:
        backup(old, archive := tmp_path / "one.tar.gz")
    new = home_at(tmp_path / "new")
    (new.config / "run").mkdir()
    theirs = new.config.parent / place.partition("/outside")[0]
    theirs.mkdir(exist_ok=True)
    os.chown(theirs, 12345, 12345)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CommandError, match=f"{theirs} belongs to user 12345") as error:
        restored(new, archive, dry_run=dry_run)
    assert error.value.exit_code == EX_USAGE
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to another user")
def test_nor_through_a_link_in_its_own(tmp_path: Path, old: Home) -> None:
    put(old.config / "templates" / "x.txt")
    backup(old, archive := tmp_path / "one.tar.gz")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    new = home_at(tmp_path / "new")
    (new.config / "templates").symlink_to(theirs)
    with pytest.raises(CommandError, match="belongs to user 12345"):
        restored(new, archive)
    assert list(theirs.iterdir()) == []
