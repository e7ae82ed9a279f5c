"""What a job, and the watch.ini files above a metafile, say about loading it; commands are compiled once."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pyrotorque.errors import CommandRefused
from pyrotorque.metafile import Magnet, Metafile
from pyrotorque.settings.schema import Disposal, Settings, WatchSettings
from pyrotorque_watcher.flags import Wanted
from pyrotorque_watcher.inis import Inis
from pyrotorque_watcher.ledger import Row

if TYPE_CHECKING:
    from pyrotorque.loadcommands import LoadCommand

# Sorts the values of a watch.ini behind all commands, whatever those are called.
_OF_INI = "watch.ini "


class Given(Protocol):
    """A command that is rendered for a metafile, whether a job or a watch.ini gave it."""

    @property
    def names(self) -> frozenset[str]: ...

    def render(self, namespace: Mapping[str, object]) -> bytes: ...


class JobRecipes:
    """The settings of one job. Raises TemplateError or CommandRefused for commands that are wrong."""

    def __init__(self, job: WatchSettings, settings: Settings, templates: Path) -> None:
        self._job = job
        self._aliases, self._themes = settings.aliases, settings.traits_by_alias
        self._templates = templates
        self._roots = tuple(path.expanduser().absolute() for path in job.path)
        self._inis = Inis(templates)
        self._compiled: dict[tuple[str, str, bool], LoadCommand] = {}
        for name, text in job.commands:
            self._command(name, text, tame=False)

    def wanted(self, row: Row) -> Wanted:
        """How to load it, flags aside; raises UserError where a watch.ini is wrong."""
        said = self._inis.above(row.path, row.root)
        if said is None:
            return Wanted(self._job.load_mode, self._job.queued)
        return Wanted(
            self._job.load_mode if said.load_mode is None else said.load_mode,
            self._job.queued if said.queued is None else said.queued,
        )

    def on_loaded(self, row: Row) -> Disposal:
        """What becomes of the metafile; raises UserError where a watch.ini is wrong."""
        said = self._inis.above(row.path, row.root)
        return self._job.on_loaded if said is None or said.on_loaded is None else said.on_loaded

    def check_ini(self, folder: bytes) -> None:
        """Raises UserError when the watch.ini in `folder` is wrong."""
        self._inis.of(folder)

    def commands(
        self, row: Row, torrent: Metafile | Magnet, flags: frozenset[str], known: Callable[[str], bool]
    ) -> list[bytes]:
        """The users' commands for one torrent, in the order of their names; `known` tells what this rTorrent has.

        Raises TemplateError or CommandRefused, and then nothing of this load may be sent.
        """
        given = sorted(self._given(row), key=lambda each: each[0])
        if not given:
            return []
        from pyrotorque.namespace import namespace

        rendered: list[bytes] = []
        for name, command in given:
            if strange := sorted(each for each in command.names if not known(each)):
                raise CommandRefused(f"{name}: this rTorrent has no command {', '.join(strange)}")
            names = namespace(
                torrent,
                row.path,
                row.root,
                roots=self._roots,
                flags=flags,
                job_name=row.job,
                aliases=self._aliases,
                traits_by_alias=self._themes,
                commands=[text.decode("utf-8", "surrogateescape") for text in rendered],
            )
            if text := command.render(names):
                rendered.append(text)
        return rendered

    def _given(self, row: Row) -> Iterator[tuple[str, Given]]:
        said = self._inis.above(row.path, row.root)
        nearer = {} if said is None else said.commands
        for name, text in self._job.commands:
            if name not in nearer:
                yield f"cmd.{name}", self._command(name, text, tame=False)
        for name, text in nearer.items():
            if text:
                yield f"cmd.{name}", self._command(name, text, tame=True)
        for key, value in ({} if said is None else said.values).items():
            yield f"{_OF_INI}{key}", value

    def _command(self, name: str, text: str, *, tame: bool) -> "LoadCommand":
        """Compiled; those of a watch.ini, which may be anybody's, must be `tame`."""
        from pyrotorque.loadcommands import compile_command

        key = (name, text, tame)
        if key not in self._compiled:
            self._compiled[key] = compile_command(name, text, templates=self._templates, tame=tame)
        return self._compiled[key]
