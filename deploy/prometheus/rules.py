"""Writes pyrotorque.rules.yml: `python3 rules.py > pyrotorque.rules.yml`; the options change selectors and thresholds.

    python3 rules.py --help
    python3 rules.py --selector 'job="torrents",cluster="home"' --label team=home --set disk_free_percent=3 \\
        --severity QueueBacklog=warning --without RtorrentRestarted --runbook https://wiki.example.org/torrents

Needs Python 3.11 and nothing else. docs/alerts.md describes each alert.
"""

# ruff: noqa: E501 - texts and expressions are easier to read in one line
import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

RUNBOOK: Final = "docs/alerts.md"
UP_SELECTOR: Final = 'job=~"pyrotorque.*"'
# The labels by which two groups differ: those of the scrape, and those that deploy/prometheus/prometheus.yml suggests.
TARGET: Final = "cluster, host, rtorrent, instance, job"
# The group as a summary names it: its own label if the target has one, else the address of its exporter.
GROUP: Final = "{{ or $labels.rtorrent $labels.instance }}"
SEVERITIES: Final = ("critical", "warning", "info")
WHOLE: Final = '{{ printf "%.0f" $value }}'
S: Final = "{{ if ge $value 1.5 }}s{{ end }}"
PERCENT: Final = "{{ $value | humanizePercentage }}"
DURATION: Final = "{{ $value | humanizeDuration }}"

# Name to default and meaning; durations as Prometheus writes them, everything else is a number.
THRESHOLDS: Final[dict[str, tuple[str, str]]] = {
    "down_for": ("5m", "an exporter or an rTorrent may be away for this long"),
    "absent_for": ("10m", "a target may be missing from the scrape configuration for this long"),
    "absent_within": ("1d", "a target that was scraped within this time is missed"),
    "scrape_seconds": ("8", "a scrape that takes longer is close to its timeout"),
    "restart_loop": ("3", "more restarts of rTorrent, or outages, within an hour are a loop"),
    "rpc_seconds": ("1", "the cheapest call to rTorrent may take this long"),
    "rpc_failures_percent": ("5", "share of calls to rTorrent that may fail"),
    "sockets_percent": ("90", "share of rTorrent's sockets in use"),
    "files_percent": ("95", "share of rTorrent's open files in use"),
    "memory_percent": ("90", "share of rTorrent's piece memory in use"),
    "tracker_failures_percent": ("50", "share of a tracker's items with a message"),
    "tracker_items": ("5", "trackers with fewer items are not watched"),
    "tracker_for": ("1h", "a tracker may fail for this long"),
    "traffic_items": ("50", "more active items than this without traffic for an hour are a problem"),
    "stalled_for": ("2h", "all downloads may stand still for this long"),
    "queue_stuck_for": ("30m", "a queue with free slots and startable items may start nothing for this long"),
    "queue_stalled_for": ("30m", "all slots may be taken by items without progress for this long"),
    "backlog_seconds": ("86400", "an item may wait in the queue for this long"),
    "load_seconds": ("5", "the 95th percentile of the time from a file to its item"),
    "pending_seconds": ("300", "a metafile may wait for this long"),
    "watches_percent": ("80", "share of the user's inotify watches in use"),
    "disk_free_percent": ("5", "free share of a disk below which it is nearly full"),
    "disk_free_bytes": ("21474836480", "but only below this many free bytes"),
    "moves_for": ("15m", "moves may fail for this long"),
    "cleanup_refused_for": ("2h", "a clean-up may be refused for this long"),
    "cleanup_waiting_for": ("1h", "a plan may wait for approval for this long"),
    "space_short_for": ("30m", "a clean-up may free less than needed for this long"),
    "removal_unfinished_for": ("1h", "a removal may be unfinished for this long"),
    "process_down_for": ("2m", "a service may be down for this long"),
    "fleet_away_for": ("5m", "a group may be without the servers of its fleet for this long"),
    "fleet_events_waiting": ("1000", "so many events of a group may wait for the stream of the fleet"),
    "process_restarts": ("3", "more restarts of a service within 30 minutes are a loop"),
}


@dataclass(frozen=True)
class Alert:
    """A rule; `{name}` in its texts is a threshold, `{on}` the labels of a target."""

    name: str
    severity: str
    expr: str
    summary: str
    description: str
    wait: str = ""
    comment: str = ""


RECORDS: Final = (
    ("rtorrent:uploaded_bytes:rate5m", "rate(rtorrent_uploaded_bytes_total[5m])"),
    ("rtorrent:downloaded_bytes:rate5m", "rate(rtorrent_downloaded_bytes_total[5m])"),
    ("tracker:rtorrent_tracker_uploaded_bytes:rate5m", "rate(rtorrent_tracker_uploaded_bytes_total[5m])"),
    ("tracker:rtorrent_tracker_downloaded_bytes:rate5m", "rate(rtorrent_tracker_downloaded_bytes_total[5m])"),
    (
        "rtorrent:rpc_duration_seconds:p95_5m",
        "histogram_quantile(0.95, sum without (call) (rate(rtorrent_rpc_duration_seconds_bucket[5m])))",
    ),
    (
        "pyrotorque:watch_load_duration_seconds:p95_1h",
        "histogram_quantile(0.95, rate(pyrotorque_watch_load_duration_seconds_bucket[1h]))",
    ),
    (
        "pyrotorque:queue_wait_seconds:p50_1d",
        "histogram_quantile(0.5, rate(pyrotorque_queue_wait_seconds_bucket[1d]))",
    ),
)

EXPORTER: Final = (
    Alert(
        "PyrotorqueExporterDown",
        "critical",
        "up == 0",
        "The exporter cannot be scraped",
        "Prometheus gets no response from {{ $labels.instance }}. Check that the exporter is running: pyrotorque status.",
        "{down_for}",
    ),
    Alert(
        "PyrotorqueExporterAbsent",
        "critical",
        "absent(up) or (max_over_time(up[{absent_within}]) unless up)",
        "The exporter is no longer scraped",
        "The scrape configuration of Prometheus has no target of pyrotorque, or {{ $labels.instance }} vanished from it "
        "within {absent_within}.",
        "{absent_for}",
        "One of several targets that vanished: for a day, also if it was removed on purpose.",
    ),
    Alert(
        "RtorrentCollectorFailing",
        "warning",
        "rtorrent_scrape_collector_success == 0 and on ({on}) rtorrent_up == 1",
        "The metrics of {{ $labels.collector }} are missing",
        "Collecting the group {{ $labels.collector }} of {{ $labels.instance }} fails. See log/exporter.log.",
        "10m",
    ),
    Alert(
        "RtorrentScrapeNearTimeout",
        "warning",
        "sum without (collector) (rtorrent_scrape_collector_duration_seconds) > {scrape_seconds}",
        f"A scrape takes {DURATION}",
        f"A scrape of {{{{ $labels.instance }}}} takes {DURATION}. Leave out groups, or scrape expensive ones in a "
        "separate job.",
        "15m",
    ),
)

RTORRENT: Final = (
    Alert(
        "RtorrentDown",
        "critical",
        "rtorrent_up == 0",
        "rTorrent does not answer",
        "rTorrent behind {{ $labels.instance }} is not running or hangs.",
        "{down_for}",
    ),
    Alert(
        "RtorrentRestarted",
        "info",
        "changes(rtorrent_start_time_seconds[15m]) > 0",
        "rTorrent was restarted",
        "rTorrent behind {{ $labels.instance }} was restarted within the last 15 minutes.",
    ),
    Alert(
        "RtorrentRestartLoop",
        "critical",
        "changes(rtorrent_start_time_seconds[1h]) > {restart_loop} or "
        "resets(max_over_time(rtorrent_up[2m])[1h:1m]) > {restart_loop}",
        f"rTorrent was restarted or away {WHOLE} times within an hour",
        f"rTorrent behind {{{{ $labels.instance }}}} was restarted or away {WHOLE} times within an hour.",
        comment="An rTorrent that ends before it is scraped shows no start, but was away. A call that takes too long is no end.",
    ),
    Alert(
        "RtorrentRpcSlow",
        "warning",
        'histogram_quantile(0.95, sum without (call) (rate(rtorrent_rpc_duration_seconds_bucket{{call="ping"}}[15m]))) '
        "> {rpc_seconds}",
        f"rTorrent needs {DURATION} for the cheapest call",
        f"The cheapest call takes {DURATION} (95th percentile): rTorrent's main loop is busy.",
        "15m",
    ),
    Alert(
        "RtorrentRpcFailing",
        "warning",
        "sum without (reason) (rate(rtorrent_rpc_failures_total[10m])) > {rpc_failures_percent} / 100 * sum without "
        "(call) (rate(rtorrent_rpc_requests_total[10m]))",
        "Calls to rTorrent fail",
        "More than {rpc_failures_percent} % of the exporter's calls to rTorrent fail. See log/exporter.log.",
        "10m",
    ),
    Alert(
        "RtorrentSocketsExhausted",
        "warning",
        "rtorrent_open_sockets / rtorrent_open_sockets_limit > {sockets_percent} / 100",
        f"rTorrent uses {PERCENT} of its sockets",
        f"{PERCENT} of network.max_open_sockets are in use.",
        "15m",
    ),
    Alert(
        "RtorrentOpenFilesExhausted",
        "warning",
        "rtorrent_open_files / rtorrent_open_files_limit > {files_percent} / 100",
        f"rTorrent uses {PERCENT} of its open files",
        f"{PERCENT} of network.max_open_files are in use.",
        "15m",
    ),
    Alert(
        "RtorrentPieceMemoryExhausted",
        "warning",
        "rtorrent_pieces_memory_bytes / rtorrent_pieces_memory_limit_bytes > {memory_percent} / 100",
        f"rTorrent uses {PERCENT} of its piece memory",
        f"{PERCENT} of pieces.memory.max are in use.",
        "15m",
    ),
    Alert(
        "RtorrentFileOpenFailures",
        "warning",
        "increase(rtorrent_files_open_failures_total[15m]) > 0 unless increase(rtorrent_files_opened_total[15m]) > 0",
        "rTorrent cannot open files",
        "rTorrent opened no file in 15 minutes and failed to open some. Check that the disk is mounted, and the "
        "permissions.",
        "5m",
        "For a new item rTorrent fails to open files that do not exist yet, then creates them: only failures alone are a "
        "problem.",
    ),
    Alert(
        "RtorrentNotListening",
        "warning",
        "rtorrent_listen_port == 0 and rtorrent_up == 1",
        "rTorrent does not listen for peers",
        "Its port range may be in use by another program.",
        "10m",
    ),
    Alert(
        "RtorrentHashFailed",
        "warning",
        "rtorrent_items_hash_failed > 0",
        f"{WHOLE} item{S} failed the hash check",
        "Items whose data does not match: " + WHOLE + ".",
        "5m",
    ),
    Alert(
        "RtorrentTrackerFailing",
        "warning",
        "rtorrent_tracker_message_items / rtorrent_tracker_items > {tracker_failures_percent} / 100 and "
        "rtorrent_tracker_items >= {tracker_items}",
        "The tracker {{ $labels.tracker }} reports errors",
        f"{PERCENT} of the items of {{{{ $labels.tracker }}}} have a message.",
        "{tracker_for}",
    ),
    Alert(
        "RtorrentNoTraffic",
        "warning",
        'sum without (state) (rtorrent_items{{state=~"leeching|seeding"}}) > {traffic_items} and on ({on}) '
        "increase(rtorrent_uploaded_bytes_total[1h]) + increase(rtorrent_downloaded_bytes_total[1h]) == 0",
        f"{WHOLE} active items, and no traffic for an hour",
        "No traffic for an hour. Check the network connection of rTorrent.",
        "1h",
    ),
    Alert(
        "RtorrentDownloadsStalled",
        "info",
        "rtorrent_items_stalled > 0 and rtorrent_items_stalled >= on ({on}) sum without (state) "
        '(rtorrent_items{{state="leeching"}})',
        f"All {WHOLE} downloads are stalled",
        f"None of the {WHOLE} leeching items receives anything.",
        "{stalled_for}",
    ),
)

DISKS: Final = (
    Alert(
        "DiskNearlyFull",
        "warning",
        "pyrotorque_disk_free_bytes / pyrotorque_disk_size_bytes < {disk_free_percent} / 100 and "
        "pyrotorque_disk_free_bytes < {disk_free_bytes}",
        f"{{{{ $labels.mountpoint }}}} has {PERCENT} left",
        f"{PERCENT} of the disk at {{{{ $labels.mountpoint }}}} are free. rTorrent closes items on a full disk.",
        "10m",
    ),
    Alert(
        "DiskOvercommitted",
        "info",
        "pyrotorque_disk_promised_bytes - pyrotorque_disk_free_bytes > 0",
        "The started items on {{ $labels.mountpoint }} need {{ $value | humanize1024 }}B more than is free",
        "The disk will be full before they are complete. min_free of the queue prevents this for items that it starts.",
        "30m",
    ),
)

QUEUE: Final = (
    Alert(
        "QueueStuck",
        "warning",
        "pyrotorque_queue_startable_items > 0 and pyrotorque_queue_downloading_items < pyrotorque_queue_slots and "
        "increase(pyrotorque_queue_starts_total[30m]) == 0 unless pyrotorque_queue_intermission_end_timestamp_seconds > "
        "time() unless sum without (reason) (increase("
        'pyrotorque_queue_skips_total{{reason=~"paused|hours|traffic"}}[30m])) > 0',
        f"The queue {{{{ $labels.job_name }}}} starts nothing, {WHOLE} items wait",
        "Queue {{ $labels.job_name }} has free slots and startable items, and started none for 30 minutes. See "
        "pyrotorque explain.",
        "{queue_stuck_for}",
    ),
    Alert(
        "QueueStalled",
        "warning",
        "pyrotorque_queue_stalled_items >= pyrotorque_queue_slots and pyrotorque_queue_startable_items > 0 and "
        "pyrotorque_queue_slots > 0",
        f"All slots of the queue {{{{ $labels.job_name }}}} stand still ({WHOLE} items)",
        f"{WHOLE} items without progress take every slot of queue {{{{ $labels.job_name }}}}, and others wait. "
        "stall_after lets them give up their slots.",
        "{queue_stalled_for}",
    ),
    Alert(
        "QueueBacklog",
        "info",
        "time() - (pyrotorque_queue_oldest_startable_timestamp_seconds > 0) > {backlog_seconds}",
        f"An item of the queue {{{{ $labels.job_name }}}} has been waiting for {DURATION}",
        f"The oldest startable item of {{{{ $labels.job_name }}}} was loaded {DURATION} ago.",
        "1h",
    ),
)

WATCH: Final = (
    Alert(
        "WatchOverflow",
        "warning",
        "increase(pyrotorque_watch_queue_overflows_total[10m]) > 0",
        "The inotify queue overflowed",
        "The kernel dropped events. The watcher rescans the trees: no metafile is lost, but loads are delayed.",
    ),
    Alert(
        "WatchLoadFailing",
        "warning",
        'sum without (reason) (increase(pyrotorque_watch_load_failures_total{{reason!="duplicate"}}[15m])) > 0',
        f"{WHOLE} metafile{S} could not be loaded",
        "For their paths and errors: pyrotorque watched --state failed.",
    ),
    Alert(
        "WatchStuck",
        "warning",
        "time() - pyrotorque_watch_oldest_pending_timestamp_seconds > {pending_seconds}",
        f"A metafile has not been loaded for {DURATION}",
        f"The oldest pending metafile has been waiting for {DURATION}.",
        "5m",
    ),
    Alert(
        "WatchSlow",
        "warning",
        "pyrotorque:watch_load_duration_seconds:p95_1h > {load_seconds}",
        f"Loading takes {DURATION}",
        f"The 95th percentile of the load time is {DURATION}.",
        "30m",
    ),
    Alert(
        "WatchesExhausted",
        "warning",
        "pyrotorque_watch_directories / pyrotorque_watch_directories_limit > {watches_percent} / 100",
        f"{PERCENT} of the inotify watches are in use",
        f"{PERCENT} are in use. Raise the sysctl fs.inotify.max_user_watches.",
        "1h",
    ),
    Alert(
        "WatchRootMissing",
        "critical",
        "pyrotorque_watch_roots_missing > 0",
        f"{WHOLE} watched folder{S} missing",
        "Configured roots that do not exist: " + WHOLE + ". Check that their disks are mounted.",
        "5m",
    ),
)

JOBS: Final = (
    Alert(
        "JobFailing",
        "warning",
        "increase(pyrotorque_job_failures_total[1h]) > 0 and pyrotorque_job_enabled == 1 and "
        "pyrotorque_job_last_run_timestamp_seconds > 0 unless "
        "pyrotorque_job_last_success_timestamp_seconds >= pyrotorque_job_last_run_timestamp_seconds unless time() - "
        "pyrotorque_job_last_success_timestamp_seconds <= 2 * pyrotorque_job_schedule_interval_seconds + 300 "
        "unless on ({on}) rtorrent_up == 0",
        f"The job {{{{ $labels.job_name }}}} failed {WHOLE} time{S}",
        f"Job {{{{ $labels.job_name }}}} failed {WHOLE} time{S} within an hour and has not succeeded since. See "
        "log/scheduler.log.",
        "5m",
        "A job that never succeeded has no last success, one that runs on events only no interval: neither may be required. "
        "A job without a run since a restart of the scheduler is not counted. While rTorrent is away, RtorrentDown is the alert.",
    ),
    Alert(
        "MovesFailing",
        "warning",
        "sum without (cause) (pyrotorque_job_failed_moves) > 0 and pyrotorque_job_enabled == 1",
        f"The job {{{{ $labels.job_name }}}} cannot move {WHOLE} item{S}",
        f"Job {{{{ $labels.job_name }}}} cannot move {WHOLE} item{S}. pyrotorque status lists targets, reasons and the next "
        "attempts.",
        "{moves_for}",
        "Of all causes: a move may fail for another one at each attempt. A paused job makes no attempt.",
    ),
    Alert(
        "CleanupRefused",
        "warning",
        'sum without (problem) (pyrotorque_cleanup_problem{{problem="refused"}}) > 0 and pyrotorque_job_enabled == 1',
        "The clean-up {{ $labels.job_name }} cannot run",
        "Job {{ $labels.job_name }} removes nothing, as a fact that it needs cannot be seen. pyrotorque status has the reason.",
        "{cleanup_refused_for}",
        "A paused job makes no further run, and keeps its last result.",
    ),
    Alert(
        "CleanupWaiting",
        "info",
        'sum without (problem) (pyrotorque_cleanup_problem{{problem="waiting"}}) > 0 and pyrotorque_job_enabled == 1',
        "A plan of the clean-up {{ $labels.job_name }} waits for approval",
        "Job {{ $labels.job_name }} would remove more than its limits allow at once. Look at pyrotorque cleanup "
        "{{ $labels.job_name }}.",
        "{cleanup_waiting_for}",
    ),
    Alert(
        "CleanupSpaceShort",
        "warning",
        "pyrotorque_cleanup_missing_bytes > 0 and pyrotorque_job_enabled == 1",
        "The clean-up {{ $labels.job_name }} cannot free enough space",
        "Job {{ $labels.job_name }} can free {{ $value | humanize1024 }}B less than needed: nothing else may be removed.",
        "{space_short_for}",
    ),
    Alert(
        "RemovalUnfinished",
        "warning",
        "pyrotorque_cleanup_unfinished_removals > 0",
        f"{WHOLE} removal{S} of items not finished",
        f"{WHOLE} removal{S} begun and neither finished nor undone. The next run of a clean-up job continues; its log has "
        "the reason if it does not.",
        "{removal_unfinished_for}",
    ),
    Alert(
        "JobMissed",
        "info",
        "increase(pyrotorque_job_missed_total[1h]) > 0",
        f"The job {{{{ $labels.job_name }}}} missed {WHOLE} run{S}",
        "Runs of {{ $labels.job_name }} could not start in time.",
    ),
)

PROCESSES: Final = (
    Alert(
        "ProcessDown",
        "critical",
        "pyrotorque_process_up == 0",
        "The service {{ $labels.process }} is down",
        "{{ $labels.process }} sends no heartbeats. See supervisorctl status {{ $labels.process }} and its log.",
        "{process_down_for}",
    ),
    Alert(
        "ProcessFlapping",
        "warning",
        "increase(pyrotorque_process_restarts_total[30m]) > {process_restarts}",
        f"The service {{{{ $labels.process }}}} was restarted {WHOLE} times",
        f"{{{{ $labels.process }}}} was restarted {WHOLE} times in 30 minutes.",
        "2m",
    ),
    Alert(
        "EventsLost",
        "warning",
        "sum without (source) (increase(pyrotorque_bus_gaps_total[15m])) > 0",
        "Events between the services were lost",
        "Counters are still correct; the event history has a gap.",
    ),
    Alert(
        "ConfigInvalid",
        "warning",
        "pyrotorque_configurations > 1",
        "The services run on different configurations",
        "A reload failed. Run pyrotorque check.",
        "5m",
    ),
)

# Presence is `up == 0` of a target that is still in the list, not `absent()`: the fleet's list keeps groups that are gone.
FLEET: Final = (
    Alert(
        "FleetHostDown",
        "critical",
        'max by (cluster, host) (up{{host!=""}}) == 0 and count by (cluster, host) (up{{host!=""}}) > 1',
        "No group of the host {{ $labels.host }} can be scraped",
        "All exporters of {{ $labels.host }} are down: the host or its network, more likely than each of its groups.",
        "{down_for}",
    ),
    Alert(
        "FleetUnavailable",
        "warning",
        "pyrotorque_fleet_up == 0",
        "The group is without its fleet",
        "{{ $labels.instance }} reaches no NATS server. Local jobs are not affected; metafiles of the fleet wait. See "
        "log/fleet.log.",
        "{fleet_away_for}",
    ),
    Alert(
        "FleetEventsWaiting",
        "warning",
        "pyrotorque_fleet_events_waiting > {fleet_events_waiting} and pyrotorque_fleet_up == 1",
        f"{WHOLE} events wait for the stream of the fleet",
        f"{WHOLE} events of {{{{ $labels.instance }}}} are not in the stream although NATS is there. See log/fleet.log.",
        "15m",
    ),
    Alert(
        "FleetBadValues",
        "warning",
        "increase(pyrotorque_fleet_bad_values_total[15m]) > 0",
        "Values of another group were ignored",
        "Another group of the fleet writes what is not valid: a newer version, or a foreign program. See log/fleet.log.",
    ),
)

GROUPS: Final = {
    "exporter": EXPORTER,
    "rtorrent": RTORRENT,
    "disks": DISKS,
    "queue": QUEUE,
    "watch": WATCH,
    "jobs": JOBS,
    "processes": PROCESSES,
    "fleet": FLEET,
}
ALERTS: Final = tuple(alert for group in GROUPS.values() for alert in group)
# What a summary names where the labels of a target are missing.
_WITHOUT_TARGET: Final = {
    "PyrotorqueExporterAbsent": '{{ or $labels.rtorrent $labels.instance "pyrotorque" }}',
    "FleetHostDown": '{{ or $labels.rtorrent $labels.instance $labels.cluster "fleet" }}',
}
# A metric with its braces, if it has any; not the names of recording rules, nor what stands in braces.
_METRIC: Final = re.compile(r"\b(up|(?:rtorrent|pyrotorque)_[a-z0-9_]+)\b(?![:(])(\{[^}]*\})?")


@dataclass(frozen=True)
class Choices:
    """The options of the command line."""

    selector: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    thresholds: Mapping[str, str] = field(default_factory=dict[str, str])
    severities: Mapping[str, str] = field(default_factory=dict[str, str])
    without: Sequence[str] = ()
    runbook: str = RUNBOOK

    def values(self) -> dict[str, str]:
        """Each placeholder of a rule to what replaces it."""
        return {name: default for name, (default, _) in THRESHOLDS.items()} | dict(self.thresholds) | {"on": TARGET}


def rules(choices: Choices) -> str:
    """The rule file."""
    return "".join(f"{line}\n" for line in _lines(choices))


def _lines(choices: Choices) -> Iterator[str]:
    yield "# Recording and alert rules of pyrotorque, written by rules.py: that can change selectors, thresholds, labels."
    yield "# `promtool test rules pyrotorque.rules.test.yml` tests them; docs/alerts.md describes what to do."
    yield "groups:"
    yield "  - name: pyrotorque-recording"
    yield "    rules:"
    for name, expr in RECORDS:
        yield f"      - record: {name}"
        yield f"        expr: {_selected(expr, choices.selector)}"
    for group, alerts in GROUPS.items():
        kept = [alert for alert in alerts if alert.name not in choices.without]
        if not kept:
            continue
        yield f"  - name: pyrotorque-{group}"
        yield "    rules:"
        for alert in kept:
            yield from _alert(alert, choices)


def _alert(alert: Alert, choices: Choices) -> Iterator[str]:
    values = choices.values()
    yield f"      - alert: {alert.name}"
    if alert.comment:
        yield f"        # {alert.comment}"
    yield f"        expr: {_quoted(_selected(alert.expr.format_map(values), choices.selector))}"
    if alert.wait:
        yield f"        for: {alert.wait.format_map(values)}"
    yield "        labels:"
    yield f"          severity: {choices.severities.get(alert.name, alert.severity)}"
    for name, value in choices.labels.items():
        yield f"          {name}: {_quoted(value)}"
    yield "        annotations:"
    group = _WITHOUT_TARGET.get(alert.name, GROUP)
    yield f"          summary: {_quoted(f'{group}: ' + _text(alert.summary, values))}"
    yield f"          description: {_quoted(_text(alert.description, values))}"
    yield f"          runbook_url: {_quoted(f'{choices.runbook}#{alert.name.lower()}')}"


def _text(text: str, values: Mapping[str, str]) -> str:
    """A text with its thresholds; `{{ … }}` belongs to Prometheus."""
    return re.sub(r"(?<!\{)\{(\w+)\}(?!\})", lambda found: values[found[1]], text)


def _selected(expr: str, selector: str) -> str:
    """The expression with the selector in each metric; `up` needs one, as everything that is scraped has it."""

    def replaced(found: re.Match[str]) -> str:
        name, braces = found[1], (found[2] or "")[1:-1]
        inner = ",".join(filter(None, (selector or (UP_SELECTOR if name == "up" else ""), braces)))
        return f"{name}{{{inner}}}" if inner else name

    return _METRIC.sub(replaced, expr)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _pairs(words: Sequence[str], known: Sequence[str] | None, what: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not value:
            raise SystemExit(f"rules.py: expected NAME=VALUE, got {word}")
        if known is not None and name not in known:
            raise SystemExit(f"rules.py: there is no {what} {name}; known are {', '.join(known)}")
        pairs[name] = value
    return pairs


def choices_of(arguments: Sequence[str]) -> Choices:
    """The options, each verified: a rule file that Prometheus rejects helps no one."""
    listed = "\n".join(f"  {name:26}{default:>12}  {text}" for name, (default, text) in THRESHOLDS.items())
    parser = argparse.ArgumentParser(
        prog="rules.py",
        description="Write the recording and alert rules of pyrotorque for Prometheus.",
        epilog=f"thresholds, their defaults and meanings:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--selector", default="", help='matchers for every metric: \'job="torrents",cluster="home"\'')
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE", help="a label of every alert")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a threshold, see below")
    parser.add_argument("--severity", action="append", default=[], metavar="ALERT=SEVERITY", help="of one alert")
    parser.add_argument("--without", action="append", default=[], metavar="ALERT", help="leave out an alert")
    parser.add_argument("--runbook", default=RUNBOOK, metavar="URL", help="the page of runbook_url, without #alert")
    given = parser.parse_args(arguments)
    names = [alert.name for alert in ALERTS]
    severities = _pairs(given.severity, names, "alert")
    if unknown := sorted(set(severities.values()) - set(SEVERITIES)):
        raise SystemExit(f"rules.py: expected one of {', '.join(SEVERITIES)}, got {unknown[0]}")
    _pairs([f"{name}=x" for name in given.without], names, "alert")
    thresholds = _pairs(given.set, list(THRESHOLDS), "threshold")
    for name, value in thresholds.items():
        pattern = r"[0-9]+(\.[0-9]+)?" if re.fullmatch(r"[0-9.]+", THRESHOLDS[name][0]) else r"([0-9]+(ms|[smhdwy]))+"
        if not re.fullmatch(pattern, value):
            raise SystemExit(f"rules.py: {name}: expected a value such as {THRESHOLDS[name][0]}, got {value}")
    labels = _pairs(given.label, None, "label")
    for name in labels:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) or name == "severity":
            raise SystemExit(f"rules.py: {name} cannot be a label here")
    return Choices(given.selector, labels, thresholds, severities, given.without, given.runbook)


if __name__ == "__main__":
    sys.stdout.write(rules(choices_of(sys.argv[1:])))
