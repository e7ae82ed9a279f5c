"""A move leaves each symbolic link leading to the same file, or is refused."""

import os
import shutil
from pathlib import Path

import pytest

from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.jobs.move_links import FolderLinks, require_same_targets

# The text of a link at `data/Name/sub/link` (below `/base`), and whether a move to `done/deep/Name` keeps its target.
TEXTS = {
    "beside": ("b", True),
    "in the data": ("../a", True),
    "out of the data and back": ("../../Name/a", True),
    "relative, out of the data": ("../../library/x", False),
    "absolute": ("/base/data/library/x", True),
    "absolute, into the data": ("/base/data/Name/a", False),
    "absolute, to the data": ("/base/data/Name", False),
    "to a folder around the data": ("../..", False),
    "by a link of another name": ("/base/alias/Name/a", False),
    "nowhere": ("../../nothing", True),
    "relative, and the same from the target": ("../../../elsewhere/x", False),
    "an absolute path with `..`": ("/base/data/Name/../library/x", False),
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in ("data/Name/a", "data/Name/sub/b", "data/library/x", "elsewhere/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "alias").symlink_to("data")
    return tmp_path


def leads_to(link: Path) -> str:
    return link.read_text() if link.is_file() else str(sorted(os.listdir(link))) if link.exists() else ""


def refusal(source: Path, final: Path) -> MoveRefused | None:
    try:
        require_same_targets(source, final, FolderLinks())
    except MoveRefused as refused:
        return refused
    return None


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("source", ["data/Name", "alias/Name"])
def test_a_move_is_refused_if_a_link_would_lead_elsewhere(base: Path, kind: str, source: str) -> None:
    text, is_kept = TEXTS[kind]
    link = base / "data/Name/sub/link"
    link.symlink_to(text.replace("/base", str(base)))
    before = leads_to(link)
    final = base / "done/deep/Name"
    refused = refusal(base / source, final)
    is_allowed = refused is None
    assert is_allowed or str(link).replace("data/Name", source) in str(refused)
    final.parent.mkdir(parents=True)
    shutil.move(base / "data/Name", final)
    assert is_allowed is is_kept
    assert is_allowed is (leads_to(final / "sub/link") == before), "what really happens"


@pytest.mark.parametrize(("text", "is_kept"), [("library", False), ("/base/data/library", True)])
def test_data_that_is_a_link(base: Path, text: str, is_kept: bool) -> None:
    link = base / "data/Linked"
    link.symlink_to(text.replace("/base", str(base)))
    if is_kept:
        require_same_targets(link, base / "done/Linked", FolderLinks())
    else:
        with pytest.raises(MoveRefused, match="a link with an absolute path"):
            require_same_targets(link, base / "done/Linked", FolderLinks())


def test_a_folder_is_read_again_when_its_names_change(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, links = bytes(base / "data"), FolderLinks()
    for path in (base / "data").rglob("*"):
        os.utime(path, (1, 1))
    os.utime(folder, (1, 1))
    assert list(links.below(folder)) == []
    listed: list[object] = []
    scandir = os.scandir

    def counted(path: bytes) -> object:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    assert list(links.below(folder)) == []
    assert listed == []
    (base / "data/Name/sub/link").symlink_to("b")
    assert list(links.below(folder)) == [bytes(base / "data/Name/sub/link")]
    assert listed == [bytes(base / "data/Name/sub")]
    (base / "data/Name/sub/link").unlink()
    assert list(links.below(folder)) == [], "also within the same moment"
