"""The settings `fleet.*`, and which services a configuration has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.group import environment
from pyrotorque.errors import SettingsError
from pyrotorque.layout import SERVICES, Layout
from pyrotorque.options import Options
from pyrotorque.settings import load
from pyrotorque.settings.fleet import default_name, read_credentials
from pyrotorque.settings.schema import FleetSettings, Settings
from pyrotorque.settings.serialization import from_json, to_json
from pyrotorque.supervisord import config
from pyrotorque.validation import check
from pyrotorque_control.checks.watches import placement_warnings


def read(folder: Path, *lines: str) -> Settings:
    (folder / "torque.ini").write_text("\n".join(("[TORQUE]", "scgi_url = scgi://127.0.0.1:5000", *lines)) + "\n")
    return load(folder, Options()).settings


def test_without_servers_there_is_no_fleet(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.fleet == FleetSettings()
    assert found.optional_services == ()


def test_all_settings_are_read(tmp_path: Path) -> None:
    found = read(
        tmp_path, "fleet.servers = nats://a:4222, tls://[::1]:4222", "fleet.name = box-1", "fleet.beat = 5s",
        "fleet.silent = 1m", "fleet.replicas = 3", "fleet.create = no", f"fleet.credentials = {tmp_path}/nats.key",
        "fleet.events = off", "fleet.metrics = box1.lan:9135",
    )  # fmt: skip
    assert found.fleet == FleetSettings(
        servers=("nats://a:4222", "tls://[::1]:4222"), name="box-1", beat=5, silent=60, replicas=3, create=False,
        credentials=tmp_path / "nats.key", events=False, metrics="box1.lan:9135",
    )  # fmt: skip
    assert found.optional_services == ("fleet",)
    assert from_json(to_json(found)) == found


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("fleet.servers = nats://me:secret@a:4222", "must not contain a user or password"),
        ("fleet.servers = http://a:4222", "expected addresses such as"),
        ("fleet.servers = nats://", "expected addresses such as"),
        ("fleet.servers = nats://a:99999", "expected addresses such as"),
        ("fleet.servers = nats://a:4222/path", "expected addresses such as"),
        ("fleet.name = Box 1", "a to z, 0 to 9"),
        ("fleet.name = a.b", "a to z, 0 to 9"),
        ("fleet.realm = *", "a to z, 0 to 9"),
        ("fleet.replicas = 2", "expected one of 1, 3, 5"),
        ("fleet.beat = 0", "expected 0.1 s to 60 s"),
        ("fleet.silent = 2h", "expected 1 s to 3600 s"),
        ("fleet.metrics = http://a:9135/", "host and port"),
        ("fleet.credentials = nats.key", "absolute path"),
        ("fleet.server = nats://a:4222", "did you mean fleet.servers"),
        ("fleet.create = maybe", "True or False"),
    ],
)
def test_a_wrong_setting_is_an_error(tmp_path: Path, line: str, text: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(tmp_path, line)
    assert text in str(error.value)
    assert "torque.ini:3" in str(error.value)
    assert "secret" not in str(error.value)


def test_the_name_comes_from_the_environment_or_from_host_and_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYROTORQUE_FLEET_NAME", "pod-3")
    assert read(tmp_path, "fleet.servers = nats://a:4222").fleet.name == "pod-3"
    monkeypatch.setenv("PYROTORQUE_FLEET_NAME", "Pod 3")
    with pytest.raises(SettingsError, match="a to z"):
        read(tmp_path, "fleet.servers = nats://a:4222")
    assert default_name(Path("/home/me/.pyroscope-Two")).endswith("-two")
    assert default_name(Path("/home/me/.pyroscope")).isascii()


@pytest.mark.parametrize("optional", [(), ("fleet",)])
def test_the_process_table_has_the_services_of_the_configuration(tmp_path: Path, optional: tuple[str, ...]) -> None:
    layout = Layout.below(tmp_path)
    assert config.table_services(tmp_path) == SERVICES
    config.write_programs(layout, Options(), guard_files=(), optional=optional)
    assert config.table_services(tmp_path) == (*SERVICES, *optional)
    text = config.programs_file(layout).read_text()
    assert ("[program:fleet]" in text) == bool(optional)
    assert "Only with `fleet.servers`" not in text or optional
    assert text.count("[") == text.count("]")


def test_credentials_are_read_from_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "nats.key"
    file.write_text("user = box1\npassword = a = b\n")
    file.chmod(0o600)
    assert read_credentials(file) == {"user": "box1", "password": "a = b"}
    file.write_text("# comment\nSUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n")
    assert read_credentials(file) == {"nkeys_seed": str(file)}
    for text in ("", "user = box1", "password = x", "user =\npassword = x"):
        file.write_text(text)
        with pytest.raises(ValueError, match="needs two lines"):
            read_credentials(file)
    file.chmod(0o640)
    with pytest.raises(ValueError, match="chmod 600"):
        read_credentials(file)
    with pytest.raises(ValueError, match="No such file"):
        read_credentials(tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    for name in ("pipe", "folder"):
        with pytest.raises(ValueError, match=r"is no file|Is a directory"):
            read_credentials(tmp_path / name)


@pytest.mark.parametrize("setting", ["credentials", "ca", "certificate", "key"])
def test_check_waits_for_no_pipe(tmp_path: Path, setting: str) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    lines = ["[TORQUE]", "scgi_url = scgi://127.0.0.1:5000", "fleet.servers = tls://a:4222"]
    (tmp_path / "torque.ini").write_text("\n".join((*lines, f"fleet.{setting} = {tmp_path}/pipe")) + "\n")
    found = {problem.key: problem.text for problem in check(load(tmp_path, Options()))[0]}
    assert "is no file" in found[f"fleet.{setting}"]


def test_check_names_what_can_only_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "fleet.servers = nats://a:4222",
        f"fleet.credentials = {tmp_path}/missing",
        f"fleet.ca = {tmp_path}/ca.pem",
    )
    (tmp_path / "torque.ini").write_text("\n".join(("[TORQUE]", "scgi_url = scgi://127.0.0.1:5000", *lines)) + "\n")
    found = {problem.key: problem.text for problem in check(load(tmp_path, Options()))[0]}
    assert found.keys() == {"fleet.credentials", "fleet.ca"}

    def missing(name: str) -> None:
        assert name

    monkeypatch.setattr("pyrotorque.validation.find_spec", missing)
    found = {problem.key: problem.text for problem in check(load(tmp_path, Options()))[0]}
    assert "pip install 'pyrotorque[fleet]'" in found["fleet.servers"]


def test_check_warns_of_what_other_programs_look_for_in_one_client(tmp_path: Path) -> None:
    tree = tmp_path / "watch"
    for name, text in (
        ("tv", "custom1 = tv-sonarr\n"),
        ("Radarr", "priority = high\n"),
        ("mine", "custom1 = radarr\nplace = local\n"),
        ("plain", "custom1 = linux\n"),
    ):
        (tree / name).mkdir(parents=True)
        (tree / name / "watch.ini").write_text(text)
    lines = ("fleet.servers = nats://a:4222", "job.treewatch.active = True", "job.treewatch.place = fleet")
    ini = ("[TORQUE]", "scgi_url = scgi://127.0.0.1:5000", *lines, f"job.treewatch.path = {tree}")
    (tmp_path / "torque.ini").write_text("\n".join(ini) + "\n")
    loaded = load(tmp_path, Options())
    assert [problem for problem in check(loaded)[1] if "one client" in problem.text] == []
    found = sorted(placement_warnings(loaded.settings, loaded.layout))
    assert [line.partition(": ")[0] for line in found] == [f"{tree}/Radarr/watch.ini", f"{tree}/tv/watch.ini"]
    (tmp_path / "torque.ini").write_text("\n".join((*ini, "job.treewatch.cmd.label = d.custom1.set=sonarr")) + "\n")
    (problem,) = [each for each in check(load(tmp_path, Options()))[1] if "one client" in each.text]
    assert problem.key == "job.treewatch.place"


def test_the_process_names_the_package_that_is_missing() -> None:
    code = "import sys; sys.modules['nats'] = None; from pyrotorque_fleet.__main__ import _run; _run(None)"
    ended = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert "SettingsError: fleet.servers needs the package nats-py: pip install 'pyrotorque[fleet]'" in ended.stderr
