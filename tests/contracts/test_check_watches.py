"""A real rTorrent: `check` finds what would fail for each metafile, with the file in which it is written."""

import json
from pathlib import Path
from typing import Any

import pytest

from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import CommandRefused, MetafileError, UserError
from pyrotorque.layout import Layout
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import RTorrentSettings, Settings, WatchSettings
from pyrotorque.store import open_store
from pyrotorque_control.checks.watches import watch_problems
from pyrotorque_control.cli import run
from pyrotorque_control.commands.expand import MetafilePlace, RTorrentFacts, expand, facts_of
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.rows import MIGRATIONS
from tests.dropping import drop
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
    def not_in_proc(path: object, _: int) -> bool:
        return not str(path).startswith("/proc")

    monkeypatch.setattr("os.access", not_in_proc)  # root may write anywhere
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "watch.ini").write_text(text.format(config=layout.config_dir) if "config" in text else text)
    found = of(root, layout, None)
    assert len(found) >= 1
    assert found[0].startswith(said)


def test_a_watch_ini_that_was_emptied_is_a_problem_as_it_is_for_the_watcher(root: Path, layout: Layout) -> None:
    ini = root / "a" / "watch.ini"
    ini.parent.mkdir()
    ini.write_text("")
    assert of(root, layout, None) == []
    Ledger(open_store(layout.database("watcher"), MIGRATIONS)).configured_folders.add(bytes(ini.parent))
    lost = f"{ini} is empty, and had settings: restore them, or remove the file"
    assert problems(layout, None, job(root)) == [lost]
    settings = Settings(digest="", rtorrent=RTorrentSettings(url=None, origin=""), jobs=(job(root),))
    metafile = root / "a" / "x.torrent"
    drop(metafile)
    place = MetafilePlace("treewatch", bytes(metafile), bytes(root))
    with pytest.raises(UserError, match="is empty, and had settings"):
        expand(place, job(root), settings, layout, RTorrentFacts())
    ini.write_text("[watch]\n")
    assert problems(layout, None, job(root)) == [lost.replace("is empty", "sets nothing")]
    ini.unlink()
    assert of(root, layout, None) == []


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


def test_expand_agrees_with_the_load(
    root: Path, layout: Layout, shared_rtorrent: PrivateRTorrent, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "films").mkdir()
    (root / "link").symlink_to(root / "films")
    watch = "job.{0}.handler = pyrocore.torrent.watch:TreeWatch\njob.{0}.path = {1}\n"
    (layout.config_dir / "torque.ini").write_text(
        f"[TORQUE]\nscgi_url = {shared_rtorrent.url}\n"
        + watch.format("all", root) + watch.format("films", f"{root}/../watch/link/")
    )  # fmt: skip
    drop(root / "films" / "start" / "x.torrent")
    drop(root / "y.torrent")

    def said(*arguments: str | Path) -> Any:
        run(["--config-dir", str(layout.config_dir), *map(str, arguments)])
        return json.loads(capsys.readouterr().out)

    def expanded(path: Path) -> tuple[str, str]:
        found = said("expand", "--json", path)
        return found["job"], found["mode"]

    assert expanded(root / "films" / "start" / "x.torrent") == ("films", "started")
    assert expanded(root / "link" / "start" / "x.torrent") == ("films", "started")
    assert expanded(root / "y.torrent") == ("all", "normal")
    found = said("check", "--json", root / "link", root / "y.torrent", "/")
    assert list(found["paths"].values()) == ["films", "all", ""]
    assert [(each["job"], each["inside"]) for each in found["roots"]] == [("all", ""), ("films", "all")]


def test_expand_refuses_what_this_rtorrent_refuses(
    root: Path, layout: Layout, shared_rtorrent: PrivateRTorrent
) -> None:
    settings = Settings(digest="", rtorrent=RTorrentSettings(url=shared_rtorrent.url, origin=""), jobs=(job(root),))
    (root / "x.torrent").write_bytes(make_metafile("x", files=[("a", 5), ("p", 5), ("b", 5), ("p", 5)]))
    place = MetafilePlace("treewatch", bytes(root / "x.torrent"), bytes(root))
    with pytest.raises(MetafileError, match="two files"):
        expand(place, settings.active_jobs(WatchSettings)[0], settings, layout, facts_of(settings))
    wrong = job(root, commands=(("a", "d.no_such_command=1"),))
    drop(root / "x.torrent")
    with pytest.raises(CommandRefused, match="no command"):
        expand(place, wrong, settings, layout, facts_of(settings))
