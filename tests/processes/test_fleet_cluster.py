"""A group in a fleet of three nats-servers as deploy/nats/cluster.py configures them, over TLS."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.group import Group, free_port
from demo.http_answers import opened
from tests.nats_cluster import NatsCluster
from tests.programs import nats_servers
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("fleet")]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pfc-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def test_a_group_stays_in_the_fleet_when_a_server_dies_and_trusts_no_other_one(folder: Path) -> None:
    cluster = NatsCluster(folder / "nats", nats_servers()[-1], servers=3)
    fleet = [*cluster.script("group", "box1").splitlines(), "fleet.beat = 0.3"]
    settings = ["[TORQUE]", f"scgi_url = scgi://127.0.0.1:{free_port()}", *fleet]
    with cluster, Group(folder / "box1", "\n".join(settings) + "\n") as group:

        def server() -> int:
            """The port of the server that it is connected to; 0 without one."""
            shown = group.command("fleet")
            described = group.command("status", "--json").stdout
            is_there = shown.returncode == 0
            return next((port for port in cluster.ports if is_there and f"localhost:{port}" in described), 0)

        def configure(lines: list[str]) -> None:
            (group.config_dir / "torque.ini").write_text("\n".join(lines) + "\n")
            assert group.command("ctl", "signal", "HUP", "fleet").returncode == 0

        first = eventually(server, 90)
        found = _jetstream(cluster)
        assert found["config"].get("sync_always") is True
        assert _replicas(found) == {3}
        cluster.kill(first)
        second = eventually(lambda: server() not in (0, first) and server(), 90)
        assert second != first
        cluster.start(first)

        own = folder / "other"
        NatsCluster(own, nats_servers()[-1])
        wrong = [line if not line.startswith("fleet.ca") else f"fleet.ca = {own}/ca.pem" for line in settings]
        configure(wrong)
        sentence = "cannot connect: the certificate of the server is of no authority in fleet.ca"
        eventually(lambda: sentence in group.log("fleet"), 60)
        assert "no authority in fleet.ca" in group.command("fleet").stderr
        configure(settings)
        eventually(server, 90)
        assert group.log("fleet").count(sentence) == 1
        assert "Traceback" not in group.log("fleet")
        assert "eof_received" not in group.log("fleet")


def _jetstream(cluster: NatsCluster) -> dict[str, Any]:
    """What a server reports about its JetStream."""
    url = f"http://127.0.0.1:{cluster.monitor_ports[0]}/jsz?streams=1&config=1"
    with opened(url, 20) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _replicas(found: dict[str, Any]) -> set[int]:
    accounts = found["account_details"]
    return {stream["config"]["num_replicas"] for each in accounts for stream in each.get("stream_detail", ())}
