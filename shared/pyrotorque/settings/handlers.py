"""The settings struct of each handler, and the earlier names of handlers and settings."""

from typing import Final, TypeAlias

from pyrotorque.settings.schema import (
    CustomSettings,
    ExporterSettings,
    JobSettings,
    QueueSettings,
    StatsSettings,
    WatchSettings,
)

Kind: TypeAlias = type[JobSettings]

# By class name: modules differ between pyrocore and pyrosimple, class names do not.
_BUILT_IN: Final[dict[str, tuple[Kind, str]]] = {
    "QueueManager": (QueueSettings, "pyrocore.torrent.queue:QueueManager"),
    "TreeWatch": (WatchSettings, "pyrocore.torrent.watch:TreeWatch"),
    "EngineStats": (StatsSettings, "pyrocore.torrent.jobs:EngineStats"),
    "RtorrentExporter": (ExporterSettings, "pyrocore.daemon.exporter:RtorrentExporter"),
    "Action": (CustomSettings, "pyrotorque.jobs.action:Action"),
    "Command": (CustomSettings, "pyrotorque.jobs.command:Command"),
    "ItemCommand": (CustomSettings, "pyrotorque.jobs.itemcommand:ItemCommand"),
    "PathMover": (CustomSettings, "pyrotorque.jobs.mover:Mover"),
}
INJECTED: Final = "pyrotorque.jobs.injected:Injected"
"""Starts what it chooses itself: queues leave these items alone, as they do not look at files."""
NOTIFY: Final = "pyrotorque.jobs.notify:Notify"
TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    "pyrotorque.jobs.action:Action": ("value", "args"),
    "pyrotorque.jobs.command:Command": ("command", "args"),
    "pyrotorque.jobs.itemcommand:ItemCommand": ("command", "args"),
    "pyrotorque.jobs.mover:Mover": ("target",),
    NOTIFY: ("command", "args", "text", "title", "header.", "json."),
}
"""The settings of shipped custom jobs that are templates; with a final dot, all settings below."""
_PROGRAM_PATHS: Final = ("command", "args", "cwd")
_CLEANUP_PATHS: Final = ("below", "quarantine", "others")
PATHS: Final[dict[str, tuple[str, ...]]] = {
    "pyrotorque.jobs.action:Action": (),
    "pyrotorque.jobs.cleanup:Cleanup": _CLEANUP_PATHS,
    "pyrotorque.jobs.command:Command": _PROGRAM_PATHS,
    INJECTED: (),
    "pyrotorque.jobs.itemcommand:ItemCommand": _PROGRAM_PATHS,
    "pyrotorque.jobs.mover:Mover": ("target", "below"),
    NOTIFY: _PROGRAM_PATHS,
    "pyrotorque.jobs.orphans:Orphans": _CLEANUP_PATHS,
}
"""The settings of shipped custom jobs in which `~/` at the beginning is the home folder; in those of a user's own class
it always is."""
NEEDS_OWNER: Final = (
    *("LoadFailed", "StartFailed", "JobFailed", "JobRecovered", "RTorrentLost", "RTorrentReturned"),
    *("ServiceStateChanged", "DiskLow", "DiskRecovered", "QueueStalled", "QueueResumed"),
    *("ProblemReported", "ProblemEnded"),
)
"""The events of a notification without `on`, or with PROBLEMS in it."""
PROBLEMS: Final = "problems"
_EARLIER_PACKAGES: Final = ("pyrocore", "pyrosimple")

# Jobs of the earlier daemons without a successor: not run, with a warning.
RETIRED: Final = {
    "Mover": "it moved items between instances: a second rTorrent needs its own configuration directory",
    "InfluxDBStats": "InfluxDB 0.8 is no longer supported; use job.exporter with Prometheus",
}

# Names of settings in pyrosimple and the earlier exporter; `!` inverts the value.
ALIASES: Final[dict[Kind, dict[str, str]]] = {
    QueueSettings: {
        "matcher": "startable",
        "sort": "sort_fields",
        "log_to_client": "!quiet",
        "downloading_traffic_max": "max_down_rate",
        "max_downloading_traffic": "max_down_rate",
    },
    WatchSettings: {"print_to_client": "!quiet"},
    ExporterSettings: {"addr": "address"},
}

# Settings of pyrosimple that are not needed any more (None), or what to set instead.
DROPPED: Final[dict[Kind, dict[str, str | None]]] = {
    QueueSettings: {},
    WatchSettings: {
        "check_unhandled": None,
        "preload_fields": None,
        "remove_already_added": "set on_loaded = delete (or rename, move) instead",
        "remove_unhandled": "set on_failed = delete (or rename, move) instead",
        "start_immediately": "set load_mode = start instead",
        "started": "set load_mode = start instead",
    },
    StatsSettings: {},
    ExporterSettings: {"page_names": None, "page_hosts": None},
}

IGNORED: Final[dict[str, str]] = dict.fromkeys(
    ("page_names", "page_hosts"),
    "is ignored: the exporter has no status page any more; the panel shows names, behind a login",
)
"""Dropped settings of this project, with the warning for a file that sets one."""


def current_key(key: str) -> str:
    """`job.NAME.SETTING` with the current name of the setting; load commands are `cmd.NAME`."""
    head, _, param = key.rpartition(".")
    if head.count(".") != 1:
        return key
    if param.startswith("cmd_"):
        return f"{head}.cmd.{param[4:]}"
    names = {old: new for aliases in ALIASES.values() for old, new in aliases.items()}
    return f"{head}.{names.get(param, param).lstrip('!')}"


def handler_class(handler: str) -> str:
    """The class in `package.module:Class`."""
    return handler.rpartition(":")[2].strip()


def is_earlier(handler: str) -> bool:
    """Whether the handler was part of pyrocore or pyrosimple."""
    return handler.strip().split(".")[0] in _EARLIER_PACKAGES


def kind_of(handler: str) -> tuple[Kind, str]:
    """The struct of the job and the current name of its handler; an unknown handler is a custom job."""
    if is_earlier(handler) and (found := _BUILT_IN.get(handler_class(handler))):
        return found
    return CustomSettings, handler.strip()


def known_handlers() -> tuple[str, ...]:
    """The names of the built-in handlers."""
    return tuple(name for _, name in _BUILT_IN.values())
