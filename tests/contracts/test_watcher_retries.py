"""A real rTorrent: what failed because of a setting is loaded after that setting was changed, and not before."""

from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from pyrotorque_watcher.load import retries
from tests.dropping import drop
from tests.watching import Watching, job


def failed(watching: Watching, path: Path) -> None:
    watching.until(lambda: watching.state(path) == "failed")


def check_unseen(watching: Watching) -> None:
    """The check for changes that no event reports is due."""
    watching.watcher.unseen_due = 0.0


@pytest.mark.parametrize("command", ["d.no_such_command=1", "d.priority.set=none"])
def test_a_changed_load_command(short_folder: Path, root: Path, rtorrent: PrivateRTorrent, command: str) -> None:
    with Watching(short_folder, job(root, commands=(("a", command),)), url=rtorrent.url) as watching:
        watching.settle()
        path = root / "x.torrent"
        drop(path)
        failed(watching, path)
        watching.again()
        watching.settle()
        assert watching.state(path) == "failed"
        assert len(watching.failed) == 1
        watching.again(job(root, commands=(("a", "d.priority.set=1"),)))
        watching.until(lambda: watching.state(path) == "loaded")


def test_a_command_that_rtorrent_does_not_have_is_one_warning_for_its_setting(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = job(root, commands=(("a", "d.no_such_command=1"), ("b", "d.custom1.set=x")))
    with Watching(short_folder, wrong, url=rtorrent.url) as watching:
        for number in range(3):
            drop(root / f"{number}.torrent")
        watching.until(lambda: watching.states("failed") == 3)
        watching.settle()
        said = [record.message for record in caplog.records if record.message.startswith("job.treewatch.cmd.a")]
        assert len(said) == 1
        assert "has no command d.no_such_command" in said[0]


def test_a_changed_template_file(short_folder: Path, root: Path, rtorrent: PrivateRTorrent) -> None:
    with Watching(short_folder, job(root, commands=(("a", "d.no_such_command=1"),)), url=rtorrent.url) as watching:
        path = root / "x.torrent"
        drop(path)
        failed(watching, path)
        templates = watching.layout.config_dir / "templates"
        templates.mkdir()
        (templates / "x").write_text("{{#}}")
        watching.again()
        watching.until(lambda: len(watching.failed) == 2)


def test_a_watch_ini_that_was_removed_or_may_be_written_by_others_no_longer(watching: Watching, root: Path) -> None:
    first, second = root / "a" / "x.torrent", root / "b" / "y.torrent"
    for path in (first, second):
        path.parent.mkdir(mode=0o755)
        (path.parent / "watch.ini").write_text("target = /srv\n")
        (path.parent / "watch.ini").chmod(0o666)
        drop(path)
        failed(watching, path)
    (first.parent / "watch.ini").chmod(0o644)
    watching.until(lambda: watching.state(first) == "loaded")
    (second.parent / "watch.ini").unlink()
    check_unseen(watching)
    watching.until(lambda: watching.state(second) == "loaded")
    assert len(watching.failed) == 2


@pytest.mark.parametrize(
    "text",
    ["a" + " " * 60_000 + "b\n", "x = 1\n" * 9_000, f"queued = {'y' * 60_000}\n", "x\n" * 30_000],
    ids=["blanks", "unknown", "value", "lines"],
)
def test_the_reason_does_not_repeat_a_long_watch_ini(watching: Watching, root: Path, text: str) -> None:
    path = root / "x.torrent"
    (root / "watch.ini").write_text(text)
    drop(path)
    failed(watching, path)
    assert "watch.ini:" in watching.failed[0].reason
    assert len(watching.failed[0].reason) < 10_000


def test_a_watch_ini_that_was_corrected_while_the_watcher_was_down(watching: Watching, root: Path) -> None:
    path = root / "x.torrent"
    (root / "watch.ini").write_text("nonsense = 1\n")
    drop(path)
    failed(watching, path)
    check_unseen(watching)
    watching.settle()
    assert watching.state(path) == "failed"
    watching.watcher.close()
    (root / "watch.ini").write_text("custom1 = x\n")
    watching.again()
    watching.until(lambda: watching.state(path) == "loaded")


def test_a_reported_watch_ini_that_is_corrected_or_removed_is_reported_as_over(
    watching: Watching, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[tuple[str, str]] = []

    def owner_event(event: str, text: str, *, subject: str) -> None:
        assert subject == str(root)
        lines.append((event, text))

    monkeypatch.setattr(retries, "owner_event", owner_event)
    for is_removed in (False, True):
        lines.clear()
        (root / "watch.ini").write_text("nonsense = 1\nqueued = perhaps\n")
        watching.until(lambda: [event for event, _ in lines] == ["watch.ini wrong"])
        assert "\n" not in lines[0][1]
        assert "nonsense" in lines[0][1]
        assert "perhaps" in lines[0][1]
        (root / "watch.ini").unlink() if is_removed else (root / "watch.ini").write_text("custom1 = x\n")
        check_unseen(watching)
        watching.until(lambda: [event for event, _ in lines][1:] == ["watch.ini valid"])
        assert " after " in lines[1][1]


@pytest.mark.parametrize("is_removed", [False, True])
@pytest.mark.parametrize(
    ("left", "meanwhile"),
    [
        ("", "running"),
        ("", "restarted"),
        ("\n", "running"),
        ("# custom1 = films\n", "restarted"),
        ("[watch]\n", "running"),
    ],
)
def test_a_watch_ini_that_was_emptied_holds_metafiles_until_it_is_restored_or_removed(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, is_removed: bool, left: str, meanwhile: str
) -> None:
    first, second = root / "first.torrent", root / "second.torrent"
    (root / "watch.ini").write_text("custom1 = films\n")
    drop(first)
    watching.until(lambda: watching.state(first) == "loaded")
    (root / "watch.ini").write_text(left)
    if meanwhile == "restarted":  # as after a power failure, which empties a file that was just written
        watching.again()
    drop(second)
    failed(watching, second)
    assert f"{'sets nothing' if left else 'is empty'}, and had settings" in watching.failed[0].reason
    (root / "watch.ini").unlink() if is_removed else (root / "watch.ini").write_text("custom1 = films\n")
    check_unseen(watching)
    watching.until(lambda: watching.state(second) == "loaded")
    labels = [row[0] for row in RTorrent(rtorrent.url).rows("main", ["d.custom1="])]
    assert sorted(labels) == (["", "films"] if is_removed else ["films", "films"])


@pytest.mark.parametrize("before", [None, "# custom1 = films\n"], ids=["none", "only a comment"])
def test_an_empty_watch_ini_that_had_no_settings_sets_nothing(
    watching: Watching, root: Path, before: str | None
) -> None:
    first, second = root / "first.torrent", root / "second.torrent"
    if before is not None:
        (root / "watch.ini").write_text(before)
        drop(first)
        watching.until(lambda: watching.state(first) == "loaded")
    (root / "watch.ini").write_bytes(b"")
    watching.again()
    drop(second)
    watching.until(lambda: watching.state(second) == "loaded")
