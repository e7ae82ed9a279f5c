"""What the user of a group may do on a real nats-server that deploy/nats/cluster.py configured, and what it may not."""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from pyrotorque.settings.schema import FleetSettings
from pyrotorque_fleet.exchange import Conflict, Connected, Update
from pyrotorque_fleet.link import Link
from pyrotorque_fleet.streams import FleetStreams
from tests.nats_cluster import NatsCluster
from tests.programs import Program
from tests.waiting import bound, eventually

pytestmark = pytest.mark.xdist_group("nats")

HASH, SHA256 = "A" * 40, "b" * 64
STREAMS = ("KV_pyrotorque_groups", "KV_pyrotorque_claims", "PYROTORQUE_METAFILES", "PYROTORQUE_EVENTS")


@dataclass
class Server:
    """One server with two groups of a fleet, one group of another owner, and an operator."""

    cluster: NatsCluster
    credentials: dict[str, Path]
    refused: list[str] = field(default_factory=list[str])

    async def connect(self, user: str) -> Client:
        async def note(error: Exception) -> None:
            self.refused.append(str(error))

        return await self.cluster.connect(self.credentials[user], user.removeprefix("other-"), note)


@pytest.fixture(scope="module")
def server(nats_program: Program) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="nats-") as folder:
        cluster = NatsCluster(Path(folder) / "nats", nats_program)
        credentials = {name: cluster.group(name) for name in ("box1", "box2")}
        credentials["other-box1"] = cluster.group("box1", "--account", "other")
        credentials["operator"] = cluster.operator()
        with cluster:
            found = Server(cluster, credentials)
            asyncio.run(_prepare(found))
            yield found


async def _prepare(server: Server) -> None:
    """A group creates the streams of the fleet, as the first one does; what the link does not have is made here."""
    client = await server.connect("box1")
    js = client.jetstream(timeout=bound(10))
    streams = FleetStreams(FleetSettings(servers=("x",), name="box1"))
    await streams.ensure(js)
    for name in STREAMS:
        try:
            await js.stream_info(name)
        except nats.js.errors.NotFoundError:
            is_bucket = name.startswith("KV_")
            subject = f"$KV.{name[3:]}.>" if is_bucket else "pyrotorque.metafile.>"
            await js.add_stream(name=name, subjects=[subject], max_msgs_per_subject=1)
    await client.close()


# --- allowed


async def _heartbeat(js: JetStreamContext, client: Client) -> None:
    await js.publish("$KV.pyrotorque_groups.box1", b"x")


async def _claim(js: JetStreamContext, client: Client) -> None:
    made = await js.publish(f"$KV.pyrotorque_claims.{HASH}", b"1")
    headers = {"Nats-Expected-Last-Subject-Sequence": str(made.seq)}
    await js.publish(f"$KV.pyrotorque_claims.{HASH}", b"2", headers=headers)
    with pytest.raises(nats.js.errors.APIError):
        await js.publish(f"$KV.pyrotorque_claims.{HASH}", b"3", headers=headers)


async def _chunk(js: JetStreamContext, client: Client) -> None:
    subject = f"pyrotorque.metafile.{HASH}.{SHA256}.0"
    await js.publish(subject, b"x" * (256 << 10))
    assert (await js.get_last_msg("PYROTORQUE_METAFILES", subject)).data


async def _event(js: JetStreamContext, client: Client) -> None:
    await js.publish("pyrotorque.events.box1.watcher", b"x")
    assert (await js.get_last_msg("PYROTORQUE_EVENTS", "pyrotorque.events.box1.watcher")).data


async def _watch(js: JetStreamContext, client: Client) -> None:
    for bucket, key in (("pyrotorque_groups", "box1"), ("pyrotorque_claims", HASH)):
        await js.publish(f"$KV.{bucket}.{key}", b"x")
        kv = await js.key_value(bucket)
        watcher: Any = await kv.watch(">")
        # nats-py may report the end of the present values before the only one; a time-out raises.
        while await watcher.updates(timeout=bound(20)) is None:
            pass
        await watcher.stop()


async def _follow(js: JetStreamContext, client: Client) -> None:
    await js.publish("pyrotorque.events.box1.watcher", b"x")
    subscription = await js.subscribe("pyrotorque.events.>", stream="PYROTORQUE_EVENTS", ordered_consumer=True)
    assert (await subscription.next_msg(timeout=bound(20))).data == b"x"
    await subscription.unsubscribe()


async def _info(js: JetStreamContext, client: Client) -> None:
    await js.account_info()
    for stream in STREAMS:
        await js.stream_info(stream)


async def _create_again(js: JetStreamContext, client: Client) -> None:
    for stream in STREAMS:
        await js.add_stream((await js.stream_info(stream)).config)


Operation = Callable[[JetStreamContext, Client], Coroutine[Any, Any, None]]


@pytest.mark.parametrize("operation", [_heartbeat, _claim, _chunk, _event, _watch, _follow, _info, _create_again])
def test_what_a_group_needs_is_allowed(server: Server, operation: Operation) -> None:
    async def run() -> None:
        server.refused.clear()
        client = await server.connect("box1")
        await operation(client.jetstream(timeout=bound(10)), client)
        await client.close()

    asyncio.run(run())
    assert server.refused == []


async def _written(client: Client) -> None:
    """Until the server has read all commands: nats-py writes the PING of `flush` before those that wait."""
    await client.flush()
    await client.flush()


def test_a_group_answers_a_request_once(server: Server) -> None:
    async def run() -> tuple[list[bytes], bytes]:
        server.refused.clear()
        one, two = await server.connect("box1"), await server.connect("box2")
        answers: list[bytes] = []

        async def answer(message: Msg) -> None:
            await message.respond(b"first")
            await message.respond(b"second")
            await two.flush()

        async def collect(message: Msg) -> None:
            answers.append(message.data)

        await two.subscribe("pyrotorque.ask.all", cb=answer)
        await two.subscribe("pyrotorque.ask.box2", cb=answer)
        await _written(two)
        inbox = one.new_inbox()
        await one.subscribe(inbox, cb=collect)
        await one.publish("pyrotorque.ask.all", b"?", reply=inbox)
        alone = (await one.request("pyrotorque.ask.box2", b"?", timeout=bound(20))).data
        await _refusals(server, 2)
        await one.close()
        await two.close()
        return answers, alone

    assert asyncio.run(run()) == ([b"first"], b"first")
    assert len(server.refused) == 2, "each second answer"


def test_the_link_works_as_such_a_user(server: Server) -> None:
    settings = FleetSettings(
        servers=tuple(server.cluster.urls), name="box2", ca=server.cluster.folder / "ca.pem",
        credentials=server.credentials["box2"],
    )  # fmt: skip
    link = Link(settings, lambda: None)
    link.start()
    try:
        seen: list[Any] = []

        def arrived(kind: type[Any]) -> list[Any]:
            while link.received:
                seen.append(link.received.popleft())
            return [each for each in seen if isinstance(each, kind)]

        eventually(lambda: arrived(Connected), 30)
        link.put_facts(b"facts").result(bound(20))
        newest = link.newest_event("watcher").result(bound(20))
        link.append("watcher", b"event", newest.sequence if newest else 0).result(bound(20))
        revision = link.swap("C" * 40, b"claim", 0).result(bound(20))
        link.swap("C" * 40, b"claim again", revision).result(bound(20))
        with pytest.raises(Conflict):
            link.swap("C" * 40, b"too late", revision).result(bound(20))
        content = b"metafile" * 100_000
        link.store("C" * 40, SHA256, content).result(bound(20))
        assert link.fetch("C" * 40, SHA256, len(content)).result(bound(20)) == content
        asking = link.ask_all(b"question", 1.0)
        eventually(lambda: [each for each in arrived(Update) if (each.key, each.value) == ("box2", b"facts")])
        for asked in eventually(lambda: list(link.asked)):
            asked.reply(b"answer")
        assert asking.result(bound(20)) == [b"answer"]
    finally:
        link.close(5)


def test_an_answer_goes_to_no_subject_but_an_inbox(server: Server) -> None:
    """box1 may not write the value of box2; it may not let box2 do it by asking for an answer there, either."""
    settings = FleetSettings(
        servers=tuple(server.cluster.urls), name="box2", ca=server.cluster.folder / "ca.pem",
        credentials=server.credentials["box2"],
    )  # fmt: skip
    link = Link(settings, lambda: None)
    link.start()

    async def ask() -> None:
        client = await server.connect("box1")
        await client.publish("pyrotorque.ask.all", b"first", reply="$KV.pyrotorque_groups.box2")
        await client.publish("pyrotorque.ask.all", b"second", reply=client.new_inbox())
        await _written(client)
        await client.close()

    try:
        eventually(lambda: [each for each in list(link.received) if isinstance(each, Connected)], 30)
        asyncio.run(ask())
        asked = eventually(lambda: list(link.asked))
        assert [each.payload for each in asked] == [b"second"]
    finally:
        link.close(5)


# --- forbidden

PUBLISH = (
    "$KV.pyrotorque_groups.box2",
    "$KV.pyrotorque_groups.box1.x",
    "$KV.pyrotorque_claims.A.B",
    "$KV.other_groups.box1",
    "$KV.other_claims.A",
    "pyrotorque.events.box2.watcher",
    "pyrotorque.events.box1",
    "pyrotorque.metafile.A",
    "pyrotorque.commands.box2",
    "pyrotorque",
    "anything",
    "_INBOX_box2.x",
    "_INBOX.x",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.ACCOUNT.fleet.CONNZ",
    *(
        f"$JS.API.{call}.{stream}"
        for stream in STREAMS
        for call in ("STREAM.DELETE", "STREAM.PURGE", "STREAM.UPDATE", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT",
                     "STREAM.RESTORE", "STREAM.LEADER.STEPDOWN", "STREAM.PEER.REMOVE", "CONSUMER.LIST",
                     "CONSUMER.NAMES")
    ),
    *(f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.x" for stream in STREAMS),
    *(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.x" for stream in STREAMS),
    "$JS.API.CONSUMER.CREATE.PYROTORQUE_METAFILES",
    "$JS.API.STREAM.CREATE.OTHER",
    "$JS.API.STREAM.CREATE.KV_other_groups",
    "$JS.API.STREAM.INFO.OTHER",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.MSG.GET.OTHER",
    "$JS.API.DIRECT.GET.OTHER",
    "$JS.API.CONSUMER.CREATE.OTHER",
    "$JS.API.META.LEADER.STEPDOWN",
    "$JS.API.SERVER.REMOVE",
    "$JS.API.ACCOUNT.PURGE.fleet",
    "$JS.ACK.PYROTORQUE_EVENTS.x.1.1.1.1.0",
)  # fmt: skip
SUBSCRIBE = (
    ">",
    "*.>",
    "_INBOX.>",
    "_INBOX_box2.>",
    "pyrotorque.ask.box2",
    "pyrotorque.ask.*",
    "pyrotorque.>",
    "pyrotorque.events.>",
    "pyrotorque.metafile.>",
    "$KV.>",
    "$KV.pyrotorque_claims.>",
    "$JS.>",
    "$JS.API.>",
    "$SYS.>",
)


def test_nothing_else_may_be_published(server: Server) -> None:
    async def run() -> None:
        server.refused.clear()
        client = await server.connect("box1")
        for subject in PUBLISH:
            await client.publish(subject, b"{}")
        await _refusals(server, len(PUBLISH))
        await client.close()

    asyncio.run(run())
    assert [subject for subject in PUBLISH if not _is_refused(server, "publish", subject)] == []


def test_nothing_else_may_be_subscribed_to(server: Server) -> None:
    async def run() -> None:
        server.refused.clear()
        client = await server.connect("box1")
        for subject in SUBSCRIBE:
            await client.subscribe(subject)
        await _refusals(server, len(SUBSCRIBE))
        await client.close()

    asyncio.run(run())
    assert [subject for subject in SUBSCRIBE if not _is_refused(server, "subscription", subject)] == []


async def _refusals(server: Server, number: int) -> None:
    """Wait until the server has sent so many; it sends them when it gets to it."""
    begun = time.monotonic()
    while len(server.refused) < number and time.monotonic() - begun < bound(20):
        await asyncio.sleep(0.01)


def _is_refused(server: Server, what: str, subject: str) -> bool:
    return any(f'permissions violation for {what} to "{subject.lower()}"' in text.lower() for text in server.refused)


def test_no_header_erases_what_others_wrote(server: Server, nats_program: Program) -> None:
    """A roll-up would delete the whole bucket by one write to the group's own key, a time to live a claim."""
    newer = nats_program.satisfies(">=2.11")

    async def run() -> dict[str, int]:
        two, one = await server.connect("box2"), await server.connect("box1")
        await two.jetstream(timeout=bound(10)).publish("$KV.pyrotorque_groups.box2", b"stays")
        js = one.jetstream(timeout=bound(10))
        left: dict[str, int] = {}
        for stream, subject in (
            ("KV_pyrotorque_groups", "$KV.pyrotorque_groups.box1"),
            ("KV_pyrotorque_claims", f"$KV.pyrotorque_claims.{HASH}"),
            ("PYROTORQUE_METAFILES", f"pyrotorque.metafile.{HASH}.{SHA256}.0"),
            ("PYROTORQUE_EVENTS", "pyrotorque.events.box1.watcher"),
        ):
            before = (await js.stream_info(stream)).state.messages
            for rollup in ("all", "sub"):
                with pytest.raises(nats.js.errors.APIError):
                    await js.publish(subject, b"x", headers={"Nats-Rollup": rollup})
            if newer:  # 2.9 ignores it
                with pytest.raises(nats.js.errors.APIError):
                    await js.publish(subject, b"x", headers={"Nats-TTL": "1s"})
            left[stream] = (await js.stream_info(stream)).state.messages - before
        assert (await js.get_last_msg("KV_pyrotorque_groups", "$KV.pyrotorque_groups.box2")).data == b"stays"
        await one.close()
        await two.close()
        return left

    assert asyncio.run(run()) == dict.fromkeys(STREAMS, 0)


def test_a_stream_that_is_there_cannot_be_changed_by_creating_it(server: Server) -> None:
    async def run() -> list[str]:
        client = await server.connect("box1")
        problems: list[str] = []
        for stream in STREAMS:
            config = {"name": stream, "subjects": ["pyrotorque.mine"], "max_msgs": 1, "storage": "memory"}
            answer = await client.request(
                f"$JS.API.STREAM.CREATE.{stream}", json.dumps(config).encode(), timeout=bound(20)
            )
            problems.append(json.loads(answer.data)["error"]["description"])
        await client.close()
        return problems

    assert asyncio.run(run()) == ["stream name already in use with a different configuration"] * len(STREAMS)


def test_another_owner_sees_and_reaches_nothing(server: Server) -> None:
    async def run() -> int:
        other = await server.connect("other-box1")
        js = other.jetstream(timeout=bound(10))
        for stream in STREAMS:
            with pytest.raises(nats.js.errors.NotFoundError):
                await js.stream_info(stream)
        with pytest.raises(nats.errors.Error):
            await other.request("pyrotorque.ask.box2", b"?", timeout=2)
        await other.close()
        one = await server.connect("box1")
        info = await one.jetstream(timeout=bound(10)).account_info()
        await one.close()
        return info.streams

    assert asyncio.run(run()) == len(STREAMS)


def test_a_removed_group_may_not_connect_any_more(server: Server) -> None:
    path = server.cluster.group("guest")
    text = path.read_text()

    async def connect() -> None:
        await (await server.connect("guest")).close()

    async def be_refused() -> None:
        trying = asyncio.ensure_future(connect())
        await _refusals(server, 1)
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)

    server.credentials["guest"] = path
    asyncio.run(connect())
    server.cluster.script("remove", "guest")
    assert not path.exists()
    path.write_text(text)
    path.chmod(0o600)
    server.refused.clear()
    asyncio.run(be_refused())
    assert any("Authorization Violation" in text for text in server.refused), server.refused
