"""Each folder belongs to the innermost root, wherever that is by links, mounts and `..`."""

from pathlib import Path

import pytest

from pyrotorque.linux import filesystems
from pyrotorque.linux.filesystems import Mount
from pyrotorque.watchroots import WatchRoot, WatchRoots, roots_of
from tests.watching import job


def roots(**jobs: Path | str) -> WatchRoots:
    return WatchRoots([root for name, path in jobs.items() for root in roots_of(job(Path(path), name=name))])


def owner(found: WatchRoots, folder: Path) -> str:
    root = found.owner(bytes(folder))
    return root.job if root else ""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "watch/films/new").mkdir(parents=True)
    (tmp_path / "elsewhere/sub").mkdir(parents=True)
    return tmp_path


def test_a_root_inside_another_one_owns_its_files(tree: Path) -> None:
    found = roots(all=tree / "watch", films=tree / "watch/films")
    assert [owner(found, tree / each) for each in ("watch", "watch/films", "watch/films/new", "elsewhere")] == [
        "all", "films", "films", "",
    ]  # fmt: skip
    assert owner(roots(films=tree / "watch/films", all=tree / "watch"), tree / "watch/films") == "films"
    assert owner(found, tree / "watch/films2") == "all"


@pytest.mark.parametrize("path", ["watch/films/", "watch/new/../films", "watch/./films", "link", "link/../films"])
def test_roots_are_where_they_are(tree: Path, path: str) -> None:
    (tree / "link").symlink_to("watch/films")
    found = roots(all=tree / "watch", films=f"{tree}/{path}")
    assert owner(found, tree / "watch/films/new") == "films"
    assert [(inner.job, outer.job) for inner, outer in found.inside()] == [("films", "all")]


def test_a_link_inside_a_tree_leads_into_another_tree(tree: Path) -> None:
    (tree / "watch/l").symlink_to(tree / "elsewhere")
    assert owner(roots(all=tree / "watch", other=tree / "elsewhere"), tree / "watch/l/sub") == "other"
    assert owner(roots(all=tree / "watch"), tree / "watch/l/sub") == "all"


def test_a_root_that_is_a_bind_mount(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = bytes(tree / "elsewhere")
    mounts = [Mount(1, 0, b"/", "ext4", b"8:1"), Mount(2, 1, bound, "ext4", b"8:1", bytes(tree / "watch/films"))]
    monkeypatch.setattr("pyrotorque.watchroots.read_mounts", lambda: mounts)
    assert filesystems.location(bound, mounts) == filesystems.location(bytes(tree / "watch/films"), mounts)
    found = roots(all=tree / "watch", films=tree / "elsewhere")
    assert owner(found, tree / "watch/films/new") == owner(found, tree / "elsewhere") == "films"
    root = found.owner(bytes(tree / "watch/films"))
    assert root is not None
    assert found.renamed(root, bytes(tree / "watch/films/new/x")) == bytes(tree / "elsewhere/new/x")


def test_a_root_that_does_not_exist_yet(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = roots(all=tree / "watch", later=tree / "watch/later/deep")
    assert owner(found, tree / "watch/later/deep/x") == "later"
    monkeypatch.setattr("pyrotorque.watchroots._FRESH", -1.0)
    (tree / "watch/later").symlink_to(tree / "elsewhere")
    assert owner(found, tree / "elsewhere/deep") == "later"
    assert owner(found, tree / "watch/later/deep") == "later"
    assert owner(found, tree / "watch") == "all"


def test_equal_roots_are_found_and_the_first_one_owns_the_files(tree: Path) -> None:
    (tree / "link").symlink_to("watch")
    found = roots(one=tree / "watch", two=tree / "link", three=tree / "watch/films")
    assert [(first.job, second.job) for first, second in found.equal()] == [("one", "two")]
    assert owner(found, tree / "watch") == owner(found, tree / "link") == "one"
    assert not found.owns(WatchRoot("two", bytes(tree / "link")), bytes(tree / "link"))
