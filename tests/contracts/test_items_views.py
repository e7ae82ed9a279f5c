"""Against a real rTorrent: the smaller views that a read may use hold what they promise, or are not used."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.conditions import parse, parse_sort
from pyrotorque.items import ItemReader, view_choice
from pyrotorque.items.view_choice import ViewChooser
from pyrotorque.rtorrent import RTorrent
from tests.waiting import eventually

STARTABLE = parse("is_open=no is_complete=no prio>0")
DOWNLOADING = parse("is_active=yes is_complete=no")


class Noting:
    """A real client that notes which views were read."""

    def __init__(self, url: str) -> None:
        self._client = RTorrent(url)
        self.multicall, self.known, self.call = self._client.multicall, self._client.known, self._client.call
        self.views: list[str] = []

    def rows(
        self, view: str, commands: Sequence[str], *, where: str = "", meanwhile: Callable[[], None] | None = None
    ) -> list[tuple[str, ...]]:
        self.views.append(view)
        return self._client.rows(view, commands, where=where)

    def scan_rows(self, view: str, commands: Sequence[str], *, where: str = "") -> Iterable[tuple[str, ...]]:
        self.views.append(view)
        return self._client.scan_rows(view, commands, where=where)


@pytest.fixture
def client(rtorrent: PrivateRTorrent, monkeypatch: pytest.MonkeyPatch) -> Noting:
    """Six items: two stopped, one of them switched off; two running; two complete, one of them seeding."""
    monkeypatch.setattr(view_choice, "MANY", 4)
    found = Noting(rtorrent.url)
    for name, load, commands in (
        ("stopped", "load.raw", ()),
        ("off", "load.raw", ("d.priority.set=0",)),
        ("one", "load.raw_start", ()),
        ("two", "load.raw_start", ()),
        ("done", "load.raw_start", ()),
        ("seed", "load.raw_start", ()),
    ):
        content: Path | None = None
        if name in ("done", "seed"):
            content = rtorrent.downloads / name
            content.write_bytes(name.encode() * 5_000)
        found.call(load, "", make_metafile(name, content=content), *commands)
    eventually(lambda: names(found, parse("is_complete=yes is_active=yes")) == {"done", "seed"}, timeout=20)
    found.call("d.close", info_hash(make_metafile("done", content=rtorrent.downloads / "done")))
    eventually(lambda: names(found, DOWNLOADING) == {"one", "two"}, timeout=20)
    found.views.clear()
    return found


def names(client: Noting, text: object, reader: ItemReader | None = None) -> set[str]:
    found = (reader or ItemReader(client)).find("main", text, {"name"}, time.time(), any_order=True)  # type: ignore[arg-type]
    return set(found.values("name"))


def test_the_first_read_looks_nowhere_else_and_the_next_use_the_small_views(client: Noting) -> None:
    reader = ItemReader(client)
    assert names(client, STARTABLE, reader) == {"stopped"}
    assert client.views == ["main"]
    assert names(client, STARTABLE, reader) == {"stopped"}
    client.views.clear()
    assert names(client, STARTABLE, reader) == {"stopped"}
    assert names(client, parse("is_complete=yes is_open=no"), reader) == {"done"}
    assert "incomplete" in client.views
    assert names(client, DOWNLOADING, reader) == {"one", "two"}
    client.views.clear()
    assert names(client, DOWNLOADING, reader) == {"one", "two"}
    assert client.views == ["active"]


def test_what_is_paused_started_or_erased_is_in_the_small_view_at_once(client: Noting) -> None:
    reader = ItemReader(client)
    for _ in range(2):
        assert names(client, DOWNLOADING, reader) == {"one", "two"}
    client.call("d.stop", info_hash(make_metafile("one")))
    assert names(client, DOWNLOADING, reader) == {"two"}
    client.call("d.start", info_hash(make_metafile("one")))
    eventually(lambda: names(client, DOWNLOADING, reader) == {"one", "two"})
    client.call("d.pause", info_hash(make_metafile("two")))
    assert names(client, DOWNLOADING, reader) == {"one"}
    client.call("d.erase", info_hash(make_metafile("one")))
    assert names(client, DOWNLOADING, reader) == set()


def test_a_view_to_which_its_owner_gave_another_meaning_is_not_used(client: Noting) -> None:
    client.call("view.filter", "", "active", "d.up.rate=")
    client.call("view.filter", "", "incomplete", "d.priority=")
    reader = ItemReader(client)
    for _ in range(3):
        assert names(client, DOWNLOADING, reader) == {"one", "two"}
        assert names(client, parse("is_complete=no is_open=no"), reader) == {"stopped", "off"}
    client.views.clear()
    names(client, DOWNLOADING, reader)
    assert client.views == ["main"]


def test_the_order_of_the_view_is_kept_unless_any_will_do(client: Noting) -> None:
    whole = [name for (name,) in client.rows("main", ["d.name="])]
    reader = ItemReader(client)
    for _ in range(3):
        found = reader.find("main", parse("is_complete=no"), {"name"}, 0.0)
        assert found.values("name") == [name for name in whole if name not in ("done", "seed")]
    client.views.clear()
    reader.find("main", parse("is_complete=no"), {"name"}, 0.0)
    assert client.views == ["main"]


def test_other_views_are_left_alone(client: Noting) -> None:
    watched = ViewChooser(client)
    for _ in range(2):
        assert watched.choose("started", STARTABLE, 0.0, any_order=True).view == "started"


def test_what_was_found_is_a_sequence_in_the_order_that_is_wanted(client: Noting) -> None:
    found = ItemReader(client).find("main", None, {"name", "prio"}, 0.0)
    ordered = found.sorted(parse_sort("-prio, name"))
    assert ordered.values("name") == ["done", "one", "seed", "stopped", "two", "off"]
    assert [item["name"] for item in ordered[:2]] == ["done", "one"]
    assert ordered[-1]["name"] == "off"
    assert (len(ordered), ordered[0].prio) == (6, 2)
    detailed = ItemReader(client).find("main", parse("files=*"), {"name", "kind"}, 0.0).sorted(parse_sort("-name"))
    assert [item["name"] for item in detailed] == ["two", "stopped", "seed", "one", "off", "done"]
    assert detailed.values("name") == [item["name"] for item in detailed]
    assert detailed[:1] == [detailed[0]]
