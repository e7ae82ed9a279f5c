"""The shipped rules and scrape configuration are valid, and each alert is tested both ways by promtool."""

import re
import subprocess

import pytest

from tests.exporter_process import REPOSITORY

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("prometheus_program")]

FOLDER = REPOSITORY / "deploy" / "prometheus"


def _promtool(*words: str) -> str:
    ended = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_scrape_configuration_and_its_rules_are_valid() -> None:
    assert "SUCCESS" in _promtool("check", "config", "prometheus.yml")


def test_every_alert_fires_and_is_silent_where_it_should() -> None:
    assert "SUCCESS" in _promtool("test", "rules", "pyrotorque.rules.test.yml")


def test_no_alert_is_without_a_test() -> None:
    alerts = re.findall(r"- alert: (\w+)", (FOLDER / "pyrotorque.rules.yml").read_text())
    tested = (FOLDER / "pyrotorque.rules.test.yml").read_text()
    assert [alert for alert in alerts if f"name: {alert} fires" not in tested] == []
    assert [alert for alert in alerts if f"name: {alert} is silent" not in tested] == []
