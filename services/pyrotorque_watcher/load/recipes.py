"""What a job and the watch.ini files above a metafile set for its load; commands are compiled once."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pyrotorque.errors import CommandRefused
from pyrotorque.fleet_inbox import root_bytes
from pyrotorque.layout import Layout
from pyrotorque.metafile import Magnet, Metafile
from pyrotorque.settings.schema import Disposal, Settings, WatchSettings
from pyrotorque.text import printable
from pyrotorque_watcher.load.plan import LoadPolicy
from pyrotorque_watcher.load.visibility import unmapped
from pyrotorque_watcher.load.watch_ini import ConfiguredFolders, WatchIniFiles

if TYPE_CHECKING:
    from pyrotorque.loadcommands import LoadCommand
    from pyrotorque.watchini import Overrides

log = logging.getLogger(__name__)

# Sorts the values of a watch.ini behind all commands, whatever their names are.
_OF_INI = "watch.ini "
# In the text of all commands that choose where content is stored.
_STORING = (b"d.directory", b"d.custom.set")


class UserCommand(Protocol):
    """A command of a job or a watch.ini, to be rendered for a metafile."""

    @property
    def names(self) -> frozenset[str]: ...

    def render(self, namespace: Mapping[str, object]) -> bytes: ...


class WatchedMetafile(Protocol):
    """A metafile, the root above it, and the job that has this root."""

    @property
    def job(self) -> str: ...

    @property
    def path(self) -> bytes: ...

    @property
    def root(self) -> bytes: ...


class JobRecipes:
    """The settings of one job. `configured` are the folders whose watch.ini had settings, by default as the watcher
    has recorded them.

    Raises TemplateError or CommandRefused for invalid commands.
    """

    def __init__(
        self, job: WatchSettings, settings: Settings, layout: Layout, configured: ConfiguredFolders | None = None
    ) -> None:
        self.job = job
        self.reported_ini: dict[bytes, float] = {}
        """Folders whose watch.ini is reported as invalid in the owner's log, and since when (CLOCK_MONOTONIC)."""
        self._layout = layout
        templates = layout.config_dir / "templates"
        self._aliases, self._traits = settings.aliases, settings.traits_by_alias
        self._templates = templates
        self._roots = tuple(path.expanduser().absolute() for path in job.path)
        self.inbox = root_bytes(layout.state_dir, job.name)
        """The root of metafiles that the fleet gave to this group."""
        known = _recorded_folders(layout) if configured is None else configured
        self._inis = WatchIniFiles(templates, known, can_move=job.loaded_path is not None)
        self._compiled: dict[tuple[str, str, bool], LoadCommand] = {}
        for name, text in job.commands:
            self.command(name, text, tame=False)

    def of(self, place: WatchedMetafile) -> "LoadRecipe":
        """For one metafile; raises UserError if a watch.ini is invalid."""
        return LoadRecipe(self, place, self._inis.above(place.path, place.root))

    def newest_ini(self, folder: bytes, root: bytes) -> float:
        """When a watch.ini in or above `folder` was changed last, Unix seconds; 0 without one."""
        return self._inis.newest(folder, root)

    def check_ini(self, folder: bytes) -> None:
        """Raises UserError if the watch.ini in `folder` is invalid."""
        self._inis.of(folder)

    def check_storage(self, rendered: bytes, torrent: Metafile | Magnet, root: bytes, session: bytes) -> None:
        """Raises CommandRefused if a command of a watch.ini below `root` has content stored where it must not be."""
        if not any(name in rendered for name in _STORING):
            return
        from pyrotorque.confinement import StorageLimits, private_folders
        from pyrotorque.loadcommands import storage_commands

        home = Path(os.path.expanduser("~"))
        limits = StorageLimits(self.job.below, private_folders(self._layout, session), home=home, root=root)
        for command in storage_commands(rendered):
            if command.folder is None:
                raise CommandRefused(f"{command.name}: the path must be written out in a watch.ini")
            if b".." in command.folder.split(b"/"):
                raise CommandRefused(
                    f"{command.name} of a watch.ini: {printable(command.folder)} leaves its folder with .."
                )
            files = content_paths(torrent, is_base=command.is_base)
            for folder in filter(None, {command.folder, unmapped(command.folder, self.job.path_map)}):
                if reason := limits.refusal(os.path.expanduser(folder), files):
                    raise CommandRefused(f"{command.name} of a watch.ini: {reason}")

    def namespace(
        self, place: WatchedMetafile, torrent: Metafile | Magnet, flags: frozenset[str], rendered: Sequence[bytes]
    ) -> Mapping[str, object]:
        """The variables of templates."""
        from pyrotorque.loadcommands.namespace import namespace

        return namespace(
            torrent,
            place.path,
            place.root,
            roots=self._roots,
            flags=flags,
            job_name=place.job,
            aliases=self._aliases,
            traits_by_alias=self._traits,
            commands=[text.decode("utf-8", "surrogateescape") for text in rendered],
        )

    def command_names(self) -> frozenset[str]:
        """All rTorrent commands in the job's own commands."""
        names = (self.command(name, text, tame=False).names for name, text in self.job.commands)
        return frozenset().union(*names)

    def unknown_commands(self, known: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
        """The settings with a command that rTorrent does not have, and that command."""
        for name, text in self.job.commands:
            for each in sorted(self.command(name, text, tame=False).names):
                if not known(each):
                    yield f"job.{self.job.name}.cmd.{name}", each

    def command(self, name: str, text: str, *, tame: bool) -> "LoadCommand":
        """Compiled; those of a watch.ini, which may belong to another user, must be `tame`."""
        from pyrotorque.loadcommands import compile_command

        key = (name, text, tame)
        if key not in self._compiled:
            self._compiled[key] = compile_command(name, text, templates=self._templates, restricted=tame)
        return self._compiled[key]


@dataclass(frozen=True, slots=True)
class LoadRecipe:
    """What a job and the watch.ini files above one metafile set for its load."""

    recipes: JobRecipes
    place: WatchedMetafile
    overrides: "Overrides | None"

    @property
    def policy(self) -> LoadPolicy:
        """How to load it, without the flags in its path."""
        job, nearer = self.recipes.job, self.overrides
        if nearer is None:
            return LoadPolicy(job.load_mode, job.queued)
        return LoadPolicy(
            job.load_mode if nearer.load_mode is None else nearer.load_mode,
            job.queued if nearer.queued is None else nearer.queued,
        )

    @property
    def on_loaded(self) -> Disposal:
        """What is done with the metafile after the load; the inbox is not the owner's folder."""
        if self.is_inbox:
            return "keep"
        nearer = self.overrides
        return self.recipes.job.on_loaded if nearer is None or nearer.on_loaded is None else nearer.on_loaded

    @property
    def is_inbox(self) -> bool:
        """Whether the fleet gave the metafile to this group."""
        return self.place.root == self.recipes.inbox

    @property
    def is_for_fleet(self) -> bool:
        """Whether the fleet is to place the metafile."""
        nearer = self.overrides
        place = self.recipes.job.place if nearer is None or nearer.place is None else nearer.place
        return place == "fleet" and not self.is_inbox

    def commands(
        self, torrent: Metafile | Magnet, flags: frozenset[str], known: Callable[[str], bool], session: bytes = b""
    ) -> dict[str, bytes]:
        """The users' commands for one torrent, in the order of their names.

        `known`: whether rTorrent has a command; `session`: its session folder, if it is known.
        Raises TemplateError or CommandRefused; then no part of this load may be sent.
        """
        rendered: dict[str, bytes] = {}
        for name, command, tame in sorted(self._user_commands(), key=lambda each: each[0]):
            if unknown := sorted(each for each in command.names if not known(each)):
                raise CommandRefused(f"{name}: this rTorrent has no command {', '.join(unknown)}")
            if text := command.render(self.recipes.namespace(self.place, torrent, flags, tuple(rendered.values()))):
                if tame:
                    self.recipes.check_storage(text, torrent, self.place.root, session)
                rendered[name.removeprefix(_OF_INI)] = text
        return rendered

    def _user_commands(self) -> Iterator[tuple[str, UserCommand, bool]]:
        """The names and commands, and whether each is from a watch.ini."""
        overrides = self.overrides
        nearer = {} if overrides is None else overrides.commands
        for name, text in self.recipes.job.commands:
            if name not in nearer:
                yield f"cmd.{name}", self.recipes.command(name, text, tame=False), False
        for name, text in nearer.items():
            if text:
                yield f"cmd.{name}", self.recipes.command(name, text, tame=True), True
        for key, value in ({} if overrides is None else overrides.values).items():
            yield f"{_OF_INI}{key}", value, True


def content_paths(torrent: Metafile | Magnet, *, is_base: bool) -> list[bytes] | None:
    """The paths of the content in the folder of its item; None if they are not known yet."""
    if isinstance(torrent, Magnet):
        return None
    files = [os.fsencode(name) for name, _ in torrent.files]
    return [os.path.join(torrent.name_bytes, name) for name in files] if torrent.multi_file and not is_base else files


def _recorded_folders(layout: Layout) -> set[bytes]:
    """The folders whose watch.ini had settings when the watcher read it last; for other processes, to compare."""
    from pyrotorque.store import rows_of_other

    return {path for (path,) in rows_of_other(layout.database("watcher"), "SELECT path FROM configured_folders")}
