"""What `check` finds around a good configuration: rTorrent's own watch folders, and what it lacks of our include."""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from pyrotorque.errors import RTorrentError, UserError
from pyrotorque.loadcommands.hooks import shell_hooks
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.problems import suggestion
from pyrotorque.settings.rtorrent_rc import loads_in, usual_files
from pyrotorque.settings.schema import AnyJob, QueueSettings, Settings, WatchSettings
from pyrotorque.text import printable

_WILD: Final = "*?["
OPEN_LOCAL: Final = "network.scgi.open_local = (cat,(session.path),rpc.socket)"
# What each hook of the include is for, by its event; the names in earlier includes end in the same words.
_INSERTED, _RESUMED, _FINISHED = (f"event.download.{event}" for event in ("inserted_new", "resumed", "finished"))
_HOOKS: Final = (
    (_INSERTED, ("pyrotorque_loaded", "tm_loaded"), "loaded: rTorrent's own time (no tm_loaded)"),
    (_RESUMED, ("pyrotorque_started", "tm_started"), "started: the last time, not the first (no tm_started)"),
    (_FINISHED, ("pyrotorque_completed", "tm_completed"), "completed: rTorrent's own time (no tm_completed)"),
    (_FINISHED, ("pyrotorque_bell",), "the queue sees what completes at its next tick (no bell)"),
)


def overlaps(settings: Settings, home: Path) -> Iterator[str]:
    """Watched roots that a schedule in rTorrent's configuration loads from, too: who comes first would load."""
    patterns = _patterns(settings, home)
    for job in settings.jobs:
        if isinstance(job, WatchSettings) and job.active:
            for root in job.path:
                for pattern in patterns:
                    if overlap(Path(os.path.realpath(root)), str(Path(pattern).parent.resolve() / Path(pattern).name)):
                        yield (
                            f"job.{job.name}.path: {root} overlaps with what a schedule of rtorrent.rc loads "
                            f"({printable(pattern)}): comment out that schedule, or keep the folders apart"
                        )


def overlap(root: Path, pattern: str) -> bool:
    """Whether files below `root` can match `pattern`, whose folders may hold wildcards."""
    folders = Path(pattern).parent.parts
    plain = Path(*_until_wild(folders))
    if plain.is_relative_to(root):
        return True
    return len(plain.parts) < len(folders) and root.is_relative_to(plain)


def _until_wild(parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        if any(char in part for char in _WILD):
            return
        yield part


def hooks(settings: Settings, home: Path) -> Iterator[str]:
    """Lines of rTorrent's configuration in which an item's value becomes part of a shell's text."""
    for name, text in _rc_files(settings, home):
        for line, value in shell_hooks(text):
            yield (
                f"{printable(name)}:{line}: the text of a shell holds {value}, which a torrent may have chosen: "
                f'it can run commands as you. Give it as an argument: sh, -c, "… \\"$1\\"", sh, ${value}='
            )


def _patterns(settings: Settings, home: Path) -> list[str]:
    texts = (text for _, text in _rc_files(settings, home))
    return [pattern for text in texts for pattern in loads_in(text, home=str(home), environ=os.environ, read=_text)]


def _rc_files(settings: Settings, home: Path) -> Iterator[tuple[str, str]]:
    origin = settings.rtorrent.origin
    configured = origin if origin.startswith("/") and Path(origin).is_file() else None
    for name in usual_files(str(home), configured):
        if text := _text(name):
            yield name, text


def _text(name: str) -> str | None:
    try:
        return Path(name).read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, ValueError):
        return None


def lacking(rtorrent: RTorrent) -> list[str]:
    """What is not as good as it could be, because this rTorrent runs without our include."""
    said: list[str] = []
    for event, names, loss in _HOOKS:
        try:
            keys = rtorrent.call("method.list_keys", "", event)
        except RTorrentError:
            return []
        known = [str(key) for key in keys] if isinstance(keys, list) else []
        if not any(key.endswith(names) for key in known):
            said.append(loss)
    return said


def unknown_to(rtorrent: RTorrent, settings: Settings, config_dir: Path) -> Iterator[str]:
    """What the active jobs name and this rTorrent does not have: views of queues, commands of loads."""
    from pyrotorque.loadcommands import compile_command

    views = rtorrent.call("view.list")
    for job in settings.jobs:
        if isinstance(job, QueueSettings) and job.active and isinstance(views, list) and job.view not in views:
            yield f"job.{job.name}.view: there is no view {job.view}{suggestion(job.view, map(str, views))}"
        for name, text in job.commands if isinstance(job, WatchSettings) and job.active else ():
            command = compile_command(name, text, templates=config_dir / "templates")
            for strange in sorted(each for each in command.names if not rtorrent.known(each)):
                near = suggestion(strange, rtorrent.methods())
                yield f"job.{job.name}.cmd.{name}: there is no command {strange}{near}"


def unknown_address() -> str:
    """Why rTorrent's address is not known, and what makes it so."""
    from pyrotorque.settings.discovery import listening_rtorrents

    # Sockets come before ports, so this is each one's likeliest.
    urls = {found.pid: found.url for found in reversed(list(listening_rtorrents()))}
    if len(urls) > 1:
        listed = ", ".join(map(printable, sorted(urls.values())))
        return f"{len(urls)} run as this user, and no address is configured; set scgi_url in [TORQUE]: {listed}"
    return "no address is configured and none was found; set scgi_url in [TORQUE], or start rTorrent with " + OPEN_LOCAL


def conditions(settings: Settings, config_dir: Path) -> Iterator[tuple[str, str]]:
    """What each active queue asks, whole and in its normal form, as rTorrent's items are held against it."""
    from pyrotorque.customfields import ConfigFields
    from pyrotorque.fields import configured
    from pyrotorque_scheduler.queue.rules import read_rules

    queues = [job for job in settings.jobs if isinstance(job, QueueSettings) and job.active]
    with closing(ConfigFields(config_dir / "config.py", {})) as config_fields:
        for job in queues:
            table = configured(settings.aliases, settings.traits_by_alias, job.min_free)
            rules = read_rules(job, settings.queue_startable_base, config_fields.given(table))
            yield f"job.{job.name}.startable", str(rules.startable)
            yield f"job.{job.name}.downloading", str(rules.downloading)
            yield f"job.{job.name}.sort_fields", str(rules.order) if rules.order else "as the view has them"


def rendered(jobs: Iterable[AnyJob], config_dir: Path) -> Iterator[tuple[str, str]]:
    """Each load command as a sample metafile would get it; one that sees nothing to do in the sample is empty."""
    from pyrotorque.loadcommands import compile_command
    from pyrotorque.namespace import sample

    for job in jobs:
        for name, text in job.commands if isinstance(job, WatchSettings) and job.active else ():
            try:
                made = compile_command(name, text, templates=config_dir / "templates").render(sample())
            except UserError as error:
                yield f"job.{job.name}.cmd.{name}", f"fails with the sample: {error}"
            else:
                yield f"job.{job.name}.cmd.{name}", made.decode("utf-8", "replace")
