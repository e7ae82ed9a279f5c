"""A member of the fleet that writes what it is not supposed to, within its permissions: nothing breaks by that."""

import asyncio
import json
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from demo.fleet_site import FleetSite
from demo.metafiles import info_hash, make_metafile
from pyrotorque.sha256 import hexdigest
from pyrotorque_fleet.claims import Claim, Metafacts, encode_claim
from pyrotorque_fleet.messages import GroupFacts, encode
from tests.fleets import FleetMaker, fleets, placed
from tests.nats import NatsServer
from tests.programs import Program
from tests.waiting import bound, eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("fleet placement"),
    pytest.mark.rtorrent_version(">=0.10", reason="what is loaded in the end is tested with both"),
]

_FOLDERS = (
    "../../../etc",
    "/etc",
    "a/../b",
    ".hidden",
    "a//b",
    "a\0b",
    "x" * 65,
    "a/b/c/d/e",
    "\u202etxt",
    "a/\n",
    "~",
)
_MUTATIONS = 400
_MEMORY_MAX = 60


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pfh-", ignore_cleanup_errors=True) as made:
        yield Path(made)


@pytest.fixture
def make_fleet(folder: Path, rtorrent_program: Program) -> Iterator[FleetMaker]:
    with fleets(folder) as make:
        yield make


def claim(content: bytes, **values: Any) -> Claim:
    """A claim on this content, which `evil` offered, in the job of the other groups."""
    default: dict[str, Any] = {
        "info_hash": info_hash(content), "sha256": hexdigest(content), "length": len(content), "job": "treewatch",
        "facts": Metafacts(name="evil", size=1000), "sender": "evil", "offered": 1.0, "offer": "1-1",
        "state": "offered",
    }  # fmt: skip
    return Claim(**(default | values))


class HostileMember:
    """Writes as the user of the group `evil` may."""

    def __init__(self, client: Client, chance: random.Random) -> None:
        self.client, self.chance = client, chance
        self.js: JetStreamContext = client.jetstream(timeout=bound(10))
        self.real = make_metafile("evil-but-valid")

    async def heartbeats(self) -> None:
        facts = GroupFacts(name="evil", started=1, number=1, version="1", beat=2.0, items=1, jobs=("treewatch",))
        values = [
            b"", b"\0" * 100, b"[]", b"null", b"{" * 4000, b'{"name":"one"}', b"\xff\xfe", b"x" * 8000,
            encode(facts).replace(b'"evil"', b'"one"'), encode(facts).replace(b'"items":1', b'"items":-1'),
            encode(facts).replace(b'"items":1', b'"items":1e400'),
        ]  # fmt: skip
        for value in (*values, *self._mutations(encode(facts), 100)):
            await self.js.publish("$KV.pyrotorque_groups.evil", value)

    async def claims(self) -> None:
        values = [encode_claim(claim(self.real, folder=each)) for each in _FOLDERS]
        values += [
            b"{}", b"[1]", b"\0", b"{" * 4000, encode_claim(claim(self.real, length=1 << 25)),
            encode_claim(claim(self.real, state="assigned", owner="")), encode_claim(claim(self.real, job="../x")),
            encode_claim(claim(self.real)).replace(b"offered", b"stolen "),
        ]  # fmt: skip
        values += self._mutations(encode_claim(claim(self.real)).rstrip(), _MUTATIONS)
        for number, value in enumerate(values):
            await self.js.publish(f"$KV.pyrotorque_claims.{number:040X}", value)
        # Right values under keys of others, and a key that is no info-hash.
        await self.js.publish(f"$KV.pyrotorque_claims.{'E' * 40}", encode_claim(claim(self.real)))
        await self.js.publish("$KV.pyrotorque_claims.x", encode_claim(claim(self.real)))

    async def contents(self) -> list[str]:
        """Claims whose content is not what they say; their info-hashes."""
        found: list[str] = []
        other = make_metafile("something-else")
        for number, (stored, values) in enumerate(
            [
                (b"no metafile", {}),
                (b"d" * 5000, {}),
                (other, {}),
                (self.real, {"sha256": "0" * 64}),
                (self.real[:-1], {}),
                (b"d8:announce0:4:infod6:lengthi-1ee", {}),
            ]
        ):
            made = claim(self.real, sha256=hexdigest(stored), length=len(stored), info_hash=f"{number:040X}"[::-1])
            made = claim(
                self.real, **({name: getattr(made, name) for name in ("sha256", "length", "info_hash")} | values)
            )
            subject = f"pyrotorque.metafile.{made.info_hash}.{made.sha256}.0"
            await self.js.publish(subject, stored)
            await self.js.publish(f"$KV.pyrotorque_claims.{made.info_hash}", encode_claim(made))
            found.append(made.info_hash)
        # Assigned to a group that did not ask for it, without any content, and in a job that it does not have.
        for number, values in enumerate(({}, {"job": "other"}), 7):
            assigned = claim(self.real, info_hash=f"{number:040X}"[::-1], state="assigned", owner="one", **values)
            await self.js.publish(f"$KV.pyrotorque_claims.{assigned.info_hash}", encode_claim(assigned))
            found.append(assigned.info_hash)
        return found

    async def questions(self) -> None:
        inbox = self.client.new_inbox()
        for number in range(1000):
            body = self.chance.choice(
                [b"", b"{", b'{"kind":"find","text":"x"}', b'{"kind":"holds"}', b'{"kind":"erase"}', b"y" * 60_000]
            )
            await self.client.publish("pyrotorque.ask.all", body, reply=f"{inbox}.{number}")

    async def answers(self) -> None:
        """To each question of another group."""

        async def answer(message: Any) -> None:
            for body in (b"", b"{}", b"x" * 70_000, b'{"group":"one","items":["' + b"A" * 40 + b'"]}', b"[" * 5000):
                await self.client.publish(message.reply, body)

        await self.client.subscribe("pyrotorque.ask.all", cb=answer)

    async def events(self) -> None:
        for body in (b"", b"\xff" * 50, b"[]", b"{}", b'{"type":"\x1b[2J","at":1e300,"source":5}', b"9" * 5000):
            await self.js.publish("pyrotorque.events.evil.watcher", body)

    def _mutations(self, value: bytes, count: int) -> list[bytes]:
        found: list[bytes] = []
        for _ in range(count):
            changed = bytearray(value)
            for _ in range(self.chance.randrange(1, 6)):
                at = self.chance.randrange(len(changed))
                if self.chance.random() < 0.5:
                    changed[at] = self.chance.randrange(256)
                else:
                    del changed[at : at + self.chance.randrange(20)]
                    changed = changed or bytearray(b"x")
            found.append(bytes(changed))
        return found


async def attack(server: NatsServer) -> list[str]:
    client = await server.connect()
    evil = HostileMember(client, random.Random(20))
    await evil.answers()
    await evil.heartbeats()
    await evil.claims()
    await evil.events()
    found = await evil.contents()
    await evil.questions()
    await client.flush()
    await asyncio.sleep(3)
    await client.close()
    return found


def bad_values(site: FleetSite) -> float:
    path = site.group.config_dir / "state" / "fleet.sqlite3"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        query = "SELECT sample FROM kept_totals WHERE name = 'pyrotorque_fleet_bad_values_total'"
        found = db.execute(query).fetchone()
    return float(json.loads(found[0])["value"]) if found else 0.0


def memory(pid: int) -> float:
    """MiB (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def test_a_hostile_member_breaks_nothing(make_fleet: FleetMaker, folder: Path) -> None:
    with NatsServer(folder / "nats") as server:
        sites = make_fleet(server.url, names=("one", "two"))
        before = [site.pid("fleet") for site in sites]
        wrong = asyncio.run(attack(server))
        eventually(lambda: all(bad_values(site) >= 100 for site in sites), 60, why="what is not valid is counted")
        wanted = {sites[0].drop("good-one"), sites[1].drop("good-two")}
        eventually(lambda: placed(sites, wanted), 120, why="metafiles are placed as before")
        assert [site.pid("fleet") for site in sites] == before, "no process ended"
        for site in sites:
            assert not set(wrong) & site.items().keys(), "nothing was loaded that is not what its claim says"
            text = site.group.log("fleet")
            assert "Traceback" not in text
            assert text.count("ignored the value of the group evil") == 1
            assert len(text.splitlines()) < 150, text
            assert memory(site.pid("fleet")) < _MEMORY_MAX
            assert site.inbox() <= wanted | {info_hash(make_metafile("evil-but-valid"))}
            assert {path.name for path in (site.group.config_dir / "state" / "fleet_inbox").iterdir()} == {"treewatch"}
        assert "\x1b" not in sites[0].group.command("fleet", "events", "-n", "50").stdout
        assert sites[0].group.command("fleet", "claims").returncode == 0
