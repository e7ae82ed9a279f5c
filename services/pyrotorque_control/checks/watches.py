"""Finds what fails for each metafile of a tree watch, before a load does: watch.ini files, sample loads, and names."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from pyrotorque.confinement import UNKNOWN_FILES
from pyrotorque.errors import PyrotorqueError, UserError
from pyrotorque.layout import Layout
from pyrotorque.loadcommands import storage_commands, written_arguments
from pyrotorque.loadcommands.namespace import SAMPLE_METAFILE
from pyrotorque.metafile import Magnet, Metafile
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import Settings, WatchSettings
from pyrotorque.suggestions import suggestion
from pyrotorque.text import printable
from pyrotorque.watch_checks import one_client_reason, unusable_folder
from pyrotorque.watchroots import WatchRoot, WatchRoots, active_roots, roots_of
from pyrotorque_watcher.load.recipes import JobRecipes
from pyrotorque_watcher.scan.files import WATCH_INI

_FOLDERS_MAX: Final = 100_000
_SECONDS_MAX: Final = 5.0
_INI_MAX: Final = 65_536
_PROBLEMS_MAX: Final = 20  # of one file
_OF_VIEWS: Final = frozenset(
    ("d.views.push_back", "d.views.push_back_unique", "view.set_visible", "view.set_not_visible")
)


@dataclass(frozen=True, slots=True)
class SamplePlace:
    """A metafile that could be in a folder."""

    job: str
    path: bytes
    root: bytes


@dataclass(frozen=True)
class RTorrentNames:
    """What the running rTorrent has; without one, everything."""

    rtorrent: RTorrent | None

    @cached_property
    def session(self) -> bytes:
        return b"" if self.rtorrent is None else os.fsencode(str(self.rtorrent.call("session.path", "")))

    @cached_property
    def views(self) -> list[str]:
        found = [] if self.rtorrent is None else self.rtorrent.call("view.list")
        return [str(view) for view in found] if isinstance(found, list) else []

    def lacks_command(self, name: str) -> str:
        if self.rtorrent is None or self.rtorrent.known(name):
            return ""
        return f"this rTorrent has no command {name}{suggestion(name, self.rtorrent.methods())}"

    def lacks_argument(self, command: str, value: str) -> str:
        """Why the name of a view or throttle in an argument is wrong."""
        if self.rtorrent is None or not value:
            return ""
        if command in _OF_VIEWS and value not in self.views:
            return f"{command}: this rTorrent has no view {printable(value)}{suggestion(value, self.views)}"
        if command == "d.throttle_name.set" and value != "NULL":
            limits = [self.rtorrent.call(f"throttle.{way}.max", "", value) for way in ("up", "down")]
            if limits == [-1, -1]:
                return f"{command}: this rTorrent has no throttle {printable(value)}: define it in rtorrent.rc"
        return ""


def samples() -> Iterator[tuple[str, Metafile | Magnet]]:
    """Torrents that differ in what templates may rely on."""
    yield "a usual torrent", SAMPLE_METAFILE
    yield "a torrent of one file without tracker, comment and source", replace(
        SAMPLE_METAFILE, name_bytes=b"file", files=(("file", 1),), size=1, multi_file=False, private=False, announce=(),
        comment="", created_by="", creation_date=0, source="",
    )  # fmt: skip
    yield "a magnet link", Magnet(f"magnet:?xt=urn:btih:{SAMPLE_METAFILE.info_hash}", SAMPLE_METAFILE.info_hash, "", ())


def watch_problems(settings: Settings, layout: Layout, rtorrent: RTorrent | None) -> list[str]:
    """What fails for each metafile, one line for each setting, with the file; commands of jobs that rTorrent does not
    have are left out.

    Raises RTorrentError.
    """
    names, roots = RTorrentNames(rtorrent), active_roots(settings)
    until = time.monotonic() + _SECONDS_MAX
    found: dict[str, None] = {}
    for job in settings.active_jobs(WatchSettings):
        try:
            recipes = JobRecipes(job, settings, layout)
        except UserError:
            continue  # reported as an error of the setting
        for root in roots_of(job):
            for folder in (root.path, *_folders_with_ini(root, job, roots, until)):
                found.update(dict.fromkeys(_folder_problems(recipes, root, folder, names)))
    return list(found)


def placement_warnings(settings: Settings, layout: Layout) -> Iterator[str]:
    """Each watch.ini below which the fleet gets metafiles that another program looks for in one client."""
    if not settings.fleet.servers:
        return
    roots, until = active_roots(settings), time.monotonic() + _SECONDS_MAX
    for job in settings.active_jobs(WatchSettings):
        try:
            recipes = JobRecipes(job, settings, layout)
        except UserError:
            continue
        for root in roots_of(job):
            for folder in (root.path, *_folders_with_ini(root, job, roots, until)):
                yield from _placement_warning(recipes, root, folder)


def _placement_warning(recipes: JobRecipes, root: WatchRoot, folder: bytes) -> Iterator[str]:
    try:
        recipe = recipes.of(SamplePlace(root.job, folder + b"/sample.torrent", root.path))
        if not recipe.is_for_fleet:
            return
        with open(os.path.join(folder, WATCH_INI), encoding="utf-8", errors="replace") as file:
            text = file.read(_INI_MAX)
    except (PyrotorqueError, OSError):
        return  # there is none, or it is reported as an error
    if reason := one_client_reason(os.fsdecode(folder), text):
        yield f"{printable(os.path.join(folder, WATCH_INI))}: {reason}"


def _folders_with_ini(root: WatchRoot, job: WatchSettings, roots: WatchRoots, until: float) -> Iterator[bytes]:
    """The folders of the tree with a watch.ini, as far as they are found in a few seconds."""
    for number, (folder, folders, files) in enumerate(os.walk(root.path, followlinks=job.follow_symlinks)):
        if number > _FOLDERS_MAX or time.monotonic() > until:
            return
        folders[:] = [each for each in folders if roots.owns(root, os.path.join(folder, each))]
        if WATCH_INI in files and folder != root.path:
            yield folder


def _folder_problems(recipes: JobRecipes, root: WatchRoot, folder: bytes, names: RTorrentNames) -> Iterator[str]:
    """What is wrong with the commands for metafiles in `folder`."""
    try:
        recipe = recipes.of(SamplePlace(root.job, folder + b"/sample.torrent", root.path))
    except PyrotorqueError as error:
        yield from str(error).splitlines()[:_PROBLEMS_MAX]
        return
    has_ini = os.path.lexists(os.path.join(folder, WATCH_INI))
    of = printable(os.path.join(folder, WATCH_INI)) if has_ini else f"job.{root.job}"
    used: set[str] = set()

    def note(name: str) -> bool:
        used.add(name)
        return True

    for kind, torrent in samples():
        try:
            rendered = recipe.commands(torrent, frozenset(), note, names.session)
        except UserError as error:
            if isinstance(torrent, Metafile) or UNKNOWN_FILES not in str(error):
                yield f"{of}: for {kind}: {error}"
            continue
        for key, text in rendered.items():
            yield from (f"{of}: {key}: {problem}" for problem in _argument_problems(text, recipes.job, names))
    for name in sorted(used - recipes.command_names()):
        if problem := names.lacks_command(name):
            yield f"{of}: {problem}"


def _argument_problems(text: bytes, job: WatchSettings, names: RTorrentNames) -> Iterator[str]:
    for name, arguments in written_arguments(text):
        value = arguments[-1] if arguments else None
        if value is not None and (problem := names.lacks_argument(name, os.fsdecode(value))):
            yield problem
    for command in storage_commands(text):
        # With other paths, or as another user, rTorrent may reach what this process does not.
        if command.folder is not None and not job.path_map:
            folder = Path(os.path.expanduser(os.fsdecode(command.folder)))
            if folder.is_absolute() and (reason := unusable_folder(folder)):
                yield f"{printable(str(folder))} {reason}"
