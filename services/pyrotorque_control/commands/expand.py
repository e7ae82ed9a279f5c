"""`pyrotorque expand`: what a metafile would be loaded with; nothing is loaded."""

import os
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import click

from pyrotorque.errors import MetafileError
from pyrotorque.settings.schema import Settings, WatchSettings
from pyrotorque.text import printable
from pyrotorque_control import terminal
from pyrotorque_control.exits import EX_CONFIG, EX_OK
from pyrotorque_control.group import Group, Refused
from pyrotorque_control.rtorrents import settings_of


@dataclass(frozen=True)
class Expanded:
    """The load of one metafile as its job would do it."""

    job: str
    mode: str
    namespace: dict[str, object]
    commands: dict[str, str]


@click.command(short_help="Show what a metafile would be loaded with.")
@click.argument("metafile", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--job", help="As this tree watch would load it; by default the one whose tree it is in.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def command(group: Group, metafile: Path, job: str | None, as_json: bool) -> int:
    """Show how a metafile would be loaded: what templates know of it, the load commands that they make of that, and
    whether it would be started. Nothing is loaded.
    """
    settings = settings_of(group)
    path = metafile.absolute()
    found = expand(path, *_watch(settings, path, job), settings, group.config_dir / "templates")
    if as_json:
        click.echo(terminal.json_line(asdict(found)))
        return EX_OK
    click.echo(f"job {found.job}, load mode: {found.mode}\n")
    terminal.show(terminal.table(("name", "value"), [(name, _shown(value)) for name, value in found.namespace.items()]))
    terminal.show(terminal.table(("cmd", "given to rTorrent"), list(found.commands.items())))
    return EX_OK


def _watch(settings: Settings, path: Path, name: str | None) -> tuple[WatchSettings, Path]:
    """The job that would load it, and the root it is below: its own folder where it is in no tree."""
    watches = [job for job in settings.jobs if isinstance(job, WatchSettings) and name in (None, job.name)]
    if not watches:
        raise Refused(f"there is no tree watch {name!r}", EX_CONFIG)
    below = [(job, root) for job in watches for root in job.path if path.is_relative_to(root)]
    if below:
        return max(below, key=lambda pair: (pair[0].active, len(pair[1].parts)))
    return watches[0], path.parent


def expand(path: Path, job: WatchSettings, root: Path, settings: Settings, templates: Path) -> Expanded:
    """Raises MetafileError, TemplateError or CommandRefused as the load would."""
    from pyrotorque.loadcommands import compile_command
    from pyrotorque.metafile import read, take
    from pyrotorque.namespace import namespace
    from pyrotorque_watcher.flags import Wanted, load_for, path_flags

    try:
        torrent = read(take(path))
    except MetafileError as error:
        raise MetafileError(f"{path}: {error}") from error
    flags = path_flags(os.fsencode(path), os.fsencode(root))
    commands: dict[str, str] = {}

    def names() -> dict[str, object]:
        return dict(
            namespace(
                torrent,
                os.fsencode(path),
                os.fsencode(root),
                roots=job.path,
                flags=flags,
                job_name=job.name,
                aliases=settings.aliases,
                traits_by_alias=settings.traits_by_alias,
                commands=list(commands.values()),
            )
        )

    for name, text in job.commands:
        rendered = compile_command(name, text, templates=templates).render(names())
        if rendered:
            commands[name] = rendered.decode("utf-8", "surrogateescape")
    mode = load_for(Wanted(job.load_mode, job.queued), flags)
    return Expanded(job.name, mode.value, names(), commands)


def _shown(value: Any) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        return _shown(asdict(value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items() if inner)
    if isinstance(value, set | frozenset | list | tuple):
        return ", ".join(sorted(map(str, value)))
    return "" if value is None else printable(str(value))
