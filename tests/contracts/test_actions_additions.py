"""Adding metafiles and magnet links: only into watched folders, whole, never over another file, and recorded."""

import os
import stat

import pytest

from demo.metafiles import make_metafile
from pyrotorque import actions
from pyrotorque.actions import Actor
from pyrotorque.configuration import Configuration, adopt
from pyrotorque.errors import ActionRefused, MetafileError, UnknownName, UserError
from pyrotorque.layout import Layout
from pyrotorque.options import Options
from tests.configured import configured

MAGNET = "magnet:?xt=urn:btih:" + "a" * 40 + "&dn=../../etc/passwd%00%0a"


def in_force(layout: Layout, text: str) -> None:
    adopt(Configuration(configured(layout.config_dir, text).settings, layout, Options()))


def ignore(*_: object) -> None:
    pass


class Adding:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.root = layout.config_dir / "watch"
        (self.root / "tv").mkdir(parents=True)
        (self.root / ".hidden").mkdir()
        (self.root / "link").symlink_to("/")
        text = f"[TORQUE]\njob.treewatch.active = True\njob.treewatch.path = {self.root}\n"
        layout.prepare()
        in_force(layout, text)
        self.recorded: list[tuple[str, str, bool]] = []
        self.actor = Actor(layout, "ann", 0.0, lambda a, t, ok, _: self.recorded.append((a, t, ok)))

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def adding(layout: Layout) -> Adding:
    return Adding(layout)


def test_only_watched_folders_can_be_chosen(adding: Adding) -> None:
    root = str(adding.root)
    assert actions.watched_folders(adding.layout) == [root, f"{root}/tv"]
    for folder in ("/etc", f"{root}/..", f"{root}/link/etc", f"{root}/.hidden", "tv", f"{root}/tv/"):
        with pytest.raises(UnknownName, match="is not a watched folder"):
            actions.add_magnet(adding.actor, MAGNET, folder)
    assert adding.files() == []
    assert adding.recorded[0][2] is False


def test_folders_have_the_label_of_the_nearest_watch_ini(adding: Adding) -> None:
    root = str(adding.root)
    assert actions.folder_labels(adding.layout) == {root: "", f"{root}/tv": ""}
    (adding.root / "watch.ini").write_text("queued = yes\ncustom1 = films\n")
    assert actions.folder_labels(adding.layout) == {root: "films", f"{root}/tv": "films"}
    (adding.root / "tv" / "watch.ini").write_bytes(b"[watch]\ncustom1: tv \xff\x1b[2J\n")
    found = actions.folder_labels(adding.layout)[f"{root}/tv"]
    assert found.startswith("tv ")
    assert "\x1b" not in found
    (adding.root / "watch.ini").unlink()
    (adding.root / "watch.ini").mkdir()
    assert actions.folder_labels(adding.layout)[root] == ""
    (adding.root / "tv" / "watch.ini").unlink()
    os.mkfifo(adding.root / "tv" / "watch.ini")
    assert actions.folder_labels(adding.layout)[f"{root}/tv"] == "", "a pipe that has no writer"


def test_a_magnet_link_gets_a_harmless_name(adding: Adding) -> None:
    actions.add_magnet(adding.actor, MAGNET, f"{adding.root}/tv")
    (name,) = adding.files()
    assert name == "tv/etc_passwd-AAAAAAAAAAAAAAAA.magnet"
    assert adding.recorded == [("add", adding.recorded[0][1], True)]
    with pytest.raises(ActionRefused, match="already"):
        actions.add_magnet(adding.actor, MAGNET, f"{adding.root}/tv")
    assert adding.files() == [name]


def test_a_metafile_is_readable_for_those_who_may_read_the_folder(adding: Adding) -> None:
    for mode, expected in ((0o755, 0o644), (0o700, 0o600), (0o750, 0o640)):
        adding.root.chmod(mode)
        actions.add_metafile(adding.actor, make_metafile(f"one {mode}"))
        newest = max(adding.root.glob("*.torrent"), key=lambda path: path.stat().st_ctime_ns)
        assert stat.S_IMODE(newest.stat().st_mode) == expected


@pytest.mark.parametrize("content", [b"", b"no metafile", b"d4:infod", b"\x00" * 1000])
def test_what_is_no_metafile_is_not_written(adding: Adding, content: bytes) -> None:
    with pytest.raises(MetafileError):
        actions.add_metafile(adding.actor, content)
    with pytest.raises(UserError, match="at most 16 MiB"):
        actions.add_metafile(adding.actor, b"x" * ((16 << 20) + 1))
    assert adding.files() == []


def test_a_full_or_protected_folder_leaves_nothing(adding: Adding, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", refuse)
    with pytest.raises(ActionRefused, match="No space left"):
        actions.add_magnet(adding.actor, MAGNET)
    assert adding.files() == []


def test_without_a_tree_watch_the_error_names_the_setting(layout: Layout) -> None:
    layout.prepare()
    in_force(layout, "[TORQUE]\n")
    with pytest.raises(ActionRefused, match=r"set job\.treewatch\.active"):
        actions.add_magnet(Actor(layout, "ann", 0.0, ignore), MAGNET)
