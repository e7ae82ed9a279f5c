"""Restores a backup: unpacks and checks it beside the old files, adapts it to its new place, then replaces them."""

import fcntl
import os
import platform
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pyrotorque.errors import AlreadyRunning
from pyrotorque.group_lock import open_lock
from pyrotorque.home import NO_HOME, home_folder
from pyrotorque.humanize import date_time
from pyrotorque.layout import SERVICES, Layout
from pyrotorque.local_time import local_text
from pyrotorque.locks import hold
from pyrotorque.text import counted, printable
from pyrotorque_control.backup.archive import read_archive
from pyrotorque_control.backup.contents import is_own_archive
from pyrotorque_control.backup.manifest import (
    ASIDE_PREFIX,
    CONFIG,
    JOURNAL,
    MARK_NAME,
    SESSION,
    SESSION_FILE,
    STAGING,
    STATE,
    Manifest,
)
from pyrotorque_control.backup.moved_paths import MovedPaths, mentions, moved_attributes, rewrite
from pyrotorque_control.backup.session_files import lock_holder
from pyrotorque_control.backup.staged_files import RestoreRequest, StagedFiles, new_folders
from pyrotorque_control.backup.staged_state import prepare_state
from pyrotorque_control.backup.swap import FolderSwap, carry_out, require_no_unfinished_restore
from pyrotorque_control.exit_codes import EX_TEMPFAIL, EX_USAGE
from pyrotorque_control.group import CommandError, Group

Progress = Callable[[str], None]


@dataclass
class RestoreReport:
    """What was done, or would be: `aside` are the folders with the replaced files, `rewritten` counts changed paths,
    `mentioned` are places that still name a folder of the old place."""

    manifest: Manifest
    layout: Layout
    session: Path | None
    aside: list[Path] = field(default_factory=list[Path])
    rewritten: int = 0
    mentioned: list[str] = field(default_factory=list[str])
    old_folders: list[str] = field(default_factory=list[str])


def restore(group: Group, request: RestoreRequest, progress: Progress) -> RestoreReport:
    """Raises CommandError, StateError or OSError; then the old files are where they were."""
    config_dir = group.config_dir
    if group.running() is not None:
        raise CommandError(f"the group in {config_dir} is running: `pyrotorque --stop` stops it", EX_TEMPFAIL)
    _require_own(config_dir)
    with new_folders() as folders:
        folders.make(config_dir)
        with _exclusive(config_dir):
            require_no_unfinished_restore(config_dir)
            if request.session is not None:
                require_unlocked(request.session)
            staged = StagedFiles(config_dir, request, folders)
            try:
                report = _restore_staged(staged, request, progress)
            finally:
                staged.remove()
        if not request.dry_run:
            folders.keep()
        return report


def _restore_staged(staged: StagedFiles, request: RestoreRequest, progress: Progress) -> RestoreReport:
    progress("checking the archive")
    manifest = read_archive(request.archive, staged)
    _require_choice(manifest, request)
    config, state = staged.staging(CONFIG), staged.staging(STATE)
    session = staged.staging(SESSION) if request.session is not None else None
    layout = staged.complete_layout
    report = RestoreReport(manifest, layout, request.session)
    now = time.time()
    progress("preparing the state")
    reason = f"the state of {date_time(manifest.created)} was restored from a backup at {date_time(now)}"
    report.rewritten = staged.rewritten + prepare_state(
        state, reason, request.moved, session=session, seen_before_ns=int(now * 1e9)
    )
    if session is not None:
        report.rewritten += _move_session(session, request.moved)
    _find_old_paths(report, config, session, request.moved)
    swaps = _swaps(staged, request, _aside_name(staged, now))
    report.aside = [swap.aside for swap in swaps if swap.old]
    if report.aside and not request.replace:
        folders = ", ".join(printable(str(path.parent)) for path in report.aside)
        raise CommandError(
            f"there are files already in {folders}: with --replace, they are moved to a folder "
            f"{report.aside[0].name} there, and replaced",
            EX_USAGE,
        )
    if request.dry_run:
        return report
    os.sync()
    with _all_locked(layout):
        if request.session is not None:
            require_unlocked(request.session)
        carry_out(staged.config_dir, swaps, request.session)
    return report


def _require_choice(manifest: Manifest, request: RestoreRequest) -> None:
    if manifest.session is None and request.session is not None:
        raise CommandError("the archive does not contain rTorrent's session: leave out --session", EX_USAGE)
    if manifest.session is not None and request.session is None and not request.without_session:
        raise CommandError(
            f"the archive contains rTorrent's session ({counted(manifest.session.items, 'item')}, from "
            f"{manifest.session.path}): add --session DIR, the folder of session.path in your rtorrent.rc, or "
            "--no-session if rTorrent continues with the session that it has",
            EX_USAGE,
        )


def _aside_name(staged: StagedFiles, now: float) -> str:
    """A new name in each of the folders."""
    name = f"{ASIDE_PREFIX}{local_text(now, '%Y%m%d-%H%M%S')}"
    while any(os.path.lexists(staging.parent / name) for staging in staged.used):
        name += "+"
    return name


def _swaps(staged: StagedFiles, request: RestoreRequest, aside: str) -> list[FolderSwap]:
    """The session first: an rTorrent that is started in between has it complete, or the old one."""
    layout, swaps = staged.complete_layout, list[FolderSwap]()
    if request.session is not None:
        old = [name for name in os.listdir(request.session) if _is_session_file(name)]
        swaps.append(FolderSwap.of(request.session, aside, old, os.listdir(request.session / STAGING)))
    new = os.listdir(layout.state_dir / STAGING)
    old = [name for name in os.listdir(layout.state_dir) if not name.endswith(".lock") and not _is_ours(name)]
    swaps.append(FolderSwap.of(layout.state_dir, aside, old, new))
    kept = (layout.run_dir, layout.state_dir, layout.log_dir, request.archive)
    entries = [path for path in staged.config_dir.iterdir() if not _is_ours(path.name)]
    old = [path.name for path in entries if not _holds(path, kept) and not _holds_archives(path)]
    swaps.append(FolderSwap.of(staged.config_dir, aside, old, os.listdir(staged.config_dir / STAGING)))
    return swaps


def _is_session_file(name: str) -> bool:
    return name == MARK_NAME or SESSION_FILE.fullmatch(name.removesuffix(".new")) is not None


def _is_ours(name: str) -> bool:
    return name in (STAGING, JOURNAL) or name.startswith(ASIDE_PREFIX)


def _holds(path: Path, kept: tuple[Path, ...]) -> bool:
    """Whether the entry is or contains one of these, or belongs to the usual folders of a group."""
    real = os.path.realpath(path)
    return path.name in ("run", "state", "log") or any(
        os.path.realpath(each) == real or os.path.realpath(each).startswith(f"{real}/") for each in kept
    )


def _holds_archives(path: Path) -> bool:
    names = os.listdir(path) if path.is_dir() and not path.is_symlink() else [path.name]
    return any(map(is_own_archive, names))


def _move_session(session: Path, moved: MovedPaths) -> int:
    """Paths of data and metafiles in the attributes of the items."""
    if not moved:
        return 0
    return sum(rewrite(path, moved_attributes(path.read_bytes(), moved)) for path in session.glob("*.rtorrent"))


def _find_old_paths(report: RestoreReport, config: Path, session: Path | None, moved: MovedPaths) -> None:
    """What still names the folders of the old place: files of code, and without --move everything."""
    manifest = report.manifest
    here = {str(report.layout.config_dir), str(home_folder() or NO_HOME)}
    named = [manifest.home, manifest.config_dir] if not moved else []
    places = [os.fsencode(path) for path in named if path.startswith("/") and path not in here]
    old = MovedPaths(tuple((place, place) for place in places) + moved.pairs)
    report.mentioned = mentions(config, old)
    report.old_folders = [printable(folder) for folder, _ in old.pairs]
    if session is not None and places:
        data = [path.read_bytes() for path in session.glob("*.rtorrent")]
        if count := sum(
            moved_attributes(each, MovedPaths(tuple((p, p + b"/") for p in places))) != each for each in data
        ):
            report.mentioned.append(f"rTorrent's session: {counted(count, 'item')}")


def _require_own(config_dir: Path) -> None:
    """The restored files belong to the user that restores them."""
    with suppress(FileNotFoundError):
        owner = config_dir.stat().st_uid
        if owner != os.geteuid():
            raise CommandError(f"{config_dir} belongs to user {owner}: restore it as that user", EX_USAGE)


def require_unlocked(session: Path) -> None:
    if holder := lock_holder(session, platform.node()):
        raise CommandError(
            f"rTorrent uses the session {printable(str(session))} ({holder}): stop it first, because it writes its "
            "session again when it exits",
            EX_TEMPFAIL,
        )


@contextmanager
def _exclusive(config_dir: Path) -> Generator[None]:
    """One restore at a time."""
    fd = os.open(config_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CommandError(f"another restore to {config_dir} is running", EX_TEMPFAIL) from None
    finally:
        os.close(fd)


@contextmanager
def _all_locked(layout: Layout) -> Generator[None]:
    """Neither the group nor one of its services can start meanwhile; raises CommandError if one runs."""
    with ExitStack() as stack:
        group = open_lock(layout.group_lock)
        if group is None:
            raise CommandError(f"a group that uses {layout.state_dir} is running or starting: stop it", EX_TEMPFAIL)
        stack.callback(os.close, group)
        for service in SERVICES:
            path = layout.database(service)
            try:
                stack.callback(
                    os.close, hold(path.with_name(f"{path.name}.lock"), f"{path} is in use", "stop that group first")
                )
            except AlreadyRunning as error:
                raise CommandError(str(error), EX_TEMPFAIL) from error
        yield
