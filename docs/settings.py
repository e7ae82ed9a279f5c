"""The description of each setting; docs/generate.py writes docs/settings.md from it."""
# ruff: noqa: E501 - each text is one cell of a table

from typing import Final

from pyrotorque.settings.handlers import Kind
from pyrotorque.settings.schema import (
    CustomSettings,
    ExporterSettings,
    QueueSettings,
    StatsSettings,
    WatchSettings,
)

INTRO: Final = """\
All settings are in section `[TORQUE]` of `torque.ini` in the configuration directory: `--config-dir`, else `PYRO_CONFIG_DIR`, else `~/.pyroscope`.

- Later sources override earlier ones: packaged defaults (`torque.ini.default` is a copy), `config.ini`, `torque.ini`, each `--config-file`, the command line.
- Settings are case-sensitive; in another section they are ignored, with a warning. Indented lines continue a value: to switch a setting off, make each of its lines a comment. `#` and `;` begin a comment line, and ` ;` after a value a comment. Write `%%` for a percent sign.
- Truth values are `True yes 1 on` and `False no 0 off`; sizes may have a unit `k m g t` (powers of 1024); paths are absolute or begin with `~/`, which is the home folder in settings that are paths only.
- An unknown setting is an error with file, line and the most similar setting; `pyrotorque check` lists all errors.
- `pyrotorque --restart` applies changes. A configuration with errors never replaces the running one.
"""

# Setting of the group to its default and meaning.
GROUP: Final[dict[str, tuple[str, str]]] = {
    "scgi_url": (
        "",
        "rTorrent's address: `scgi:///path/rpc.socket`, `scgi+unix:///path`, `scgi://host:port`; also in `[GLOBAL]` of "
        "config.ini. If not set, it is read from rtorrent.rc, else detected from your running rTorrent",
    ),
    "rtorrent_rc": ("~/.rtorrent.rc", "rTorrent's configuration file, which contains its address"),
    "connect_timeout": ("3", "seconds to wait for a connection to rTorrent"),
    "read_timeout": ("10", "seconds to wait for an answer of rTorrent"),
    "queue_startable_base": (
        "is_open=no is_active=no is_complete=no",
        "added to `startable` of every queue; there is rarely a reason to change it",
    ),
    "log_level": (
        "INFO",
        "`DEBUG`, `INFO`, `WARNING` or `ERROR`, for all services; `log_level.scheduler`, `log_level.watcher` and `log_level.exporter` for one of them; `-v`, `-q` and `--debug` override all",
    ),
    "log_format": (
        "text",
        "`text`, or `json` for one JSON object per line, in all logs and with `--fg` ([logs](logs.md))",
    ),
    "disk_free_percent": (
        "5",
        "a disk of items, watched folders or state with a smaller share free is nearly full: `DiskLow` is published, and `torque.log` has it; 0: never",
    ),
    "disk_free_bytes": ("20g", "but only below this many free bytes"),
    "dry_run": ("False", "all jobs log what they would do, and do nothing"),
    "run_dir": ("run", "private folder of sockets and pid file; use a short path if paths of sockets become too long"),
    "state_dir": ("state", "private folder of the databases; use a local disk if the home is on a network filesystem"),
}

# Setting of `PanelSettings` to its meaning.
PANEL: Final[dict[str, str]] = {
    "active": "whether the panel runs",
    "address": "address to listen on; another one than loopback is reachable from other machines, without encryption",
    "port": "port to listen on; 0: the unix socket only",
    "socket": "unix socket to listen on, beside the port or instead",
    "socket_mode": "its mode: who may connect",
    "base_path": "path below which a reverse proxy shows the panel",
    "hosts": "names under which the panel, and the landing page of the exporter, are reached, beside those of this machine and addresses",
    "trusted_proxies": "addresses of reverse proxies whose `X-Forwarded-*` and `auth_header` are believed; every local user has 127.0.0.1",
    "auth_header": "header in which a trusted proxy, or one at the unix socket, names the user that it has logged in, such as `Remote-User`",
    "name": "name of the group in the panel; by default from the configuration directory",
    "groups": "configuration directories of your other groups, separated by commas, which this panel shows, too",
    "actions": "whether callers may act; `False`: the panel only shows",
}

# Setting of `FleetSettings` to its meaning.
FLEET: Final[dict[str, str]] = {
    "servers": "addresses of NATS servers, `nats://host:port` or `tls://host:port`, separated by spaces; without one this group belongs to no fleet",
    "name": "name of this group, of a to z, 0 to 9 and `-`; by default `PYROTORQUE_FLEET_NAME`, else the name of the host; no other group may have it",
    "realm": "prefix of all names at the servers: several fleets can use the same ones",
    "credentials": "file with two lines `user = NAME` and `password = PASSWORD`, or with an nkey seed; only your user may read it",
    "ca": "certificates of the authority of the servers, in PEM; by default those of the system",
    "certificate": "client certificate in PEM",
    "key": "its key in PEM",
    "replicas": "copies of what is stored: 1, 3 or 5; by default 3 in a cluster, else 1",
    "create": "create the bucket and the stream when they are missing; `False` where an operator does",
    "beat": "interval of heartbeats",
    "silent": "how long nothing must arrive from a group before it counts as gone",
    "accepts": "condition for the metafiles that this group takes, over the metafile and the facts of this group; empty: all ([fields](fleet.md#which-group-takes-it))",
    "prefer": "order of the groups: fields of their facts, `-` for descending ([fields](fleet.md#which-group-takes-it))",
    "turn": "how long a group waits for each one before it in the order",
    "pending_max": "how many metafiles a group may have that it was given and has not released yet",
    "events": "forward the durable events of this group to the fleet's stream",
    "metrics": "`host:port` under which Prometheus reaches the exporter of this group",
    "file_sd": "file that is kept with the exporters of all groups, as targets for Prometheus",
}

COMMON: Final[dict[str, tuple[str, str]]] = {
    "handler": ("", "the class of the job, `package.module:Class`; set by default for the jobs below"),
    "schedule": (
        "",
        'fire times, similar to cron: `second=*/5`, `minute=0`, `hour=1-6 second=*/15`, `hour=12 "day=3rd sun"`; fields are '
        "year month day week day_of_week hour minute second; a missing field means every value if it is larger than the "
        "smallest given field, else the first value",
    ),
    "active": ("True", "whether it runs; `False` by default for the packaged jobs `queue`, `treewatch`, `exporter`"),
    "dry_run": ("False", "it logs what it would do, and does nothing"),
    "quiet": ("False", "it prints no messages to rTorrent's own log"),
    "log_level": ("", "log level of this job instead of the group's"),
}

QUEUE: Final = {
    "startable": "condition for stopped items to be started ([conditions](conditions.md))",
    "downloading": "condition for started, incomplete items to occupy a slot; empty: all. `is_active=1 is_complete=0 is_wanted_done=0` is added",
    "sort_fields": "order of starts: field names, `-` for descending; empty: the order of the view",
    "downloading_max": "slots: items are started only while fewer are downloading. The queue stops items only for `stall_after` and `adopt`",
    "downloading_min": "number of items that are started without waiting; overrides `start_at_once` and `downloading_max`, but not `intermission`",
    "start_at_once": "items started for one fire time of the schedule",
    "intermission": "seconds between two batches of starts",
    "view": "rTorrent's view with the items of the queue",
    "min_free": "bytes that must stay free on the disk after all started items are complete; 0: disabled",
    "max_down_rate": "no starts while rTorrent downloads more bytes per second than this; 0: disabled",
    "hours": "starts items only at these times of the day, local time: `22-6`, `9:30-12, 13-17:45`; empty: always",
    "group_by": "field whose values are groups of items, such as `alias` or `custom_1`; empty: no groups ([limits per group](queue.md#limits-per-group))",
    "group_max": "slots of each group; 0: no limit",
    "adopt": "condition for items that are closed, and wait in the queue, if others start them above `downloading_max` or `group_max`; empty: none ([items that others start](queue.md#items-that-others-start))",
    "stall_after": "time without progress, such as `20m`, after which an item gives up its slot to one that waits; 0: never ([stalled items](queue.md#stalled-items-give-up-their-slot))",
    "stall_bytes": "less than this within `stall_after` is no progress",
    "stall_grace": "time after its start in which an item keeps its slot",
    "stall_retry": "time until such an item is tried again, doubled each time; at least `10m`",
    "stall_retry_max": "the longest time until it is tried again",
    "stall_strikes": "after so many times in a row it is not tried again; 0: no limit",
    "stall_reset": "bytes of progress after which earlier times do not count",
    "stall_report": "time after which `QueueStalled` reports that all slots stand still while others wait; 0: never",
    "group_max.NAME": "slots of one group instead of `group_max`; `none` is the group of the empty value",
}

WATCH: Final = {
    "path": "roots of the trees, separated by `:`",
    "load_mode": "`start` loads and starts; any other value loads without starting",
    "queued": "the queue starts the items: with `load_mode = start` the item is startable, else its priority is 0",
    "cmd.NAME": "load commands, run in the order of their names before the item starts ([templates](templates.md))",
    "trace_inotify": "logs every file system event",
    "below": "folders, separated by `:`; a `watch.ini` can have content stored and moved only below them. If not set: anywhere, except in the folders of pyrotorque and rTorrent, and in hidden ones of your home",
    "follow_symlinks": "follows symbolic links to folders",
    "settle_time": "seconds without a change after which a file is complete where the kernel cannot confirm that its writer is done ([when](watch.md#when-a-file-is-complete)), and after which a file with wrong content is `failed`",
    "tie": "whether rTorrent deletes the metafile with its item: `yes`, `no`, `auto` (if rTorrent has access to the same file)",
    "path_map": "if rTorrent uses other paths: `/path/here=/path/of/rtorrent`, separated by commas",
    "on_loaded": "what to do with a loaded metafile: `keep`, `rename` (to NAME.loaded), `move`, `delete`",
    "on_failed": "the same for a file that is proven to be no metafile: `keep`, `rename` (to NAME.failed), `move`, `delete`",
    "loaded_path": "target folder of `on_loaded = move`",
    "failed_path": "target folder of `on_failed = move`",
    "place": "`local` loads metafiles in this group; `fleet` in a group of the [fleet](fleet.md#placing-metafiles), which may be this one",
}

EXPORTER: Final = {
    "jobs": "metric groups: `system`, `tracker`, `item`, or single groups; `-NAME` excludes one",
    "address": "address to listen on; other than loopback addresses cause a warning",
    "port": "port to listen on",
    "prefix": "prefix of rTorrent's metric names",
    "item_stats": "attributes of items in the group `item`",
    "item_labels": "labels of `rtorrent_item_info`",
    "items_max": "maximum number of items",
    "trackers_max": "maximum number of trackers with their own label",
    "views_exclude": "views whose names begin with this are excluded",
    "throttles": "named throttles to export",
}

CUSTOM: Final = {
    "on": "runs it for each of these [events](events.md), separated by commas; with or without a schedule",
    "after": "jobs, separated by commas, that must have succeeded for an event before this one [runs for it](jobs.md#order)",
    "timeout": "seconds after which a run is killed",
    "memory_max": "bytes of address space of its process, in addition to Python's own; 0: no limit",
    "…": "all other settings are passed to the class in `config`",
}

KINDS: Final[dict[Kind, tuple[str, str, dict[str, str]]]] = {
    QueueSettings: (
        "Queue",
        "`job.queue`, handler `pyrocore.torrent.queue:QueueManager`, schedule `second=*/15`. Starts stopped items while "
        "slots are free; several queues may run at the same time ([recipes](howto.md#several-queues-limits-by-tracker-or-label)).",
        QUEUE,
    ),
    WatchSettings: (
        "Tree watch",
        "`job.treewatch`, handler `pyrocore.torrent.watch:TreeWatch`. Loads metafiles (`.torrent`, `.magnet`) that are "
        "written anywhere below its roots. Its schedule (`hour=*`) sets how often the trees are reconciled with the ledger, in "
        "addition to every minute. Flags in a path apply to one file: a folder, or a part of the file name between dots, named "
        "`start`, `load` or `queue` (also `queued`). A `watch.ini` in a folder applies to all files below it.",
        WATCH,
    ),
    StatsSettings: (
        "Statistics",
        "`job.connstats`, handler `pyrocore.torrent.jobs:EngineStats`, schedule `minute=*`, active by default. Checks the "
        "connection, and logs a line about rTorrent. It has no additional settings.",
        {},
    ),
    ExporterSettings: (
        "Exporter",
        "`job.exporter`, handler `pyrocore.daemon.exporter:RtorrentExporter`. Serves metrics of rTorrent and pyrotorque to Prometheus "
        "([metrics](metrics.md)). Its schedule is ignored: metrics are collected at each scrape.",
        EXPORTER,
    ),
    CustomSettings: (
        "Custom jobs",
        "Any other handler: a class of your own, or one of `pyrotorque.jobs` that runs programs ([jobs](jobs.md)). Each runs in "
        "its own process. It requires a `schedule`, or `on`.",
        CUSTOM,
    ),
}
