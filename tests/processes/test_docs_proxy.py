"""The reverse proxy of the docs before a real exporter: who knows the password gets the metrics, and only them."""

import http.client
import os
import shutil
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.docs_blocks import blocks
from tests.exporter_process import ExporterProcess, free_port
from tests.waiting import bound, eventually

pytestmark = pytest.mark.process

PATH = f"{os.environ['PATH']}:/usr/sbin"


def made_local(text: str, folder: Path, port: int, exporter: int) -> str:
    """The page's server with the files and ports of this test: each must be in it."""
    for there, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/seedbox.pem", f"{folder}/seedbox.pem"),
        ("/etc/ssl/seedbox.key", f"{folder}/seedbox.key"),
        ("/etc/nginx/metrics.htpasswd", f"{folder}/metrics.htpasswd"),
        ("http://127.0.0.1:9135", f"http://127.0.0.1:{exporter}"),
    ):
        assert there in text
        text = text.replace(there, here)
    user = "user root;" if os.getuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    scratch = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    return f"{user} pid {folder}/pid; events {{}} http {{ access_log off; {scratch} {text} }}"


@pytest.fixture
def proxy(short_folder: Path) -> Generator[int]:
    """The port of an nginx before an exporter whose rTorrent is away."""
    (block,) = [found for found in blocks("nginx") if found.page == "docs/metrics.md"]
    port, nginx = free_port(), shutil.which("nginx", path=PATH)
    assert nginx, "nginx is missing: apt-get install nginx-light"
    with ExporterProcess(short_folder / "x", f"scgi://{short_folder}/none.sock") as exporter:
        subject = ["-subj", "/CN=seedbox.example.org", "-keyout", "seedbox.key", "-out", "seedbox.pem"]
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
        subprocess.run(made, cwd=short_folder, capture_output=True, check=True)
        (short_folder / "metrics.htpasswd").write_text("prometheus:{PLAIN}secret\n")
        (short_folder / "nginx.conf").write_text(made_local(block.text, short_folder, port, exporter.port))
        words = ["-e", "stderr", "-c", str(short_folder / "nginx.conf"), "-g", "daemon off;"]
        with subprocess.Popen([nginx, *words]) as running:
            try:
                eventually(lambda: (short_folder / "pid").exists() and asked(port, "/") == 404, 20)
                yield port
            finally:
                running.terminate()


def asked(port: int, path: str, password: str = "") -> int:
    """The status of the answer; 0 while the port is closed."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=bound(20), context=trusting)
    basic = {"Authorization": f"Basic {b64encode(f'prometheus:{password}'.encode()).decode()}"}
    try:
        connection.request("GET", path, headers=basic if password else {})
        return connection.getresponse().status
    except ConnectionRefusedError:
        return 0
    finally:
        connection.close()


def test_only_who_knows_the_password_gets_the_metrics_and_nothing_else(proxy: int) -> None:
    paths = [("/metrics", ""), ("/metrics", "guessed"), ("/metrics", "secret"), ("/", "secret")]
    assert [asked(proxy, path, password) for path, password in paths] == [401, 401, 200, 404]
