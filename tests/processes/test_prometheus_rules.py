"""The shipped rules and scrape configuration are valid; promtool tests that each alert fires, is silent, and ends."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.alert_recovery import CASES, promtool_tests
from tests.exporter_process import REPOSITORY

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("prometheus_program")]

FOLDER = REPOSITORY / "deploy" / "prometheus"
SHIPPED = FOLDER / "pyrotorque.rules.yml"


def _promtool(*words: str) -> str:
    ended = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _written(*options: str) -> str:
    ended = subprocess.run(
        [sys.executable, "rules.py", *options], cwd=FOLDER, capture_output=True, text=True, check=True
    )
    return ended.stdout


def _alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)", SHIPPED.read_text())


def test_the_scrape_configuration_and_its_rules_are_valid() -> None:
    assert "SUCCESS" in _promtool("check", "config", "prometheus.yml")


def test_every_alert_fires_and_is_silent_where_it_should() -> None:
    assert "SUCCESS" in _promtool("test", "rules", "pyrotorque.rules.test.yml")


def test_every_alert_ends_when_its_cause_does(tmp_path: Path) -> None:
    (tmp_path / "recovery.yml").write_text(promtool_tests(str(SHIPPED)))
    assert "SUCCESS" in _promtool("test", "rules", str(tmp_path / "recovery.yml"))


def test_no_alert_is_without_a_test() -> None:
    tested = (FOLDER / "pyrotorque.rules.test.yml").read_text()
    assert [alert for alert in _alerts() if f"name: {alert} fires" not in tested] == []
    assert [alert for alert in _alerts() if f"name: {alert} is silent" not in tested] == []
    assert set(_alerts()) == {case.alert for case in CASES}


def test_the_shipped_rules_are_those_that_the_script_writes() -> None:
    assert SHIPPED.read_text() == _written()


def test_rules_with_other_selectors_thresholds_and_labels_are_valid(tmp_path: Path) -> None:
    text = _written(
        *("--selector", 'job="torrents",cluster="home"', "--label", "team=home", "--set", "disk_free_percent=2.5"),
        *("--set", "down_for=1m", "--severity", "QueueBacklog=warning", "--without", "RtorrentRestarted"),
        *("--runbook", "https://wiki.example.org/alerts"),
    )
    (tmp_path / "rules.yml").write_text(text)
    assert "SUCCESS" in _promtool("check", "rules", str(tmp_path / "rules.yml"))
    expressions = re.findall(r"(?:expr: )(.*)", text)
    metrics = [name for one in expressions for name in re.findall(r"\b(?:up|(?:rtorrent|pyrotorque)_\w+)\b.?", one)]
    assert len(metrics) > 60
    # `rtorrent` also is a label of targets; names with a colon are recording rules.
    assert [name for name in metrics if name[-1] not in "{:"] == []
    assert text.count('job="torrents",cluster="home"') >= len(metrics) - 1
    assert "< 2.5 / 100" in text
    assert text.count("team: 'home'") == len(_alerts()) - 1
    assert "RtorrentRestarted\n" not in text
    assert "https://wiki.example.org/alerts#rtorrentdown" in text
    assert re.search(r"alert: QueueBacklog\n.*\n.*\n.*\n\s+severity: warning", text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "disk_free_percentage=3"), "there is no threshold disk_free_percentage"),
        (("--set", "disk_free_percent=many"), "expected a value such as 5"),
        (("--set", "down_for=5"), "expected a value such as 5m"),
        (("--severity", "NoSuchAlert=info"), "there is no alert NoSuchAlert"),
        (("--severity", "QueueStuck=loud"), "expected one of critical, warning, info"),
        (("--without", "NoSuchAlert"), "there is no alert NoSuchAlert"),
        (("--label", "severity=x"), "severity cannot be a label here"),
        (("--label", "team"), "expected NAME=VALUE"),
    ],
)
def test_a_wrong_option_is_refused_with_its_name(options: tuple[str, ...], message: str) -> None:
    ended = subprocess.run([sys.executable, FOLDER / "rules.py", *options], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert message in ended.stderr


def test_alerts_of_the_release_keep_their_names() -> None:
    """Names are contracts: silences and routes of owners name them."""
    released = {
        *("ConfigInvalid", "EventsLost", "JobFailing", "JobMissed", "ProcessDown", "ProcessFlapping"),
        *("PyrotorqueExporterAbsent", "PyrotorqueExporterDown", "QueueBacklog", "QueueStuck"),
        *("RtorrentCollectorFailing", "RtorrentDown", "RtorrentDownloadsStalled", "RtorrentFileOpenFailures"),
        *("RtorrentHashFailed", "RtorrentNoTraffic", "RtorrentNotListening", "RtorrentOpenFilesExhausted"),
        *("RtorrentPieceMemoryExhausted", "RtorrentRestartLoop", "RtorrentRestarted", "RtorrentRpcFailing"),
        *("RtorrentRpcSlow", "RtorrentScrapeNearTimeout", "RtorrentSocketsExhausted", "RtorrentTrackerFailing"),
        *("WatchLoadFailing", "WatchOverflow", "WatchRootMissing", "WatchSlow", "WatchStuck", "WatchesExhausted"),
    }
    assert released <= set(_alerts())


# A summary is all that a phone shows: the group, and the object of the alert if it has one.
OBJECTS = {
    **dict.fromkeys(
        ("QueueStuck", "QueueStalled", "QueueBacklog", "JobFailing", "MovesFailing", "JobMissed"), "job_name"
    ),
    **dict.fromkeys(("CleanupRefused", "CleanupWaiting", "CleanupSpaceShort"), "job_name"),
    "RtorrentTrackerFailing": "tracker",
    "RtorrentCollectorFailing": "collector",
    **dict.fromkeys(("ProcessDown", "ProcessFlapping"), "process"),
    **dict.fromkeys(("DiskNearlyFull", "DiskOvercommitted"), "mountpoint"),
}


def test_every_summary_names_the_group_and_the_object() -> None:
    summaries = dict(re.findall(r"- alert: (\w+)\n(?:.*\n)+?\s+summary: '(.*)'\n", SHIPPED.read_text()))
    assert summaries.keys() == set(_alerts())
    for alert, summary in summaries.items():
        assert summary.startswith("{{ or $labels.rtorrent $labels.instance"), alert
        if alert in OBJECTS:
            assert f"$labels.{OBJECTS[alert]}" in summary, alert


def test_no_number_in_a_text_has_decimals() -> None:
    """increase() and rate() extrapolate: without a format a phone shows 3.0405405405405403."""
    texts = re.findall(r"(?:summary|description): '(.*)'", SHIPPED.read_text())
    values = [value for text in texts for value in re.findall(r"\{\{[^}]*\$value[^}]*\}\}", text)]
    assert len(values) > 30
    allowed = re.compile(r'printf "%\.0f" \$value|\$value \| humanize(Percentage|Duration|1024)|if ge \$value 1\.5')
    assert [value for value in values if not allowed.search(value)] == []


def test_every_alert_has_a_section_that_says_what_to_do() -> None:
    page = (REPOSITORY / "docs" / "alerts.md").read_text()
    links = dict(re.findall(r"- alert: (\w+)\n(?:.*\n)+?\s+runbook_url: '(.*)'\n", SHIPPED.read_text()))
    assert links == {alert: f"docs/alerts.md#{alert.lower()}" for alert in _alerts()}
    sections = dict(re.findall(r"^### (\w+)\n\n((?:(?!#).*\n)+)", page, re.MULTILINE))
    assert list(sections) == _alerts()
    assert [alert for alert, text in sections.items() if "**Do:**" not in text] == []


def test_every_threshold_is_documented() -> None:
    sys.path.insert(0, str(FOLDER))
    try:
        import rules  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(FOLDER))
    page = (REPOSITORY / "docs" / "alerts.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", page, re.MULTILINE))
    assert rows == {name: default for name, (default, _) in rules.THRESHOLDS.items()}
