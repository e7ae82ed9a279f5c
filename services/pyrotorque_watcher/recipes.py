"""What a job, and the watch.ini files above a metafile, say about loading it; its commands are compiled once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyrotorque.errors import CommandRefused
from pyrotorque.metafile import Magnet, Metafile
from pyrotorque.settings.schema import Settings, WatchSettings
from pyrotorque_watcher.flags import Wanted
from pyrotorque_watcher.ledger import Row

if TYPE_CHECKING:
    from pyrotorque.loadcommands import LoadCommand


class JobRecipes:
    """The commands of one job. Raises TemplateError or CommandRefused for those that are wrong."""

    def __init__(self, job: WatchSettings, settings: Settings, templates: Path) -> None:
        self._job = job
        self._aliases, self._themes = settings.aliases, settings.traits_by_alias
        self._templates = templates
        self._commands = compiled(job.commands, templates)
        self._roots = tuple(path.expanduser().absolute() for path in job.path)

    def wanted(self, row: Row) -> Wanted:
        return Wanted(self._job.load_mode, self._job.queued)

    def commands(
        self, row: Row, torrent: Metafile | Magnet, flags: frozenset[str], known: Callable[[str], bool]
    ) -> list[bytes]:
        """The users' commands for one torrent; `known` tells whether rTorrent has a command.

        Raises TemplateError or CommandRefused, and then nothing of this load may be sent.
        """
        return self._rendered(self._commands, row, torrent, flags, known)

    def _rendered(
        self,
        commands: Sequence["LoadCommand"],
        row: Row,
        torrent: Metafile | Magnet,
        flags: frozenset[str],
        known: Callable[[str], bool],
    ) -> list[bytes]:
        if not commands:
            return []
        from pyrotorque.namespace import namespace

        rendered: list[bytes] = []
        for command in commands:
            strange = sorted(name for name in command.names if not known(name))
            if strange:
                raise CommandRefused(f"cmd.{command.name}: this rTorrent has no command {', '.join(strange)}")
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


def compiled(commands: Sequence[tuple[str, str]], templates: Path) -> tuple["LoadCommand", ...]:
    """In the alphabetic order of their names."""
    if not commands:
        return ()
    from pyrotorque.loadcommands import compile_command

    return tuple(compile_command(name, text, templates=templates) for name, text in sorted(commands))
