"""Faults of the group as a whole: its run folder, supervisord, files and state, and its rTorrent."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from chaos.scene import Scene
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.layout import SERVICES

_BROKEN_INIS: Final = (
    "",
    "[TORQUE",
    "[TORQUE]\njob.queue.active = True\njob.queue.schedule = second=nonsense\n",
    "\0" * 512,
)
_BROKEN_CONFS: Final = (
    "[include]\nfiles = run/programs.conf\n[program:mine]\ncommand = /bin/sleep %\n",
    "[include]\nfiles = run/programs.conf\n[program:mine]\ncommand = %(ENV_NOWHERE)s\n",
    "[incl",
)


def sweep_run_folder(scene: Scene, _chance: random.Random) -> float:
    """As cleaners of temporary files do: everything, with sockets, locks, pid file and guard file."""
    before = _pids(scene)
    for path in scene.layout.run_dir.iterdir():
        path.unlink()
    return scene.until(
        lambda: scene.all_run() and not set(before.values()) & set(_pids(scene).values()), "a swept folder filled again"
    )


def stop_supervisord(scene: Scene, _chance: random.Random) -> float:
    """SIGSTOP: it restarts nothing, not even a service that is killed meanwhile, and nothing can reach it."""
    pid, before = scene.group.supervisord_pid(), scene.holder("exporter")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    os.kill(before, signal.SIGKILL)
    return scene.until_others_hold({"exporter": before})


def crash_with_broken_files(scene: Scene, chance: random.Random) -> float:
    """torque.ini and supervisor.conf are broken at the moment at which all services crash."""
    conf = scene.layout.config_dir / "supervisor.conf"
    with _replaced(scene.ini, chance.choice(_BROKEN_INIS)), _replaced(conf, chance.choice(_BROKEN_CONFS)):
        before = _pids(scene)
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        took = scene.until_others_hold(before)
        scene.until_loaded(list(scene.stream.written))
        refused = scene.group.command("--restart")
        if refused.returncode != 78:
            raise RuntimeError(f"--restart with broken files ended with {refused.returncode}: {refused.stderr}")
        scene.until(scene.all_run, "the group running after --restart was refused")
    return took


def restore_older(name: str, scene: Scene, _chance: random.Random) -> float:
    """The state file of a service is replaced by a copy that is older than its last events."""
    path, gaps = scene.layout.database(name), scene.gap_count()
    scene.until(lambda: scene.has_received_from(name), f"the listener received from {name}")
    copy = path.with_name(f"{path.name}.older")
    with closing(sqlite3.connect(path, timeout=10)) as db, closing(sqlite3.connect(copy)) as older:
        db.backup(older)
        last = int(older.execute("SELECT max(position) FROM bus_events").fetchone()[0] or 0)
    with closing(sqlite3.connect(copy)) as older:
        older.execute("PRAGMA journal_mode = DELETE")
    before = scene.holder(name)
    scene.until(lambda: _newest(path) > last + 10, f"{name} published an event", 60.0)
    scene.supervisord.stop(name)
    scene.until(lambda: scene.states().get(name) == "STOPPED", f"{name} stopped")
    scene.keep_committed(name)
    for suffix in ("-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    copy.rename(path)
    if name == "watcher":
        scene.undisposed |= {each.path for each in scene.stream.written if each.path.exists()}
    began = time.monotonic()
    scene.supervisord.start(name)
    scene.until_others_hold({name: before})
    scene.until(lambda: scene.gap_count() > gaps, "the gap recorded")
    took = time.monotonic() - began
    if name == "watcher":
        # What the lost state may have known is not loaded; a warning gives this advice.
        written = {each.info_hash for each in scene.stream.written}
        scene.until(
            lambda: scene.group.command("retry", "--all").returncode == 0 and written <= scene.items().keys(),
            "metafiles loaded that the lost state may have known",
        )
    return took


def another_rtorrent(scene: Scene, chance: random.Random) -> float:
    """Another rTorrent, with a session of its own, has the socket for some seconds; no item was erased then."""
    with scene.stream.paused():
        scene.until_loaded(list(scene.stream.written))
        # What is loaded must have been disposed of: it would count as lost for the other one, and be loaded there.
        scene.until(lambda: not scene.misplaced(list(scene.stream.written)), "metafiles disposed of")
        scene.rtorrent.stop(timeout=30)
        scene.rtorrent.socket.unlink(missing_ok=True)
        other = PrivateRTorrent(scene.folder / "other" / str(time.monotonic_ns()))
        with other:
            scene.rtorrent.socket.symlink_to(other.socket)
            time.sleep(chance.uniform(3.0, 8.0))
        scene.rtorrent.socket.unlink(missing_ok=True)
        scene.rtorrent.start(timeout=60)
    return scene.until_loaded(list(scene.stream.written))


@contextmanager
def _replaced(path: Path, text: str) -> Generator[None]:
    before = path.read_bytes() if path.exists() else None
    path.write_text(text)
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


def _pids(scene: Scene) -> dict[str, int]:
    return {name: scene.holder(name) for name in SERVICES}


def _newest(path: Path) -> int:
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as db:
        return int(db.execute("SELECT max(position) FROM bus_events").fetchone()[0] or 0)
