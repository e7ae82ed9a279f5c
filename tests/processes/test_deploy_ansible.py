"""The role of deploy/ansible on two local homes with real groups: it stops at the first host that does not work."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from demo.group import REPOSITORY, free_port
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.options import Options
from pyrotorque.rtorrent import parse_url
from pyrotorque.settings import load
from pyrotorque.validation import check
from tests.programs import Program, prometheuses

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("deploy"),
    pytest.mark.rtorrent_version(">=0.10", reason="it is about the role: rTorrent only has to answer"),
]

ANSIBLE = REPOSITORY / "deploy" / "ansible"
BAD = "raise SystemExit('this release does not start')\n"


def wheel(folder: Path, version: str, *, broken: bool = False) -> Path:
    """This checkout as a release of this version; a broken one has a watcher that ends at once."""
    tree = folder / version
    for name in ("services", "shared", "docs", "deploy"):
        shutil.copytree(REPOSITORY / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "supervisor.conf"):
        shutil.copy(REPOSITORY / name, tree)
    project = (REPOSITORY / "pyproject.toml").read_text()
    (tree / "pyproject.toml").write_text(re.sub(r'^version = ".*"', f'version = "{version}"', project, flags=re.M))
    if broken:
        (tree / "services/pyrotorque_watcher/__main__.py").write_text(BAD)
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=tree, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / f"pyrotorque-{version}-py3-none-any.whl"


def environment_of(folder: Path) -> None:
    """An empty environment with pip, which finds the dependencies in that of the tests."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = sysconfig.get_path("purelib")
    (next(folder.glob("lib/python*/site-packages")) / "tests.pth").write_text(f"{packages}\n")
    pip = folder / "bin" / "pip"
    pip.write_text(f"#!{folder}/bin/python\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n")
    pip.chmod(0o755)


@dataclass
class Fleet:
    """Two homes on this machine, each with its own rTorrent."""

    folder: Path
    good: Path
    bad: Path
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def play(self, **values: Any) -> tuple[int, str, dict[str, dict[str, int]]]:
        """Exit code, output, and by host how many tasks were ok, changed, failed."""
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "pyrotorque_pip_args": "--no-deps --no-index --disable-pip-version-check",
            "pyrotorque_wait_seconds": 90,
            "pyrotorque_package": str(self.good),
        } | values
        inventory = {
            "all": {"vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}},
            "rtorrents": {"hosts": self.hosts, "vars": common},
            "prometheus": {
                "hosts": {"monitor": {}}, "vars": {"pyrotorque_targets_file": f"{self.folder}/targets.json"}
            },
        }  # fmt: skip
        (self.folder / "inventory.json").write_text(json.dumps(inventory))
        env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE", "PYTHON"))}
        env |= {
            "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_LOCAL_TEMP": f"{self.folder}/tmp", "ANSIBLE_REMOTE_TEMP": f"{self.folder}/tmp",
        }  # fmt: skip
        ended = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", "-i", self.folder / "inventory.json", "site.yml"],
            cwd=ANSIBLE, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        recap = re.findall(
            r"^(\w+) +: ok=(\d+) +changed=(\d+) +unreachable=0 +failed=(\d+)", ended.stdout, re.MULTILINE
        )
        found = {name: {"ok": int(ok), "changed": int(changed), "failed": int(failed)}
                 for name, ok, changed, failed in recap}  # fmt: skip
        return ended.returncode, ended.stdout + ended.stderr, found

    def command(self, host: str, *words: str) -> subprocess.CompletedProcess[str]:
        at = self.hosts[host]
        return subprocess.run(
            [f"{at['pyrotorque_venv']}/bin/pyrotorque", "--config-dir", at["pyrotorque_config_dir"], *words],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def state(self, host: str) -> tuple[str, str, str]:
        """Its release, the process of its group, and its torque.ini."""
        config = Path(self.hosts[host]["pyrotorque_config_dir"])
        process = self.command(host, "ctl", "pid").stdout
        return self.command(host, "--version").stdout, process, (config / "torque.ini").read_text()

    def states(self, host: str) -> set[str]:
        return {line.split()[1] for line in self.command(host, "ctl", "status").stdout.splitlines()}


@pytest.fixture
def fleet(rtorrent_program: Program) -> Iterator[Fleet]:
    with tempfile.TemporaryDirectory(prefix="pan-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        found = Fleet(folder, wheel(folder, "9.0.0"), wheel(folder, "9.0.1", broken=True))
        rtorrents = {name: PrivateRTorrent(folder / f"{name}-rt").start() for name in ("one", "two")}
        for name, rtorrent in rtorrents.items():
            environment_of(folder / name / "venv")
            found.hosts[name] = {
                "pyrotorque_venv": f"{folder}/{name}/venv",
                "pyrotorque_config_dir": f"{folder}/{name}/config",
                "pyrotorque_metrics_host": f"{name}.lan",
                "pyrotorque_metrics_port": free_port(),
                "pyrotorque_settings": {"scgi_url": rtorrent.url, "job.queue.active": True},
            }
        # As for Prometheus on another host: only one address, and names of their own.
        found.hosts["two"]["pyrotorque_settings"] |= {"job.exporter.address": "127.0.0.2", "job.exporter.prefix": "rt_"}
        try:
            yield found
        finally:
            for name, rtorrent in rtorrents.items():
                if (folder / name / "venv/bin/pyrotorque").exists():
                    found.command(name, "--stop")
                rtorrent.kill()


def test_a_bad_setting_and_a_bad_release_stop_at_the_first_host(fleet: Fleet) -> None:
    code, output, recap = fleet.play()
    assert code == 0, output
    assert recap["one"]["changed"] > 0
    assert recap["two"]["failed"] == 0
    assert fleet.states("one") == fleet.states("two") == {"RUNNING"}
    for host in fleet.hosts:
        assert "9.0.0" in fleet.command(host, "--version").stdout
    _is_a_list_of_targets(fleet.folder / "targets.json")

    code, output, recap = fleet.play()
    assert code == 0, output
    assert {name: each["changed"] for name, each in recap.items()} == {"one": 0, "two": 0, "monitor": 0}

    before = {host: fleet.state(host) for host in fleet.hosts}
    wrong = {"scgi_url": "scgi://127.0.0.1:1", "job.queue.downloading_max": "many"}
    settings = {host: values["pyrotorque_settings"] for host, values in fleet.hosts.items()}
    for values in fleet.hosts.values():
        values["pyrotorque_settings"] = wrong
    code, output, recap = fleet.play()
    assert code != 0
    assert "job.queue.downloading_max" in output
    assert recap["one"]["failed"] == 1
    assert "two" not in recap, "no task ran there"
    assert {host: fleet.state(host) for host in fleet.hosts} == before

    for host, values in fleet.hosts.items():
        values["pyrotorque_settings"] = settings[host]
    code, output, recap = fleet.play(pyrotorque_package=str(fleet.bad), pyrotorque_wait_seconds=5)
    assert code != 0
    assert recap["one"]["failed"] == 1
    assert "two" not in recap
    assert "watcher" in output.partition("fatal: [one]")[2], output
    assert fleet.state("two") == before["two"]
    assert fleet.states("two") == {"RUNNING"}


def _is_a_list_of_targets(path: Path) -> None:
    found = json.loads(path.read_text())
    assert [each["labels"] for each in found] == [
        {"cluster": "pyrotorque", "host": f"{name}.lan", "rtorrent": name} for name in ("one", "two")
    ]
    config = {"scrape_configs": [{"job_name": "pyrotorque", "file_sd_configs": [{"files": [str(path)]}]}]}
    (path.parent / "prometheus.yml").write_text(json.dumps(config))
    promtool = prometheuses()[-1].path.with_name("promtool")
    checked = subprocess.run(
        [promtool, "check", "config", path.parent / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_settings_of_the_example_are_valid(tmp_path: Path) -> None:
    (example,) = YAML(typ="safe").load_all(ANSIBLE / "inventory.example.yml")
    hosts = example["rtorrents"]["hosts"]
    settings = [example["rtorrents"]["vars"]["pyrotorque_settings"]]
    settings += [each["pyrotorque_settings"] for each in hosts.values() if each and "pyrotorque_settings" in each]
    assert len(settings) == 2
    for number, values in enumerate(settings):
        folder = tmp_path / str(number)
        folder.mkdir()
        lines = [f"{name} = {value}" for name, value in values.items()]
        (folder / "torque.ini").write_text("\n".join(["[TORQUE]", *lines, "fleet.name = box1"]) + "\n")
        loaded = load(folder, Options())
        problems, _ = check(loaded)
        assert [str(each) for each in problems] == []
        assert parse_url(str(loaded.settings.rtorrent.url))
