"""Every panel of the dashboard has data: a real group, scraped by a real Prometheus, answers each query."""

import json
import math
import os
import re
import signal
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.group import Group
from demo.http_answers import opened
from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.settings.schema import METRIC_GROUPS
from tests.exporter_process import REPOSITORY, free_port
from tests.grouping import torque_ini
from tests.nats import NatsServer
from tests.programs import Program
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("prometheus"),
    pytest.mark.either_rtorrent(reason="it is about our metrics: what they count is tested with both"),
]

DASHBOARD = REPOSITORY / "deploy" / "grafana" / "pyrotorque.json"
VARIABLES = {
    "$cluster": ".*",
    "$host": ".*",
    "$rtorrent": ".*",
    "$job_name": ".*",
    "$job": "pyrotorque",
    "$instance": ".*",
    "$tracker": ".*",
    "$__rate_interval": "5s",
    "$__range": "1m",
}

# Fields of annotations that belong to Grafana's data source for Prometheus, not to the schema of dashboards.
OF_PROMETHEUS = ("titleFormat", "textFormat", "step", "useValueForTime")

EVERYTHING = (
    "job.queue.start_at_once = 9",
    "job.grouped.handler = pyrocore.torrent.queue:QueueManager",
    "job.grouped.active = True",
    "job.grouped.schedule = second=*/2",
    "job.grouped.startable = name=nothing",
    "job.grouped.group_by = custom_1",
    "job.grouped.group_max = 2",
    "job.connstats.schedule = second=*/2",
    "job.exporter.active = True",
    "job.move.handler = pyrotorque.jobs.mover:Mover",
    "job.move.schedule = second=*/2",
    "job.exporter.jobs = system, tracker, item",
    "job.tidy.handler = pyrotorque.jobs.cleanup:Cleanup",
    "job.tidy.schedule = second=*/2",
    "job.tidy.condition = size>0",
    "job.tidy.min_ratio = 1.0",
    "job.tidy.data = keep",
)


def panels() -> Iterator[dict[str, Any]]:
    """All panels, those in collapsed rows too."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield panel
        yield from panel.get("panels", ())


def queries() -> list[tuple[str, str]]:
    """(title, query) of each target of each panel, with Grafana's variables filled in."""
    found: list[tuple[str, str]] = []
    for panel in panels():
        for target in panel.get("targets", ()):
            found.append((panel["title"], _filled(target["expr"])))
    return found


def _filled(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


class Prometheus:
    """Debian's Prometheus with deploy's configuration, but for the port and a scrape each second."""

    def __init__(self, folder: Path, target: int) -> None:
        self.folder, self.port, self.target = folder, free_port(), target
        text = (REPOSITORY / "deploy" / "prometheus" / "prometheus.yml").read_text()
        text = text.replace("127.0.0.1:9135", f"127.0.0.1:{target}").replace("sample_limit: 5000", "sample_limit: 9000")
        for words in ("scrape_interval: 30s", "scrape_timeout: 10s", "evaluation_interval: 30s"):
            text = text.replace(words, words.partition(":")[0] + ": 1s")
        rules = REPOSITORY / "deploy" / "prometheus" / "pyrotorque.rules.yml"
        folder.mkdir()
        (folder / "prometheus.yml").write_text(text)
        (folder / "pyrotorque.rules.yml").write_text(rules.read_text())
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def get(self, what: str) -> Any:
        with opened(f"http://127.0.0.1:{self.port}/api/v1/{what}") as answer:
            return json.load(answer)["data"]

    def ask(self, query: str, at: float | None = None) -> list[Any]:
        """What it answers now, or of that moment (Unix seconds)."""
        when = "" if at is None else f"&time={at:.3f}"
        result: list[Any] = self.get(f"query?query={urllib.parse.quote(query)}{when}")["result"]
        return result

    def ask_last(self, query: str) -> list[Any]:
        """What it answers for the last moment at which a whole scrape was there.

        On a busy machine scrapes exceed their time limit, and Prometheus has no value of any series until the next one.
        """
        whole = "min(rtorrent_scrape_collector_success) == bool 1"
        (moment,) = self.ask(f"max_over_time((time() * ({whole}) > 0)[10m:1s])")
        return self.ask(query, float(moment["value"][1]))

    def is_ready(self) -> bool:
        """It listens, and has read what it had stored."""
        try:
            with opened(f"http://127.0.0.1:{self.port}/-/ready"):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def prometheus(
    rtorrent_program: Program, prometheus_program: Program, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A group that has loaded and started items, scraped for some seconds."""
    folder, port = tmp_path_factory.mktemp("p"), free_port()
    watch = folder / "watch"
    watch.mkdir()
    with PrivateRTorrent(folder / "rt") as rtorrent, NatsServer(folder / "nats") as nats:
        fleet = (f"fleet.servers = {nats.url}", "fleet.name = one")
        ini = torque_ini(rtorrent.url, watch, *EVERYTHING, *fleet, f"job.exporter.port = {port}")
        with Group(folder / "c", ini):
            server = Prometheus(folder / "prometheus", port)
            try:
                eventually(server.is_ready, 30)
                eventually(lambda: server.ask("rtorrent_up == 1"), 30)
                for number in range(6):
                    announce = f"http://tracker.site{number % 2}.org/secret/announce"
                    metafile = make_metafile(f"Sample {number}", announce=announce)
                    (watch / f"sample {number}.torrent").write_bytes(metafile)
                eventually(lambda: server.ask("sum(pyrotorque_queue_starts_total) >= 6"), 30)
                eventually(lambda: server.ask("pyrotorque_cleanup_missing_bytes"), 60)
                eventually(lambda: server.ask("pyrotorque_fleet_up == 1"), 60)
                settled = time.monotonic() + 6
                eventually(lambda: time.monotonic() > settled, 20, why="enough scrapes for rates")
                yield server
            finally:
                server.stop()


def test_every_label_of_a_legend_survives_the_aggregation_of_its_query() -> None:
    """Otherwise the series of two rTorrents have one name."""
    for panel in panels():
        for target in panel.get("targets", ()):
            labels = set(re.findall(r"{{\s*(\w+)\s*}}", target.get("legendFormat", "")))
            if kept := re.search(r"\bsum by \(([^)]*)\)", target["expr"]):
                assert labels <= {label.strip() for label in kept[1].split(",")}, panel["title"]


def test_every_query_of_every_panel_has_data(prometheus: Prometheus) -> None:
    asked = queries()
    assert len(asked) > 50
    for title, query in asked:
        shown = lambda query=query: _numbers(prometheus.ask_last(query.removesuffix(" > 0")))  # noqa: E731
        eventually(shown, why=f"{title}: {query}")


def _numbers(result: list[Any]) -> list[float]:
    """What Grafana can draw: a panel of nothing but NaN is as empty as one without series."""
    values = [float(one["value"][1]) for one in result]
    return [value for value in values if not math.isnan(value)]


def test_every_label_of_a_legend_has_a_value(prometheus: Prometheus) -> None:
    """Labels of targets are the operator's choice; an empty one of ours is a legend without a name.

    A zero that stands for no series has no labels.
    """
    empty = [
        f"{panel['title']}: {label} of {one['metric']}"
        for panel in panels()
        for target in panel.get("targets", ())
        for one in prometheus.ask_last(_filled(target["expr"]).removesuffix(" > 0"))
        for label in set(re.findall(r"{{\s*(\w+)\s*}}", target.get("legendFormat", ""))) - {"cluster", "host"}
        if not one["metric"].get(label) and "vector(0)" not in target["expr"]
    ]
    assert empty == []


def test_a_queue_has_its_groups_or_one_series(prometheus: Prometheus) -> None:
    (query,) = (query for title, query in queries() if title == "Slots by group" and "group_downloading" in query)
    groups = {(one["metric"]["job_name"], one["metric"]["group"]) for one in prometheus.ask_last(query)}
    assert groups == {("queue", "(no groups)"), ("grouped", "none")}


def test_every_query_of_an_annotation_is_valid(prometheus: Prometheus) -> None:
    annotations = json.loads(DASHBOARD.read_text())["annotations"]["list"]
    assert [one["name"] for one in annotations] == [
        "Restarts of rTorrent",
        "Restarts of services",
        "Deployments of configuration",
    ]
    for one in annotations:
        expr = _filled(one["expr"])
        assert isinstance(prometheus.ask_last(expr), list)
        (metric,) = re.findall(r"\(((?:rtorrent|pyrotorque)_\w+\{[^}]*\})", expr)
        assert prometheus.ask_last(metric), metric


def test_every_panel_has_a_description_and_a_legend_that_names_the_rtorrent() -> None:
    shown = [panel for panel in panels() if panel["type"] != "row"]
    assert [panel["title"] for panel in shown if len(panel.get("description", "").split()) < 3] == []
    graphs = [panel for panel in shown if panel["type"] in ("timeseries", "stat", "state-timeline")]
    legends = {(panel["title"], target["legendFormat"]) for panel in graphs for target in panel["targets"]}
    without = {title for title, legend in legends if "{{rtorrent}} {{instance}}" not in legend}
    assert without == {"Alerts", "Items", "Processes up"}, "those add up all groups"
    assert len(graphs) > 40


def test_every_panel_has_a_unit() -> None:
    graphs = [panel for panel in panels() if panel["type"] in ("timeseries", "stat")]
    assert [panel["title"] for panel in graphs if "unit" not in panel["fieldConfig"]["defaults"]] == []


def test_rows_whose_groups_are_off_by_default_are_closed_and_name_them() -> None:
    rows = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] == "row"]
    needs = {row["title"] for row in rows if "(only with" in row["title"]}
    assert {title.partition(" (")[0] for title in needs} == {"Trackers", "Items", "Clean-up", "Fleet"}
    assert all(row["collapsed"] and row["panels"] for row in rows if row["title"] in needs)
    text = "".join(target["expr"] for row in rows if row["title"] not in needs for panel in row.get("panels", ())
                   for target in panel["targets"])  # fmt: skip
    text += "".join(target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"
                    for target in panel["targets"])  # fmt: skip
    assert not re.search(r"rtorrent_(tracker|item)_|pyrotorque_(cleanup|fleet)_", text)


def test_the_dashboard_is_one_of_grafanas_schema() -> None:
    """Read and written by Grafana's own package, nothing is lost: every field is in its schema."""
    from grafana_foundation_sdk.cog import plugins
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    plugins.register_default_plugins()
    ours = json.loads(DASHBOARD.read_text())
    theirs = json.loads(JSONEncoder().encode(Dashboard.from_json(ours)))
    lost = [path for path in _lost(ours, theirs, "") if path.rpartition(".")[2] not in OF_PROMETHEUS]
    assert lost == []


def _lost(ours: Any, theirs: Any, path: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in theirs:
                yield from _lost(value, theirs[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, value in enumerate(ours):
            yield from _lost(value, theirs[number], f"{path}[{number}]")
    elif ours != theirs:
        yield path


def test_every_panel_that_is_no_row_asks_something() -> None:
    assert [panel["title"] for panel in panels() if panel["type"] != "row" and not panel.get("targets")] == []


def test_the_target_is_up_and_counters_move(prometheus: Prometheus) -> None:
    assert prometheus.ask_last('up{job="pyrotorque"} == 1')
    eventually(lambda: prometheus.ask_last("increase(rtorrent_rpc_requests_total[10s]) > 0"))
    assert prometheus.ask_last("pyrotorque_watch_loads_total > 0")


@pytest.mark.parametrize("group", METRIC_GROUPS)
def test_promtool_has_nothing_to_say_about_a_group_with_real_data(prometheus: Prometheus, group: str) -> None:
    url = f"http://127.0.0.1:{prometheus.target}/metrics?collect[]={group}"
    success = f'rtorrent_scrape_collector_success{{collector="{group}"}} 1.0'.encode()

    def scraped() -> bytes:
        with opened(url) as answer:
            shown = answer.read()
        return shown if success in shown else b""

    shown = eventually(scraped, why=f"{group} is scraped in time")
    ended = subprocess.run(["promtool", "check", "metrics"], input=shown, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_rules_are_evaluated_and_no_alert_of_a_healthy_group_fires(prometheus: Prometheus) -> None:
    eventually(lambda: prometheus.ask_last("rtorrent:rpc_duration_seconds:p95_5m"))
    assert prometheus.ask('ALERTS{alertstate="firing"}') == []
    # Its items have no peers: after two hours the first would fire. The others are about times, which a busy machine
    # exceeds now and then.
    pending = {"RtorrentDownloadsStalled", "RtorrentRpcSlow", "RtorrentRpcFailing"}
    eventually(lambda: {one["metric"]["alertname"] for one in prometheus.ask_last("ALERTS")} <= pending)
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 30
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []


def test_no_secret_is_in_any_label(prometheus: Prometheus) -> None:
    assert prometheus.ask_last('{__name__=~".+"}')
    assert "secret" not in json.dumps(prometheus.ask_last('{__name__=~"rtorrent_.+"}'))


def test_variables_list_what_there_is(prometheus: Prometheus) -> None:
    found: dict[str, set[str]] = {}
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert asked, variable["query"]
            found[variable["name"]] = {
                one["metric"].get(asked[2], "") for one in prometheus.ask_last(_filled(asked[1]))
            } - {""}
    assert found["job"] == {"pyrotorque"}
    assert found["rtorrent"] == {"main"}
    assert {"queue", "move"} <= found["job_name"]
    # Labels that targets need not have: Grafana offers "All" only, which matches.
    assert (found["cluster"], found["host"]) == (set(), set())
    assert len(found["instance"]) == 1
    assert {"site0.org", "site1.org"} <= found["tracker"]


def test_panels_have_ids_and_places_of_their_own() -> None:
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels())
