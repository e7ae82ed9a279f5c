"""Makes a backup of a group, running or stopped.

The order makes it consistent: first all databases as of one instant, then the journals of jobs, then rTorrent's
session. An effect on rTorrent is recorded as done only when the session has it, so the session of a backup has each
effect that its databases claim. What the session has in addition is found as after a kill of the services.
"""

import getpass
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.errors import SettingsError, StateError
from pyrotorque.home import NO_HOME, home_folder
from pyrotorque.humanize import size
from pyrotorque.layout import ALL_SERVICES, Layout
from pyrotorque.snapshots import is_database, snapshots
from pyrotorque.supervisord.config import written_layout
from pyrotorque.text import counted, printable
from pyrotorque_control.backup.archive import PART_SUFFIX, ArchiveWriter, written_archive
from pyrotorque_control.backup.contents import Contents, SourceFile, read_stable, require_state_apart
from pyrotorque_control.backup.free_space import require_space
from pyrotorque_control.backup.manifest import MARK_NAME, SESSION, STATE, ArchivedSession, Manifest
from pyrotorque_control.backup.origin import origin_mark
from pyrotorque_control.backup.session_files import SessionSource
from pyrotorque_control.backup.swap import require_no_unfinished_restore, traces_of_restores
from pyrotorque_control.exit_codes import EX_TEMPFAIL
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.progress import ShownProgress

Progress = Callable[[str], None]
_WORK_PREFIX: Final = ".pyrotorque-backup-"
_ABANDONED_AFTER: Final = 86_400.0


def make_backup(layout: Layout, archive: Path, session: SessionSource | None, progress: Progress) -> Manifest:
    """Write the archive; the folder of `archive` must exist. Raises CommandError, StateError or OSError: then nothing
    is written."""
    require_no_unfinished_restore(layout.config_dir)
    folders = [layout.config_dir, layout.state_dir, *([session.folder] if session is not None else [])]
    restored = traces_of_restores(folders)
    require_state_apart(layout)
    if not layout.config_dir.is_dir():
        raise SettingsError(f"there is no configuration directory {printable(str(layout.config_dir))}")
    layout.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    contents = Contents(layout, (archive.parent.absolute(), *([session.folder] if session is not None else [])))
    total, largest = _sizes(contents, layout, session)
    require_space(archive.parent, total, "the backup")
    require_space(layout.state_dir, largest, "a copy of a database")
    if session is not None:
        progress("rTorrent saves its session")
        session.save()
    with (
        # On the disk of the databases: others, as network filesystems, may not support them.
        tempfile.TemporaryDirectory(prefix=_WORK_PREFIX, dir=layout.state_dir) as work,
        ShownProgress(layout.run_dir, "backup", total, "bytes") as work_done,
        written_archive(archive, work_done, origin_mark(layout.config_dir)) as writer,
    ):
        _add_files(writer, contents, contents.configuration(), Path(work))
        created = _add_databases(writer, contents, Path(work))
        # After the databases: a run that they have as unfinished may have ended, never the other way round.
        _add_files(writer, contents, contents.state(), Path(work))
        found = _add_session(writer, contents, session) if session is not None else None
        if traces_of_restores(folders) - restored:
            raise CommandError("files were restored while they were read: make the backup again", EX_TEMPFAIL)
        manifest = Manifest(
            pyrotorque=version("pyrotorque"),
            created=created,
            host=platform.node(),
            user=_user(),
            home=printable(str(home_folder() or NO_HOME)),
            config_dir=printable(str(layout.config_dir)),
            state_dir=printable(str(layout.state_dir)),
            session=found,
            left_out=tuple(contents.left_out),
            files=writer.files,
        )
        writer.finish(manifest)
    return manifest


def layout_in_use(group: Group) -> Layout:
    """The folders that the running group was started with: torque.ini may have been changed, or broken, since."""
    started = written_layout(group.config_dir) if group.running() is not None else None
    return started or group.layout


def _add_databases(writer: ArchiveWriter, contents: Contents, work: Path) -> float:
    """All databases as of the returned time."""
    layout = contents.layout
    with snapshots([layout.database(service) for service in ALL_SERVICES]) as found:
        created = time.time()
        if not found:
            contents.left_out.append(f"the state: there is no database in {printable(str(layout.state_dir))}")
        for path, snapshot in found.items():
            copy = work / path.name
            snapshot.copy(copy)
            writer.add_file(f"{STATE}/{path.name}", copy)
            copy.unlink()
    return created


def _add_files(writer: ArchiveWriter, contents: Contents, files: Iterator[SourceFile], work: Path) -> None:
    for name, path in files:
        try:
            if is_database(path):
                with _copied_database(path, work) as copy:
                    writer.add_file(name, copy)
            elif (content := read_stable(path)) is not None:
                writer.add(name, content.data, mtime=content.mtime, mode=content.mode)
        except (OSError, StateError) as error:
            # What the disk of the archive lacks is no fault of this file.
            if isinstance(error, OSError) and str(error.filename) != str(path):
                raise
            contents.left_out.append(f"{printable(str(path))}: {getattr(error, 'strerror', None) or error}")


@contextmanager
def _copied_database(path: Path, work: Path) -> Generator[Path]:
    """A database of a job."""
    copy = work / "job.sqlite3"
    with snapshots([path]) as found:
        found[path].copy(copy)
    yield copy
    copy.unlink()


def _add_session(writer: ArchiveWriter, contents: Contents, session: SessionSource) -> ArchivedSession:
    items, incomplete = 0, list[str]()
    for item in session.items():
        for name, content in item.files.items():
            writer.add(name, content.data, mtime=content.mtime, mode=content.mode)
        items += bool(item.files)
        if not item.files:
            incomplete.append(item.info_hash)
            contents.left_out.append(f"{item.info_hash}: rTorrent has not saved this item completely")
    if (mark := session.mark()) is not None:
        writer.add(f"{SESSION}/{MARK_NAME}", mark.data, mtime=mark.mtime)
    session.check_unchanged()
    return ArchivedSession(printable(str(session.folder)), session.version, items, tuple(incomplete))


def _sizes(contents: Contents, layout: Layout, session: SessionSource | None) -> tuple[int, int]:
    """The bytes of all that is to be copied, and of the largest database."""
    files = [path for _, path in (*contents.configuration(), *contents.state())]
    databases = [_file_size(layout.database(service)) for service in ALL_SERVICES]
    if session is not None:
        files += [path for path in session.folder.iterdir() if ".torrent" in path.name]
    contents.left_out.clear()
    return sum(map(_file_size, files)) + sum(databases), max(databases)


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def remove_leftovers(layout: Layout, folder: Path) -> None:
    """Remove what backups left behind that were killed more than a day ago."""
    before = time.time() - _ABANDONED_AFTER
    for path in (*layout.state_dir.glob(f"{_WORK_PREFIX}*"), *folder.glob(f".*{PART_SUFFIX}")):
        with suppress(OSError):
            if path.lstat().st_mtime < before and path.lstat().st_uid == os.geteuid():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def summary(manifest: Manifest) -> Iterator[str]:
    """Lines that describe what an archive contains."""
    origin = f"{manifest.user}@{manifest.host}:{manifest.config_dir}"
    yield f"{counted(len(manifest.files), 'file')}, {size(manifest.size)}, of {printable(origin)}"
    if (session := manifest.session) is None:
        yield "without rTorrent's session"
        return
    writer = f", rTorrent {session.rtorrent}" if session.rtorrent else ""
    yield f"rTorrent's session {printable(session.path)}: {counted(session.items, 'item')}{printable(writer)}"


def as_json(manifest: Manifest) -> dict[str, object]:
    """The manifest without its list of files."""
    found: dict[str, object] = msgspec.to_builtins(manifest)
    return found | {"files": len(manifest.files), "size": manifest.size}
