"""The recipes of docs/panel.md, with the port and a token of the test: addresses, headers and fields exist."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.docs_blocks import Block, blocks
from tests.processes.test_panel import PanelGroup

pytestmark = pytest.mark.process


@pytest.fixture
def group(short_folder: Path) -> Iterator[PanelGroup]:
    made = PanelGroup(short_folder / "c")
    try:
        for service in ("scheduler", "watcher", "panel"):
            made.start(service)
        yield made
    finally:
        for service in list(made.running):
            made.stop(service)


def recipe(language: str, word: str) -> Block:
    (found,) = [block for block in blocks(language) if block.page == "docs/panel.md" and word in block.text]
    return found


def made_local(text: str, group: PanelGroup, token: str) -> str:
    assert "127.0.0.1:9180" in text
    return text.replace("127.0.0.1:9180", f"127.0.0.1:{group.port}").replace("TOKEN", token)


def secret(group: PanelGroup) -> str:
    return group.token("act")["Authorization"].partition(" ")[2]


def asked(group: PanelGroup, url: str, headers: dict[str, str], method: str = "GET") -> Any:
    path = url.partition(f"127.0.0.1:{group.port}")[2]
    status, _, body = group.request(method, path, headers)
    assert status == 200, body
    return json.loads(body)


def test_the_calls_of_curl(group: PanelGroup) -> None:
    text = recipe("sh", "curl").text.replace("$TOKEN", "TOKEN")
    ended = subprocess.run(["sh", "-e", "-c", made_local(text, group, secret(group))], capture_output=True, check=True)
    answers = re.findall(r"\{.*?\}(?=\{|$)", ended.stdout.decode())
    assert len(answers) == len(text.splitlines())
    assert not [answer for answer in answers if "error" in json.loads(answer)]


def test_the_tile_of_homepage(group: PanelGroup) -> None:
    text = made_local(recipe("yaml", "customapi").text, group, secret(group))
    (service,) = YAML(typ="safe").load(text)
    widget = service["pyrotorque"]["widget"]
    found = asked(group, widget["url"], widget["headers"])
    assert [mapping["field"] for mapping in widget["mappings"] if mapping["field"] not in found] == []


def test_the_sensors_and_commands_of_home_assistant(group: PanelGroup) -> None:
    text = made_local(recipe("yaml", "rest_command").text, group, secret(group))
    made = YAML(typ="safe").load(text)
    (rest,) = made["rest"]
    found = asked(group, rest["resource"], rest["headers"])
    for sensor in rest["sensor"]:
        (name,) = re.findall(r"value_json\.(\w+)", sensor["value_template"])
        assert name in found
    (command,) = made["rest_command"].values()
    assert "text" in asked(group, command["url"], command["headers"], command["method"].upper())


def test_the_monitor_of_uptime_kuma(group: PanelGroup) -> None:
    page = Path(__file__).parents[2].joinpath("docs/panel.md").read_text().partition("### Uptime Kuma")[2]
    (url,) = re.findall(r"URL `([^`]+)`", page)
    (headers,) = re.findall(r"header\s+`([^`]+)`", page)
    (query,) = re.findall(r"JSON query `(\w+)`", page)
    local = url.replace("127.0.0.1:9180", f"127.0.0.1:{group.port}")
    found = asked(group, local, json.loads(headers.replace("TOKEN", secret(group))))
    assert found[query] is False, "rTorrent is away here"
