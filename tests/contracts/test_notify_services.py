"""The blocks of the how-to, sent with the real Apprise: to local receivers, through a proxy with its own authority.

Services with fixed hosts (Telegram, Discord, Pushover) are reached through that proxy, which is the only way out.
"""

import json
import os
import re
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrotorque.errors import UserError
from pyrotorque.events import JobFailed
from pyrotorque.jobs import JobConfig, context
from pyrotorque.jobs.notify import Notify
from tests.exporter_process import REPOSITORY

EVENT = JobFailed(at=1.0, job="mover", reason="no such folder", seconds=0.1)
HOSTS = (
    *("ntfy.example.org", "gotify.example.org", "api.telegram.org", "discord.com", "api.pushover.net"),
    *("matrix.example.org", "mail.example.org"),
)
ANSWER = {"ok": True, "status": 1, "access_token": "t", "user_id": "@me:x", "room_id": "!r:x", "home_server": "x",
          "event_id": "$e", "versions": ["v1.1"], "result": {},
          "m.homeserver": {"base_url": "https://matrix.example.org"}}  # fmt: skip


class Receiver(socketserver.ThreadingTCPServer):
    """Answers CONNECT, takes the place of the server behind it, and records each request."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, certificate: Path) -> None:
        self.received: list[tuple[str, str, str]] = []
        self.status = 200
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)
        super().__init__(("127.0.0.1", 0), _Connection)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Receiver)
        self.request.settimeout(20)
        line, _ = self._head(self.request)
        host = line.split()[1].partition(":")[0]
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            with server.tls.wrap_socket(self.request, server_side=True) as stream:
                self._answer(server, stream, host)
        except (OSError, ssl.SSLError):
            return

    def _answer(self, server: Receiver, stream: socket.socket, host: str) -> None:
        while True:
            line, headers = self._head(stream)
            if not line:
                return
            length = int(re.search(r"(?im)^content-length: *(\d+)", headers).group(1)) if "ength:" in headers else 0  # type: ignore[union-attr]
            body = b""
            while len(body) < length:
                body += stream.recv(length - len(body))
            server.received.append((host, line.split()[1], headers + body.decode("utf-8", "replace")))
            answer = json.dumps(ANSWER).encode()
            status = f"HTTP/1.1 {server.status} x\r\nContent-Type: application/json\r\n"
            stream.sendall(f"{status}Content-Length: {len(answer)}\r\n\r\n".encode() + answer)

    @staticmethod
    def _head(stream: socket.socket) -> tuple[str, str]:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = stream.recv(1)
            if not piece:
                return "", ""
            head += piece
        line, _, headers = head.decode("latin-1").partition("\r\n")
        return line, headers


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ca")
    names = ",".join(f"DNS:{host}" for host in HOSTS)
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=test"]
    made += ["-addext", f"subjectAltName={names}", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(made, cwd=folder, capture_output=True, check=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


@pytest.fixture
def receiver(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    server = Receiver(certificate)
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, server.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    yield server
    server.shutdown()
    server.server_close()


def addresses() -> list[str]:
    """Those of the how-to which Apprise sends to over HTTPS."""
    text = (REPOSITORY / "docs" / "howto.md").read_text().partition("## Get notified")[2].partition("\n## ")[0]
    found = dict.fromkeys(re.findall(r"^job\.notify\.url +=  *(\S+)$", text, re.MULTILINE))
    return [url for url in found if not url.startswith(("https://", "mailto"))]


EXPECTED = {
    "ntfys": "ntfy.example.org",
    "gotifys": "gotify.example.org",
    "tgram": "api.telegram.org",
    "discord": "discord.com",
    "pover": "api.pushover.net",
    "matrixs": "matrix.example.org",
}


@pytest.fixture(autouse=True)
def no_state() -> Iterator[None]:
    """Messages are not folded with those of other tests."""
    before = context.current_context()
    context.set_context(context.JobContext())
    yield
    context.set_context(before)


def job(url: str, **settings: object) -> Notify:
    return Notify(JobConfig({"job_name": "x", "url": url, "within": 60, "attempts": 1, **settings}))


@pytest.mark.parametrize("url", addresses())
def test_a_block_of_the_how_to_reaches_its_service(receiver: Receiver, url: str) -> None:
    job(url).run(EVENT)
    scheme = url.partition(":")[0]
    hosts = {host for host, *_ in receiver.received}
    assert EXPECTED[scheme] in hosts
    assert any("no such folder" in text.replace("+", " ").replace("%20", " ") for *_, text in receiver.received)


def test_the_how_to_has_blocks_for_these_services() -> None:
    assert {url.partition(":")[0] for url in addresses()} == set(EXPECTED)


def test_a_service_that_refuses_is_a_failed_run_without_its_secret(receiver: Receiver) -> None:
    receiver.status = 403
    with pytest.raises(UserError, match="ntfys did not accept the message") as raised:
        job("ntfys://secret-user:secret-password@ntfy.example.org/secret-topic").run(EVENT)
    assert "secret" not in str(raised.value)


def test_an_address_that_apprise_does_not_understand_is_named_by_its_scheme(receiver: Receiver) -> None:
    with pytest.raises(UserError, match="nosuchservice: Apprise does not understand this address") as raised:
        job("nosuchservice://secret-token").run(EVENT)
    assert "secret" not in str(raised.value)
    assert receiver.received == []


def test_no_service_of_pyrotorque_imports_apprise() -> None:
    code = "import sys, pyrotorque.jobs.notify; print('apprise' in sys.modules, 'requests' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False", "False"]


class _Mail(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, MailReceiver)
        self.wfile.write(b"220 test\r\n")
        in_data = False
        for raw in self.rfile:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if in_data:
                in_data = line != "."
                server.lines.append(line)
                if not in_data:
                    self.wfile.write(b"250 ok\r\n")
            elif line.upper().startswith("EHLO"):
                self.wfile.write(b"250-test\r\n250 AUTH PLAIN LOGIN\r\n")
            elif line.upper().startswith("AUTH"):
                self.wfile.write(b"235 ok\r\n")
            elif line.upper() == "DATA":
                in_data = True
                self.wfile.write(b"354 go on\r\n")
            elif line.upper() == "QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


class MailReceiver(socketserver.ThreadingTCPServer):
    """Accepts every mail."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__(("127.0.0.1", 0), _Mail)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


def test_the_block_for_mail_reaches_a_mail_server() -> None:
    text = (REPOSITORY / "docs" / "howto.md").read_text()
    (url,) = re.findall(r"= (mailtos://\S+)$", text, re.MULTILINE)
    server = MailReceiver()
    try:
        # Without TLS and to this machine; user, recipient and sender are those of the block.
        port = server.server_address[1]
        job(url.replace("mailtos://", "mailto://").replace("mail.example.org", f"127.0.0.1:{port}", 1)).run(EVENT)
    finally:
        server.shutdown()
        server.server_close()
    mail = "\n".join(server.lines)
    assert "torrents@example.org" in mail
    assert "mover" in mail
