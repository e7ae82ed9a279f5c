"""`pyrotorque retrack` on a real rTorrent: every item with the key changes, durably, and no key is shown."""

from pathlib import Path
from typing import Any

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.session import Session
from pyrotorque.tracker_change import apply_change, check_texts, find_changes, hidden
from tests.commanding import Command
from tests.waiting import eventually

OLD, NEW = "0123456789abcdef", "fedcba9876543210"


def enabled(client: RTorrent, found: str) -> dict[str, int]:
    rows = client.call("t.multicall", found, "", "t.url=", "t.is_enabled=")
    assert isinstance(rows, list)
    return {str(row[0]): int(str(row[1])) for row in rows if isinstance(row, list)}


@pytest.fixture
def client(rtorrent: PrivateRTorrent) -> RTorrent:
    return RTorrent(rtorrent.url)


def test_all_items_with_the_key_get_the_new_one(
    rtorrent: PrivateRTorrent, client: RTorrent, short_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(short_folder / "config", capsys).configured(f"[TORQUE]\nscgi_url = {rtorrent.url}\n")
    old, new, other = (f"http://127.0.0.1:1/{key}/announce" for key in (OLD, NEW, "anotherkey"))
    files = [make_metafile(f"item-{number}", announce=old) for number in range(3)]
    files.append(make_metafile("other", announce=other))
    for metafile in files:
        client.call("load.raw", "", metafile)
    hashes = [info_hash(metafile) for metafile in files]
    eventually(lambda: len(client.rows("main", ["d.hash="])) == 4, 20)
    listed = command("retrack", OLD, NEW)
    assert listed.code == 0
    assert "would change: item-0  http://127.0.0.1/… -> http://127.0.0.1/…" in listed.out
    assert listed.out.endswith("nothing was changed; repeat it with --apply\n")
    assert enabled(client, hashes[0]) == {old: 1}
    applied = command("retrack", OLD, NEW, "--apply")
    assert applied.code == 0
    assert applied.out.count("\nchanged: ") + applied.out.startswith("changed: ") == 3
    assert OLD not in listed.out + applied.out
    assert NEW not in listed.out + applied.out
    for _ in range(2):
        assert [enabled(client, each) for each in hashes[:3]] == [{old: 0, new: 1}] * 3
        assert enabled(client, hashes[3]) == {other: 1}
        rtorrent.kill()
        rtorrent.start()
        eventually(lambda: len(client.rows("main", ["d.hash="])) == 4, 20)
    again = command("retrack", OLD, NEW, "--apply")
    assert again.out == "0 items to change\ndisabled in 3 items, beside the new one\n"
    assert command("retrack", "no-such-key", NEW).out == "0 items with this address or key\n"


def test_a_disabled_tracker_is_counted_and_stays_as_it_is(
    rtorrent: PrivateRTorrent, client: RTorrent, short_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(short_folder / "config", capsys).configured(f"[TORQUE]\nscgi_url = {rtorrent.url}\n")
    old = f"http://127.0.0.1:1/{OLD}/announce"
    files = [make_metafile(f"item-{number}", announce=old) for number in range(2)]
    hashes = [info_hash(metafile) for metafile in files]
    for metafile in files:
        client.call("load.raw", "", metafile)
    eventually(lambda: len(client.rows("main", ["d.hash="])) == 2, 20)
    client.call("t.is_enabled.set", f"{hashes[1]}:t0", 0)
    assert command("retrack", OLD, NEW).out.splitlines()[1:] == [
        "1 item: http://127.0.0.1/… -> http://127.0.0.1/… (1)",
        "disabled in 1 item, and not changed there",
        "nothing was changed; repeat it with --apply",
    ]
    assert '"state":"disabled"' in command("retrack", OLD, NEW, "--json").out.splitlines()[1]
    assert command("retrack", OLD, NEW, "--apply").code == 0
    assert enabled(client, hashes[1]) == {old: 0}
    client.call("t.is_enabled.set", f"{hashes[0]}:t1", 0)
    assert command("retrack", NEW, OLD).out == "0 items to change\ndisabled in 1 item, beside the new one\n"


def test_each_tier_with_the_address_changes_durably(
    rtorrent: PrivateRTorrent, client: RTorrent, short_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same address in two tiers, in the query and as the password of others; a different one stays."""
    command = Command(short_folder / "config", capsys).configured(f"[TORQUE]\nscgi_url = {rtorrent.url}\n")
    urls = ["http://127.0.0.1:1/{}/announce", "https://127.0.0.1:2/announce.php?a={};k={}", "http://u:{}@127.0.0.1:3/a"]
    old, new = ([url.replace("{}", key) for url in urls] for key in (OLD, NEW))
    other = "http://127.0.0.1:4/other/announce"
    tiers: dict[str, Any] = {"announce-list": [[old[0], other], [old[0]], [old[1]], [old[2]]]}
    metafile = make_metafile("item", announce=old[0], **tiers)
    found = info_hash(metafile)
    client.call("load.raw", "", metafile)
    eventually(lambda: len(client.rows("main", ["d.hash="])) == 1, 20)
    assert command("retrack", OLD, NEW, "--apply").code == 0
    for _ in range(2):
        rows = client.call("t.multicall", found, "", "t.url=", "t.is_enabled=")
        assert isinstance(rows, list)
        assert sorted((row[0], row[1]) for row in rows if isinstance(row, list)) == sorted(
            [*((url, 1) for url in (*new, other)), *((url, 0) for url in (old[0], *old))]
        )
        rtorrent.kill()
        rtorrent.start()
        eventually(lambda: len(client.rows("main", ["d.hash="])) == 1, 20)


def test_a_save_that_rtorrent_lost_is_repeated(
    rtorrent: PrivateRTorrent, client: RTorrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On 0.16, two saves of one item at the same time may both fail."""
    metafile = make_metafile("item", announce=f"http://127.0.0.1:1/{OLD}/announce")
    client.call("load.raw", "", metafile)
    saved = rtorrent.session / f"{info_hash(metafile)}.torrent.libtorrent_resume"
    eventually(saved.exists)
    obstacle, call = saved.with_name(f"{saved.name}.new"), client.call
    eventually(lambda: not obstacle.exists())
    obstacle.mkdir()
    saves: list[str] = []

    def called(method: str, *params: Any, **options: Any) -> Any:
        if method == "d.save_full_session":
            saves.append(method)
            if len(saves) > 1:
                obstacle.rmdir()
        return call(method, *params, **options)

    monkeypatch.setattr(client, "call", called)
    (change,) = find_changes(client, OLD, NEW)
    assert apply_change(client, Session(), change)
    assert len(saves) == 2


def test_an_address_is_replaced_only_as_a_whole(
    rtorrent: PrivateRTorrent, client: RTorrent, short_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(short_folder / "config", capsys).configured(f"[TORQUE]\nscgi_url = {rtorrent.url}\n")
    urls = ("http://127.0.0.1:1/announce", "http://127.0.0.1:11/announce")
    for number, url in enumerate(urls):
        client.call("load.raw", "", make_metafile(f"item-{number}", announce=url))
    eventually(lambda: len(client.rows("main", ["d.hash="])) == 2, 20)
    out = command("retrack", "http://127.0.0.1:1", "http://127.0.0.2:1").out
    assert "item-0" in out
    assert "item-1" not in out


@pytest.mark.parametrize(
    ("old", "new"), [("short", NEW), (OLD, ""), (OLD, "http://a/b"), ("http://a/bcdef", NEW), (OLD, OLD), (OLD, "a b")]
)
def test_ambiguous_texts_are_refused(old: str, new: str) -> None:
    with pytest.raises(UserError) as refused:
        check_texts(old, new)
    assert OLD not in str(refused.value)


def test_a_hidden_address_has_no_key() -> None:
    assert hidden(f"https://user:{OLD}@t.example.org:80/{OLD}/announce?key={OLD}") == "https://t.example.org/…"
    assert hidden(f"http://[::1/{OLD}") == "…"
