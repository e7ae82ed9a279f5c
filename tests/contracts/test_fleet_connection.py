"""Connections of a group to real nats-servers over TLS: what is refused, and the sentence that says why."""

import asyncio
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyrotorque.settings.schema import FleetSettings
from pyrotorque_fleet.claims import Claim, encode_claim
from pyrotorque_fleet.connection import clear_reason
from pyrotorque_fleet.exchange import BucketState, ClaimUpdate, Connected, Disconnected, LinkError, Update
from pyrotorque_fleet.link import Link
from tests.nats import NatsServer
from tests.nats_cluster import NatsCluster
from tests.programs import Program
from tests.unit.test_fleet_claims import a_claim
from tests.waiting import bound, eventually

pytestmark = pytest.mark.xdist_group("nats")


@dataclass(frozen=True)
class Scene:
    """A server with TLS and the group box1, whose settings are right; an authority of others; a server without TLS."""

    cluster: NatsCluster
    settings: FleetSettings
    foreign: Path
    plain: NatsServer

    @property
    def url(self) -> str:
        return self.cluster.urls[0]


@pytest.fixture(scope="module")
def scene(nats_program: Program) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="nats-") as made:
        folder = Path(made)
        cluster = NatsCluster(folder / "nats", nats_program)
        settings = FleetSettings(
            servers=tuple(cluster.urls), name="box1", ca=cluster.folder / "ca.pem", credentials=cluster.group("box1")
        )
        other = NatsCluster(folder / "other", nats_program)
        with cluster, NatsServer(folder / "plain", program=nats_program.path) as plain:
            yield Scene(cluster, settings, other.folder, plain)


def outcome(settings: FleetSettings, expected: str = "") -> Connected | Disconnected:
    """What the link says first, or at one of its next attempts, for this reason.

    A server that waits for a handshake ends the connection of one that is slow, as on a busy machine.
    """
    link = Link(settings, lambda: None)
    link.start()
    try:
        return eventually(
            lambda: next(
                each
                for each in list(link.received)
                if isinstance(each, Connected) or (isinstance(each, Disconnected) and expected in each.reason)
            ),
            40,
            why=expected,
        )
    finally:
        link.close(5)


def test_the_right_settings_connect(scene: Scene) -> None:
    assert isinstance(outcome(scene.settings), Connected)
    assert isinstance(
        outcome(msgspec.structs.replace(scene.settings, servers=("tls://localhost:1", scene.url))), Connected
    )


def credentials(scene: Scene, text: str) -> Path:
    path = scene.foreign / "credentials"
    path.write_text(text)
    path.chmod(0o600)
    return path


Change = Callable[[Scene], dict[str, Any]]
REFUSED: dict[str, tuple[Change, str]] = {
    "the authority of others": (lambda s: {"ca": s.foreign / "ca.pem"}, "is of no authority in fleet.ca"),
    "the authorities of the system": (lambda s: {"ca": None}, "is of no authority in fleet.ca"),
    "nats:// to a server that requires TLS": (
        lambda s: {"ca": None, "servers": (s.url.replace("tls:", "nats:"),)},
        "is of no authority in fleet.ca",
    ),
    "a name that is not in the certificate": (
        lambda s: {"servers": (s.url.replace("localhost", "127.0.0.1"),)},
        "the certificate of the server is not for 127.0.0.1",
    ),
    "the same with nats:// and an authority": (
        lambda s: {"servers": (s.url.replace("tls://localhost", "nats://127.0.0.1"),)},
        "the certificate of the server is not for 127.0.0.1",
    ),
    "no authority in the file": (
        lambda s: {"ca": s.cluster.folder / "fleet.json"},
        "no valid certificate or key in PEM",
    ),
    "no user": (lambda s: {"credentials": None}, "refused the user of this group: see fleet.credentials"),
    "a wrong password": (
        lambda s: {"credentials": credentials(s, "user = fleet.box1\npassword = wrong\n")},
        "refused the user of this group: see fleet.credentials",
    ),
    "the name of another group": (lambda s: {"name": "box2"}, "for another fleet.name or fleet.realm"),
    "a server without TLS": (
        lambda s: {"servers": (s.plain.url.replace("nats:", "tls:"),)},
        "the server offers no TLS, nothing was sent to it",
    ),
    "an authority for a server without TLS": (
        lambda s: {"servers": (s.plain.url,)},
        "the server offers no TLS, nothing was sent to it",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_setting_is_refused_in_one_sentence(scene: Scene, case: str) -> None:
    change, expected = REFUSED[case]
    found = outcome(msgspec.structs.replace(scene.settings, **change(scene)), expected)
    assert isinstance(found, Disconnected), case
    assert "_ssl.c" not in found.reason


def test_a_server_that_takes_small_messages_only_is_refused(scene: Scene, tmp_path: Path) -> None:
    with NatsServer(tmp_path / "small", more="max_payload: 65536\n") as server:
        found = outcome(FleetSettings(servers=(server.url,), name="box1"), "raise max_payload in its configuration")
    assert isinstance(found, Disconnected)


def test_a_missing_permission_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Calls that are refused end by their time limit, while others work."""
    permissions = '{publish: {deny: ["$KV.pyrotorque_claims.>"]}}'
    users = f"authorization {{ users: [{{user: a, password: b, permissions: {permissions}}}] }}\n"
    path = tmp_path / "credentials"
    path.write_text("user = a\npassword = b\n")
    path.chmod(0o600)
    with NatsServer(tmp_path / "server", more=users) as server:
        link = Link(FleetSettings(servers=(server.url,), name="box1", credentials=path), lambda: None)
        link.start()
        try:
            eventually(lambda: any(isinstance(each, Connected) for each in list(link.received)), 40)
            for number in range(2):
                with pytest.raises(LinkError):
                    link.swap(f"{number:040X}", b"x", 0).result(bound(20))
            link.put_facts(b"x").result(bound(20))
        finally:
            link.close(5)
    found = [each.message for each in caplog.records if "may not use" in each.message]
    assert len(found) == 1, found
    assert "$kv.pyrotorque_claims.*" in found[0].lower()
    assert "its permissions are for another fleet.name or fleet.realm" in found[0]


def test_what_its_user_may_not_write_is_reported_as_what_the_servers_refuse(tmp_path: Path) -> None:
    """Permissions may be reduced while a group runs: its metafiles and events then waited without a word."""
    denied = '"$KV.>", "pyrotorque.events.>", "pyrotorque.metafile.>"'
    users = f"authorization {{ users: [{{user: a, password: b, permissions: {{publish: {{deny: [{denied}]}}}}}}] }}\n"
    path = tmp_path / "credentials"
    path.write_text("user = a\npassword = b\n")
    path.chmod(0o600)
    with NatsServer(tmp_path / "server", more=users) as server:
        link = Link(FleetSettings(servers=(server.url,), name="box1", credentials=path), lambda: None)
        link.start()

        def lasting() -> dict[str, str]:
            writes: list[Future[Any]] = [
                link.swap("A" * 40, b"x", 0), link.store("A" * 40, "b" * 64, b"x"), link.append("watcher", b"x", 0),
                link.put_facts(b"x"),
            ]  # fmt: skip
            for each in writes:
                assert isinstance(each.exception(20), LinkError)
            found = link.refused_writes.lasting(time.monotonic())
            return found if len(found) == len(writes) else {}

        try:
            eventually(lambda: any(isinstance(each, Connected) for each in list(link.received)), 40)
            found = eventually(lasting, 60)
        finally:
            link.close(5)
    assert found.keys() == {"claims", "events", "heartbeats", "metafiles"}
    assert all("the user of this group may not use" in text for text in found.values()), found


def test_no_password_goes_to_a_server_that_offers_no_tls(scene: Scene) -> None:
    """An attacker between both answers in place of the server."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(30)
                sock.sendall(
                    b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"auth_required":true}\r\n'
                )
                while chunk := sock.recv(4096):
                    received.append(chunk)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        found = outcome(msgspec.structs.replace(scene.settings, servers=(f"tls://localhost:{port}",)))
        thread.join(bound(30))
    assert isinstance(found, Disconnected)
    assert "offers no TLS" in found.reason
    assert received == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)",
            "expired",
        ),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", "see fleet.certificate"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "does not use TLS"),
        ("[X509: KEY_VALUES_MISMATCH] key values mismatch (_ssl.c:4149)", "no valid certificate or key"),
        ("[Errno -2] Name or service not known", "name of a server is not known"),
        ("ConnectionResetError", "the server ended the connection"),
        ("[Errno 104] Connection reset by peer", "the server ended the connection"),
        ("unexpected EOF", "the server ended the connection"),
        ("empty response from server when expecting INFO message", "the server ended the connection"),
        ("TimeoutError", "the server does not answer"),
        ("timeout", "the server does not answer"),
        ("something else", "something else"),
        ("", ""),
    ],
)
def test_other_reasons_are_said_clearly_or_as_they_are(text: str, expected: str) -> None:
    assert expected in clear_reason(text)


def test_a_bucket_that_lost_its_newest_values_is_noticed(tmp_path: Path, nats_program: Program) -> None:
    """The servers come back with older data, as where too many of them lost it; the bucket is the same one."""
    claims = [a_claim(info_hash=letter * 40) for letter in "ABC"]
    with NatsServer(tmp_path / "n", program=nats_program.path) as server:
        link = Link(FleetSettings(servers=(server.url,), name="box1"), lambda: None)
        link.start()

        def newest() -> BucketState:
            return [each for each in list(link.received) if isinstance(each, BucketState)][-1]

        def write(claim: Claim) -> int:
            return eventually(lambda: link.swap(claim.info_hash, encode_claim(claim), 0).result(bound(10)), 40)

        try:
            eventually(newest, 40)
            write(claims[0])
            server.stop()
            shutil.copytree(server.folder / "js", tmp_path / "older")
            server.start()
            write(claims[1])
            link.known_claims = BucketState(newest().identity, write(claims[2]))
            server.stop()
            shutil.rmtree(server.folder / "js")
            shutil.copytree(tmp_path / "older", server.folder / "js")
            link.received.clear()
            server.start()
            found = eventually(lambda: next(each for each in list(link.received) if isinstance(each, BucketState)), 60)
            assert (found.cut, found.newest < link.known_claims.newest) == (True, True)
            assert found.identity == link.known_claims.identity
            arrived = eventually(
                lambda: next(each for each in list(link.received) if isinstance(each, ClaimUpdate)), 40
            )
            assert arrived.info_hash == claims[0].info_hash
        finally:
            link.close(5)


@pytest.mark.parametrize("more", ["", "max_pending: 1100KB\n"], ids=["as_installed", "ends_slow_connections"])
def test_what_other_groups_send_while_the_loop_waits_is_bounded_in_bytes(
    tmp_path: Path, nats_program: Program, more: str
) -> None:
    """Nothing is read from `link`, as while rTorrent hangs."""
    question = b'{"kind":"find","text":"x"}'

    async def flood(server: NatsServer) -> None:
        client = await server.connect()
        inbox = "_INBOX_evil.1"
        for number in range(200):
            # As long as NATS permits, as long as a question may be, and short.
            await client.publish("pyrotorque.ask.all", b"x" * 1_000_000, reply=inbox)
            await client.publish("pyrotorque.ask.all", b"y" * 262_144, reply=inbox)
            await client.publish("pyrotorque.ask.all", question, reply=f"{inbox}.{number}")
            await client.publish("$KV.pyrotorque_groups.evil", b"z" * 8000)
        for number in range(3000):
            await client.publish("$KV.pyrotorque_groups.evil", b"%8000d" % number)
        await client.flush(60)
        await client.close()

    async def ask(server: NatsServer) -> None:
        client = await server.connect()
        await client.publish("pyrotorque.ask.all", b"the last one", reply="_INBOX_evil.1")
        await client.close()

    with NatsServer(tmp_path / "n", program=nats_program.path, more=more) as server:
        link = Link(FleetSettings(servers=(server.url,), name="box1"), lambda: None)
        link.start()
        try:
            eventually(lambda: any(isinstance(each, Connected) for each in list(link.received)), 40)
            asyncio.run(flood(server))

            def is_read() -> bool:
                # A server ends the connection of a group that reads too slowly, and what it had for it is lost.
                asyncio.run(ask(server))
                return link.asked[-1].payload == b"the last one"

            eventually(is_read, 40)
            assert (b"Slow Consumer" in (server.folder / "nats.log").read_bytes()) or not more
            waits = [each.payload for each in list(link.asked)]
            assert question in waits or more
            assert sum(map(len, waits)) < 20 << 20
            assert max(map(len, waits)) <= 262_144
            heartbeats = [each.value for each in list(link.received) if isinstance(each, Update)]
            assert sum(map(len, heartbeats)) < 12 << 20
        finally:
            link.close(5)
