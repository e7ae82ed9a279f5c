"""The manifests of deploy/kubernetes: valid for each supported version, consistent, with a valid torque.ini."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from demo.group import REPOSITORY
from pyrotorque.options import Options
from pyrotorque.settings import load
from pyrotorque.settings.fleet import read_credentials
from pyrotorque.validation import check
from tests.programs import nats_servers

FOLDER = REPOSITORY / "deploy" / "kubernetes"
CLUSTER = REPOSITORY / "deploy" / "nats" / "cluster.py"
VERSIONS = ("1.29", "1.31", "1.33", "1.37")


def documents(name: str = "pyrotorque.yaml") -> list[Any]:
    return list(YAML(typ="safe").load_all(FOLDER / name))


def of_kind(kind: str) -> Any:
    return next(each for each in documents() if each["kind"] == kind)


def containers() -> Iterator[tuple[str, Any]]:
    spec = of_kind("StatefulSet")["spec"]["template"]["spec"]
    for each in (*spec["initContainers"], *spec["containers"]):
        yield each["name"], each


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_are_valid(version: str) -> None:
    found = documents()
    assert [each["kind"] for each in found] == [
        *("Service", "ConfigMap", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy")
    ]
    for each in found:
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize(
    ("path", "name", "value", "word"),
    [
        ((), "replica", 3, "replica"),
        (("volumeClaimTemplates", 0, "spec"), "accessMode", "x", "accessMode"),
        (("template", "spec", "containers", 0), "probe", {}, "probe"),
        ((), "replicas", "three", "three"),
    ],
)
def test_a_wrong_word_is_found(path: tuple[str | int, ...], name: str, value: object, word: str) -> None:
    found = of_kind("StatefulSet")
    at = found["spec"]
    for part in path:
        at = at[part]
    at[name] = value
    with pytest.raises(kubernetes_validate.ValidationError, match=word):
        kubernetes_validate.validate(found, "1.37", strict=True)


def test_a_version_without_native_sidecars_is_refused() -> None:
    with pytest.raises(kubernetes_validate.ValidationError, match="restartPolicy"):
        kubernetes_validate.validate(of_kind("StatefulSet"), "1.27", strict=True)


def test_rtorrent_is_a_sidecar_and_check_runs_first() -> None:
    found = dict(containers())
    assert list(found) == ["check", "rtorrent", "pyrotorque"]
    assert found["check"]["args"] == ["check"]
    assert "restartPolicy" not in found["check"]
    assert found["rtorrent"]["restartPolicy"] == "Always"


def test_every_container_runs_without_rights() -> None:
    pod = of_kind("StatefulSet")["spec"]["template"]["spec"]["securityContext"]
    assert (pod["runAsNonRoot"], pod["runAsUser"], pod["fsGroup"]) == (True, 1000, 1000)
    for _, container in containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_every_mount_is_there_and_both_programs_see_the_data_at_the_same_path() -> None:
    spec = of_kind("StatefulSet")["spec"]
    volumes = {each["name"] for each in spec["template"]["spec"]["volumes"]}
    claims = {each["metadata"]["name"]: each["spec"] for each in spec["volumeClaimTemplates"]}
    assert all(each["accessModes"] == ["ReadWriteOncePod"] for each in claims.values())
    at: dict[str, dict[str, str]] = {}
    for name, container in containers():
        assert {each["name"] for each in container["volumeMounts"]} <= volumes | set(claims)
        at[name] = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    for path in ("/data", "/run/rtorrent"):
        assert at["rtorrent"][path] == at["pyrotorque"][path] == at["check"][path]


def test_no_probe_depends_on_nats_or_rtorrent() -> None:
    container = dict(containers())["pyrotorque"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/-/healthy"
    assert container["livenessProbe"]["exec"]["command"] == ["pyrotorque", "--status"]


def test_the_torque_ini_of_a_pod_passes_all_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYROTORQUE_FLEET_NAME", "pyrotorque-0")
    (tmp_path / "credentials").write_text("user = fleet.pyrotorque-0\npassword = secret\n")
    (tmp_path / "credentials").chmod(0o600)
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "watch").mkdir()
    text = of_kind("ConfigMap")["data"]["torque.ini"]
    for there in ("/run/fleet", "/data"):
        assert there in text
        text = text.replace(there, str(tmp_path))
    (tmp_path / "torque.ini").write_text(text)
    loaded = load(tmp_path, Options())
    problems, warnings = check(loaded)
    assert [str(each) for each in (*loaded.warnings, *problems, *warnings)] == []
    assert loaded.settings.fleet.name == "pyrotorque-0"
    assert loaded.settings.optional_services == ("fleet",)


def test_a_secret_of_a_pod_is_readable_for_its_group_only(tmp_path: Path) -> None:
    """Kubernetes gives a Secret to root and the group of the pod: it is not the user's own file."""
    path = tmp_path / "credentials"
    path.write_text("user = me\npassword = secret\n")
    path.chmod(0o440)
    if os.geteuid() == 0:
        os.chown(path, 1000, 1000)
    else:
        pytest.skip("needs root: the file must belong to another user")
    assert read_credentials(path)["user"] == "me"
    for mode in (0o444, 0o460, 0o441):
        path.chmod(mode)
        with pytest.raises(ValueError, match="others may"):
            read_credentials(path)
    os.chown(path, 0, 0)
    path.chmod(0o440)
    with pytest.raises(ValueError, match="others may"):
        read_credentials(path)


def test_the_pod_monitor_selects_the_pods_and_their_port() -> None:
    (monitor,) = documents("podmonitor.yaml")
    assert (monitor["apiVersion"], monitor["kind"]) == ("monitoring.coreos.com/v1", "PodMonitor")
    template = of_kind("StatefulSet")["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    ports = {port["name"] for _, container in containers() for port in container.get("ports", ())}
    assert endpoint["port"] in ports
    assert [each["targetLabel"] for each in endpoint["relabelings"]] == ["rtorrent", "host", "cluster"]
    # Names and forms in the definition of the operator's version 0.93.
    assert set(monitor["spec"]) <= {
        "jobLabel",
        "selector",
        "podMetricsEndpoints",
        "namespaceSelector",
        "podTargetLabels",
    }
    assert set(endpoint) <= {"port", "interval", "scrapeTimeout", "relabelings", "path", "scheme"}
    assert all(re.fullmatch(r"\d+s", endpoint[name]) for name in ("interval", "scrapeTimeout"))
    for each in endpoint["relabelings"]:
        assert set(each) <= {"sourceLabels", "targetLabel", "replacement", "action", "regex", "separator"}
        assert isinstance(each.get("sourceLabels", []), list)


def test_the_values_for_nats_make_servers_that_start(tmp_path: Path) -> None:
    """The chart is not rendered here; what version 2.14.2 writes for these values is given to a real nats-server."""
    (values,) = documents("nats-values.yaml")
    config = values["config"]
    assert (config["cluster"]["enabled"], config["cluster"]["replicas"]) == (True, 3)
    assert config["jetstream"]["merge"] == {"sync_interval": "always"}
    mount = values["container"]["patch"][0]["value"]
    volume = values["podTemplate"]["patch"][0]["value"]
    assert mount["name"] == volume["name"]
    (tmp_path / "nats-config").mkdir()
    users = tmp_path / Path(mount["mountPath"]).name
    users.mkdir()
    files = tmp_path / "files"
    for words in (("servers", files, "nats"), ("group", files, "pyrotorque-0")):
        subprocess.run([sys.executable, CLUSTER, *words], check=True, stdout=subprocess.DEVNULL)
    shutil.copy(files / "nats" / "users.conf", users)
    conf = tmp_path / "nats-config" / "nats.conf"
    conf.write_text(
        f"""{{
          include {config["merge"]["$include"]};
          "cluster": {{"name": "nats", "no_advertise": true, "port": 6222,
            "routes": ["nats://nats-0.nats-headless:6222", "nats://nats-1.nats-headless:6222"]}},
          "http_port": 8222,
          "jetstream": {{"max_file_store": {config["jetstream"]["fileStore"]["pvc"]["size"]}, "max_memory_store": 0,
            "store_dir": "{tmp_path}/js", "sync_interval": "{config["jetstream"]["merge"]["sync_interval"]}"}},
          "lame_duck_duration": "30s", "lame_duck_grace_period": "10s",
          "pid_file": "{tmp_path}/nats.pid", "port": 4222, "server_name": $SERVER_NAME,
          "tls": {{"cert_file": "{files}/nats/server.pem", "key_file": "{files}/nats/server.key"}}
        }}"""
    )
    checked = subprocess.run(
        [nats_servers()[-1].path, "-t", "-c", conf],
        env={**os.environ, "SERVER_NAME": "nats-0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
