"""The mover on a real rTorrent: data arrives complete, the item keeps seeding, a kill at any step loses nothing."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentError, SessionNotKnown, UserError
from pyrotorque.events import TorrentCompleted, TorrentMoved, UniqueEvent
from pyrotorque.jobs import (
    JobConfig,
    context,
    move_failures,
    move_files,
    move_journal,
    move_switch,
    mover,
    tree_copy,
    tree_removal,
)
from pyrotorque.linux import files
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.item_texts import equal_call
from pyrotorque.rtorrent.session import Session
from tests.cleaning import without_awaited_loads
from tests.waiting import eventually

_OTHER_DISK = Path("/dev/shm")


def restart(rtorrent: PrivateRTorrent) -> None:
    """0.16 would wait 89 s for the UDP tracker, which does not answer."""
    rtorrent.stop(timeout=3)
    rtorrent.start()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed move is tried again in the next run."""
    monkeypatch.setattr(move_failures, "FIRST_RETRY", 0.0)


class Killed(BaseException):
    """What a kill looks like from inside: nothing after it is run."""


class Scene:
    """An item that seeds, with the target of its data in a custom value."""

    def __init__(
        self, running: PrivateRTorrent, folder: Path, target: Path, *, multi: bool, name: bytes = b"Some Name"
    ) -> None:
        self.name = os.fsdecode(name)
        self.client, self.folder, self.target = RTorrent(running.url), folder, target
        self.source = running.downloads / self.name
        names = ("a", "sub dir/b", "sub dir/ü") if multi else ("",)
        self.content = {name: os.urandom(40_000 + len(name)) for name in names}
        for inside, data in self.content.items():
            path = self.source / inside if multi else self.source
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        # rTorrent 0.9.8 dies (TrackerList::send_state) when an item whose tracker refuses is started repeatedly.
        metafile = make_metafile(os.fsencode(self.name), content=self.source, announce="udp://127.0.0.1:1/announce")
        self.hash = info_hash(metafile)
        self.client.call("load.raw_start", "", metafile, f'd.custom.set=targetdir,"{target}"')
        eventually(self.seeds, 20, why="it seeds")

    @property
    def final(self) -> Path:
        return self.target / self.name

    def seeds(self) -> bool:
        rows = self.client.rows("main", ["d.hash=", "d.complete=", "d.is_active=", "d.hashing="])
        return rows == [(self.hash, "1", "1", "0")]

    def job(self, **more: Any) -> mover.Mover:
        context.set_context(context.JobContext(state_dir=self.folder / "state", url=self.client_url))
        return mover.Mover(JobConfig({"job_name": "move", "schedule": "minute=*", **more}))

    @property
    def client_url(self) -> str:
        return f"scgi://{self.folder / 'rt' / 'rtorrent.sock'}"

    def has_moved(self) -> bool:
        for name, data in self.content.items():
            assert (self.final / name if name else self.final).read_bytes() == data
        assert not os.path.lexists(self.source)
        assert [path.name for path in self.target.iterdir()] == [self.name], "no copy is left behind"
        assert not list((self.folder / "state/jobs/move").glob("*.json"))
        method, params = equal_call(self.hash, "d.base_path=", os.fsencode(self.final))
        assert self.client.call(method, *params) == 1
        return self.seeds()


def killed_after_the_rename(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose move is left in the journal: the data has its new path, which rTorrent does not have yet."""

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(move_files, "sync_folder", killed)
        with pytest.raises(Killed):
            scene.job().run()


@pytest.fixture(params=["same disk", "other disk"])
def target(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Path]:
    if request.param == "same disk":
        yield short_folder / "done/tv"
        return
    assert _OTHER_DISK.stat().st_dev != short_folder.stat().st_dev, "this test needs a second disk"
    made = Path(tempfile.mkdtemp(prefix="prt-", dir=_OTHER_DISK))
    yield made / "done/tv"
    shutil.rmtree(made)


@pytest.mark.parametrize("multi", [True, False], ids=["folder", "file"])
def test_data_goes_to_targetdir_and_the_item_seeds_on(
    rtorrent: PrivateRTorrent, short_folder: Path, target: Path, multi: bool
) -> None:
    scene = Scene(rtorrent, short_folder, target, multi=multi)
    scene.job().run()
    eventually(scene.has_moved, 20)
    scene.job().run()
    assert scene.has_moved(), "a second run finds nothing to do"
    restart(rtorrent)
    eventually(scene.has_moved, 20, why="after a restart of rTorrent")


@pytest.mark.parametrize("multi", [True, False], ids=["folder", "file"])
def test_an_rtorrent_killed_right_after_the_move_seeds_from_the_new_path(
    rtorrent: PrivateRTorrent, short_folder: Path, target: Path, multi: bool
) -> None:
    scene = Scene(rtorrent, short_folder, target, multi=multi)
    scene.job().run()
    rtorrent.kill()
    rtorrent.start()
    eventually(scene.has_moved, 20)


def test_copied_data_stays_while_rtorrent_cannot_save_its_new_path(
    rtorrent: PrivateRTorrent, short_folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(rtorrent, short_folder, target, multi=True)
    monkeypatch.setattr(move_switch, "_SAVED_WITHIN", 0.5)
    # rTorrent writes to this name first; it reports no failed save, as with a full disk.
    obstacle = rtorrent.session / f"{scene.hash}.torrent.rtorrent.new"
    saved = [rtorrent.session / f"{scene.hash}.torrent{suffix}" for suffix in ("", ".libtorrent_resume", ".rtorrent")]
    eventually(lambda: all(path.exists() for path in saved) and not obstacle.exists(), why="the load is saved")
    obstacle.mkdir()
    for reported in (pytest.raises(UserError, match="has not saved Some Name in its session"), nullcontext()):
        with reported:  # once
            scene.job().run()
        eventually(scene.seeds, why="it seeds on meanwhile")
    other_disk = target.stat().st_dev != short_folder.stat().st_dev
    assert scene.source.exists() or not other_disk
    obstacle.rmdir()
    monkeypatch.setattr(move_switch, "_SAVED_WITHIN", 20.0)
    scene.job().run()
    eventually(scene.has_moved, 20)


ODD_NAMES = {
    "quotes": "ü ☃ 'x' \"$(y)\", z".encode(),
    "emoji": "emoji 😀 ü".encode(),
    "latin-1": b"Gr\xfc\xdfe %FF %C3%BC?",
    "controls": b"a\x01\n\tb \xff\r",
    "right-to-left": "x \u202e y".encode(),
    "percent": b"100% %41 %C3%BC %F0%9F%98%80",
}


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
@pytest.mark.parametrize("multi", [True, False], ids=["folder", "file"])
def test_an_item_of_any_name_moves(rtorrent: PrivateRTorrent, short_folder: Path, multi: bool, name: bytes) -> None:
    scene = Scene(rtorrent, short_folder, short_folder / "done/tv", multi=multi, name=name)
    scene.job().run()
    eventually(scene.has_moved, 20)
    restart(rtorrent)
    scene.job().run()
    eventually(scene.has_moved, 20, why="after a restart of rTorrent")


@pytest.mark.parametrize("multi", [True, False], ids=["folder", "file"])
def test_an_item_that_was_never_opened_moves_from_its_real_path(
    rtorrent: PrivateRTorrent, short_folder: Path, multi: bool
) -> None:
    scene = Scene(rtorrent, short_folder, short_folder / "done/tv", multi=multi, name=ODD_NAMES["latin-1"])
    scene.client.call("d.stop", scene.hash)
    assert Session().save(scene.client, scene.hash, {"state": 0}, 10.0)
    rtorrent.kill()
    rtorrent.start()
    assert scene.client.call("d.base_path", scene.hash) == ""
    scene.job().run()
    assert not os.path.lexists(scene.source)
    assert scene.final.exists()


def _not_visible(*_: object) -> None:
    """In place of `Session.locate`: the session folder is that of another machine."""


def test_data_at_the_path_that_rtorrent_prints_is_not_taken_for_that_of_the_item(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its session, 0.9.8 offers no exact path."""
    scene = Scene(rtorrent, short_folder, short_folder / "done", multi=True, name=b"not utf-8 \xff")
    others = [rtorrent.downloads / name for name in ("not utf-8 ?", "not utf-8 %FF")]
    for other in others:
        other.mkdir()
    if scene.client.known("d.name.base64"):
        scene.job().run()
        eventually(scene.has_moved, 20)
    else:
        monkeypatch.setattr(Session, "locate", _not_visible)
        with pytest.raises(UserError, match=r"prints its path altered, as .*/not utf-8 \?: rTorrent 0.16.13"):
            scene.job().run()
        assert scene.seeds()
        assert scene.source.exists()
    assert all(other.exists() for other in others)


def test_no_data_is_moved_to_a_target_that_rtorrent_prints_altered(
    rtorrent: PrivateRTorrent, short_folder: Path
) -> None:
    scene = Scene(rtorrent, short_folder, short_folder / "done 😀", multi=True)
    if scene.client.known("d.name.base64"):
        scene.job().run()
        eventually(scene.has_moved, 20)
        return
    with pytest.raises(UserError, match=r"prints its field custom_targetdir altered, as .*/done \?\?\?\?"):
        scene.job().run()
    assert scene.source.exists()
    assert not (short_folder / "done ????").exists()


def killing(monkeypatch: pytest.MonkeyPatch, job: mover.Mover, at: int) -> Callable[[], int]:
    """Kill at effect number `at`, alternately before and after it. Returns the number of effects."""
    done = count(1)
    reached = [0]

    def wrapped(effect: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            reached[0] = next(done)
            if reached[0] == at:
                raise Killed
            result = effect(*args, **kwargs)
            reached[0] = next(done)
            if reached[0] == at:
                raise Killed
            return result

        return counted

    monkeypatch.setattr(move_files, "rename_noreplace", wrapped(files.rename_noreplace))
    monkeypatch.setattr(move_files, "copy_tree", wrapped(tree_copy.copy_tree))
    monkeypatch.setattr(move_files, "remove_copied", wrapped(tree_removal.remove_copied))
    monkeypatch.setattr(move_journal.MoveJournal, "write", wrapped(move_journal.MoveJournal.write))
    monkeypatch.setattr(move_journal.MoveJournal, "remove", wrapped(move_journal.MoveJournal.remove))
    monkeypatch.setattr(move_journal.FinishedMoves, "add", wrapped(move_journal.FinishedMoves.add))
    monkeypatch.setattr(move_journal.FinishedMoves, "publish", wrapped(move_journal.FinishedMoves.publish))
    monkeypatch.setattr(job.rtorrent, "call", wrapped(job.rtorrent.call))
    return lambda: reached[0]


def test_the_next_run_continues_after_a_kill_at_any_step(
    rtorrent: PrivateRTorrent, short_folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_awaited_loads(monkeypatch, mover)
    scene = Scene(rtorrent, short_folder, target, multi=True)
    home = rtorrent.downloads
    at = 0
    for at in count(1):
        with pytest.MonkeyPatch.context() as patched:
            job = scene.job()
            reached = killing(patched, job, at)
            with suppress(Killed):
                job.run()
        scene.job().run()
        eventually(scene.has_moved, 20, why=f"killed at step {at}")
        if reached() < at:
            break
        # And back, for the next kill.
        scene.job(target=str(home), condition="is_complete=yes").run()
        eventually(lambda: scene.seeds() and scene.source.exists() and not scene.final.exists(), 20)
    assert at > 15, "many steps were killed at"


def test_a_move_is_published_whatever_step_it_is_killed_at(
    rtorrent: PrivateRTorrent, short_folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler stores each move once, by its identity: tests/unit/test_workers_order.py."""
    without_awaited_loads(monkeypatch, mover)
    scene = Scene(rtorrent, short_folder, target, multi=False)
    published: dict[str, TorrentMoved] = {}
    at = 0

    def publish(identity: str, event: UniqueEvent) -> None:
        assert isinstance(event, TorrentMoved)
        published[identity] = event

    def job(**more: str) -> mover.Mover:
        context.set_context(
            context.JobContext(state_dir=short_folder / "state", url=scene.client_url, publish_once=publish)
        )
        return mover.Mover(JobConfig({"job_name": "move", "schedule": "minute=*", **more}))

    for at in count(1):
        for more, old, new in (
            ({}, scene.source, scene.final),
            ({"target": str(rtorrent.downloads), "condition": "is_complete=yes"}, scene.final, scene.source),
        ):
            published.clear()
            with pytest.MonkeyPatch.context() as patched:
                killed = job(**more)
                reached = killing(patched, killed, at)
                with suppress(Killed):
                    killed.run()
            last = job(**more)
            last.run()
            eventually(lambda new=new: scene.seeds() and new.exists(), 20, why=f"killed at step {at}")  # type: ignore[misc]
            moves = [(event.job, event.old_path, event.new_path) for event in published.values()]
            assert moves == [("move", str(old), str(new))], f"killed at step {at}"
            last.run()
            assert not list((short_folder / "state/jobs/move").glob("*.moved")), "the scheduler has stored it"
        if reached() < at:
            break
    assert at > 8, "many steps were killed at"


def test_a_run_for_an_event_fails_whenever_its_item_cannot_be_moved(
    rtorrent: PrivateRTorrent, short_folder: Path, target: Path
) -> None:
    """Jobs after it depend on that; what concerns other items is left to its schedule."""
    scene = Scene(rtorrent, short_folder, target, multi=True)
    scene.final.mkdir(parents=True)
    completed = TorrentCompleted(at=1.0, info_hash=scene.hash, name=scene.name)
    for _ in range(2):
        with pytest.raises(UserError, match="exists already"):
            scene.job().run(completed)
    ((info_hash_, failure),) = move_failures.stored_failures(short_folder / "state/jobs/move").items()
    assert (info_hash_, failure.name, failure.target, failure.times) == (scene.hash, scene.name, str(target), 2)
    assert failure.cause == "exists"
    scene.job().run()
    scene.job(condition="name=other").run()
    assert move_failures.stored_failures(short_folder / "state/jobs/move") == {}, "it is no longer to be moved"
    scene.final.rmdir()
    scene.job().run(completed)
    eventually(scene.has_moved, 20)


def input_error(_: object, **__: object) -> bytes:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b'"switching"', b'"settling"'),
        (b'"source_hex"', b'"source"'),
        (b'"info_hash":"', b'"info_hash":"0'),
        (b"}", b""),
    ],
    ids=["cannot be read", "a phase of a later version", "another shape", "of another item", "cut off"],
)
def test_a_move_whose_journal_cannot_be_used_waits_for_it(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch, before: bytes, after: bytes
) -> None:
    scene = Scene(rtorrent, short_folder, short_folder / "done/tv", multi=True)
    killed_after_the_rename(scene, monkeypatch)
    path = next((short_folder / "state/jobs/move").glob("*.json"))
    content = path.read_bytes()
    path.write_bytes(content.replace(before, after))
    with monkeypatch.context() as patched:
        if not before:
            patched.setattr(move_journal, "read_regular_file", input_error)
        with pytest.raises(UserError, match=rf"{scene.hash}.* cannot be used: .*see that rTorrent has it where"):
            scene.job().run()
        scene.job().run()  # reported once
    path.write_bytes(content)
    scene.job().run()
    eventually(scene.has_moved, 20)


def test_a_finished_move_that_cannot_be_read_is_published_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    published: dict[str, TorrentMoved] = {}
    journal = move_journal.MoveJournal(tmp_path)
    finished = move_journal.FinishedMoves(tmp_path, "move", published.__setitem__)
    for name in ("one", "two"):
        source, final = b"/a".hex(), b"/b".hex()
        move = move_journal.Move(
            info_hash=name, name=name, source_hex=source, final_hex=final, multi_file=False, identity=name
        )
        journal.write(move)
        finished.add(move, journal)
    (tmp_path / "two-two.moved").write_bytes(b"{")
    with monkeypatch.context() as patched:
        patched.setattr(move_journal, "read_regular_file", input_error)
        finished.publish()
    assert not published
    finished.publish()
    assert list(published) == ["one"]
    assert "two-two.moved is damaged" in caplog.text


def test_an_unfinished_move_of_another_item_does_not_fail_the_run_for_an_event(
    rtorrent: PrivateRTorrent, short_folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_awaited_loads(monkeypatch, mover)
    scene = Scene(rtorrent, short_folder, target, multi=False)
    for at in count(1):
        with monkeypatch.context() as patched:
            killed = scene.job()
            killing(patched, killed, at)
            with suppress(Killed):
                killed.run()
        if list((short_folder / "state/jobs/move").glob("*.json")):
            break
    scene.job().run(TorrentCompleted(at=1.0, info_hash="A" * 40, name="other"))
    assert list((short_folder / "state/jobs/move").glob("*.json")), "it is left to the schedule"
    scene.job().run(TorrentCompleted(at=1.0, info_hash=scene.hash, name=scene.name))
    eventually(scene.has_moved, 20)


def test_an_unfinished_move_keeps_its_failure_in_runs_for_its_event(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pause doubles, its cause is reported once by the schedule, and `status` shows it in between."""
    scene = Scene(rtorrent, short_folder, short_folder / "done/tv", multi=True)
    killed_after_the_rename(scene, monkeypatch)
    completed = TorrentCompleted(at=1.0, info_hash=scene.hash, name=scene.name)

    def refused(*_: object) -> None:
        raise move_failures.MoveRefused("rTorrent has not saved it", "session")

    def times() -> list[int]:
        return [each.times for each in move_failures.stored_failures(short_folder / "state/jobs/move").values()]

    with monkeypatch.context() as patched:
        patched.setattr(move_switch.MoveSwitch, "switch", refused)
        for count_ in (1, 2):
            with pytest.raises(UserError, match="has not saved"):
                scene.job().run(completed)
            assert times() == [count_]
        scene.job().run()
        assert times() == [3]
    scene.job().run(completed)
    assert times() == []
    eventually(scene.has_moved, 20)


@pytest.mark.parametrize("fails", ["no answer", "not known"])
def test_with_after_an_item_whose_event_found_no_rtorrent_is_moved_by_the_schedule(
    rtorrent: PrivateRTorrent, short_folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    scene = Scene(rtorrent, short_folder, target, multi=True)
    scene.job(after="unpack").run()
    assert scene.source.exists(), "a scheduled run leaves it to its event"
    completed = TorrentCompleted(at=1.0, info_hash=scene.hash, name=scene.name)
    error = RTorrentError("no answer") if fails == "no answer" else SessionNotKnown("another session")
    job = scene.job(after="unpack")
    with monkeypatch.context() as patched:
        patched.setattr(job, "require_known_rtorrent", raising(error))
        with pytest.raises(RTorrentError) if fails == "no answer" else nullcontext():
            job.run(completed)
    assert scene.source.exists()
    scene.job(after="unpack").run()
    eventually(scene.has_moved, 20)
    assert move_failures.stored_failures(short_folder / "state/jobs/move") == {}


def raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize("grain", [100, 10_000_000, 1_000_000_000, 2_000_000_000], ids=["CIFS", "exFAT", "ext3", "FAT"])
def test_a_disk_that_keeps_coarse_times_and_no_modes_takes_data_too(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch, grain: int
) -> None:
    """As many a NAS; what is copied must not look changed for that."""
    utime = os.utime

    def coarse(path: int | str | Path, *, ns: tuple[int, int] | None = None) -> None:
        if ns is None:
            utime(path)  # the journal, which is on another disk
        else:
            accessed, changed = ns
            utime(path, ns=(accessed, changed - changed % grain))

    def refuses(fd: int, mode: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    with tempfile.TemporaryDirectory(prefix="prt-", dir=_OTHER_DISK) as other:
        target = Path(other) / "done"
        scene = Scene(rtorrent, short_folder, target, multi=True)
        with monkeypatch.context() as patched:
            patched.setattr(os, "utime", coarse)
            patched.setattr(os, "fchmod", refuses)
            scene.job().run()
        eventually(scene.has_moved, 20)


def test_nothing_is_overwritten(rtorrent: PrivateRTorrent, short_folder: Path, target: Path) -> None:
    scene = Scene(rtorrent, short_folder, target, multi=False)
    target.mkdir(parents=True)
    scene.final.write_text("precious")
    with pytest.raises(UserError, match="exists already and is not overwritten"):
        scene.job().run()
    assert scene.final.read_text() == "precious"
    assert scene.seeds()
    assert scene.source.exists()


@pytest.mark.parametrize("through", ["directly", "by a link"])
def test_no_data_is_moved_into_the_session_of_rtorrent(
    rtorrent: PrivateRTorrent, short_folder: Path, through: str
) -> None:
    """A file there is an item at its next start."""
    scene = Scene(rtorrent, short_folder, short_folder / "done", multi=False)
    session = Path(str(scene.client.call("session.path", "")))
    (short_folder / "done").symlink_to(session)
    context.set_context(
        context.JobContext(config_dir=short_folder / "config", state_dir=short_folder / "state", url=scene.client_url)
    )
    target = str(session) if through == "directly" else "{{custom_targetdir}}"
    settings = {"job_name": "move", "schedule": "minute=*", "target": target, "condition": "is_complete=yes"}
    with pytest.raises(UserError, match="no content of torrents"):
        mover.Mover(JobConfig(settings)).run()
    assert scene.name not in os.listdir(session)
    assert scene.source.exists()


def test_what_comes_in_the_way_during_the_move_is_not_overwritten_either(
    rtorrent: PrivateRTorrent, short_folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(rtorrent, short_folder, target, multi=False)

    def late(source: files.FileName, final: files.FileName) -> None:
        (target / os.fsdecode(final.name)).write_text("precious")
        files.rename_noreplace(source, final)

    monkeypatch.setattr(move_files, "rename_noreplace", late)
    with pytest.raises(UserError, match="cannot be moved"):
        scene.job().run()
    assert scene.final.read_text() == "precious"
    assert os.listdir(target) == ["Some Name"]
    eventually(scene.seeds, 20, why="the item runs on where it was")


@pytest.mark.parametrize("multi", [True, False], ids=["folder", "file"])
@pytest.mark.parametrize("kind", ["link", "hard link", "link to a folder"])
def test_a_copy_is_not_written_through_a_planted_link(
    rtorrent: PrivateRTorrent, short_folder: Path, multi: bool, kind: str
) -> None:
    with tempfile.TemporaryDirectory(prefix="prt-", dir=_OTHER_DISK) as other:
        target = Path(other) / "done"
        scene = Scene(rtorrent, short_folder, target, multi=multi)
        target.mkdir()
        victim, folder = Path(other) / "victim", Path(other) / "folder"
        victim.write_text("precious")
        folder.mkdir()
        planted = target / f".pyrotorque-{scene.hash}.part"
        if kind == "hard link":
            planted.hardlink_to(victim)
        else:
            planted.symlink_to(victim if kind == "link" else folder)
        with pytest.raises(UserError, match="cannot be moved"):
            scene.job().run()
        assert victim.read_text() == "precious"
        assert list(folder.iterdir()) == []
        assert scene.source.exists()
        assert scene.seeds()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"target": "relative/path"}, "not an absolute path"),
        ({"target": "/done/../etc"}, "without `..`"),
        ({"below": "/somewhere/else"}, "is not below /somewhere/else"),
    ],
)
def test_odd_targets_are_refused(
    rtorrent: PrivateRTorrent, short_folder: Path, more: dict[str, str], reason: str
) -> None:
    scene = Scene(rtorrent, short_folder, short_folder / "done", multi=False)
    with pytest.raises(UserError, match=reason):
        scene.job(**more).run()
    assert scene.source.exists()


def test_a_dry_run_only_says_what_it_would_do(
    rtorrent: PrivateRTorrent, short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(rtorrent, short_folder, short_folder / "done", multi=False)
    with caplog.at_level("INFO"):
        scene.job(dry_run=True).run()
    assert "would move Some Name to" in caplog.text
    assert scene.source.exists()
    assert not (short_folder / "done").exists()


def test_a_copy_that_takes_too_long_continues_in_the_next_run(
    rtorrent: PrivateRTorrent, short_folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(rtorrent, short_folder, target, multi=True)
    job = scene.job(timeout=1e-9)
    job.run()
    if target.stat().st_dev != short_folder.stat().st_dev:
        assert scene.source.exists()
        assert scene.seeds(), "untouched while it is copied"
    scene.job().run()
    eventually(scene.has_moved, 20)


def test_a_mover_without_a_schedule_is_rejected() -> None:
    with pytest.raises(UserError, match="schedule is not set"):
        mover.Mover(JobConfig({"job_name": "move"}))
