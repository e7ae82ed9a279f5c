"""A real rTorrent: each metafile becomes one item as its path and its job require; failures are reported."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from demo.metafiles import Bencodable, bencode, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentFault
from pyrotorque.requests import Answer, DescribeService, PauseJob, Request, RetryMetafiles
from pyrotorque.rtorrent import RTorrent
from pyrotorque_watcher.requests import answer
from tests.dropping import drop, items, touch
from tests.programs import Program
from tests.waiting import bound
from tests.watching import Watching, job

pytestmark = pytest.mark.usefixtures("rtorrent_program")


def visible(watching: Watching, *paths: Path) -> Callable[[], bool]:
    return lambda: all(watching.state(path) in ("visible", "loaded") for path in paths)


def has(client: RTorrent, info: str) -> bool:
    try:
        client.call("d.hash", info)
    except RTorrentFault:
        return False
    return True


@pytest.mark.parametrize(
    ("params", "folder", "priority", "state", "mode"),
    [
        ({}, ".", 2, 0, "normal"),
        ({"load_mode": "start"}, ".", 2, 1, "start"),
        ({"load_mode": "start", "queued": True}, ".", 2, 0, "queued"),
        ({"queued": True}, ".", 0, 0, "normal"),
        ({"load_mode": "start"}, "load", 2, 0, "normal"),
        ({}, "start", 2, 1, "start"),
        ({}, "queue", 0, 0, "normal"),
        ({"queued": True}, "start", 2, 0, "queued"),
    ],
)
def test_the_load_matrix_in_rtorrent(
    short_folder: Path, root: Path, shared_rtorrent: PrivateRTorrent, params: dict[str, Any], folder: str,
    priority: int, state: int, mode: str,
) -> None:  # fmt: skip
    client = RTorrent(shared_rtorrent.url)
    with Watching(short_folder, job(root, **params), url=shared_rtorrent.url) as watching:
        watching.settle()
        path = root / folder / "x.torrent"
        info = drop(path, f"{params} {folder}")
        watching.until(visible(watching, path))
        assert (client.call("d.priority", info), client.call("d.state", info)) == (priority, state)
        (event,) = watching.loaded
        assert (event.info_hash, event.mode, event.job, event.metafile) == (info, mode, "treewatch", str(path))
        assert 0 <= event.seconds < bound(5)


def test_it_is_loaded_once_it_is_in_the_session(watching: Watching, root: Path) -> None:
    drop(root / "a.torrent")
    watching.until(lambda: watching.state(root / "a.torrent") == "loaded")


def test_the_item_is_tied_so_erasing_it_removes_the_metafile(watching: Watching, root: Path, client: RTorrent) -> None:
    path = root / 'a b,c;"d.torrent'
    info = watching.load(path)
    assert client.call("d.tied_to_file", info) == str(path)
    client.call("d.erase", info)
    assert not path.exists()
    watching.again()
    watching.settle()
    assert not has(client, info)


def test_a_load_after_an_undetected_restart_of_rtorrent_is_tied_as_well(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    watching.load(root / "a.torrent")
    rtorrent.restart()
    info = drop(root / "b.torrent")
    watching.until(visible(watching, root / "b.torrent"))
    assert client.call("d.tied_to_file", info) == str(root / "b.torrent")


def test_untied_and_erased_it_stays_away_until_it_is_touched(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    path = root / "a.torrent"
    with Watching(short_folder, job(root, tie="no"), url=rtorrent.url) as watching:
        info = watching.load(path)
        client.call("d.erase", info)
        for _ in range(2):
            watching.again()
            watching.settle()
        path.rename(root / "b.torrent")
        watching.until(lambda: watching.state(root / "b.torrent") == "loaded")
        assert not has(client, info)
        touch(root / "b.torrent")
        watching.until(lambda: len(watching.loaded) == 2)
        assert has(client, info)


def test_a_second_file_of_the_same_torrent_is_a_duplicate(watching: Watching, root: Path, client: RTorrent) -> None:
    drop(root / "a.torrent", "same")
    watching.until(visible(watching, root / "a.torrent"))
    drop(root / "b.torrent", "same")
    watching.until(lambda: watching.state(root / "b.torrent") == "duplicate")
    assert [event.kind for event in watching.failed] == ["duplicate"]
    assert len(watching.loaded) == 1


def test_a_burst_is_loaded_in_the_order_it_was_seen(watching: Watching, root: Path, client: RTorrent) -> None:
    infos = [drop(root / f"{n}.torrent") for n in range(100)]
    watching.until(lambda: len(watching.loaded) == 100, 30)
    assert [row.load.info_hash for row in watching.rows] == infos
    assert len(client.rows("main", ["d.hash="])) == 100


def test_a_failing_command_is_a_failed_load_that_nothing_starts(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    commands = (("bad", "d.priority.set=nonsense"),)
    with Watching(short_folder, job(root, load_mode="start", commands=commands), url=rtorrent.url) as watching:
        info = drop(root / "a.torrent")
        watching.until(lambda: watching.failed)
        (event,) = watching.failed
        assert event.kind == "rpc"
        assert not watching.loaded
        assert [client.call(name, info) for name in ("d.priority", "d.state", "d.is_active")] == [0, 0, 0]
        assert (root / "a.torrent").exists()
        watching.again(job(root, load_mode="start"))
        watching.until(visible(watching, root / "a.torrent"))
        assert [client.call(name, info) for name in ("d.priority", "d.state")] == [2, 1]
        assert (root / "a.torrent").exists()


def test_a_command_that_this_rtorrent_lacks_prevents_the_load(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    with Watching(short_folder, job(root, commands=(("x", "d.nonsense.set=1"),)), url=rtorrent.url) as watching:
        info = drop(root / "a.torrent")
        watching.until(lambda: watching.failed)
        assert "d.nonsense.set" in watching.failed[0].reason
        assert not has(client, info)


def test_templates_reach_the_item_byte_for_byte(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    text = "{{# set target path\n}}d.custom.set=targetdir,/done/{{relpath}}/{{info_name}}"
    with Watching(short_folder, job(root, commands=(("target", text),)), url=rtorrent.url) as watching:
        path = root / "tv" / "$execute.capture=x" / "a.torrent"
        info = drop(path, 'x";execute.throw=touch,pwned;"')
        watching.until(visible(watching, path))
        wanted = '/done/tv/$execute.capture=x/x";execute.throw=touch,pwned;"'
        assert client.call("d.custom", info, "targetdir") == wanted


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"garbage", "invalid"), (b"\0" * 70_000, "invalid"), (b"d4:infod4:name1:xee", "invalid")],
    ids=["garbage", "zeros", "no pieces"],
)
def test_what_is_no_metafile_fails_with_a_reason_and_the_next_one_loads(
    watching: Watching, root: Path, data: bytes, kind: str
) -> None:
    (root / "bad.torrent").write_bytes(data)
    drop(root / "good.torrent")
    watching.until(visible(watching, root / "good.torrent"))
    watching.until(lambda: watching.state(root / "bad.torrent") == "failed")
    assert [(event.kind, event.metafile) for event in watching.failed] == [(kind, str(root / "bad.torrent"))]


def test_half_a_metafile_is_waited_for(watching: Watching, root: Path) -> None:
    path, metafile = root / "a.torrent", make_metafile("slow")
    for part in (0, 1, len(metafile) // 2, len(metafile) - 1):
        path.write_bytes(metafile[:part])
        watching.until(lambda: watching.state(path) == "seen" and watching.row(path).progress.reason)
    assert not watching.failed
    path.write_bytes(metafile)
    watching.until(visible(watching, path))


def test_an_unreadable_file_fails_and_a_touch_brings_it_back(watching: Watching, root: Path) -> None:
    (root / "huge.torrent").write_bytes(b"")
    os.truncate(root / "huge.torrent", 200_000_000)
    touch(root / "huge.torrent")
    watching.until(lambda: watching.state(root / "huge.torrent") == "failed")
    drop(root / "huge.torrent")
    watching.until(visible(watching, root / "huge.torrent"))


def test_a_file_larger_than_a_request_is_loaded_by_its_path(watching: Watching, root: Path, client: RTorrent) -> None:
    path = root / "large.torrent"
    info = drop(path, size=16384 * 30_000)
    assert path.stat().st_size > 524_288
    watching.until(visible(watching, path), 20)
    assert client.call("d.tied_to_file", info) == str(path)


def test_a_large_file_whose_name_is_a_pattern_is_loaded_and_tied(
    watching: Watching, root: Path, client: RTorrent
) -> None:
    drop(root / "large 2.torrent", "what the pattern would load")
    path = root / "large [2].torrent"
    info = drop(path, size=16384 * 30_000)
    watching.until(lambda: watching.state(path) == "loaded", 20)
    assert client.call("d.tied_to_file", info) == str(path)


def test_a_large_file_without_a_tie_is_tied_to_no_copy(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    with Watching(short_folder, job(root, tie="no"), url=rtorrent.url) as watching:
        info = drop(root / "large{}.torrent", size=16384 * 30_000)
        watching.until(visible(watching, root / "large{}.torrent"), 20)
        assert client.call("d.tied_to_file", info) == ""
        assert watching.layout.state_dir.stat().st_mode & 0o077 == 0


def test_magnet_links(watching: Watching, root: Path, client: RTorrent) -> None:
    hashes = ["%040X" % (0xABCDEF << n) for n in range(2)]
    (root / "two.magnet").write_text(
        "".join(f"magnet:?xt=urn:btih:{info}&dn=name&tr=http://127.0.0.1:1/a\n" for info in hashes)
    )
    watching.until(visible(watching, root / "two.magnet"))
    assert all(has(client, info) for info in hashes)
    assert [(event.info_hash, event.name) for event in watching.loaded] == [
        (hashes[0], "name"),
        (hashes[1], f"{hashes[1]}.meta"),
    ]


def test_a_dry_run_loads_nothing_and_its_end_loads_all(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    with Watching(short_folder, job(root, dry_run=True), url=rtorrent.url) as watching:
        info = drop(root / "a.torrent")
        watching.until(lambda: watching.rows and watching.rows[0].progress.reason == "dry run")
        assert not has(client, info)
        watching.again(job(root))
        watching.until(lambda: has(client, info))


def test_dry_run_of_the_group(short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent) -> None:
    with Watching(short_folder, job(root), url=rtorrent.url, dry_run=True) as watching:
        info = drop(root / "a.torrent")
        watching.until(lambda: watching.rows and watching.rows[0].progress.reason == "dry run")
        assert not has(client, info)


def test_an_absent_rtorrent_is_reported_once_and_everything_loads_later(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, caplog: pytest.LogCaptureFixture
) -> None:
    rtorrent.stop()
    infos = [drop(root / f"{n}.torrent") for n in range(20)]
    watching.until(lambda: watching.watcher.loader and watching.watcher.loader.availability.pause > 1)
    assert sum("are loaded when it is back" in record.message for record in caplog.records) == 1
    rtorrent.start()
    watching.until(lambda: all(has(client, info) for info in infos), 20)
    watching.until(lambda: len(watching.loaded) == 20)
    assert not watching.failed


def test_what_a_killed_rtorrent_lost_is_loaded_again_and_published_once(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    infos = [drop(root / f"{n}.torrent") for n in range(20)]
    watching.until(lambda: watching.states("visible") > 10)
    rtorrent.kill()
    for saved in rtorrent.session.glob("*.torrent*"):
        saved.unlink()  # as if it had ended before it wrote them
    rtorrent.start()
    watching.until(lambda: watching.states("loaded") == 20, 20)
    assert all(has(client, info) for info in infos if watching.state(root / f"{infos.index(info)}.torrent") == "loaded")
    assert len(watching.loaded) == 20


def test_the_settings_for_disposal_lose_no_item(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    done = short_folder / "done"
    jobs = {
        "rename": job(root / "rename", name="rename", on_loaded="rename", on_failed="rename"),
        "move": job(root / "move", name="move", on_loaded="move", loaded_path=done, on_failed="move", failed_path=done),
        "delete": job(root / "delete", name="delete", on_loaded="delete", on_failed="delete"),
    }
    for name in jobs:
        (root / name).mkdir()
    with Watching(short_folder, *jobs.values(), url=rtorrent.url) as watching:
        watching.settle()
        infos = {name: drop(root / name / "sub" / "a.torrent", f"the one to {name}") for name in jobs}
        for name in jobs:
            (root / name / "bad.torrent").write_bytes(b"no metafile")
        watching.until(lambda: watching.states("loaded") == 3 and watching.states("failed") == 3)
        watching.until(lambda: not any((root / name / "bad.torrent").exists() for name in jobs))
        client.call("d.multicall.filtered", "", "main", "not=$d.tied_to_file=", "d.hash=")
        assert all(has(client, info) for info in infos.values())
        assert client.call("d.tied_to_file", infos["rename"]) == str(root / "rename/sub/a.torrent.loaded")
        assert client.call("d.tied_to_file", infos["move"]) == str(done / "sub/a.torrent")
        assert client.call("d.tied_to_file", infos["delete"]) == ""
        assert (root / "rename/sub/a.torrent.loaded").exists()
        assert (root / "rename/bad.torrent.failed").exists()
        assert (done / "sub/a.torrent").exists()
        assert (done / "bad.torrent").exists()
        assert not any((root / "delete").rglob("*.torrent"))
        client.call("remove_untied", "") if client.known("remove_untied") else None
        assert all(has(client, info) for info in infos.values())


def test_watch_ini_applies_at_once_to_its_folder_and_below(watching: Watching, root: Path, client: RTorrent) -> None:
    (root / "tv").mkdir()
    (root / "tv" / "watch.ini").write_text("load_mode = start\nqueued = yes\npriority = high\ncustom.label = tv\n")
    info = drop(root / "tv" / "a" / "x.torrent", "one")
    watching.until(visible(watching, root / "tv/a/x.torrent"))
    assert (client.call("d.priority", info), client.call("d.custom", info, "label")) == (3, "tv")
    (root / "tv" / "a" / "watch.ini").write_text("custom.label = other\nload_mode = normal\n")
    info = drop(root / "tv" / "a" / "y.torrent", "two")
    watching.until(visible(watching, root / "tv/a/y.torrent"))
    assert (client.call("d.priority", info), client.call("d.custom", info, "label")) == (0, "other")
    (root / "tv" / "watch.ini").write_text("cmd.x = execute=touch,pwned\ncolour = red\n")
    drop(root / "tv" / "z.torrent", "three")
    watching.until(lambda: watching.failed)
    assert watching.failed[0].kind == "template"
    assert watching.failed[0].reason.endswith("put it into torque.ini (and 1 more in it)")


@pytest.mark.parametrize(
    "text",
    [
        "custom1 = {{('a' * 40 ~ 'b')|subst('(a|aa)+$', '')}}",
        "custom1 = {{('y' * 60000).join('z' * 60000)}}",
        "\n".join(
            f"custom.{n} = {{{{for i in range({n}, 9000)}}}}{{{{range(90000)|sum}}}}{{{{endfor}}}}" for n in range(40)
        ),
    ],
    ids=["slow expression", "large text", "slow templates"],
)
def test_a_watch_ini_stops_the_load_of_nothing_but_its_own_metafiles(
    watching: Watching, root: Path, client: RTorrent, text: str
) -> None:
    """It may be part of a folder from another person: the watcher was killed as hung, again and again."""
    (root / "a").mkdir()
    (root / "a" / "watch.ini").write_text(f"{text}\n")
    drop(root / "a" / "x.torrent", "one")
    drop(root / "y.torrent", "two")
    begin = time.thread_time()
    watching.until(lambda: watching.state(root / "y.torrent") == "loaded" and watching.failed, timeout=60)
    assert time.thread_time() - begin < 15
    assert (watching.failed[0].kind, watching.state(root / "a" / "x.torrent")) == ("template", "failed")


def test_what_failed_at_a_watch_ini_is_loaded_when_that_is_corrected(
    watching: Watching, root: Path, client: RTorrent
) -> None:
    ini, path, elsewhere = root / "tv/watch.ini", root / "tv/a/x.torrent", root / "films/y.torrent"
    for folder in (ini.parent, elsewhere.parent):
        folder.mkdir()
        (folder / "watch.ini").write_text("colour = red\n")
    info = drop(path)
    drop(elsewhere)
    (root / "tv/no.torrent").write_bytes(b"no metafile")
    watching.until(lambda: watching.states("failed") == 3)
    ini.write_text("custom.label = {{nowhere}}\n")  # still wrong: nothing is tried
    watching.settle()
    assert len(watching.failed) == 3
    ini.write_text("custom.label = tv\n")
    watching.until(visible(watching, path))
    assert client.call("d.custom", info, "label") == "tv"
    assert (watching.state(elsewhere), watching.state(root / "tv/no.torrent")) == ("failed", "failed")


def test_what_fails_again_after_a_change_of_its_watch_ini_waits_for_the_next(watching: Watching, root: Path) -> None:
    ini, path = root / "watch.ini", root / "x.torrent"
    ini.write_text("cmd.x = d.nonsense.set=1\n")
    drop(path)
    watching.until(lambda: watching.failed)
    ini.write_text("cmd.x = d.nonsense.set=2\n")
    watching.until(lambda: len(watching.failed) == 2)
    watching.settle()
    assert [event.kind for event in watching.failed] == ["template", "template"]
    (root / "written.ini").write_text("load_mode = normal\n")
    (root / "written.ini").rename(ini)
    watching.until(visible(watching, path))


def test_two_jobs_do_not_disturb_each_other(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    one, two = short_folder / "one", short_folder / "two"
    one.mkdir()
    jobs = job(one, name="one", load_mode="start"), job(two, name="two")
    with Watching(short_folder, *jobs, url=rtorrent.url) as watching:
        watching.settle()
        started = drop(one / "a.torrent", "in one")
        watching.until(visible(watching, one / "a.torrent"))
        two.mkdir()
        stopped = drop(two / "a.torrent", "in two")
        watching.until(visible(watching, two / "a.torrent"))
        assert (client.call("d.state", started), client.call("d.state", stopped)) == (1, 0)


def test_paths_that_rtorrent_sees_differently_are_not_tied_without_proof(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    elsewhere = ((str(root), "/data/watch"),)
    with Watching(short_folder, job(root, path_map=elsewhere), url=rtorrent.url) as watching:
        info = drop(root / "a.torrent", "auto")
        watching.until(visible(watching, root / "a.torrent"))
        assert client.call("d.tied_to_file", info) == ""
        watching.again(msgspec.structs.replace(job(root, path_map=elsewhere), tie="yes"))
        info = drop(root / "b.torrent", "yes")
        watching.until(visible(watching, root / "b.torrent"))
        assert client.call("d.tied_to_file", info) == "/data/watch/b.torrent"


def test_the_disposal_of_a_duplicate_does_not_change_the_tie_of_the_item(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    with Watching(short_folder, job(root), url=rtorrent.url) as watching:
        info = watching.load(root / "a.torrent", "same")
        watching.again(job(root, on_loaded="delete"))
        drop(root / "b.torrent", "same")
        watching.until(lambda: not (root / "b.torrent").exists())
        assert client.call("d.tied_to_file", info) == str(root / "a.torrent")
        assert (root / "a.torrent").exists()


def test_touching_a_file_whose_item_is_there_changes_nothing(watching: Watching, root: Path, client: RTorrent) -> None:
    info = watching.load(root / "a.torrent")
    token = watching.row(root / "a.torrent").token
    touch(root / "a.torrent")
    watching.until(lambda: watching.row(root / "a.torrent").token != token)
    watching.until(lambda: watching.state(root / "a.torrent") == "loaded")
    assert not watching.failed
    assert len(watching.loaded) == 1
    assert client.call("d.tied_to_file", info) == str(root / "a.torrent")


def test_touching_twice_while_rtorrent_is_away_is_no_duplicate(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent
) -> None:
    watching.load(root / "a.torrent")
    rtorrent.stop()
    for _ in range(2):
        token = watching.row(root / "a.torrent").token
        touch(root / "a.torrent")
        watching.until(lambda token=token: watching.row(root / "a.torrent").token != token)  # type: ignore[misc]
    rtorrent.start()
    watching.until(lambda: watching.state(root / "a.torrent") == "loaded", 20)
    assert not watching.failed


def test_a_metafile_written_over_another_is_not_deleted_with_the_item_of_that_one(
    watching: Watching, root: Path, client: RTorrent
) -> None:
    old = watching.load(root / "a.torrent", "old")
    new = drop(root / "a.torrent", "new")
    watching.until(lambda: has(client, new))
    watching.until(lambda: watching.state(root / "a.torrent") == "loaded")
    client.call("d.erase", old)
    assert (root / "a.torrent").exists()
    assert client.call("d.tied_to_file", new) == str(root / "a.torrent")


def test_requests(watching: Watching, root: Path) -> None:
    (root / "bad.torrent").write_bytes(b"no metafile")
    watching.until(lambda: watching.state(root / "bad.torrent") == "failed")
    watcher = watching.watcher

    def ask(request: Request) -> Answer:
        return answer(request, watcher.ledger, watcher.scanners, watcher.loader)

    assert ask(DescribeService()).data["metafiles"] == {"failed": 1}
    assert not ask(RetryMetafiles(paths=("/nowhere",))).ok
    assert not ask(PauseJob(job="queue")).ok
    drop(root / "bad.torrent")
    assert ask(RetryMetafiles()).ok
    watching.until(visible(watching, root / "bad.torrent"))


TRACKER = b"8:announce27:http://127.0.0.1:1/announce"


def accepted(watching: Watching) -> float:
    """The metric `pyrotorque_watch_metafiles_total`."""
    families = {family.name: family for family in watching.watcher.metrics.totals.families()}
    (sample,) = families["pyrotorque_watch_metafiles_total"].samples
    return sample.value


def test_each_torrent_that_is_written_to_a_file_is_counted(watching: Watching, root: Path) -> None:
    path = root / "one.torrent"
    watching.load(path, "first")
    assert accepted(watching) == 1
    drop(path, "second")
    watching.until(lambda: (watching.row(path).load.name, watching.state(path)) == ("second", "loaded"))
    assert accepted(watching) == 2


@pytest.mark.rtorrent_version("<0.16", reason="0.16 loads torrents without a tracker")
def test_a_torrent_that_names_no_tracker_fails_with_the_reason_that_rtorrent_does_not_report(
    watching: Watching, root: Path, client: RTorrent
) -> None:
    (root / "a.torrent").write_bytes(make_metafile("lonely").replace(TRACKER, b""))
    drop(root / "b.torrent")
    watching.until(lambda: watching.state(root / "a.torrent") == "failed", 20)
    assert "no tracker" in watching.row(root / "a.torrent").progress.reason
    assert "DHT" in watching.row(root / "a.torrent").progress.reason
    assert watching.state(root / "b.torrent") in ("visible", "loaded")
    assert accepted(watching) == 2, "each once, however often it was sent"


@pytest.mark.rtorrent_version(">=0.16", reason="0.9.8 needs a tracker or DHT")
@pytest.mark.parametrize("private", [False, True])
def test_a_torrent_that_names_no_tracker_is_loaded(watching: Watching, root: Path, private: bool) -> None:
    (root / "a.torrent").write_bytes(make_metafile("lonely", private=private).replace(TRACKER, b""))
    watching.until(visible(watching, root / "a.torrent"))


@pytest.mark.rtorrent_version("<0.16", reason="0.16 refuses nothing that is sent to it")
def test_one_bad_metafile_among_many_delays_none_of_them(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent
) -> None:
    """rTorrent gets several in one request; each has its own outcome."""
    infos = {drop(root / f"{number:02}.torrent") for number in range(20)}
    (root / "07-broken.torrent").write_bytes(make_metafile("no tracker").replace(TRACKER, b""))
    drop(root / "08-same.torrent", "05.torrent")
    watching.until(lambda: watching.states("failed") == 1 and watching.states("duplicate") == 1, 20)
    assert items(rtorrent) == infos
    assert {event.info_hash for event in watching.loaded} == infos


def test_padding_files_of_one_path_are_loaded_where_rtorrent_can_open_them(
    watching: Watching, root: Path, client: RTorrent, rtorrent_program: Program
) -> None:
    """As in hybrid torrents."""
    files: list[Bencodable] = []
    for name in ("a", "b", "c"):
        files.append({"path": [name], "length": 16000})
        files.append({"path": [".pad", "384"], "length": 384, "attr": "p"})
    info: dict[str, Bencodable] = {"name": "hybrid", "piece length": 16384, "pieces": b"x" * 60, "meta version": 2}
    info["files"] = files
    path = root / "hybrid.torrent"
    path.write_bytes(bencode({"announce": "http://127.0.0.1:1/a", "info": info, "piece layers": {}}))
    if rtorrent_program.satisfies(">=0.16"):
        watching.until(visible(watching, path))
        client.call("d.open", watching.row(path).load.info_hash)
    else:
        watching.until(lambda: watching.failed)
        assert "two files" in watching.failed[0].reason
        assert "rTorrent 0.9.8" in watching.failed[0].reason


@pytest.mark.parametrize("name", ["x.torrent", "x.magnet", "below/x.torrent"])
@pytest.mark.parametrize(
    "content", ["SECRET of the owner", "http://host/SECRET", "[InternetShortcut]\nURL=SECRET", "d6:SECRETe"]
)
def test_the_reason_quotes_no_file_behind_a_link(
    watching: Watching, root: Path, short_folder: Path, name: str, content: str
) -> None:
    """Who may create a link in a shared folder may read the reason where he cannot read the file."""
    (short_folder / "secret").write_text(content)
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).symlink_to(short_folder / "secret")
    watching.until(lambda: watching.failed)
    assert "SECRET" not in watching.failed[0].reason
    assert "SECRET" not in watching.row(root / name).progress.reason


def test_good_magnet_links_are_loaded_and_a_bad_one_is_reported(
    watching: Watching, root: Path, client: RTorrent, caplog: pytest.LogCaptureFixture
) -> None:
    info = "AB" * 20
    (root / "x.magnet").write_bytes(
        f"\r\nMAGNET:?dn=a b&amp;xt=URN:BTIH:{info}&amp;tr=http://127.0.0.1:1/a\r\nnonsense\r\n".encode("utf-8-sig")
    )
    watching.until(visible(watching, root / "x.magnet"))
    assert has(client, info)
    assert "line 3: nonsense is not a magnet link" in caplog.text


def test_the_log_quotes_no_line_of_a_list_behind_a_link(
    watching: Watching, root: Path, short_folder: Path, client: RTorrent, caplog: pytest.LogCaptureFixture
) -> None:
    info = "AC" * 20
    (short_folder / "notes").write_text(f"SECRET\nmagnet:?xt=urn:btih:{info}&tr=http://127.0.0.1:1/a\nSECRET\n")
    (root / "x.magnet").symlink_to(short_folder / "notes")
    watching.until(visible(watching, root / "x.magnet"))
    assert has(client, info)
    assert "2 lines without a magnet link; its other links are loaded" in caplog.text
    assert "SECRET" not in caplog.text


def test_a_magnet_link_in_a_metafile_is_loaded(watching: Watching, root: Path, client: RTorrent) -> None:
    info = "CD" * 20
    (root / "m.torrent").write_bytes(bencode({"magnet-uri": f"magnet:?tr=http://127.0.0.1:1/a&xt=urn:btih:{info}"}))
    watching.until(visible(watching, root / "m.torrent"))
    assert has(client, info)


@pytest.mark.parametrize("quiet", [False, True])
def test_the_line_for_rtorrents_own_log_runs_nothing_and_prevents_no_load(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, quiet: bool
) -> None:
    """What `print` writes appears on rTorrent's screen only, not in its log files: so this checks its effects."""
    harm = Path("harm-by-a-name")
    names = [f"{begin}execute.throw=touch,{harm}{end}" for begin in ('";', "$", ";", "\n", '$"') for end in ("", ';"')]
    with Watching(short_folder, job(root, quiet=quiet), url=rtorrent.url) as watching:
        watching.settle()
        paths = [root / f"{number}.torrent" for number in range(len(names))]
        for path, name in zip(paths, names, strict=True):
            drop(path, name)
        watching.until(visible(watching, *paths))
    assert not harm.exists()
    assert not list(short_folder.rglob(harm.name))


def test_a_burst_during_which_rtorrent_stalls_is_published_once(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that becomes due before the result of its last check is recorded is not checked a second time."""
    paths = [root / f"{number}.torrent" for number in range(100)]
    infos = [drop(path) for path in paths]
    multicall, timers = RTorrent.multicall, list[threading.Timer]()

    def slow(self: RTorrent, *args: Any, **named: Any) -> Any:
        answers = multicall(self, *args, **named)
        if str(named.get("label")).startswith("load"):
            os.kill(rtorrent.pid, signal.SIGSTOP)
            timers.append(threading.Timer(0.35, os.kill, (rtorrent.pid, signal.SIGCONT)))
            timers[-1].start()
        return answers

    monkeypatch.setattr(RTorrent, "multicall", slow)
    watching.until(visible(watching, *paths), 60)
    for timer in timers:
        timer.join()
    assert sorted(event.info_hash for event in watching.loaded) == sorted(infos)


@pytest.mark.parametrize("rows", [128, 8], ids=["steps of any machine", "steps of a slow machine"])
def test_a_new_metafile_does_not_wait_behind_thousands_that_are_wrong(
    watching: Watching, root: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    if rows < 128:
        monkeypatch.setattr("pyrotorque_watcher.load.loader._STEP_ROWS", rows)
        monkeypatch.setattr("pyrotorque_watcher.load.loader._STEP", 0.0)
    loader = watching.watcher.stages.loader  # type: ignore[union-attr]
    loader.availability.retry_at = float("inf")
    for number in range(3000):
        (root / f"{number}.torrent").write_bytes(b"no metafile")
    watching.until(lambda: len(watching.rows) == 3000, 60)
    loader.availability.retry_at = 0.0
    drop(root / "new.torrent")
    watching.until(lambda: watching.state(root / "new.torrent"))
    watching.until(visible(watching, root / "new.torrent"))
    assert watching.states("failed") < 2500
    assert watching.loaded[0].seconds < bound(2)
