"""All settings with types and defaults: one frozen struct for the group and one for each kind of job."""

from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from pyrotorque.listen_address import bare_address

Disposal: TypeAlias = Literal["keep", "rename", "move", "delete"]
Tie: TypeAlias = Literal["auto", "yes", "no"]
Place: TypeAlias = Literal["local", "fleet"]
"""Where the metafiles of a tree are loaded: in this group, or in a group of the fleet."""


class JobSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of every job: `job.NAME.PARAM` in `[TORQUE]`."""

    name: str
    handler: str
    schedule: str
    active: bool = True
    dry_run: bool = False
    quiet: bool = False
    log_level: str | None = None


class QueueSettings(JobSettings, frozen=True, kw_only=True, tag_field="kind", tag="queue"):
    """`pyrocore.torrent.queue:QueueManager`: starts stopped items while slots are free."""

    schedule: str = "second=*/15"
    active: bool = False
    startable: str = "is_ignored=no done=0 message=/^$|ghost/ prio>0"
    downloading: str = ""
    sort_fields: str = "-prio, loaded, name"
    downloading_min: int = 1
    downloading_max: int = 9
    start_at_once: int = 1
    intermission: float = 0.0
    view: str = "main"
    min_free: int = 0
    max_down_rate: int = 0
    hours: str = ""
    group_by: str = ""
    group_max: int = 0
    group_maxima: tuple[tuple[str, int], ...] = ()
    """`group_max.NAME`: the slots of one group."""
    stall_after: float = 0.0
    stall_bytes: int = 1 << 20
    stall_grace: float = 600.0
    stall_retry: float = 1800.0
    stall_retry_max: float = 86_400.0
    stall_strikes: int = 0
    stall_reset: int = 50 << 20
    stall_report: float = 1800.0
    adopt: str = ""

    def conditions(self, base: str) -> list[tuple[str, str]]:
        """(setting, text) of each condition that is set; `base` is `queue_startable_base`, a part of `startable`."""
        texts = (
            ("startable", base),
            ("startable", self.startable),
            ("downloading", self.downloading),
            ("adopt", self.adopt),
        )
        return [(setting, text) for setting, text in texts if text.strip()]


class WatchSettings(JobSettings, frozen=True, kw_only=True, tag_field="kind", tag="watch"):
    """`pyrocore.torrent.watch:TreeWatch`: loads metafiles that are written below its roots."""

    schedule: str = "hour=*"
    active: bool = False
    path: tuple[Path, ...] = ()
    load_mode: str = "normal"
    queued: bool = False
    trace_inotify: bool = False
    commands: tuple[tuple[str, str], ...] = ()
    tie: Tie = "auto"
    path_map: tuple[tuple[str, str], ...] = ()
    follow_symlinks: bool = False
    settle_time: float = 5.0
    below: tuple[Path, ...] = ()
    on_loaded: Disposal = "keep"
    on_failed: Disposal = "keep"
    loaded_path: Path | None = None
    failed_path: Path | None = None
    place: Place = "local"


class StatsSettings(JobSettings, frozen=True, kw_only=True, tag_field="kind", tag="stats"):
    """`pyrocore.torrent.jobs:EngineStats`: checks the connection and logs a line of statistics."""

    schedule: str = "minute=*"


# Metric groups of the exporter, in the order of collection, cheapest first.
METRIC_GROUPS: Final = (
    "scrape",
    "processes",
    "queue",
    "watch",
    "jobs",
    "fleet",
    "system",
    "throttle",
    "views",
    "summary",
    "disks",
    "trackers",
    "items",
    "rpc",
)


class ExporterSettings(JobSettings, frozen=True, kw_only=True, tag_field="kind", tag="exporter"):
    """`pyrocore.daemon.exporter:RtorrentExporter`: exports rTorrent's and pyrotorque's metrics to Prometheus."""

    schedule: str = "hour=*"
    active: bool = False
    jobs: tuple[str, ...] = ("system",)
    address: str = "127.0.0.1"
    port: int = 9135
    prefix: str = "rtorrent_"
    item_stats: tuple[str, ...] = ()
    item_labels: tuple[str, ...] = ()
    items_max: int = 1000
    trackers_max: int = 100
    views_exclude: str = "rtcontrol"
    throttles: tuple[str, ...] = ()


class CustomSettings(JobSettings, frozen=True, kw_only=True, tag_field="kind", tag="custom"):
    """A job with a class of the user, or a shipped one that runs commands; each runs in its own process."""

    params: dict[str, str | int | bool] = {}
    """What the constructor of a user's class gets: digits as int, truth words as bool."""
    texts: dict[str, str] = {}
    """The text of those `params` that is lost by this, such as `007`; `pyrotorque.jobs.params` reads it."""
    on: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    """Jobs that must have succeeded for an event before this one runs for it."""
    timeout: float = 300.0
    memory_max: int = 0


AnyJob: TypeAlias = QueueSettings | WatchSettings | StatsSettings | ExporterSettings | CustomSettings
JobT = TypeVar("JobT", bound=JobSettings)


class RTorrentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """rTorrent's address and deadlines; `url` is None if unknown, `origin` is the file or process it is from."""

    url: str | None
    origin: str
    connect_timeout: float = 3.0
    read_timeout: float = 10.0


class PanelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings `panel.*`; the process of the panel runs only while it is active."""

    active: bool = False
    address: str = "127.0.0.1"
    port: int = 9180
    """0: the unix socket only."""
    socket: Path | None = None
    socket_mode: int = 0o660
    base_path: str = "/"
    hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    auth_header: str = ""
    name: str = ""
    groups: tuple[Path, ...] = ()
    """Configuration directories of further groups of this user, which this panel shows, too."""
    actions: bool = True

    @property
    def url(self) -> str:
        """The address of the first page, for a browser on this machine."""
        address = bare_address(self.address)
        host = f"[{address}]" if ":" in address else address
        host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
        return f"http://{host}:{self.port}{self.base_path.rstrip('/')}"


class FleetSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings `fleet.*`; a group without `servers` belongs to no fleet."""

    servers: tuple[str, ...] = ()
    name: str = ""
    realm: str = "pyrotorque"
    credentials: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    replicas: int = 0
    """0: three, or one if the server belongs to no cluster."""
    create: bool = True
    beat: float = 2.0
    silent: float = 15.0
    accepts: str = ""
    prefer: str = "-free_slots, -free_share"
    turn: float = 0.5
    pending_max: int = 20
    events: bool = True
    metrics: str = ""
    file_sd: Path | None = None


DISK_FREE_PERCENT: Final = 5.0
DISK_FREE_BYTES: Final = 20 << 30


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The complete typed configuration of a group; `digest` identifies it."""

    digest: str
    rtorrent: RTorrentSettings
    jobs: tuple[AnyJob, ...]
    dry_run: bool = False
    only: str = ""
    """Run this job only (`--run-once`); events for the others are stored meanwhile."""
    log_level: str = "INFO"
    log_levels: dict[str, str] = {}
    """Levels of single services, instead of `log_level`."""
    log_format: Literal["text", "json"] = "text"
    disk_free_percent: float = DISK_FREE_PERCENT
    disk_free_bytes: int = DISK_FREE_BYTES
    queue_startable_base: str = "is_open=no is_active=no is_complete=no"
    aliases: dict[str, str] = {}
    """Host or domain of trackers, in lower case, to alias; `traits_by_alias` has aliases as in the file."""
    traits_by_alias: dict[str, str] = {}
    panel: PanelSettings = PanelSettings()
    fleet: FleetSettings = FleetSettings()
    files: tuple[str, ...] = ()
    """The files that set something; one of them that sets nothing any more was emptied. Not part of the digest."""

    def level_of(self, service: str) -> str:
        """The log level of a service."""
        return self.log_levels.get(service, self.log_level)

    @property
    def changes_items(self) -> bool:
        """Whether the group loads, starts or changes items by itself, and does not only measure or try."""
        jobs = (*self.active_jobs(QueueSettings), *self.active_jobs(WatchSettings), *self.active_jobs(CustomSettings))
        return not self.only and not all(job.dry_run for job in jobs)

    @property
    def optional_services(self) -> tuple[str, ...]:
        """The services that this configuration has beside those of each group."""
        wanted = {"panel": self.panel.active, "fleet": bool(self.fleet.servers)}
        return tuple(name for name, is_wanted in wanted.items() if is_wanted)

    def active_jobs(self, kind: type[JobT]) -> list[JobT]:
        """The active jobs of one kind; each has `dry_run` set when the whole group has it."""
        return [
            msgspec.structs.replace(job, dry_run=job.dry_run or self.dry_run)
            for job in self.jobs
            if isinstance(job, kind) and job.active
        ]
