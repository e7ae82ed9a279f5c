"""A real rTorrent: `check` finds what would fail for each metafile, with the file in which it is written."""

from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.layout import Layout
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import RTorrentSettings, Settings, WatchSettings
from pyrotorque_control.checks.watches import watch_problems
from tests.watching import job


def problems(layout: Layout, rtorrent: PrivateRTorrent | None, *jobs: WatchSettings) -> list[str]:
    settings = Settings(digest="", rtorrent=RTorrentSettings(url=None, origin=""), jobs=jobs)
    return watch_problems(settings, layout, None if rtorrent is None else RTorrent(rtorrent.url))


def of(root: Path, layout: Layout, rtorrent: PrivateRTorrent | None, **commands: Any) -> list[str]:
    found = problems(layout, rtorrent, job(root, commands=tuple(commands.items())))
    return [problem.replace(str(root), "ROOT") for problem in found]


def test_what_works_is_no_problem(root: Path, layout: Layout, shared_rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    (root / "a").mkdir()
    (root / "a" / "watch.ini").write_text(f"target = {tmp_path}/done/{{{{label}}}}\ncmd.x = d.custom2.set=y\n")
    commands = {"t": "d.throttle_name.set=NULL", "v": "d.views.push_back_unique=started", "d": "d.directory.set=~/x"}
    assert of(root, layout, shared_rtorrent, **commands) == []


def test_names_that_rtorrent_does_not_have(root: Path, layout: Layout, shared_rtorrent: PrivateRTorrent) -> None:
    (root / "a").mkdir()
    (root / "a" / "watch.ini").write_text("cmd.x = d.custm2.set=y\n")
    assert of(root, layout, shared_rtorrent, t="d.throttle_name.set=slow", v="d.views.push_back_unique=startd") == [
        "job.treewatch: cmd.t: d.throttle_name.set: this rTorrent has no throttle slow: define it in rtorrent.rc",
        "job.treewatch: cmd.v: d.views.push_back_unique: this rTorrent has no view startd, did you mean started?",
        "ROOT/a/watch.ini: cmd.t: d.throttle_name.set: this rTorrent has no throttle slow: define it in rtorrent.rc",
        "ROOT/a/watch.ini: cmd.v: d.views.push_back_unique: this rTorrent has no view startd, did you mean started?",
        "ROOT/a/watch.ini: this rTorrent has no command d.custm2.set, did you mean d.custom2.set?",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense = 1", "ROOT/a/b/watch.ini:1: nonsense: is not an option"),
        ("load_mode = start\ntarget = relative", "ROOT/a/b/watch.ini:2: target: expected an absolute path"),
        ("on_loaded = move", "ROOT/a/b/watch.ini: on_loaded: move requires"),
        ("custom1 = {{nothing_like_that}}", "ROOT/a/b/watch.ini:1: custom1: "),
        ("target = /proc/no/such/folder", "ROOT/a/b/watch.ini: target: /proc/no/such/folder cannot be created"),
        ("target = /etc/passwd/x", "ROOT/a/b/watch.ini: target: /etc/passwd/x cannot be used: /etc/passwd is not a f"),
        ("target = {config}/jobs", "ROOT/a/b/watch.ini: for a usual torrent: the target of a watch.ini"),
    ],
)
def test_errors_in_watch_ini_files_are_found_without_rtorrent(
    root: Path, layout: Layout, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, _: not str(path).startswith("/proc"))  # root may write anywhere
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "watch.ini").write_text(text.format(config=layout.config_dir) if "config" in text else text)
    found = of(root, layout, None)
    assert len(found) >= 1
    assert found[0].startswith(said)


def test_a_template_that_fails_for_some_torrents(root: Path, layout: Layout) -> None:
    """Magnet links do not have a size."""
    (problem,) = of(root, layout, None, a="{{#}}d.custom1.set={{1000 / size}}")
    assert problem.startswith("job.treewatch: for a magnet link: cmd.a: ")


def test_a_watch_ini_in_the_tree_of_another_job_is_that_jobs(root: Path, layout: Layout) -> None:
    (root / "films").mkdir()
    (root / "films" / "watch.ini").write_text("on_loaded = move\n")
    films = job(root / "films", name="films", loaded_path=root.parent / "loaded")
    assert problems(layout, None, job(root), films) == []
    assert len(problems(layout, None, job(root))) == 1
