"""What deploy/ ships is taken by the programs it is for: rTorrent, systemd, Docker, compose, Prometheus."""

import contextlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from demo.group import REPOSITORY, Group, free_port
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentError
from pyrotorque.options import Options
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings import load
from pyrotorque_control.checks.rtorrent_commands import outdated_commands
from tests.docs_blocks import blocks
from tests.installing import install
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("deploy")]

DEPLOY = REPOSITORY / "deploy"
DOCKER = DEPLOY / "docker"
BIN = Path(sys.executable).parent
UNITS = {"pyrotorque@.service": "pyrotorque@root.service", "user/pyrotorque.service": "pyrotorque.service"}


def ran(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        env=os.environ | more,
        check=False,
    )


def yaml(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text())
    return found


def compose() -> dict[str, Any]:
    return yaml(DOCKER / "compose.yml")


# --- systemd

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_the_unit(unit: str, tmp_path: Path) -> None:
    # Verifying looks for the command, which is not installed there.
    text = re.sub(r"(Exec\w+)=\S+/pyrotorque", r"\1=/bin/true", (DEPLOY / "systemd" / unit).read_text())
    copy = tmp_path / UNITS[unit]
    copy.write_text(text)
    whose = "--user" if unit.startswith("user/") else "--system"
    words = ("systemd-analyze", whose, "verify", "--recursive-errors=no", "--man=no", copy)
    ended = ran(*words, XDG_RUNTIME_DIR=str(tmp_path))
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


@needs_systemd
def test_the_system_unit_is_hardened(tmp_path: Path) -> None:
    copy = tmp_path / "pyrotorque@root.service"
    shutil.copy(DEPLOY / "systemd" / "pyrotorque@.service", copy)
    ended = ran("systemd-analyze", "security", "--offline=true", "--threshold=25", copy)
    assert ended.returncode == 0, ended.stdout[-400:]


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_calls_the_command_with_options_that_it_has(unit: str) -> None:
    text = (DEPLOY / "systemd" / unit).read_text()
    words = re.findall(r"^Exec(?:Start|Reload)=\S+/pyrotorque (.+)$", text, re.MULTILINE)
    assert words == ["--fg", "--restart"]
    assert "RestartPreventExitStatus=64 78" in text


@pytest.mark.parametrize("unit", UNITS)
def test_a_process_that_takes_too_much_memory_does_not_end_the_group(unit: str) -> None:
    """The group starts what was killed again; systemd would stop all of it (systemd.service(5), OOMPolicy=)."""
    settings = (DEPLOY / "systemd" / unit).read_text().splitlines()
    assert any(line.startswith("MemoryMax=") for line in settings)
    assert "OOMPolicy=continue" in settings


# --- containers


@pytest.mark.parametrize("name", ["Dockerfile", "rtorrent.Dockerfile"])
def test_the_linter_of_dockerfiles_has_nothing_to_say(name: str) -> None:
    ended = ran(BIN / "hadolint", "--no-color", DOCKER / name)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_compose_file_keeps_to_its_schema() -> None:
    ended = ran(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yml")
    assert ended.returncode == 0, ended.stdout


def mounts(service: str) -> dict[str, str]:
    """Place in the container to what is mounted there."""
    default = re.compile(r"\$\{\w+:-([^}]*)\}")
    plain = [default.sub(r"\1", volume).split(":") for volume in compose()["services"][service]["volumes"]]
    return {parts[1]: parts[0] for parts in plain}


def test_every_file_that_a_container_mounts_is_there() -> None:
    for service in compose()["services"]:
        for place, source in mounts(service).items():
            if source.startswith(".") and place != "/data":
                assert (DOCKER / source).exists(), source


def test_rtorrent_gets_the_time_that_0_16_needs_for_udp_trackers_that_do_not_answer() -> None:
    """Measured with 0.16.17: 87 to 89 seconds."""
    minutes = re.fullmatch(r"(\d+)m", compose()["services"]["rtorrent"]["stop_grace_period"])
    assert minutes
    assert int(minutes[1]) * 60 > 100
    stop = inspect.signature(PrivateRTorrent.stop).parameters["timeout"].default
    assert stop > 100


def test_what_the_image_copies_is_enough_to_build_the_wheel(tmp_path: Path) -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    sent = re.findall(r"^!(.+)$", (DOCKER / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert sorted(sent) == sorted(" ".join(copied).split())
    for name in sent:
        source = REPOSITORY / name
        take = shutil.copytree if source.is_dir() else shutil.copy
        take(source, tmp_path / name)
    ended = ran(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path / "dist", tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (tmp_path / "constraints.txt").exists()


def test_rtorrent_and_pyrotorque_see_metafiles_and_socket_at_the_same_places_as_the_same_user() -> None:
    services = compose()["services"]
    ours, theirs = mounts("pyrotorque"), mounts("rtorrent")
    assert {place: ours[place] for place in ("/data", "/run/rtorrent")} == {
        place: theirs[place] for place in ("/data", "/run/rtorrent")
    }
    assert services["pyrotorque"]["build"]["args"] == services["rtorrent"]["build"]["args"]


def test_the_torque_ini_of_the_container_fits_its_rtorrent(tmp_path: Path) -> None:
    shutil.copy(DOCKER / "torque.ini", tmp_path)
    loaded = load(tmp_path, Options())
    socket = re.findall(r"open_local = (\S+)", (DOCKER / "rtorrent.rc").read_text())
    assert loaded.settings.rtorrent.url == f"scgi://{socket[0]}"
    assert loaded.warnings == ()
    image = (DOCKER / "Dockerfile").read_text()
    assert "PYRO_CONFIG_DIR=/config" in image
    assert mounts("pyrotorque")["/config/torque.ini"] == "./torque.ini"


def pid_of(client: RTorrent) -> object:
    """Nothing while it does not listen yet."""
    with contextlib.suppress(RTorrentError):
        return client.call("system.pid")
    return None


@pytest.mark.usefixtures("rtorrent_program")
def test_rtorrent_comes_up_with_the_configuration_of_its_container(short_folder: Path) -> None:
    entry = re.findall(r"^ENTRYPOINT (.+)$", (DOCKER / "rtorrent.Dockerfile").read_text(), re.MULTILINE)
    words: list[str] = json.loads(entry[0])
    port = free_port()
    text = (DOCKER / "rtorrent.rc").read_text().replace("50000-50000", f"{port}-{port}")
    for place in ("/session", "/data/downloads", "/run/rtorrent"):
        (short_folder / place[1:]).mkdir(parents=True)
        text = text.replace(f" {place}", f" {short_folder}{place}")
    for place, source in mounts("rtorrent").items():
        if place.startswith("/etc/rtorrent/"):
            text = text.replace(place, str((DOCKER / source).resolve()))
    rc = short_folder / "rtorrent.rc"
    rc.write_text(f"{text}\nnetwork.bind_address.set = 127.0.0.1\ndht.mode.set = disable\n")
    command = [word.replace("/etc/rtorrent/rtorrent.rc", str(rc)) for word in words]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as rtorrent:
        try:
            client = RTorrent(f"scgi://{short_folder}/run/rtorrent/rpc.socket")
            eventually(lambda: pid_of(client) == rtorrent.pid, timeout=20)
            assert client.call("session.path") == f"{short_folder}/session/"
            assert "pyrotorque_loaded" in client.call("method.list_keys", "", "event.download.inserted_new")  # type: ignore[operator]
        finally:
            rtorrent.kill()


def test_only_rtorrents_port_and_grafana_at_home_are_published() -> None:
    published = {name: service.get("ports") for name, service in compose()["services"].items()}
    assert published == {
        "rtorrent": ["50000:50000"],
        "pyrotorque": None,
        "prometheus": None,
        "grafana": ["127.0.0.1:3000:3000"],
    }


@pytest.mark.usefixtures("prometheus_program")
def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    shutil.copy(DOCKER / "prometheus.yml", tmp_path)
    shutil.copy(DEPLOY / "prometheus" / "pyrotorque.rules.yml", tmp_path)
    ended = ran("promtool", "check", "config", tmp_path / "prometheus.yml")
    assert ended.returncode == 0, ended.stderr
    assert 'targets: ["pyrotorque:9135"]' in (DOCKER / "prometheus.yml").read_text()


def test_the_dashboard_lies_where_its_provisioning_looks() -> None:
    places = mounts("grafana")
    provisioned = YAML(typ="safe", pure=True).load(
        (DEPLOY / "grafana/provisioning/dashboards/pyrotorque.yml").read_text()
    )
    folder = provisioned["providers"][0]["options"]["path"]
    (place,) = (place for place in places if place.endswith("pyrotorque.json"))
    assert place.startswith(folder + "/")
    json.loads((DOCKER / places[place]).read_text())


# --- rTorrent's includes


def shared_lines(name: str) -> list[str]:
    return [line for line in (DEPLOY / "rtorrent.d" / name).read_text().splitlines() if line and line[0] != "#"]


def test_the_timestamps_are_those_of_the_include_that_init_writes() -> None:
    written = (REPOSITORY / "shared/pyrotorque/defaults/torque.rc").read_text()
    assert shared_lines("timestamps.rc") == [line for line in written.splitlines() if ", tm_" in line or "tm_s" in line]


def test_the_bell_is_that_of_the_include_that_init_writes() -> None:
    written = (REPOSITORY / "shared/pyrotorque/defaults/torque.rc").read_text()
    bell = [line for line in written.splitlines() if "pyrotorque_bell" in line]
    assert shared_lines("bell.rc") == [line.replace("{bell}", '"~/.pyroscope/run/bell"') for line in bell]


def test_no_include_uses_a_command_that_newer_rtorrents_know_only_on_request() -> None:
    """0.16 has them only with the option -D."""
    files = [*DEPLOY.rglob("*.rc"), REPOSITORY / "shared/pyrotorque/defaults/torque.rc"]
    assert len(files) == 6
    newest = (99,)
    found = [(file.name, each.text) for file in files for each in outdated_commands(file.read_text(), newest)]
    assert found == []


@pytest.mark.usefixtures("rtorrent_program")
def test_rtorrent_takes_all_includes_and_the_view_shows_what_is_incomplete(short_folder: Path) -> None:
    names = ("timestamps.rc", "bell.rc", "view.rc")
    includes = "\n".join(f'import = "{DEPLOY / "rtorrent.d" / name}"' for name in names)
    metafile = make_metafile("is in the view")
    with PrivateRTorrent(short_folder / "rt", extra_rc=includes) as rtorrent:
        client = RTorrent(rtorrent.url)
        client.call("load.raw", "", metafile)
        eventually(lambda: client.call("view.size", "", "pyrotorque") == 1, timeout=20)
        assert client.call("d.custom", info_hash(metafile), "tm_loaded") != ""


@pytest.mark.usefixtures("rtorrent_program")
def test_the_watchdog_starts_the_group_of_its_user_and_costs_nothing_then(short_folder: Path) -> None:
    home = short_folder / "rt"
    install(home)
    group = Group(home / ".pyroscope", "[TORQUE]\nscgi_url = scgi:///nowhere.sock\n")
    watchdog = "\n".join(shared_lines("watchdog.rc")).replace(", 30, 300,", ", 1, 1,")
    try:
        with PrivateRTorrent(home, extra_rc=watchdog) as rtorrent:
            client = RTorrent(rtorrent.url, read_timeout=1)
            eventually(lambda: group.command("--status").returncode == 0, timeout=30)
            eventually(group.running, timeout=30)
            # It is queried every second here; rTorrent still answers.
            assert all(client.call("system.pid") == rtorrent.pid for _ in range(100))
            supervisord = group.supervisord_pid()
            (home / ".pyroscope/run/pyrotorque").unlink()
            eventually(lambda: group.command("--status").returncode == 69, timeout=60)
            eventually(lambda: not Path(f"/proc/{supervisord}").exists(), timeout=20)
    finally:
        group.stop()
        print(group.log("torque"), group.log("guardian"), sorted((home / ".pyroscope/run").iterdir()))


@pytest.mark.parametrize(
    ("page", "command", "made"),
    [
        ("deploy/docker/README.md", "docker compose up", ["deploy/docker/data/watch", "deploy/docker/data/downloads"]),
        ("docs/howto.md", "systemctl --user enable", ["home/.config/systemd/user/pyrotorque.service"]),
    ],
)
def test_the_commands_of_the_pages_work_for_a_new_user(
    short_folder: Path, page: str, command: str, made: list[str]
) -> None:
    """In a checkout, with an empty home; the programs that act on the machine write down that they were called."""
    (home := short_folder / "home").mkdir()
    (programs := short_folder / "bin").mkdir()
    shutil.copytree(DEPLOY, short_folder / "deploy")
    for name in ("docker", "systemctl", "loginctl"):
        (programs / name).write_text(f'#!/bin/sh\necho "$PWD" {name} "$@" >> {short_folder}/called\n')
        (programs / name).chmod(0o755)
    (block,) = [each for each in blocks("sh") if each.page == page and command in each.text]
    path = f"{programs}:/usr/bin:/bin"
    ended = subprocess.run(
        ["/bin/sh", "-eu", "-c", block.text], cwd=short_folder, env={"HOME": str(home), "PATH": path}, check=False
    )
    assert ended.returncode == 0
    assert command in (short_folder / "called").read_text()
    assert [each for each in made if not (short_folder / each).exists()] == []
    if "docker" in command:
        folder = (short_folder / "called").read_text().split()[0]
        places = [
            place for service in yaml(DOCKER / "compose.yml")["services"].values() for place in service["volumes"]
        ]
        data = {place.removeprefix("${DATA:-").partition("}")[0] for place in places if place.startswith("${DATA")}
        assert [(Path(folder) / each).resolve() for each in data] == [short_folder / "deploy/docker/data"]
