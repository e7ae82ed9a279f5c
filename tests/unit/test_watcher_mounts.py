"""Which mounts show a tree: what changes there is compared with the ledger, and did not arrive."""

from pathlib import Path

import pytest

from pyrotorque.linux.filesystems import Mount
from pyrotorque_watcher.scan import mounts
from pyrotorque_watcher.scan.mounts import MountChanges, is_mounted_below, mounts_in


@pytest.fixture
def tree(tmp_path: Path) -> bytes:
    (tmp_path / "watch" / "usb" / "deep").mkdir(parents=True)
    return bytes(tmp_path / "watch")


def test_the_mounts_of_a_tree_are_those_above_and_in_it(tree: bytes) -> None:
    root = Mount(1, 0, b"/", "ext4")
    inside, beside = Mount(2, 1, tree + b"/usb", "ext4"), Mount(3, 1, tree + b"-beside", "ext4")
    assert mounts_in(tree, [root, inside, beside]) == {1, 2}
    assert mounts_in(tree, [root, beside]) == {1}
    # Mounted again, at the same place: other files may be there.
    assert mounts_in(tree, [root, inside._replace(number=4), beside]) == {1, 4}
    assert mounts_in(tree, [root, Mount(5, 1, tree, "ext4")]) == {5}
    assert mounts_in(tree, []) == frozenset()


def test_what_is_in_a_mount_is_not_what_is_beside_it(tree: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    known = [Mount(1, 0, b"/", "ext4"), Mount(2, 1, tree + b"/usb", "ext4")]
    monkeypatch.setattr(mounts, "read_mounts", lambda: known)
    assert is_mounted_below(tree + b"/usb", tree)
    assert is_mounted_below(tree + b"/usb/deep", tree)
    assert not is_mounted_below(tree + b"/usb/deep", tree + b"/usb")
    assert not is_mounted_below(tree + b"/other", tree)
    known.clear()
    assert not is_mounted_below(tree + b"/usb", tree)


def test_nothing_changes_without_a_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = MountChanges()
    changes.changed()
    assert not changes.changed()
    changes.close()
    assert not changes.changed()
    monkeypatch.setattr(mounts, "_MOUNTINFO", "/nonexistent")
    assert not MountChanges().changed()
