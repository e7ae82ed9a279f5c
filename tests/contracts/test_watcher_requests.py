"""The watcher's answers about metafiles: forget and list."""

from pathlib import Path

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.requests import Answer, ForgetMetafiles, ListMetafiles, Request, RetryMetafiles
from pyrotorque_watcher.requests import answer
from tests.dropping import drop
from tests.watching import Watching


def ask(watching: Watching, request: Request) -> Answer:
    watcher = watching.watcher
    return answer(request, watcher.ledger, watcher.scanners, watcher.loader)


def test_a_forgotten_metafile_is_not_failed_and_loads_when_it_changes(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent
) -> None:
    path = root / "broken.torrent"
    path.write_bytes(b"no metafile")
    watching.until(lambda: watching.state(path) == "failed")
    assert not ask(watching, ForgetMetafiles(paths=("/elsewhere",))).ok
    assert not ask(watching, ForgetMetafiles(paths=())).ok
    assert watching.state(path) == "failed"
    assert ask(watching, ForgetMetafiles(paths=(str(path),))).ok
    assert watching.state(path) == "baseline"
    watching.again()
    watching.settle()
    assert watching.state(path) == "baseline"
    drop(path)
    watching.until(lambda: watching.state(path) == "loaded")


def test_a_forgotten_metafile_can_be_retried(watching: Watching, root: Path) -> None:
    path = root / "broken.torrent"
    path.write_bytes(b"no metafile")
    watching.until(lambda: watching.state(path) == "failed")
    assert ask(watching, ForgetMetafiles(paths=(str(root),))).ok
    assert ask(watching, RetryMetafiles(paths=(str(path),))).ok
    watching.until(lambda: watching.state(path) == "failed")


def test_metafiles_are_listed_in_pages(watching: Watching, root: Path) -> None:
    paths = [root / f"{number}.torrent" for number in range(5)]
    for path in paths:
        path.write_bytes(b"no metafile")
    watching.until(lambda: watching.states("failed") == 5)
    first = ask(watching, ListMetafiles(state="failed", limit=2)).data
    second = ask(watching, ListMetafiles(state="failed", limit=9, after=first["next"])).data
    assert [len(first["metafiles"]), len(second["metafiles"]), second["next"]] == [2, 3, None]
    assert {row["path"] for row in (*first["metafiles"], *second["metafiles"])} == {str(path) for path in paths}
    assert ask(watching, ListMetafiles(state="loaded")).data == {"metafiles": [], "next": None}
    newest = ask(watching, ListMetafiles(newest=True, limit=2)).data
    older = ask(watching, ListMetafiles(newest=True, limit=9, after=newest["next"])).data
    assert [len(newest["metafiles"]), len(older["metafiles"])] == [2, 3]
    turns = [row["turn"] for row in (*newest["metafiles"], *older["metafiles"])]
    assert turns == sorted(turns, reverse=True)
