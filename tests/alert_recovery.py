"""For each alert: series on which it fires and then ends, as a test file for promtool.

The tests of deploy/prometheus/pyrotorque.rules.test.yml have series on which an alert fires or stays silent all along.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

TARGET: Final = 'instance="127.0.0.1:9135",job="pyrotorque"'


@dataclass(frozen=True)
class Recovery:
    """`series` name metrics (without the labels of the target) and their values each minute."""

    alert: str
    fires: int
    ends: int
    series: dict[str, str]


QUEUE: Final = 'job_name="queue"'
MOVER: Final = 'job_name="mover"'
TIDY: Final = 'job_name="tidy"'

CASES: Final = (
    Recovery("PyrotorqueExporterDown", 10, 25, {"up": "0x20 1x20"}),
    Recovery("PyrotorqueExporterAbsent", 25, 40, {'up{rtorrent="one"}': "1x60", 'up{rtorrent="two"}': "1x5 _x25 1x30"}),
    Recovery(
        "RtorrentCollectorFailing",
        15,
        30,
        {'rtorrent_scrape_collector_success{collector="views"}': "0x20 1x20", "rtorrent_up": "1x50"},
    ),
    Recovery(
        "RtorrentScrapeNearTimeout",
        20,
        40,
        {
            'rtorrent_scrape_collector_duration_seconds{collector="items"}': "6x30 1x20",
            'rtorrent_scrape_collector_duration_seconds{collector="summary"}': "6x30 1x20",
        },
    ),
    Recovery("RtorrentDown", 10, 25, {"rtorrent_up": "0x20 1x20"}),
    Recovery("RtorrentRestarted", 10, 40, {"rtorrent_start_time_seconds": "100x5 400x60"}),
    Recovery("RtorrentRestartLoop", 30, 120, {"rtorrent_start_time_seconds": "0+60x30 1800x120"}),
    Recovery("RtorrentRestartLoop", 40, 130, {"rtorrent_up": "1x3 0x4 1x3 0x4 1x3 0x4 1x3 0x4 1x120"}),
    Recovery(
        "RtorrentRpcSlow",
        40,
        100,
        {
            'rtorrent_rpc_duration_seconds_bucket{call="ping",le="1.0"}': "0x60 1+1x60",
            'rtorrent_rpc_duration_seconds_bucket{call="ping",le="2.5"}': "0+1x60 61+1x60",
            'rtorrent_rpc_duration_seconds_bucket{call="ping",le="+Inf"}': "0+1x60 61+1x60",
        },
    ),
    Recovery(
        "RtorrentRpcFailing",
        30,
        60,
        {
            'rtorrent_rpc_failures_total{reason="timeout"}': "0+1x40 40x40",
            'rtorrent_rpc_requests_total{call="ping"}': "0+10x80",
        },
    ),
    Recovery(
        "RtorrentSocketsExhausted",
        20,
        40,
        {"rtorrent_open_sockets": "95x30 50x20", "rtorrent_open_sockets_limit": "100x60"},
    ),
    Recovery(
        "RtorrentOpenFilesExhausted",
        20,
        40,
        {"rtorrent_open_files": "99x30 50x20", "rtorrent_open_files_limit": "100x60"},
    ),
    Recovery(
        "RtorrentPieceMemoryExhausted",
        20,
        40,
        {"rtorrent_pieces_memory_bytes": "95x30 50x20", "rtorrent_pieces_memory_limit_bytes": "100x60"},
    ),
    Recovery(
        "RtorrentFileOpenFailures",
        13,
        40,
        {"rtorrent_files_open_failures_total": "0x5 3x50", "rtorrent_files_opened_total": "9x20 10+1x40"},
    ),
    Recovery("RtorrentNotListening", 15, 30, {"rtorrent_listen_port": "0x20 6881x20", "rtorrent_up": "1x50"}),
    Recovery("RtorrentHashFailed", 10, 30, {"rtorrent_items_hash_failed": "2x20 0x20"}),
    Recovery(
        "RtorrentTrackerFailing",
        70,
        120,
        {
            'rtorrent_tracker_message_items{tracker="a.org"}': "8x90 0x60",
            'rtorrent_tracker_items{tracker="a.org"}': "10x160",
        },
    ),
    Recovery(
        "RtorrentNoTraffic",
        130,
        220,
        {
            'rtorrent_items{state="seeding"}': "60x300",
            "rtorrent_uploaded_bytes_total": "5x150 6+1x150",
            "rtorrent_downloaded_bytes_total": "5x300",
        },
    ),
    Recovery(
        "RtorrentDownloadsStalled",
        130,
        170,
        {"rtorrent_items_stalled": "3x150 1x60", 'rtorrent_items{state="leeching"}': "3x220"},
    ),
    Recovery(
        "DiskNearlyFull",
        20,
        40,
        {
            'pyrotorque_disk_free_bytes{mountpoint="/data"}': "1000000000x30 50000000000x30",
            'pyrotorque_disk_size_bytes{mountpoint="/data"}': "100000000000x70",
        },
    ),
    Recovery(
        "DiskOvercommitted",
        40,
        80,
        {
            'pyrotorque_disk_promised_bytes{mountpoint="/data"}': "2000000000x60 0x30",
            'pyrotorque_disk_free_bytes{mountpoint="/data"}': "1000000000x100",
        },
    ),
    Recovery(
        "QueueStuck",
        70,
        110,
        {
            f"pyrotorque_queue_startable_items{{{QUEUE}}}": "5x150",
            f"pyrotorque_queue_downloading_items{{{QUEUE}}}": "1x150",
            f"pyrotorque_queue_slots{{{QUEUE}}}": "3x150",
            f"pyrotorque_queue_starts_total{{{QUEUE}}}": "7x90 8x60",
        },
    ),
    Recovery(
        "QueueStalled",
        40,
        80,
        {
            f"pyrotorque_queue_startable_items{{{QUEUE}}}": "5x150",
            f"pyrotorque_queue_stalled_items{{{QUEUE}}}": "3x60 1x60",
            f"pyrotorque_queue_slots{{{QUEUE}}}": "3x150",
        },
    ),
    Recovery(
        "QueueBacklog",
        1600,
        1720,
        {f"pyrotorque_queue_oldest_startable_timestamp_seconds{{{QUEUE}}}": "60x1700 0x60"},
    ),
    Recovery("WatchOverflow", 8, 30, {"pyrotorque_watch_queue_overflows_total": "0x4 1x50"}),
    Recovery("WatchLoadFailing", 8, 40, {'pyrotorque_watch_load_failures_total{reason="invalid"}': "0x4 1x60"}),
    Recovery("WatchStuck", 15, 25, {"pyrotorque_watch_oldest_pending_timestamp_seconds": "60x20 1500x20"}),
    Recovery(
        "WatchSlow",
        120,
        330,
        {
            'pyrotorque_watch_load_duration_seconds_bucket{le="5.0"}': "0x200 1+1x200",
            'pyrotorque_watch_load_duration_seconds_bucket{le="10.0"}': "0+1x400",
            'pyrotorque_watch_load_duration_seconds_bucket{le="+Inf"}': "0+1x400",
        },
    ),
    Recovery(
        "WatchesExhausted",
        70,
        110,
        {"pyrotorque_watch_directories": "90x90 50x60", "pyrotorque_watch_directories_limit": "100x160"},
    ),
    Recovery("WatchRootMissing", 10, 30, {"pyrotorque_watch_roots_missing": "1x20 0x20"}),
    Recovery(
        "JobFailing",
        20,
        30,
        {
            f"pyrotorque_job_failures_total{{{MOVER}}}": "0x10 1x80",
            f"pyrotorque_job_last_run_timestamp_seconds{{{MOVER}}}": "60x9 600x14 1500x60",
            f"pyrotorque_job_last_success_timestamp_seconds{{{MOVER}}}": "60x24 1500x60",
            f"pyrotorque_job_enabled{{{MOVER}}}": "1x90",
        },
    ),
    Recovery(
        "MovesFailing",
        30,
        60,
        {
            f'pyrotorque_job_failed_moves{{cause="target",{MOVER}}}': "2x45 0x45",
            f"pyrotorque_job_enabled{{{MOVER}}}": "1x90",
        },
    ),
    *(
        Recovery(
            f"Cleanup{problem.title()}",
            fires,
            fires + 30,
            {
                f'pyrotorque_cleanup_problem{{problem="{problem}",{TIDY}}}': f"1x{fires + 10} 0x60",
                f"pyrotorque_job_enabled{{{TIDY}}}": "1x300",
            },
        )
        for problem, fires in (("refused", 130), ("waiting", 70))
    ),
    Recovery(
        "CleanupSpaceShort",
        40,
        70,
        {f"pyrotorque_cleanup_missing_bytes{{{TIDY}}}": "5x50 0x60", f"pyrotorque_job_enabled{{{TIDY}}}": "1x120"},
    ),
    Recovery("RemovalUnfinished", 70, 100, {"pyrotorque_cleanup_unfinished_removals": "2x80 0x60"}),
    Recovery("JobMissed", 10, 90, {f"pyrotorque_job_missed_total{{{MOVER}}}": "0x5 1x120"}),
    Recovery("ProcessDown", 5, 20, {'pyrotorque_process_up{process="watcher"}': "0x10 1x20"}),
    Recovery("ProcessFlapping", 10, 70, {'pyrotorque_process_restarts_total{process="watcher"}': "0+1x12 12x80"}),
    Recovery("EventsLost", 8, 40, {'pyrotorque_bus_gaps_total{source="watcher"}': "0x4 1x60"}),
    Recovery("ConfigInvalid", 10, 30, {"pyrotorque_configurations": "2x20 1x20"}),
    Recovery(
        "FleetHostDown",
        10,
        30,
        {'up{host="a",rtorrent="one"}': "0x20 1x20", 'up{host="a",rtorrent="two"}': "0x40"},
    ),
    Recovery("FleetUnavailable", 10, 30, {"pyrotorque_fleet_up": "0x20 1x20"}),
    Recovery(
        "FleetEventsWaiting", 20, 45, {"pyrotorque_fleet_events_waiting": "2000x30 0x30", "pyrotorque_fleet_up": "1x60"}
    ),
    Recovery("FleetBadValues", 8, 40, {"pyrotorque_fleet_bad_values_total": "0x4 1x60"}),
)


def promtool_tests(rule_file: str) -> str:
    """The test file for promtool."""
    return "\n".join(_lines(rule_file)) + "\n"


def _lines(rule_file: str) -> Iterator[str]:
    yield f"rule_files: ['{rule_file}']"
    yield "evaluation_interval: 1m"
    yield "tests:"
    for case in CASES:
        yield f"  - name: {case.alert} ends"
        yield "    interval: 1m"
        yield "    input_series:"
        for series, values in case.series.items():
            name, _, labels = series.partition("{")
            inner = ",".join(filter(None, (TARGET, labels.rstrip("}"))))
            yield f"      - series: '{name}{{{inner}}}'"
            yield f"        values: {values}"
        yield "    promql_expr_test:"
        for minute, samples in ((case.fires, "[{value: 1}]"), (case.ends, "[]")):
            yield f'      - expr: count(ALERTS{{alertname="{case.alert}", alertstate="firing"}})'
            yield f"        eval_time: {minute}m"
            yield f"        exp_samples: {samples}"
