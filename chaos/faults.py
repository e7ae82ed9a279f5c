"""The faults: which there are, whom each hurts, what is promised, and how long its harm took to be mended."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from chaos import harms
from chaos.ear import Hurt
from chaos.points import POINTS
from chaos.scene import Scene
from pyrotorque.layout import SERVICES

Harm = Callable[[Scene, random.Random], float]


@dataclass(frozen=True, slots=True)
class Done:
    """One fault that was done: when it began (Unix seconds), and how long until all was well (None: it never was)."""

    name: str
    began: float
    recovery: float | None
    within: float
    loses_events: bool
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """`does` returns the seconds until all was well again; `within` is what is promised (0: nothing)."""

    name: str
    does: Harm
    hurts: frozenset[str] = frozenset()
    within: float = 0.0
    takes: float = 6.0
    """About how long it takes, to see whether there is still time for it."""
    loses_events: bool = False
    """Whether events may be lost by it: then they must be told as lost."""

    def done_to(self, scene: Scene, chance: random.Random) -> Done:
        """Do it, and wait until everybody runs again."""
        began, since = time.time(), time.monotonic()
        recovery, trouble = None, ""
        try:
            recovery = self.does(scene, chance)
            # Who dies again before it has run for a while is started later and later: that is no fault of its own.
            scene.until(scene.all_run, "all running again")
        except (TimeoutError, RuntimeError) as error:
            trouble = str(error)
        scene.hurts.append(Hurt(self.hurts, since, time.monotonic()))
        return Done(self.name, began, recovery, self.within, self.loses_events, trouble)


def killing(name: str) -> Fault:
    """kill -9 of one process."""
    if name == "listener":
        return Fault("kill listener", harms.kill_listener)
    return Fault(f"kill {name}", partial(harms.kill, name), frozenset({name}), 2.0)


def faults(*, own_disk: bool) -> list[Fault]:
    """All there are, crash points included."""
    everybody = frozenset(SERVICES)
    watcher = frozenset({"watcher"})
    found = [
        *(killing(name) for name in (*SERVICES, "listener")),
        Fault("kill all four at once", harms.kill_all, everybody, 5.0),
        *(
            Fault(f"stop {name} (SIGSTOP)", partial(harms.stop, name), frozenset({name}), 30.0, 25.0)
            for name in SERVICES
        ),
        Fault("watcher cannot start, is given up on (FATAL)", harms.give_up, watcher, 60.0, 30.0),
        Fault("kill supervisord, start again", harms.kill_supervisord, everybody, 10.0, 10.0),
        Fault("stop and start rTorrent", harms.restart_rtorrent, within=10.0, takes=10.0),
        Fault("kill and start rTorrent", harms.kill_rtorrent, within=10.0, takes=10.0),
        Fault("rTorrent hangs", harms.hang_rtorrent, within=10.0, takes=15.0),
        Fault("inotify queue overflows", harms.overflow, watcher, 10.0, 8.0),
        Fault("clock a day ahead, and right again", partial(harms.step_clock, 1), within=10.0, takes=8.0),
        Fault("clock a day behind, and right again", partial(harms.step_clock, -1), within=10.0, takes=8.0),
        *(
            Fault(f"state of {name} corrupted", partial(harms.corrupt, name), frozenset({name}), 10.0, 10.0, True)
            for name in SERVICES
        ),
        *(
            Fault(f"outbox of {name} trimmed", partial(harms.trim, name), within=10.0, takes=10.0, loses_events=True)
            for name in ("watcher", "scheduler")
        ),
        *(
            Fault(f"sockets of {name} removed", partial(harms.remove_sockets, name), frozenset({name}), 5.0)
            for name in SERVICES
        ),
        Fault("torque.ini broken, HUP, kill", harms.break_ini, frozenset({"scheduler"}), 10.0, 8.0),
        *(
            Fault(
                f"{name}: {point}", partial(harms.crash_at, name, point), frozenset({name, harms.provoked(name)}), 2.0
            )
            for name, points in POINTS.items()
            for point in points
        ),
    ]
    if own_disk:
        found.append(Fault("disk of the state full", harms.fill_disk, everybody, 20.0, 15.0, True))
    return found
