"""Random items that share, link and nest their files: whatever a clean-up does, all other data is as it was."""

import os
import random
from functools import partial
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RemovalRefused, UserError
from pyrotorque.housekeeping import quarantine
from pyrotorque.housekeeping.restore import restore
from tests.cleaning import SILENT, CleanupScene
from tests.waiting import eventually

ROUNDS = int(os.environ.get("CLEANUP_ROUNDS", "2"))
NAMES = ("a", "b.mkv", "sub/c", "sub/deep/d", "..x", " e ", "ü", "%41")


def make_items(scene: CleanupScene, chance: random.Random) -> dict[str, list[Path]]:
    """Items whose files are partly those of earlier ones: by path, through a linked folder, as hard links, nested."""
    made: dict[str, list[Path]] = {}
    folders = [scene.downloads, scene.downloads / "tv", scene.downloads / "tv/more"]
    for number in range(chance.randint(4, 7)):
        parent = chance.choice(folders)
        path = parent / f"Item-{number}"
        earlier = [file for files in made.values() for file in files]
        for name in chance.sample(NAMES, chance.randint(1, 4)):
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if earlier and chance.random() < 0.35:
                os.link(chance.choice(earlier), target)
            else:
                target.write_bytes(chance.randbytes(chance.randint(1, 60_000)))
        folders.append(path)
        copies = chance.choice((1, 1, 2))
        for copy in range(copies):
            via = path
            if copy and chance.random() < 0.5:
                link = scene.downloads / f"link-{number}"
                link.symlink_to(parent)
                via = link / path.name
            found = make_metafile(path.name, content=path, announce=SILENT, info_extra={"source": str(copy)})
            scene.client.call("load.raw_start", "", found, f"d.directory.set={via.parent}")
            made[info_hash(found)] = [each for each in path.rglob("*") if each.is_file()]
            eventually(partial(scene.seeds, info_hash(found)), 20)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        (chance.choice(folders) / f"loose-{number}").write_bytes(chance.randbytes(100))
    if chance.random() < 0.5:
        os.link(chance.choice(chance.choice(list(made.values()))), scene.folder / "library")
    return made


def is_restored(scene: CleanupScene, entry: quarantine.QuarantineEntry) -> bool:
    """An item whose shared files are in the entry of another one has to wait for that."""
    try:
        restore(scene.client, entry)
    except RemovalRefused as error:
        if "first restore the item" not in str(error):
            raise
        return False
    return True


def is_checked(scene: CleanupScene, found: str) -> bool:
    return scene.client.call("d.hashing", found) == 0


@pytest.mark.parametrize("number", range(ROUNDS))
def test_what_is_not_removed_is_as_it_was(rtorrent: PrivateRTorrent, short_folder: Path, number: int) -> None:
    chance = random.Random(number)
    scene = CleanupScene(rtorrent, short_folder)
    made = make_items(scene, chance)
    before = {
        path: path.read_bytes() for path in scene.downloads.rglob("*") if path.is_file() and not path.is_symlink()
    }
    chosen = chance.sample(sorted(made), chance.randint(1, len(made)))
    data = chance.choice(("quarantine", "delete"))
    settings = {
        "condition": " OR ".join(f"hash={each}" for each in chosen),
        "data": data,
        "shared": chance.choice(("skip", "keep", "together")),
        "linked": chance.choice(("skip", "ignore")),
        "max_items": 0,
    }
    plan = scene.job(**settings).preview().plan
    planned = {each.candidate.info_hash for each in plan.removals}
    assert planned <= set(chosen)
    try:
        scene.job(**settings).run()
    except UserError as error:
        raise AssertionError(f"seed {number}: {settings}: {error}") from error
    gone = {each for each in made if not scene.has(each)}
    assert gone == planned, f"seed {number}: {settings}"
    for each in made.keys() - gone:
        assert scene.is_intact(each), f"seed {number}: {settings}"
    kept = {file for each in made.keys() - gone for file in made[each]}
    kept |= {path for path in before if path.name.startswith("loose-")}
    assert {path: path.read_bytes() for path in kept} == {path: before[path] for path in kept}
    if data == "delete":
        left = {path for path in before if path.exists()}
        expected = {path for path in before if path in kept or not any(path in made[each] for each in gone)}
        shared = {path for path in left if any(path.stat().st_ino == each.stat().st_ino for each in kept)}
        assert left <= expected | shared, f"seed {number}: {settings}"
        return
    entries = list(quarantine.entries(scene.downloads / quarantine.NAME))
    assert {entry.removal.info_hash for entry in entries} == gone
    while entries:
        waiting = [entry for entry in entries if not is_restored(scene, entry)]
        assert len(waiting) < len(entries), f"seed {number}: {settings}"
        entries = waiting
    assert {path: path.read_bytes() for path in before} == before, f"seed {number}: {settings}"
    for each in made:
        eventually(partial(is_checked, scene, each), 20)
        assert scene.client.call("d.complete", each) == 1, f"seed {number}: {settings}"
