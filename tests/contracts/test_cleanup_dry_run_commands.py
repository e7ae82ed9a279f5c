"""`pyrotorque --dry-run` before a command that changes something by itself changes nothing."""

from pathlib import Path

import pytest

from tests.cleaning import SILENT, CleanupScene
from tests.commanding import Command
from tests.contracts.test_cleanup_commands import command, scene

__all__ = ["command", "scene"]  # fixtures


def everything(folder: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


@pytest.mark.parametrize(
    "words",
    [
        ("quarantine", "purge", "HASH"),
        ("quarantine", "restore", "HASH"),
        ("cleanup", "--accept-items"),
        ("cleanup", "--accept-magnets"),
        ("cleanup", "tidy", "--approve", "1a2b"),
        ("retrack", SILENT, f"{SILENT}/new", "--apply"),
    ],
)
def test_nothing_is_changed(scene: CleanupScene, command: Command, words: tuple[str, ...]) -> None:
    item, other = scene.item("One"), scene.item("Two")
    scene.job(data="quarantine", condition=f"hash={item}").run()
    scene.client.call("d.save_full_session", other)
    entry = scene.downloads / ".pyrotorque-quarantine"
    before = everything(entry)
    assert any(path.endswith("entry.json") for path in before)
    tried = command("--dry-run", *(item if word == "HASH" else word for word in words))
    assert tried.code == 64, tried.out
    assert "would do that for real" in tried.err
    assert everything(entry) == before
    assert not scene.has(item)
    assert [str(row) for row in scene.client.rows("main", ["d.hash=", "d.tracker_size="])] == [f"('{other}', '1')"]
    assert not list((scene.state / "housekeeping").glob("accepted*"))


def test_what_changes_nothing_takes_the_option(scene: CleanupScene, command: Command) -> None:
    scene.item("One")
    assert command("--dry-run", "cleanup").code == 0
    assert command("--dry-run", "quarantine", "list").code == 0
    assert command("--dry-run", "retrack", SILENT, f"{SILENT}/new").code == 0
