"""Which struct a job's handler stands for, and which older names its settings answer to."""

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

# The jobs of the earlier daemons by their class: the modules moved between pyrocore and pyrosimple, classes did not.
_OURS: Final[dict[str, tuple[Kind, str]]] = {
    "QueueManager": (QueueSettings, "pyrocore.torrent.queue:QueueManager"),
    "TreeWatch": (WatchSettings, "pyrocore.torrent.watch:TreeWatch"),
    "EngineStats": (StatsSettings, "pyrocore.torrent.jobs:EngineStats"),
    "RtorrentExporter": (ExporterSettings, "pyrocore.daemon.exporter:RtorrentExporter"),
    "Action": (CustomSettings, "pyrotorque.jobs.action:Action"),
    "Command": (CustomSettings, "pyrotorque.jobs.command:Command"),
    "ItemCommand": (CustomSettings, "pyrotorque.jobs.itemcommand:ItemCommand"),
    "PathMover": (CustomSettings, "pyrotorque.jobs.mover:Mover"),
}
_EARLIER_PACKAGES: Final = ("pyrocore", "pyrosimple")

# Jobs of the earlier daemons that have no successor: said once, not run.
RETIRED: Final = {
    "Mover": "it moved items between instances: a second rTorrent gets a configuration of its own",
    "InfluxDBStats": "its InfluxDB 0.8 is gone; activate job.exporter and let Prometheus collect",
}

# pyrosimple's and the earlier exporter's spellings of settings; `!` in front means the opposite.
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

# Settings of pyrosimple that need no successor (None), or whose successor says more than yes or no.
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
    ExporterSettings: {},
}


def settled_key(key: str) -> str:
    """`job.NAME.SETTING` with the name that the setting has here; commands are `cmd.NAME`."""
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
    """The struct of the job and the handler's settled name; every foreign handler is a job of the user."""
    if is_earlier(handler) and (found := _OURS.get(handler_class(handler))):
        return found
    return CustomSettings, handler.strip()


def known_handlers() -> tuple[str, ...]:
    """The settled names of the jobs that are ours."""
    return tuple(name for _, name in _OURS.values())
