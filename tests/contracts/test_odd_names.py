"""With a real rTorrent: names and paths of any bytes in conditions, fields, explanations, events and labels.

0.9.8 prints all bytes of such a text that are not ASCII as `?`; 0.16 prints them as `%XX` and offers names exactly.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.conditions import parse
from pyrotorque.events import TorrentStarted
from pyrotorque.item_stats import parse_labels
from pyrotorque.items import ItemReader, details
from pyrotorque.rtorrent import RTorrent, file_values
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.collectors.items import ItemsCollector
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.tracker_names import TrackerNames
from pyrotorque_scheduler.queue.explain import explain_item
from tests.programs import Program
from tests.scheduling import moment, queue_scene
from tests.waiting import eventually

AMBIGUOUS = b"Gr\xfc\xdfe %FC"
# The name, and what 0.9.8 prints instead.
NAMES: dict[bytes, str] = {
    "emoji 😀 ü".encode(): "emoji ???? ??",
    AMBIGUOUS: "Gr??e %FC",
    b"\xff": "?",
    "Größe".encode(): "Größe",
    b"%41 %C3%BC 100%": "%41 %C3%BC 100%",
    b"what?": "what?",
    b"a\x01\x1b[2J\nb": "a\x01\x1b[2J\nb",
    "x \u202e y".encode(): "x \u202e y",
}
INSIDE = (("Größe/a.mkv", 90_000), ("emoji 😀.nfo", 10), (b"Gr\xfc %FC.txt", 20))


@pytest.fixture(scope="module")
def filled(rtorrent_program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRTorrent]:
    with PrivateRTorrent(tmp_path_factory.mktemp("o") / "rt") as running:
        client = RTorrent(running.url)
        for number, name in enumerate(NAMES):
            client.call("load.raw", "", _metafile(name))
            eventually(lambda number=number: client.call("view.size", "", "main") == number + 1)  # type: ignore[misc]
            client.call("d.custom.set", info_hash(_metafile(name)), "same", name)
            client.call("d.custom1.set", info_hash(_metafile(name)), "Gr%C3%BC%C3%9Fe ü")
        yield running


@pytest.fixture
def client(filled: PrivateRTorrent) -> RTorrent:
    return RTorrent(filled.url)


@pytest.fixture(params=list(NAMES), ids=[ascii(name) for name in NAMES])
def name(request: pytest.FixtureRequest) -> bytes:
    found: bytes = request.param
    return found


def _metafile(name: bytes) -> bytes:
    return make_metafile(name, files=INSIDE)


def _is_exact(client: RTorrent) -> bool:
    return client.known("d.name.base64")


def _shown(client: RTorrent, name: bytes) -> str:
    return os.fsdecode(name) if _is_exact(client) else NAMES[name]


def _select(client: RTorrent, text: str, *fields: str) -> list[dict[str, object]]:
    found = ItemReader(client).read("main", parse(text), ("hash", *fields), time.time())
    return [{field: item[field] for field in ("hash", *fields)} for item in found]


def _regex(text: str) -> str:
    """A condition's value that matches exactly this text."""
    return "'/" + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08x}" for c in text) + "\\Z/'"


@pytest.mark.parametrize("field", ["name", "d_name", "custom_same", "path", "directory", "d_base_filename"])
def test_a_condition_compares_the_real_text(client: RTorrent, filled: PrivateRTorrent, name: bytes, field: str) -> None:
    item = info_hash(_metafile(name))
    client.call("d.open", item)
    shown = _shown(client, name)
    if field in ("custom_same", "directory") and name == AMBIGUOUS and _is_exact(client):
        shown = "Gr\udcfc\udcdfe \udcfc"  # printed as `Gr%FC%DFe %FC`
    if field in ("path", "directory"):
        shown = f"{filled.downloads}/{shown}"
    for text in (f"{field}={_regex(shown)} hash={item}", f"hash={item}"):
        assert _select(client, text, field) == [{"hash": item, field: shown}]
    assert _select(client, f"{field}={_regex('x' + shown)}", field) == []


def test_an_odd_text_leaves_the_others_of_its_item_as_they_are(client: RTorrent, name: bytes) -> None:
    item = info_hash(_metafile(name))
    (found,) = _select(client, f"hash={item}", "name", "custom_1", "custom_same", "directory")
    assert found["custom_1"] == "Gr%C3%BC%C3%9Fe ü"


@pytest.mark.parametrize(
    ("bulk", "largest"),
    [(100, file_values.FILES_MAX), (100, 2), (0, file_values.FILES_MAX)],
    ids=["of each item", "file by file", "of all items"],
)
def test_the_files_of_an_item_are_seen_as_they_are(
    client: RTorrent, bulk: int, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(details, "_ONE_BY_ONE_MAX", bulk)
    monkeypatch.setattr(file_values, "FILES_MAX", largest)
    monkeypatch.setattr(file_values, "SINGLE_MAX", 2)
    found = _select(client, "size>0", "files")
    assert len(found) == len(NAMES)
    first = "Größe/a.mkv"
    for item in found:
        if _is_exact(client):
            # Printed as `Gr%FC %FC.txt`, which is ambiguous.
            assert item["files"] == [first, "emoji 😀.nfo", "Gr\udcfc \udcfc.txt"]
        else:
            assert item["files"] == [first, "emoji ????.nfo", "Gr? %FC.txt"]


def test_an_item_is_explained_and_started_by_its_real_name(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        item = d.load("emoji 😀 ü".encode())
        name = _shown(d.rtorrent, "emoji 😀 ü".encode())
        for wanted in (item, name):
            answer = explain_item(d.queue, wanted, moment(0))
            assert (answer.data["hash"], answer.data["name"]) == (item, name)
        d.check()
        started = [event for event in d.events() if isinstance(event, TorrentStarted)]
        assert [(event.info_hash, event.name) for event in started] == [(item, name)]


def test_labels_hold_the_real_text(client: RTorrent) -> None:
    calls = RTorrentCalls(client, RTorrent(str(client.address), untrusted=True))
    calls.begin(time.monotonic() + 20)
    collector = ItemsCollector((), parse_labels(["name", "custom:same"]), TrackerNames({}))
    text = "".join(str(part) for part in collector.collect(ScrapeContext(time.monotonic(), calls)))
    emoji = "emoji 😀 ü" if _is_exact(client) else "emoji ???? ??"
    assert f'name="{emoji}",same="{emoji}"' in text
