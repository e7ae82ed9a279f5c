"""What each setting means, in the words of the reference; docs/generate.py makes docs/settings.md of it."""
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
Everything is in section `[TORQUE]` of `torque.ini` in the configuration directory: `--config-dir`, else `PYRO_CONFIG_DIR`, else `~/.pyroscope`.

- Later files win: packaged defaults (shown in `torque.ini.default`), `config.ini`, `torque.ini`, each `--config-file`; then the command line.
- Settings are case-sensitive. A value goes on in indented lines. `#` and `;` begin a comment line. A percent sign is written `%%`.
- Truth is `True yes 1 on` or `False no 0 off`; sizes take `k m g t` (powers of 1024); paths are absolute or begin with `~/`.
- A misspelt setting is an error that names file, line and the nearest right one; `pyrotorque check` tells all that is wrong at once.
- `pyrotorque --restart` takes over changes. A broken configuration never replaces a good one that runs.
"""

# Setting of the group to its default and meaning.
GROUP: Final[dict[str, tuple[str, str]]] = {
    "scgi_url": (
        "",
        "where rTorrent listens: `scgi:///path/rpc.socket`, `scgi+unix:///path`, `scgi://host:port`; also in `[GLOBAL]` of "
        "config.ini. Not set: taken from rtorrent.rc, else from your running rTorrent",
    ),
    "rtorrent_rc": ("~/.rtorrent.rc", "rTorrent's configuration file, in which its address is looked for"),
    "connect_timeout": ("3", "seconds to wait for a connection to rTorrent"),
    "read_timeout": ("10", "seconds to wait for its answer"),
    "queue_startable_base": (
        "is_open=no is_active=no is_complete=no",
        "extends `startable` of every queue; changing it leads to surprises",
    ),
    "log_level": ("INFO", "`DEBUG`, `INFO`, `WARNING` or `ERROR`, for all services; `-v`, `-q`, `--debug` win"),
    "dry_run": ("False", "all jobs only say what they would do"),
    "run_dir": ("run", "folder of sockets and pid file, private; a short one where paths of sockets get too long"),
    "state_dir": ("state", "folder of the databases, private; on a local disk where the home is on a network"),
}

COMMON: Final[dict[str, tuple[str, str]]] = {
    "handler": ("", "the class of the job, `package.module:Class`; the jobs below have theirs already"),
    "schedule": (
        "",
        'when it runs, as in cron: `second=*/5`, `minute=0`, `hour=1-6 second=*/15`, `hour=12 "day=3rd sun"`; fields are '
        "year month day week day_of_week hour minute second, and a field that is left out is every one above the "
        "smallest that is given, the first below it",
    ),
    "active": ("True", "whether it runs at all; the packaged jobs `queue`, `treewatch`, `exporter` wait for it"),
    "dry_run": ("False", "it only says what it would do"),
    "quiet": ("False", "it prints nothing to rTorrent's own log"),
    "log_level": ("", "its own level instead of the group's"),
}

QUEUE: Final = {
    "startable": "which stopped items may be started ([conditions](conditions.md))",
    "downloading": "which started, incomplete items hold a slot; empty: all. Extended by `is_active=1 is_complete=0`",
    "sort_fields": "in what order: field names, `-` for downwards; empty: as the view has them",
    "downloading_max": "slots: only while fewer items are downloading is another one started. Nothing is ever stopped",
    "downloading_min": "filled up to in one go; trumps `start_at_once` and `downloading_max`, not `intermission`",
    "start_at_once": "items started for one fire time of the schedule",
    "intermission": "seconds between two batches of starts",
    "view": "rTorrent's view whose items are looked at",
    "min_free": "bytes that must stay free on the disk when all that was started is complete; 0: not asked",
    "max_down_rate": "no start while rTorrent loads more bytes per second than this; 0: not asked",
    "hours": "only at these times of the day, local time: `22-6`, `9:30-12, 13-17:45`; empty: always",
}

WATCH: Final = {
    "path": "roots of the trees, separated by `:`",
    "load_mode": "`start` loads and starts; any other word loads stopped",
    "queued": "leaves the starting to the queue: with `load_mode = start` the item is startable, else its priority is 0",
    "cmd.NAME": "load commands, run in the order of their names before the item starts ([templates](templates.md))",
    "trace_inotify": "logs every event of the file system",
    "follow_symlinks": "goes into folders behind symbolic links",
    "tie": "whether rTorrent deletes the metafile with its item: `yes`, `no`, `auto` (when both see the same file)",
    "path_map": "where rTorrent sees other paths: `/path/here=/path/of/rtorrent`, several between commas",
    "on_loaded": "what becomes of a loaded metafile: `keep`, `rename` (to NAME.loaded), `move`, `delete`",
    "on_failed": "the same for one that cannot be loaded: `keep`, `rename` (to NAME.failed), `move`, `delete`",
    "loaded_path": "where `on_loaded = move` moves to",
    "failed_path": "where `on_failed = move` moves to",
}

EXPORTER: Final = {
    "jobs": "groups of metrics: `system`, `tracker`, `item`, or single ones; `-NAME` leaves one out",
    "address": "where it listens; anything but loopback is a warning",
    "port": "its port",
    "prefix": "begins the names of rTorrent's metrics",
    "item_stats": "attributes of items that are shown by the group `item`",
    "item_labels": "labels of `rtorrent_item_info`",
    "items_max": "items shown at most",
    "trackers_max": "trackers with a label of their own at most",
    "views_exclude": "views whose name begins so are not shown",
    "throttles": "named throttles to show",
    "page_names": "whether the status page `/` shows names of torrents",
}

CUSTOM: Final = {
    "on": "runs it for each such event, instead of a schedule or besides: [events](events.md), separated by commas",
    "timeout": "seconds after which a run is ended by force",
    "memory_max": "bytes of address space that its process may take beyond what Python itself needs; 0: no limit",
    "…": "every other setting is given to the class, in its `config`",
}

KINDS: Final[dict[Kind, tuple[str, str, dict[str, str]]]] = {
    QueueSettings: (
        "Queue",
        "`job.queue`, handler `pyrocore.torrent.queue:QueueManager`, schedule `second=*/15`. Starts stopped items while "
        "there is room; several may run side by side ([recipes](howto.md#several-queues-limits-by-tracker-or-label)).",
        QUEUE,
    ),
    WatchSettings: (
        "Tree watch",
        "`job.treewatch`, handler `pyrocore.torrent.watch:TreeWatch`. Loads metafiles (`.torrent`, `.magnet`) that appear "
        "anywhere below its roots; its schedule (`hour=*`) only says how often, at most every minute, the trees are "
        "compared with the ledger. Flags in a path decide for one file: a folder, or a part of the file name between dots, "
        "called `start`, `load` or `queue` (also `queued`). A `watch.ini` in a folder decides for what is below it.",
        WATCH,
    ),
    StatsSettings: (
        "Statistics",
        "`job.connstats`, handler `pyrocore.torrent.jobs:EngineStats`, schedule `minute=*`, active by default. Checks the "
        "connection, and logs a line about rTorrent. It has no settings of its own.",
        {},
    ),
    ExporterSettings: (
        "Exporter",
        "`job.exporter`, handler `pyrocore.daemon.exporter:RtorrentExporter`. Shows rTorrent and pyrotorque to Prometheus "
        "([metrics](metrics.md)); its schedule means nothing, as it collects when it is scraped.",
        EXPORTER,
    ),
    CustomSettings: (
        "Jobs of yours, and those that run programs",
        "Any other handler: a class of yours, or one of `pyrotorque.jobs` ([jobs](jobs.md)). Each runs in a process of its "
        "own. It needs a `schedule`, or `on`.",
        CUSTOM,
    ),
}
