"""What a job, and the watch.ini files above a metafile, say about loading it; commands are compiled once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pyrotorque.errors import CommandRefused
from pyrotorque.metafile import Magnet, Metafile
from pyrotorque.settings.schema import Disposal, Settings, WatchSettings
from pyrotorque_watcher.load.flags import Wanted
from pyrotorque_watcher.load.watch_ini import Inis

if TYPE_CHECKING:
    from pyrotorque.loadcommands import LoadCommand
    from pyrotorque.watchini import Overrides

# Sorts the values of a watch.ini behind all commands, whatever those are called.
_OF_INI = "watch.ini "


class Given(Protocol):
    """A command that is rendered for a metafile, whether a job or a watch.ini gave it."""

    @property
    def names(self) -> frozenset[str]: ...

    def render(self, namespace: Mapping[str, object]) -> bytes: ...


class Place(Protocol):
    """A metafile, the root that it is below, and the job whose root this is."""

    @property
    def job(self) -> str: ...

    @property
    def path(self) -> bytes: ...

    @property
    def root(self) -> bytes: ...


class JobRecipes:
    """The settings of one job. Raises TemplateError or CommandRefused for commands that are wrong."""

    def __init__(self, job: WatchSettings, settings: Settings, templates: Path) -> None:
        self.job = job
        self._aliases, self._themes = settings.aliases, settings.traits_by_alias
        self._templates = templates
        self._roots = tuple(path.expanduser().absolute() for path in job.path)
        self._inis = Inis(templates)
        self._compiled: dict[tuple[str, str, bool], LoadCommand] = {}
        for name, text in job.commands:
            self.command(name, text, tame=False)

    def of(self, place: Place) -> "Recipe":
        """For one metafile; raises UserError where a watch.ini is wrong."""
        return Recipe(self, place, self._inis.above(place.path, place.root))

    def check_ini(self, folder: bytes) -> None:
        """Raises UserError when the watch.ini in `folder` is wrong."""
        self._inis.of(folder)

    def namespace(
        self, place: Place, torrent: Metafile | Magnet, flags: frozenset[str], rendered: Sequence[bytes]
    ) -> Mapping[str, object]:
        """What templates know."""
        from pyrotorque.loadcommands.namespace import namespace

        return namespace(
            torrent,
            place.path,
            place.root,
            roots=self._roots,
            flags=flags,
            job_name=place.job,
            aliases=self._aliases,
            traits_by_alias=self._themes,
            commands=[text.decode("utf-8", "surrogateescape") for text in rendered],
        )

    def command(self, name: str, text: str, *, tame: bool) -> "LoadCommand":
        """Compiled; those of a watch.ini, which may be anybody's, must be `tame`."""
        from pyrotorque.loadcommands import compile_command

        key = (name, text, tame)
        if key not in self._compiled:
            self._compiled[key] = compile_command(name, text, templates=self._templates, tame=tame)
        return self._compiled[key]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a job and the folders above one metafile say about it."""

    recipes: JobRecipes
    place: Place
    said: "Overrides | None"

    @property
    def wanted(self) -> Wanted:
        """How to load it, flags aside."""
        job, said = self.recipes.job, self.said
        if said is None:
            return Wanted(job.load_mode, job.queued)
        return Wanted(
            job.load_mode if said.load_mode is None else said.load_mode,
            job.queued if said.queued is None else said.queued,
        )

    @property
    def on_loaded(self) -> Disposal:
        """What becomes of the metafile."""
        said = self.said
        return self.recipes.job.on_loaded if said is None or said.on_loaded is None else said.on_loaded

    def commands(
        self, torrent: Metafile | Magnet, flags: frozenset[str], known: Callable[[str], bool]
    ) -> dict[str, bytes]:
        """The users' commands for one torrent, in the order of their names; `known` tells what this rTorrent has.

        Raises TemplateError or CommandRefused, and then nothing of this load may be sent.
        """
        rendered: dict[str, bytes] = {}
        for name, command in sorted(self._given(), key=lambda each: each[0]):
            if strange := sorted(each for each in command.names if not known(each)):
                raise CommandRefused(f"{name}: this rTorrent has no command {', '.join(strange)}")
            if text := command.render(self.recipes.namespace(self.place, torrent, flags, tuple(rendered.values()))):
                rendered[name.removeprefix(_OF_INI)] = text
        return rendered

    def _given(self) -> Iterator[tuple[str, Given]]:
        said = self.said
        nearer = {} if said is None else said.commands
        for name, text in self.recipes.job.commands:
            if name not in nearer:
                yield f"cmd.{name}", self.recipes.command(name, text, tame=False)
        for name, text in nearer.items():
            if text:
                yield f"cmd.{name}", self.recipes.command(name, text, tame=True)
        for key, value in ({} if said is None else said.values).items():
            yield f"{_OF_INI}{key}", value
