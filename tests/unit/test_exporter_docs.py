"""docs/metrics.md documents exactly the metrics and settings that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrotorque.bus import BusStats
from pyrotorque.item_stats import KNOWN
from pyrotorque.settings.schema import METRIC_GROUPS, ExporterSettings
from pyrotorque.totals import Totals
from pyrotorque_exporter.collectors import system, throttle
from pyrotorque_exporter.collectors.services import PREFIXES, in_group_processes
from pyrotorque_exporter.groups import DEFAULT, selected_groups
from pyrotorque_fleet.metrics import FleetMetrics
from pyrotorque_guardian.decisions import ProcessCounters
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_watcher.metrics import WatcherMetrics
from tests.exporter_process import REPOSITORY

DOCS = REPOSITORY / "docs" / "metrics.md"
GOLDEN = REPOSITORY / "tests" / "golden" / "exporter.prom"
# What prometheus_client reports about the process, and what proc(5) has only for a real one.
OF_OUR_PROCESS = {
    "pyrotorque_build_info",
    "pyrotorque_configuration_timestamp_seconds",
    "pyrotorque_process_start_time_seconds",
    "pyrotorque_process_resident_memory_bytes",
    "pyrotorque_process_cpu_seconds_total",
    "pyrotorque_events_received_total",
}


def documented() -> set[str]:
    """The names in the first column of the tables."""
    return set(re.findall(r"^\| `((?:rtorrent|pyrotorque)_[a-z_]+)` \|", DOCS.read_text(), re.MULTILINE))


def of_services() -> Iterator[str]:
    """The names that scheduler, watcher and guardian report."""
    totals = Totals()
    for metrics in (SchedulerMetrics, WatcherMetrics, ProcessCounters, FleetMetrics):
        metrics(totals)
    BusStats().count_into(totals)
    yield from (family.name for family in totals.families())


def of_rtorrent() -> Iterator[str]:
    """The names in the tables of commands; the golden exposition has only what a fake rTorrent supports."""
    yield from (metric.name for metric in (*system.TABLE, *throttle.TABLE))
    yield from (row[0] for row in throttle.NAMED)
    yield from (row[0] for row in throttle.DHT)
    yield from (f"rtorrent_item_{stat.name}" for stat in KNOWN.values())


def shown() -> set[str]:
    golden = set(re.findall(r"^# TYPE (\S+) ", GOLDEN.read_text(), re.MULTILINE))
    return golden | set(of_rtorrent()) | set(of_services()) | OF_OUR_PROCESS


def test_every_metric_is_documented() -> None:
    assert sorted(shown() - documented()) == []


def test_every_documented_metric_exists() -> None:
    assert sorted(documented() - shown()) == []


def test_every_help_text_of_the_services_is_a_sentence_that_the_docs_repeat() -> None:
    totals = Totals()
    for metrics in (SchedulerMetrics, WatcherMetrics):
        metrics(totals)
    rows = dict(re.findall(r"^\| `(pyrotorque_[a-z_]+)` \|[^|]*\|[^|]*\| (.*) \|$", DOCS.read_text(), re.MULTILINE))
    assert {family.name: family.help for family in totals.families() if rows[family.name] != family.help} == {}


def test_a_help_text_can_be_understood_alone() -> None:
    """Prometheus shows it without this page."""
    rows = dict(
        re.findall(r"^\| `((?:rtorrent|pyrotorque)_[a-z_]+)` \|[^|]*\|[^|]*\| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    )
    assert {name: text for name, text in rows.items() if len(text.split()) < 3 or not text.endswith(".")} == {}
    assert {name: text for name, text in rows.items() if re.match(r"Their |The same|See ", text)} == {}
    assert len(set(rows.values())) == len(rows)


def test_every_metric_is_declared_with_its_full_name_in_one_place() -> None:
    """A search for a metric's name finds its declaration."""
    files = [path for top in ("services", "shared") for path in (REPOSITORY / top).rglob("*.py")]
    sources = [path.read_text() for path in files]
    declarations = {name: sum(text.count(f'"{name}"') for text in sources) for name in documented()}
    assert {name: count for name, count in declarations.items() if count != 1} == {}


def test_every_family_of_a_service_has_a_group() -> None:
    prefixes = tuple(PREFIXES.values())
    assert [name for name in of_services() if not (name.startswith(prefixes) or in_group_processes(name))] == []


def test_every_setting_of_the_exporter_is_documented() -> None:
    text = DOCS.read_text()
    common = {"name", "handler", "schedule", "dry_run", "quiet", "log_level"}
    missing = [name for name in ExporterSettings.__struct_fields__ if name not in common and f"`{name}`" not in text]
    assert missing == []


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        pytest.param(("system",), DEFAULT, id="system is the default set"),
        pytest.param(("system", "trackers", "items"), METRIC_GROUPS, id="all of them"),
        pytest.param(("items",), ("items",), id="one group alone"),
        pytest.param(("queue", "watch", "-watch"), ("queue",), id="a group is left out"),
    ],
)
def test_the_setting_jobs_selects_groups(words: tuple[str, ...], groups: tuple[str, ...]) -> None:
    assert selected_groups(words) == groups


def test_the_reverse_proxy_of_the_docs_points_at_the_default_port() -> None:
    assert f"127.0.0.1:{ExporterSettings(name='x', handler='y').port}" in Path(DOCS).read_text()
