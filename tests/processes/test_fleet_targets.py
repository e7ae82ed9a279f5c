"""A real Prometheus finds the exporters of a fleet by /fleet/targets and by a file, and shows groups that are gone."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from demo.group import Group, free_port
from demo.http_answers import opened
from tests.nats import NatsServer
from tests.programs import prometheuses
from tests.waiting import bound, eventually

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("fleet")]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pft-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def test_groups_of_the_fleet_are_targets_also_when_they_are_gone(folder: Path) -> None:
    ports = {name: free_port() for name in ("one", "two")}
    with NatsServer(folder / "nats") as server, ExitStack() as stack:

        def ini(name: str) -> str:
            return "\n".join((
                "[TORQUE]", f"scgi_url = scgi://127.0.0.1:{free_port()}", "job.exporter.active = True",
                f"job.exporter.port = {ports[name]}", f"fleet.servers = {server.url}", f"fleet.name = {name}",
                f"fleet.metrics = 127.0.0.1:{ports[name]}", "fleet.beat = 0.3", "fleet.silent = 3",
                f"fleet.file_sd = {folder}/{name}.json", "",
            ))  # fmt: skip

        groups = {name: stack.enter_context(Group(folder / name, ini(name))) for name in ports}

        def served() -> list[Any]:
            with opened(f"http://127.0.0.1:{ports['one']}/fleet/targets") as answer:
                assert answer.headers["Content-Type"] == "application/json"
                found: list[Any] = json.load(answer)
                return found

        expected = [
            {
                "targets": [f"127.0.0.1:{ports[name]}"],
                "labels": {"cluster": "pyrotorque", "host": "127.0.0.1", "rtorrent": name},
            }
            for name in ports
        ]
        eventually(lambda: served() == expected, 60)
        assert json.loads((folder / "one.json").read_text()) == expected

        listening = free_port()
        discovery: dict[str, Any] = {
            "by-http": {"http_sd_configs": [{"url": f"http://127.0.0.1:{ports['one']}/fleet/targets"}]},
            "by-file": {"file_sd_configs": [{"files": [f"{folder}/one.json"]}]},
        }
        configs = [{"job_name": job, "scrape_interval": "1s", "scrape_timeout": "1s", **how}
                   for job, how in discovery.items()]  # fmt: skip
        (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": configs}))
        with (folder / "prometheus.log").open("wb") as log:
            prometheus = subprocess.Popen(
                [prometheuses()[-1].path, f"--config.file={folder}/prometheus.yml",
                 f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{listening}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

        def end() -> None:
            prometheus.kill()
            prometheus.wait(bound(20))

        stack.callback(end)

        def up(job: str) -> dict[str, str]:
            url = f"http://127.0.0.1:{listening}/api/v1/query?query=up%7Bjob=%22{job}%22%7D"
            with opened(url) as answer:
                return {each["metric"]["rtorrent"]: each["value"][1] for each in json.load(answer)["data"]["result"]}

        for job in discovery:
            eventually(lambda job=job: up(job) == {"one": "1", "two": "1"}, 60)  # type: ignore[misc]
        groups["two"].stop()
        for job in discovery:
            eventually(lambda job=job: up(job) == {"one": "1", "two": "0"}, 60)  # type: ignore[misc]

        # An outage of NATS, and a new process of the fleet during it, forget nothing.
        server.kill()
        groups["one"].command("ctl", "restart", "fleet")
        waited = time.monotonic() + 8
        eventually(lambda: time.monotonic() > waited)
        assert served() == expected
