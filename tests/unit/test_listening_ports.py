"""`check` reports that two parts of the group are to listen on one port: only the first of them ever could."""

from pathlib import Path

import pytest

from pyrotorque.options import Options
from pyrotorque.settings import load
from pyrotorque.validation import failing

EXPORTER = "[TORQUE]\nscgi_url = scgi:///x\njob.exporter.active = True\njob.exporter.port = 9180\n"


def failing_keys(folder: Path, text: str) -> list[str]:
    (folder / "torque.ini").write_text(text)
    return [problem.key for problem in failing(load(folder, Options()))]


@pytest.mark.parametrize(
    ("exporter", "panel", "clash"),
    [
        ("127.0.0.1", "127.0.0.1", True), ("0.0.0.0", "127.0.0.1", True), ("127.0.0.1", "::", True),
        ("[::1]", "localhost", True), ("", "10.0.0.1", True), ("::", "10.0.0.1", True), ("box.lan.", "BOX.lan", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True), ("0.0.0.0", "::", True), ("127.0.0.1", "::1", True),
        ("127.0.0.1", "10.0.0.1", False), ("10.0.0.2", "10.0.0.1", False), ("0.0.0.0", "2001:db8::1", False),
        ("127.0.0.2", "127.0.0.1", False),
    ],
)  # fmt: skip
def test_one_port_on_addresses_that_overlap_is_reported(tmp_path: Path, exporter: str, panel: str, clash: bool) -> None:
    text = f"{EXPORTER}job.exporter.address = {exporter}\npanel.active = True\npanel.address = {panel}\n"
    assert failing_keys(tmp_path, text) == (["panel.port"] if clash else [])


def test_the_message_names_both_settings(tmp_path: Path) -> None:
    (tmp_path / "torque.ini").write_text(f"{EXPORTER}panel.active = True\npanel.port = 9180\n")
    (problem,) = failing(load(tmp_path, Options()))
    assert str(problem) == (
        "torque.ini:6: panel.port: 9180 is the port of job.exporter.port, too: choose another one for one of them"
    )


@pytest.mark.parametrize(
    "line",
    [
        "panel.active = False",
        "panel.active = True\npanel.port = 0\npanel.socket = /run/x",
        "panel.active = True\npanel.port = 1",
        "panel.active = True\njob.exporter.active = False",
    ],
)
def test_what_does_not_listen_there_does_not_clash(tmp_path: Path, line: str) -> None:
    assert failing_keys(tmp_path, f"{EXPORTER}{line}\n") == []


def test_two_exporters_clash_too(tmp_path: Path) -> None:
    handler = "pyrocore.daemon.exporter:RtorrentExporter"
    second = f"job.more.handler = {handler}\njob.more.active = True\njob.more.port = 9180\n"
    assert failing_keys(tmp_path, EXPORTER + second) == ["job.more.port"]
