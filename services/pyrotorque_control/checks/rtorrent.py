"""What the running rTorrent answers: its version, names that it does not have, and missing parts of the include."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.errors import RTorrentError
from pyrotorque.housekeeping.erased_handlers import foreign_erased_handlers
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import QueueSettings, Settings, WatchSettings
from pyrotorque.suggestions import suggestion
from pyrotorque.text import printable
from pyrotorque_control.checks.other_groups import sharing_groups
from pyrotorque_control.group import Group

OPEN_LOCAL: Final = "network.scgi.open_local = (cat,(session.path),rpc.socket)"
# Each hook of the include: its event, the endings of its key in this and earlier includes, and what is lost without it.
_INSERTED, _RESUMED, _FINISHED = (f"event.download.{event}" for event in ("inserted_new", "resumed", "finished"))
_HOOKS: Final = (
    (_INSERTED, ("pyrotorque_loaded", "tm_loaded"), "loaded: rTorrent's own time (no tm_loaded)"),
    (_RESUMED, ("pyrotorque_started", "tm_started"), "started: the last time, not the first (no tm_started)"),
    (_FINISHED, ("pyrotorque_completed", "tm_completed"), "completed: rTorrent's own time (no tm_completed)"),
    (_FINISHED, ("pyrotorque_bell",), "the queue notices completed items at its next tick only (no bell)"),
)


class RTorrentCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The rTorrent that answers, or the `problem` why none does.

    `unknown` lists names in the configuration that it does not have; `lacks`, missing parts of the include.
    `accepts_deprecated`: it runs with the option -D.
    """

    url: str = ""
    origin: str = ""
    answers: bool = False
    version: str = ""
    pid: int = 0
    problem: str = ""
    unknown: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    accepts_deprecated: bool = False
    erased_handlers: tuple[str, ...] = ()
    """Programs that it runs for each item that is erased."""
    shared_with: tuple[str, ...] = ()
    """Other groups that start and remove its items, by their configuration directories."""


def check_rtorrent(settings: Settings, group: Group) -> RTorrentCheck:
    """Query the configured rTorrent; that it does not answer is not an error of the configuration."""
    rtorrent = settings.rtorrent
    if rtorrent.url is None:
        return RTorrentCheck(problem=unknown_address())
    client = RTorrent(rtorrent.url, connect_timeout=2.0, read_timeout=5.0)
    try:
        identity = client.identity()
        deprecated = client.known("method.use_deprecated") and client.call("method.use_deprecated") == 1
        unknown = tuple(unknown_names(client, settings, group.config_dir))
        handlers = foreign_erased_handlers(client)
        shared_with = sharing_groups(client, group) if settings.changes_items else ()
    except RTorrentError as error:
        return RTorrentCheck(url=rtorrent.url, origin=rtorrent.origin, problem=str(error))
    return RTorrentCheck(
        url=rtorrent.url,
        origin=rtorrent.origin,
        answers=True,
        version=printable(identity.client_version),
        pid=identity.pid,
        unknown=unknown,
        lacks=tuple(missing_hooks(client)),
        accepts_deprecated=deprecated,
        shared_with=shared_with,
        erased_handlers=tuple(f"{name}: {text}" for name, text in handlers.items()),
    )


def missing_hooks(rtorrent: RTorrent) -> list[str]:
    """What works less well because hooks of the include are missing in this rTorrent."""
    missing: list[str] = []
    for event, names, loss in _HOOKS:
        try:
            keys = rtorrent.call("method.list_keys", "", event)
        except RTorrentError:
            return []
        known = [str(key) for key in keys] if isinstance(keys, list) else []
        if not any(key.endswith(names) for key in known):
            missing.append(loss)
    return missing


def unknown_names(rtorrent: RTorrent, settings: Settings, config_dir: Path) -> Iterator[str]:
    """Views and commands in the settings of active jobs that this rTorrent does not have."""
    from pyrotorque.loadcommands import compile_command

    views = rtorrent.call("view.list")
    for job in settings.jobs:
        if isinstance(job, QueueSettings) and job.active and isinstance(views, list) and job.view not in views:
            yield f"job.{job.name}.view: there is no view {job.view}{suggestion(job.view, map(str, views))}"
        for name, text in job.commands if isinstance(job, WatchSettings) and job.active else ():
            command = compile_command(name, text, templates=config_dir / "templates")
            for unknown in sorted(each for each in command.names if not rtorrent.known(each)):
                nearest = suggestion(unknown, rtorrent.methods())
                yield f"job.{job.name}.cmd.{name}: there is no command {unknown}{nearest}"


def unknown_address() -> str:
    """Why rTorrent's address is not known, and how to set it."""
    from pyrotorque.settings.discovery import listening_rtorrents

    # Sockets come before ports, so this keeps the most likely address of each process.
    urls = {found.pid: found.url for found in reversed(list(listening_rtorrents()))}
    if len(urls) > 1:
        listed = ", ".join(map(printable, sorted(urls.values())))
        return f"{len(urls)} run as this user, and no address is configured; set scgi_url in [TORQUE]: {listed}"
    return "no address is configured and none was found; set scgi_url in [TORQUE], or start rTorrent with " + OPEN_LOCAL
