"""Injects each fault into a scene, waits for the recovery, and returns the seconds that it took."""

import os
import random
import resource
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from chaos.clock import DAY
from chaos.scene import Scene
from pyrotorque.layout import SERVICES

_OVERFLOWING: Final = 9000  # two events each, twice: more than inotify's queue holds (16384)
_STEP_TIMEOUT: Final = 8.0
_BROKEN_INI: Final = "[TORQUE]\njob.queue.active = True\njob.queue.schedule = second=nonsense\n"


def kill(name: str, scene: Scene, _chance: random.Random) -> float:
    before = scene.holder(name)
    os.kill(before, signal.SIGKILL)
    return scene.until_others_hold({name: before})


def kill_all(scene: Scene, _chance: random.Random) -> float:
    before = {name: scene.holder(name) for name in SERVICES}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    return scene.until_others_hold(before)


def stop(name: str, scene: Scene, _chance: random.Random) -> float:
    before = scene.holder(name)
    os.kill(before, signal.SIGSTOP)
    return scene.until_others_hold({name: before})


def give_up(scene: Scene, _chance: random.Random) -> float:
    """It is FATAL after five attempts; the recovery time starts when it can start again."""
    before, refuses = scene.holder("watcher"), scene.crash_points.refuses("watcher")
    refuses.touch()
    try:
        os.kill(before, signal.SIGKILL)
        scene.until(lambda: scene.states().get("watcher") == "FATAL", "the watcher FATAL")
    finally:
        refuses.unlink()
    return scene.until_others_hold({"watcher": before})


def kill_supervisord(scene: Scene, chance: random.Random) -> float:
    before = {name: scene.holder(name) for name in SERVICES}
    pid = scene.group.supervisord_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    time.sleep(chance.uniform(0.0, 1.0))
    began = time.monotonic()
    scene.group.begin()
    scene.until_others_hold(before)
    return time.monotonic() - began


def restart_rtorrent(scene: Scene, chance: random.Random) -> float:
    scene.rtorrent.stop(timeout=30)
    return _start_rtorrent(scene, chance)


def kill_rtorrent(scene: Scene, chance: random.Random) -> float:
    scene.rtorrent_killed.append(time.time())
    scene.rtorrent.kill()
    return _start_rtorrent(scene, chance)


def _start_rtorrent(scene: Scene, chance: random.Random) -> float:
    time.sleep(chance.uniform(0.0, 3.0))
    scene.rtorrent.start(timeout=60)
    return scene.until_loaded(list(scene.stream.written))


def hang_rtorrent(scene: Scene, chance: random.Random) -> float:
    scene.rtorrent.pause()
    try:
        time.sleep(chance.uniform(2.0, 13.0))
    finally:
        scene.rtorrent.resume()
    return scene.until_loaded(list(scene.stream.written))


def overflow(scene: Scene, _chance: random.Random) -> float:
    pid, before = scene.holder("watcher"), scene.log("watcher").count("inotify queue overflow")
    os.kill(pid, signal.SIGSTOP)
    try:
        # Two files in turn: the kernel merges identical consecutive events.
        noise = [scene.folder / "watch" / "keep" / f"noise{number}" for number in (0, 1)]
        for number in range(2 * _OVERFLOWING):
            os.close(os.open(noise[number % 2], os.O_WRONLY | os.O_CREAT, 0o644))
        for _ in range(20):
            scene.stream.write()
    finally:
        os.kill(pid, signal.SIGCONT)
    took = scene.until_loaded(list(scene.stream.written))
    scene.until(lambda: scene.log("watcher").count("inotify queue overflow") > before, "the overflow logged")
    return took


def write_slowly(scene: Scene, chance: random.Random) -> float:
    for _ in range(3):
        scene.stream.write_slowly(chance, chance.uniform(0.5, 3.0))
    return scene.until_loaded(list(scene.stream.written))


def rename_over(scene: Scene, chance: random.Random) -> float:
    """At any time between the arrival of the first and the end of its disposal."""
    for _ in range(10):
        scene.stream.rename_over(chance, chance.uniform(0.0, 1.6))
    return scene.until_loaded(list(scene.stream.written))


def exhaust_descriptors(name: str, scene: Scene, _chance: random.Random) -> float:
    pid = scene.rtorrent.pid if name == "rTorrent" else scene.holder(name)
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        for _ in range(20):
            scene.stream.write()
        time.sleep(4.0)
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    if not scene.rtorrent.running:
        # 0.16 exits if it cannot accept a connection.
        scene.rtorrent_killed.append(time.time())
        scene.rtorrent.start(timeout=60)
    return scene.until_loaded(list(scene.stream.written))


def step_clock(days: int, scene: Scene, chance: random.Random) -> float:
    """Metafiles are loaded as usual while the clock is wrong and after it was corrected."""
    clock, before = scene.crash_points.clock, _logged_clock_steps(scene)

    def noticed() -> bool:
        return all(now > then for now, then in zip(_logged_clock_steps(scene), before, strict=True))

    clock.put(days * DAY)
    try:
        # A service that started with the wrong clock detects the second step only.
        with suppress(TimeoutError):
            scene.until(noticed, "the step logged", _STEP_TIMEOUT)
        time.sleep(chance.uniform(0.0, 2.0))
        wrong = scene.until_loaded(list(scene.stream.written))
    finally:
        clock.put(0.0)
    scene.until(noticed, "the step logged")
    return max(wrong, scene.until_loaded(list(scene.stream.written)))


def _logged_clock_steps(scene: Scene) -> list[int]:
    return [scene.log(name).count("the system clock was set ") for name in ("watcher", "scheduler")]


def corrupt(name: str, scene: Scene, chance: random.Random) -> float:
    before, path = scene.holder(name), scene.layout.database(name)
    damaged = len(list(path.parent.glob(f"{path.name}.damaged-*")))
    before = scene.log(name).count("was damaged")
    scene.supervisord.stop(name)
    scene.until(lambda: scene.states().get(name) == "STOPPED", f"{name} stopped")
    scene.keep_committed(name)
    with path.open("r+b") as file:
        for page in {0, *(chance.randrange(max(1, path.stat().st_size // 4096)) for _ in range(20))}:
            file.seek(page * 4096 + (100 if page == 0 else 0))
            file.write(chance.randbytes(3900))
    began = time.monotonic()
    scene.supervisord.start(name)
    scene.until_others_hold({name: before})
    took = time.monotonic() - began
    scene.trimmed.discard(name)
    scene.until(lambda: len(list(path.parent.glob(f"{path.name}.damaged-*"))) > damaged, f"{path.name} renamed")
    scene.until(lambda: scene.log(name).count("was damaged") > before, "the damage logged")
    return took


def trim(name: str, scene: Scene, _chance: random.Random) -> float:
    path, gaps = scene.layout.database(name), scene.gap_count()
    # A listener without a cursor for it cannot miss anything.
    scene.until(lambda: scene.has_received_from(name), f"the listener received from {name}")
    scene.listener.pause()
    try:
        last = _newest(path)
        scene.until(lambda: _newest(path) > last + 10, f"{name} published an event", 30.0)
        scene.keep_committed(name)
        with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as db:
            db.execute("DELETE FROM bus_events WHERE position <= ?", (last + 5,))
        scene.trimmed.add(name)
    finally:
        scene.listener.resume()
    return scene.until(lambda: scene.gap_count() > gaps, "the gap recorded")


def _newest(path: Path) -> int:
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as db:
        return int(db.execute("SELECT max(position) FROM bus_events").fetchone()[0] or 0)


def remove_sockets(name: str, scene: Scene, _chance: random.Random) -> float:
    before = scene.holder(name)
    for kind in ("beat", "events", "requests"):
        (scene.layout.run_dir / f"{name}.{kind}").unlink(missing_ok=True)
    return scene.until_others_hold({name: before})


def break_ini(scene: Scene, chance: random.Random) -> float:
    good = scene.ini.read_text()
    before = {name: scene.holder(name) for name in SERVICES}
    scene.ini.write_text(_BROKEN_INI)
    try:
        for name in ("scheduler", "watcher", "exporter"):
            scene.supervisord.signal(name, "HUP")
        scene.until_loaded(list(scene.stream.written))
        if before != {name: scene.holder(name) for name in SERVICES}:
            raise RuntimeError("a service exited on reload of a wrong configuration")
        return kill("scheduler", scene, chance)
    finally:
        scene.ini.write_text(good)
        with suppress(Exception):
            scene.supervisord.signal("watcher", "HUP")


def kill_listener(scene: Scene, _chance: random.Random) -> float:
    before = scene.holder("listener")
    scene.listener.kill()
    return scene.until_others_hold({"listener": before})


def fill_disk(scene: Scene, chance: random.Random) -> float:
    filler = scene.layout.state_dir / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
        time.sleep(chance.uniform(3.0, 7.0))
    finally:
        filler.unlink()
    return scene.until_loaded(list(scene.stream.written))


def provoked(name: str) -> str:
    return "exporter" if name == "guardian" else name


def crash_at(name: str, point: str, scene: Scene, _chance: random.Random) -> float:
    before = scene.holder(name)
    scene.crash_points.arm(name, point)
    if "replay" in point:
        scene.listener.kill()
    elif name == "guardian":
        # It publishes an event when another service starts or exits.
        os.kill(scene.holder(provoked(name)), signal.SIGKILL)
    try:
        scene.until(lambda: scene.crash_points.visited(name), f"{name} reached: {point}", 40.0)
    finally:
        scene.crash_points.disarm(name)
    return scene.until_others_hold({name: before})
