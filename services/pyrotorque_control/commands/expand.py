"""`pyrotorque expand`: shows how a metafile would be loaded, and loads nothing."""

import os
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, Final

import click

from pyrotorque.errors import MetafileError, RTorrentError, SettingsError
from pyrotorque.layout import Layout
from pyrotorque.settings import layout_of
from pyrotorque.settings.schema import Settings, WatchSettings
from pyrotorque.text import printable
from pyrotorque.watchroots import WatchRoots, roots_of
from pyrotorque_control import terminal
from pyrotorque_control.completion import complete_job
from pyrotorque_control.exit_codes import EX_CONFIG, EX_OK
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.rtorrent import rtorrent_of, settings_of

_TIMEOUT: Final = 2.0  # seconds


@dataclass(frozen=True)
class LoadPreview:
    """The load of one metafile as its job would do it; `others` are further info-hashes of a magnet file."""

    job: str
    mode: str
    namespace: dict[str, object]
    commands: dict[str, str]
    others: list[str]


@dataclass(frozen=True)
class MetafilePlace:
    """A metafile, the watched root above it, and the job of that root."""

    job: str
    path: bytes
    root: bytes


@dataclass(frozen=True)
class RTorrentFacts:
    """What a load depends on in rTorrent; empty as far as it is not known."""

    version: str = ""
    session: bytes = b""
    methods: frozenset[str] = frozenset()

    def known(self, command: str) -> bool:
        return not self.methods or command in self.methods


@click.command(short_help="Show how a metafile would be loaded.")
@click.argument("metafile", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--job",
    shell_complete=complete_job,
    help="The tree watch to load it as; by default the one whose tree contains it.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def command(group: Group, metafile: Path, job: str | None, as_json: bool) -> int:
    """Show how a metafile would be loaded: the names available to templates, the resulting load commands, and whether
    it would be started. Nothing is loaded.
    """
    settings = settings_of(group)
    path = metafile.absolute()
    watch, place = _watch(settings, path, job)
    found = expand(place, watch, settings, layout_of(group.config_dir), facts_of(settings))
    if as_json:
        click.echo(terminal.json_line(asdict(found)))
        return EX_OK
    click.echo(f"job {found.job}, load mode: {found.mode}\n")
    terminal.show(terminal.table(("name", "value"), [(name, _shown(value)) for name, value in found.namespace.items()]))
    terminal.show(terminal.table(("command", "given to rTorrent"), list(found.commands.items())))
    if found.others:
        click.echo(f"and the same for {len(found.others)} more links: {', '.join(found.others)}")
    return EX_OK


def _watch(settings: Settings, path: Path, name: str | None) -> tuple[WatchSettings, MetafilePlace]:
    """The job that would load it, and its place; outside of all trees, the first job and the folder of the file."""
    watches = {job.name: job for job in settings.jobs if isinstance(job, WatchSettings) and name in (None, job.name)}
    if not watches:
        raise CommandError(f"there is no tree watch {name!r}", EX_CONFIG)
    active = [job for job in watches.values() if job.active]
    for jobs in (active, watches.values()):
        roots = WatchRoots([root for job in jobs for root in roots_of(job)])
        if owner := roots.owner(bytes(path.parent)):
            return watches[owner.job], MetafilePlace(owner.job, roots.renamed(owner, bytes(path)), owner.path)
    first = next(iter(watches.values()))
    return first, MetafilePlace(first.name, bytes(path), bytes(path.parent))


def facts_of(settings: Settings) -> RTorrentFacts:
    """Those of the rTorrent that answers; without one, nothing is refused because of it."""
    try:
        client = rtorrent_of(settings, timeout=_TIMEOUT)
        session = os.fsencode(str(client.call("session.path", "")))
        return RTorrentFacts(client.identity().client_version, session, frozenset(client.methods()))
    except (RTorrentError, SettingsError):
        return RTorrentFacts()


def expand(
    place: MetafilePlace, job: WatchSettings, settings: Settings, layout: Layout, rtorrent: RTorrentFacts
) -> LoadPreview:
    """Raises MetafileError, TemplateError or CommandRefused as the load would, and UserError for a wrong watch.ini."""
    from pyrotorque.metafile import take
    from pyrotorque_watcher.load.plan import initial_state, path_flags
    from pyrotorque_watcher.load.recipes import JobRecipes
    from pyrotorque_watcher.scan.content import torrents_of

    path = Path(os.fsdecode(place.path))
    try:
        torrents = torrents_of(place.path, take(path))
        for each, _ in torrents:
            if refusal := each.refusal(rtorrent.version):
                raise MetafileError(refusal)
    except MetafileError as error:
        raise MetafileError(f"{path}: {error}") from error
    recipes, flags = JobRecipes(job, settings, layout), path_flags(place.path, place.root)
    recipe, torrent = recipes.of(place), torrents[0][0]
    commands = recipe.commands(torrent, flags, rtorrent.known, rtorrent.session)
    return LoadPreview(
        job.name,
        initial_state(recipe.policy, flags).value,
        dict(recipes.namespace(place, torrent, flags, tuple(commands.values()))),
        {name: text.decode("utf-8", "surrogateescape") for name, text in commands.items()},
        [other.info_hash for other, _ in torrents[1:]],
    )


def _shown(value: Any) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        return _shown(asdict(value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items() if inner)
    if isinstance(value, set | frozenset | list | tuple):
        return ", ".join(sorted(map(str, value)))
    return "" if value is None else printable(str(value))
