"""The list of faults: the services that each affects, its promised and its measured recovery time."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from chaos import fault_actions as act
from chaos import group_faults as group
from chaos.crash_points import POINTS
from chaos.heartbeat_log import FaultPeriod
from chaos.scene import Scene
from pyrotorque.layout import SERVICES

FaultAction = Callable[[Scene, random.Random], float]


@dataclass(frozen=True, slots=True)
class Done:
    """One injected fault: its start in Unix seconds, and the seconds until recovery (None: no recovery)."""

    name: str
    began: float
    recovery: float | None
    within: float
    loses_events: bool
    trouble: str = ""


CLOCK_AHEAD: Final = "clock a day ahead, then correct"


@dataclass(frozen=True, slots=True)
class Fault:
    """`does` returns the seconds until recovery; `within` is the promised maximum (0: none)."""

    name: str
    does: FaultAction
    affects: frozenset[str] = frozenset()
    within: float = 0.0
    takes: float = 6.0
    """Approximate duration, to decide whether there is time for it."""
    loses_events: bool = False
    """Whether it may lose events, which must then be reported as lost."""

    def done_to(self, scene: Scene, chance: random.Random) -> Done:
        """Inject it, and wait until all services run again."""
        began, since = time.time(), time.monotonic()
        recovery, trouble = None, ""
        try:
            recovery = self.does(scene, chance)
            # A service that is killed again soon is restarted with a backoff, which is not part of the next fault.
            scene.until(scene.all_run, "all running again")
        except (TimeoutError, RuntimeError) as error:
            trouble = str(error)
        scene.fault_periods.append(FaultPeriod(self.affects, since, time.monotonic()))
        return Done(self.name, began, recovery, self.within, self.loses_events, trouble)


def killing(name: str) -> Fault:
    """kill -9 of one process."""
    if name == "listener":
        return Fault("kill listener", act.kill_listener)
    return Fault(f"kill {name}", partial(act.kill, name), frozenset({name}), 2.0)


def faults(*, own_disk: bool) -> list[Fault]:
    """All faults, including crash points."""
    all_services = frozenset(SERVICES)
    watcher = frozenset({"watcher"})
    found = [
        *(killing(name) for name in (*SERVICES, "listener")),
        Fault("kill all four at once", act.kill_all, all_services, 5.0),
        *(Fault(f"stop {name} (SIGSTOP)", partial(act.stop, name), frozenset({name}), 30.0, 20.0) for name in SERVICES),
        Fault("watcher cannot start (FATAL)", act.give_up, watcher, 60.0, 30.0),
        Fault("kill supervisord, start again", act.kill_supervisord, all_services, 10.0, 10.0),
        Fault("stop and start rTorrent", act.restart_rtorrent, within=10.0, takes=8.0),
        Fault("kill and start rTorrent", act.kill_rtorrent, within=10.0, takes=8.0),
        Fault("rTorrent hangs", act.hang_rtorrent, within=10.0, takes=12.0),
        Fault("inotify queue overflows", act.overflow, watcher, 10.0, 8.0),
        Fault("open writers", act.write_slowly, within=10.0, takes=10.0),
        Fault("metafiles renamed over others", act.rename_over, within=10.0, takes=10.0),
        *(
            Fault(
                f"descriptors of {name} exhausted",
                partial(act.exhaust_descriptors, name),
                frozenset({name}),
                20.0,
                6.0,
            )
            for name in ("watcher", "scheduler", "exporter")
        ),
        Fault(
            "descriptors of rTorrent exhausted", partial(act.exhaust_descriptors, "rTorrent"), within=20.0, takes=8.0
        ),
        Fault(CLOCK_AHEAD, partial(act.step_clock, 1), within=10.0, takes=8.0),
        Fault("clock a day behind, then correct", partial(act.step_clock, -1), within=10.0, takes=8.0),
        *(
            Fault(f"state of {name} corrupted", partial(act.corrupt, name), frozenset({name}), 10.0, 10.0, True)
            for name in SERVICES
        ),
        *(
            Fault(
                f"outbox of {name} trimmed",
                partial(act.trim, name),
                within=10.0,
                takes=10.0,
                loses_events=True,
            )
            for name in ("watcher", "scheduler")
        ),
        *(
            Fault(f"sockets of {name} removed", partial(act.remove_sockets, name), frozenset({name}), 5.0)
            for name in SERVICES
        ),
        Fault("run folder swept", group.sweep_run_folder, all_services, 20.0, 15.0),
        Fault("stop supervisord (SIGSTOP)", group.stop_supervisord, all_services, 30.0, 22.0),
        Fault("all four killed beside broken files", group.crash_with_broken_files, all_services, 5.0, 8.0),
        Fault("another rTorrent on the socket", group.another_rtorrent, within=10.0, takes=15.0),
        *(
            Fault(
                f"state of {name} restored to an older one",
                partial(group.restore_older, name),
                frozenset({name}),
                10.0,
                6.0,
                True,
            )
            for name in ("watcher", "scheduler")
        ),
        Fault("torque.ini broken, HUP, kill", act.break_ini, frozenset({"scheduler"}), 10.0, 8.0),
        *(
            Fault(
                f"{name}: {point}",
                partial(act.crash_at, name, point),
                frozenset({name, act.provoked(name)}),
                2.0,
            )
            for name, points in POINTS.items()
            for point in points
        ),
    ]
    if own_disk:
        found.append(Fault("disk of the state full", act.fill_disk, all_services, 20.0, 15.0, True))
    return found
