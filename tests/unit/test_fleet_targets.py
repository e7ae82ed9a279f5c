"""The targets of a fleet for Prometheus: their labels, what is left out, and when their files are written."""

import json
from pathlib import Path

import pytest

from pyrotorque.layout import Layout
from pyrotorque.settings.schema import FleetSettings
from pyrotorque_exporter.http_messages import HttpRequest, HttpResponse
from pyrotorque_exporter.routes import Routes
from pyrotorque_fleet.targets import TargetFiles, targets

ONE = {"one": "box1.lan:9135"}
SETTINGS = FleetSettings(servers=("nats://x:4222",), name="one", realm="home")


def test_a_target_has_the_labels_of_the_shipped_rules() -> None:
    (found,) = targets(ONE, "home")
    assert found == {
        "targets": ["box1.lan:9135"],
        "labels": {"cluster": "home", "host": "box1.lan", "rtorrent": "one"},
    }


@pytest.mark.parametrize(
    "metrics", ["", "box1", "http://box1:9135/x", "a b:1", "user@box:1", "box:port", "box:1/x", "x\n:1"]
)
def test_what_is_no_address_is_no_target(metrics: str) -> None:
    assert targets({"two": metrics}, "home") == []


def test_nothing_is_written_before_the_groups_are_known_nor_in_an_outage(layout: Layout) -> None:
    files, path = TargetFiles(layout), layout.fleet_targets
    files.write(SETTINGS, ONE, False, 0.0)
    files.write(SETTINGS, ONE, True, 100.0)
    assert not path.exists()
    files.write(SETTINGS, ONE, True, 106.0)
    assert len(json.loads(path.read_text())) == 1
    files.write(SETTINGS, {}, False, 107.0)
    files.write(SETTINGS, {}, True, 108.0)
    assert len(json.loads(path.read_text())) == 1
    files.write(SETTINGS, {}, True, 120.0)
    assert json.loads(path.read_text()) == []


def test_the_exporter_serves_the_file_or_lets_prometheus_keep_its_targets(tmp_path: Path) -> None:
    def get(path: Path | None) -> HttpResponse:
        routes = Routes(None, None, b"", targets=path)  # type: ignore[arg-type]
        answer = routes(HttpRequest("GET", "/fleet/targets", {}, {}))
        assert isinstance(answer, HttpResponse)
        return answer

    assert get(None).status == 404
    assert get(tmp_path / "missing").status == 503
    (tmp_path / "there").write_text("[]\n")
    found = get(tmp_path / "there")
    assert (found.status, found.content_type, found.body) == (200, "application/json", b"[]\n")
