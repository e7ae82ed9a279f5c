"""Restores a backup: unpacks and checks it beside the old files, adapts it to its new place, then replaces them."""

import os
import platform
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyrotorque.errors import AlreadyRunning, RTorrentError, SettingsError
from pyrotorque.group_lock import open_lock
from pyrotorque.home import NO_HOME, home_folder
from pyrotorque.humanize import date_time
from pyrotorque.layout import ALL_SERVICES, Layout
from pyrotorque.local_time import local_text
from pyrotorque.locks import hold
from pyrotorque.text import counted, printable
from pyrotorque_control.backup.archive import ArchiveTarget, read_archive
from pyrotorque_control.backup.contents import Contents
from pyrotorque_control.backup.inbox import inbox_names, with_inbox
from pyrotorque_control.backup.manifest import (
    ASIDE_PREFIX,
    CONFIG,
    INBOX,
    MARK_NAME,
    REPLACED_STATE,
    SESSION,
    SESSION_FILE,
    STAGING,
    STATE,
    Manifest,
)
from pyrotorque_control.backup.moved_paths import MovedPaths, mentions, moved_attributes, rewrite
from pyrotorque_control.backup.session_files import lock_holder
from pyrotorque_control.backup.staged_files import RestoreRequest, StagedFiles, exclusive, new_folders, require_own
from pyrotorque_control.backup.staged_state import prepare_state
from pyrotorque_control.backup.swap import FolderSwap, carry_out, undo, unfinished
from pyrotorque_control.exit_codes import EX_TEMPFAIL, EX_USAGE
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.progress import ShownProgress
from pyrotorque_control.rtorrent import rtorrent_of, settings_of

Progress = Callable[[str], None]
# Written again at each start; `_print` names an include with paths of another place.
_GENERATED: Final = ("torque.ini.default", "rtorrent.d/torque.rc.default")
_ANSWERS_WITHIN: Final = 2.0  # seconds


@dataclass
class RestoreReport:
    """What was done, or would be: `aside` are the folders with the replaced files, `rewritten` counts changed paths,
    `mentioned` are places that still name a folder of the old place; `blocked_by` is what a dry run found running."""

    manifest: Manifest
    layout: Layout
    session: Path | None
    aside: list[Path] = field(default_factory=list[Path])
    rewritten: int = 0
    mentioned: list[str] = field(default_factory=list[str])
    old_folders: list[str] = field(default_factory=list[str])
    blocked_by: list[str] = field(default_factory=list[str])


def restore(group: Group, request: RestoreRequest, progress: Progress) -> RestoreReport:
    """Raises CommandError, StateError or OSError; then the old files are where they were.

    A dry run replaces nothing: it may run beside the group and rTorrent, and names them as what prevents the restore.
    """
    config_dir, blocked_by = group.config_dir, list[str]()
    with _noted(blocked_by, request):
        _require_stopped(group)
    for folder in (config_dir, group.layout.run_dir, *([request.session] if request.session is not None else [])):
        require_own(folder)
    with new_folders() as folders:
        staged = StagedFiles(config_dir, request, folders)
        try:
            staged.staging(CONFIG)
            if request.session is not None:
                with _noted(blocked_by, request):
                    _require_free(request.session, group)
            report = _restore_staged(group, staged, request, progress)
            report.blocked_by = blocked_by
        finally:
            staged.remove()
        if not request.dry_run:
            folders.keep()
        return report


def checked_archive(group: Group, archive: Path, target: ArchiveTarget | None = None) -> Manifest:
    """Read and check all of an archive; raises ArchiveError or OSError."""
    with ShownProgress(group.layout.run_dir, "checking the archive", archive.stat().st_size, "bytes") as work:
        return read_archive(archive, target, work)


@contextmanager
def _noted(blocked_by: list[str], request: RestoreRequest) -> Generator[None]:
    """In a dry run, what runs is a line of the report instead of an error."""
    try:
        yield
    except CommandError as error:
        if not request.dry_run or error.exit_code != EX_TEMPFAIL:
            raise
        blocked_by.append(str(error))


def _restore_staged(group: Group, staged: StagedFiles, request: RestoreRequest, progress: Progress) -> RestoreReport:
    manifest = checked_archive(group, request.archive, staged)
    _require_choice(manifest, request)
    config, state = staged.staging(CONFIG), staged.staging(STATE)
    session = staged.staging(SESSION) if request.session is not None else None
    layout = staged.complete_layout
    report = RestoreReport(manifest, layout, request.session)
    now = time.time()
    progress("preparing the state")
    reason = f"the state of {date_time(manifest.created)} was restored from a backup at {date_time(now)}"
    moved = with_inbox(request.moved, state / "watcher.sqlite3", manifest.state_dir, layout.state_dir)
    report.rewritten = staged.rewritten + prepare_state(
        state, reason, moved, session=session, seen_before_ns=int(now * 1e9), state_dir=layout.state_dir
    )
    if session is not None and moved:
        report.rewritten += _move_session(group, session, moved)
    _find_old_paths(report, config, session, request.moved)
    swaps = _swaps(staged, request, _aside_name(staged, now))
    if os.geteuid() == 0:
        for folder in {(swap.folder / name).parent for swap in swaps for name in (*swap.old, *swap.new)}:
            require_own(folder)
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
            _require_free(request.session, group)
            _require_free(request.session, Group(config))
        names = sum(len(swap.old) + len(swap.new) for swap in swaps)
        with ShownProgress(group.layout.run_dir, "replacing files", names, "file", is_late=True) as work:
            carry_out(staged.config_dir, swaps, request.session, work)
    return report


def undo_restore(group: Group) -> None:
    """Put back what an interrupted restore has replaced; raises CommandError if there was none, or something runs."""
    _require_stopped(group)
    if unfinished(group.config_dir) is None:
        raise CommandError(f"no restore to {printable(str(group.config_dir))} was interrupted", EX_USAGE)
    with exclusive(group.config_dir):
        journal = unfinished(group.config_dir)
        if journal is None:
            return
        if journal.session is not None:
            _require_unlocked(journal.session)
        undo(group.config_dir, journal)


def _require_stopped(group: Group) -> None:
    if group.running() is not None:
        raise CommandError(
            f"the group in {printable(str(group.config_dir))} is running",
            EX_TEMPFAIL,
            hint="`pyrotorque --stop` stops it",
        )


def _require_choice(manifest: Manifest, request: RestoreRequest) -> None:
    if manifest.session is None and request.session is not None:
        raise CommandError("the archive does not contain rTorrent's session", EX_USAGE, hint="leave out --session")
    if manifest.session is not None and request.session is None and not request.without_session:
        raise CommandError(
            f"the archive contains rTorrent's session ({counted(manifest.session.items, 'item')}, from "
            f"{printable(manifest.session.path)}): add --session DIR, the folder of session.path in your rtorrent.rc, "
            "or --no-session if rTorrent continues with the session that it has",
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
    inbox = inbox_names(layout.state_dir)
    new = [name for name in os.listdir(layout.state_dir / STAGING) if name != INBOX]
    old = [name for name in os.listdir(layout.state_dir) if name in REPLACED_STATE]
    swaps.append(FolderSwap.of(layout.state_dir, aside, old + inbox.old, new + inbox.new))
    config = staged.config_dir / STAGING
    apart = (request.archive, *([request.session] if request.session is not None else []))
    contents = Contents(layout, apart)
    old = [str(path.relative_to(staged.config_dir)) for _, path in contents.configuration()]
    new = [str(path.relative_to(config)) for path in config.rglob("*") if path.is_file()]
    swaps.append(FolderSwap.of(staged.config_dir, aside, old, new))
    return swaps


def _is_session_file(name: str) -> bool:
    return name == MARK_NAME or SESSION_FILE.fullmatch(name.removesuffix(".new")) is not None


def _move_session(group: Group, session: Path, moved: MovedPaths) -> int:
    """Paths of data and metafiles in the attributes of the items."""
    saved = list(session.glob("*.rtorrent"))
    with ShownProgress(group.layout.run_dir, "moving paths of items", len(saved), is_late=True) as work:
        return sum(rewrite(path, moved_attributes(path.read_bytes(), moved)) for path in work.each(saved))


def _find_old_paths(report: RestoreReport, config: Path, session: Path | None, moved: MovedPaths) -> None:
    """What still names the folders of the old place: files of code, and without --move everything."""
    manifest = report.manifest
    here = {str(report.layout.config_dir), str(home_folder() or NO_HOME)}
    named = [manifest.home, manifest.config_dir] if not moved else []
    places = [os.fsencode(path) for path in named if path.startswith("/") and path.strip("/") and path not in here]
    old = MovedPaths(tuple((place, place) for place in places) + moved.pairs)
    report.mentioned = mentions(config, old, without=_GENERATED)
    report.old_folders = [printable(folder) for folder, _ in old.pairs]
    if session is not None and places:
        data = [path.read_bytes() for path in session.glob("*.rtorrent")]
        if count := sum(
            moved_attributes(each, MovedPaths(tuple((p, p + b"/") for p in places))) != each for each in data
        ):
            report.mentioned.append(f"rTorrent's session: {counted(count, 'item')}")


def _require_free(session: Path, group: Group) -> None:
    """Raises CommandError if the folder is used for something else, or by an rTorrent, with or without its lock."""
    layout = group.layout
    for folder in (layout.config_dir, layout.state_dir, layout.run_dir, layout.log_dir):
        if os.path.realpath(folder) == os.path.realpath(session):
            raise CommandError(f"{printable(str(session))} is no folder for rTorrent's session", EX_USAGE)
    _require_unlocked(session)
    with suppress(SettingsError, RTorrentError):
        path = str(rtorrent_of(settings_of(group), timeout=_ANSWERS_WITHIN).call("session.path", ""))
        if path and os.path.realpath(path) == os.path.realpath(session):
            raise CommandError(
                f"rTorrent uses the session {printable(str(session))}: stop it first, because it writes its session "
                "again when it exits",
                EX_TEMPFAIL,
            )


def _require_unlocked(session: Path) -> None:
    if holder := lock_holder(session, platform.node()):
        raise CommandError(
            f"rTorrent uses the session {printable(str(session))} ({holder}): stop it first, because it writes its "
            "session again when it exits",
            EX_TEMPFAIL,
        )


@contextmanager
def _all_locked(layout: Layout) -> Generator[None]:
    """Neither the group nor one of its services can start meanwhile; raises CommandError if one runs."""
    with ExitStack() as stack:
        group = open_lock(layout.group_lock)
        if group is None:
            raise CommandError(
                f"a group that uses {printable(str(layout.state_dir))} is running or starting",
                EX_TEMPFAIL,
                hint="stop it",
            )
        stack.callback(os.close, group)
        for service in ALL_SERVICES:
            path = layout.database(service)
            try:
                stack.callback(
                    os.close, hold(path.with_name(f"{path.name}.lock"), f"{path} is in use", "stop that group first")
                )
            except AlreadyRunning as error:
                raise CommandError(str(error), EX_TEMPFAIL) from error
        yield
