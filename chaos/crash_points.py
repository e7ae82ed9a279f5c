"""Named points at which a service kills itself.

The services contain no code for this: a `sitecustomize` first on the group's PYTHONPATH wraps the methods around each
point. A point is armed by a file named after its service, and the process that reaches it renames the file.
"""

import os
import re
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from chaos.clock import Clock

_PUBLISHING: Final = (
    "event added, not committed",
    "event committed, not published",
    "event published",
    "replay requested, not answered",
)
_APPLYING: Final = ("event handed out, not applied", "event applied, cursor not saved", "event applied, cursor saved")

POINTS: Final[dict[str, tuple[str, ...]]] = {
    "watcher": (
        "load intended, not sent",
        "load sent, answer not read",
        "load saved by rTorrent, not recorded",
        "metafile has its second name, tie not changed",
        "tie changed, not verified",
        "tie saved, old name not removed",
        "old name removed, not recorded",
        *_PUBLISHING,
    ),
    "scheduler": ("start intended, not sent", "start sent, not recorded", *_PUBLISHING),
    "exporter": _APPLYING,
    "guardian": _PUBLISHING,
    "listener": _APPLYING,
}

_SITE: Final = """\
import os
import re
import sys

for service in {services!r}:
    if f"pyrotorque_{{service}}" in sys.orig_argv:
        if os.path.exists(os.path.join({folder!r}, f"{{service}}.refuses")):
            os._exit(70)
        from chaos.clock import follow
        from chaos.crash_points import wrap

        follow({clock!r})
        wrap(service, {folder!r})
"""

Reached = Callable[[str], None]


class CrashPoints:
    """The folder of armed points, the group's clock, and the folder for PYTHONPATH."""

    def __init__(self, folder: Path) -> None:
        self._armed = folder / "armed"
        self.site = folder / "site"
        self._armed.mkdir(parents=True)
        self.site.mkdir()
        services = tuple(name for name in POINTS if name != "listener")
        self.clock = Clock(folder / "clock")
        text = _SITE.format(services=services, folder=str(self._armed), clock=str(folder / "clock"))
        (self.site / "sitecustomize.py").write_text(text)

    @property
    def armed(self) -> Path:
        return self._armed

    def arm(self, service: str, point: str) -> None:
        made = self._armed / f"{service}.new"
        made.write_text(point)
        made.rename(self._armed / service)

    def refuses(self, service: str) -> Path:
        """While this file exists, the service exits as soon as it is started."""
        return self._armed / f"{service}.refuses"

    def visited(self, service: str) -> bool:
        """Whether the armed point was reached."""
        return not (self._armed / service).exists()

    def disarm(self, service: str) -> None:
        (self._armed / service).unlink(missing_ok=True)


def wrap(service: str, folder: str) -> None:
    """Make this process kill itself at the point armed in `folder`."""
    path = os.path.join(folder, service)

    def reached(point: str) -> None:
        try:
            with open(path, encoding="utf-8") as armed:
                wanted = armed.read() == point
        except FileNotFoundError:
            return
        if wanted:
            os.rename(path, f"{path}.visited")
            os.kill(os.getpid(), signal.SIGKILL)

    points = set(POINTS[service])
    if points & set(_PUBLISHING):
        _wrap_publishing(reached)
    if points & set(_APPLYING):
        _wrap_applying(reached)
    if service in ("watcher", "scheduler"):
        _wrap_rtorrent(reached)
    if service == "watcher":
        _wrap_ledger(reached)


def _wrap_publishing(reached: Reached) -> None:
    from pyrotorque.bus import Bus
    from pyrotorque.outbox import Outbox
    from pyrotorque.store import Store

    add_all, after, publish, transaction = Outbox.add_all, Outbox.after, Bus.publish, Store.transaction
    unpublished = [0]

    def added(self: Outbox, events: Sequence[Any]) -> int:
        seq = add_all(self, events)
        if events:
            unpublished[0] += len(events)
            reached("event added, not committed")
        return seq

    @contextmanager
    def committed(self: Store) -> Generator[Any]:
        inner = self.db.in_transaction
        with transaction(self) as db:
            yield db
        if unpublished[0] and not inner:
            reached("event committed, not published")

    def published(self: Bus) -> None:
        publish(self)
        if unpublished[0]:
            unpublished[0] = 0
            reached("event published")

    def replayed(self: Outbox, *arguments: Any) -> Any:
        reached("replay requested, not answered")
        return after(self, *arguments)

    _set(Outbox, add_all=added, after=replayed)
    _set(Bus, publish=published)
    _set(Store, transaction=committed)


def _wrap_applying(reached: Reached) -> None:
    from pyrotorque.bus import Bus
    from pyrotorque.events import Delivery

    applying: Callable[[Bus, Delivery], AbstractContextManager[Any]] = Bus.applying

    @contextmanager
    def applied(self: Bus, delivery: Delivery) -> Generator[Any]:
        reached("event handed out, not applied")
        with applying(self, delivery) as db:
            yield db
            reached("event applied, cursor not saved")
        reached("event applied, cursor saved")

    _set(Bus, applying=applied)


_START: Final = re.compile(r"(?<![\w.])d\.start\b")


def _wrap_rtorrent(reached: Reached) -> None:
    from pyrotorque.rtorrent import RTorrent

    call, multicall = RTorrent.call, RTorrent.multicall

    def loading(self: RTorrent, method: str, *params: Any, **options: Any) -> Any:
        if not method.startswith("load."):
            return call(self, method, *params, **options)
        reached("load intended, not sent")
        answer = call(self, method, *params, **options)
        reached("load sent, answer not read")
        return answer

    def together(self: RTorrent, calls: Sequence[Any], *given: Any, **options: Any) -> Any:
        loads = any(method.startswith("load.") for method, _ in calls)
        # Items with an open load are started by a condition in rTorrent: `branch`, with d.start as an argument.
        starts = any(_START.search(str(word)) for method, arguments in calls for word in (method, *arguments))
        if loads or starts:
            reached("load intended, not sent" if loads else "start intended, not sent")
        answers = multicall(self, calls, *given, **options)
        if loads or starts:
            reached("load sent, answer not read" if loads else "start sent, not recorded")
        return answers

    _set(RTorrent, call=loading, multicall=together)


def _wrap_ledger(reached: Reached) -> None:
    from pyrotorque_watcher.ledger import Ledger

    mark_loaded = Ledger.mark_loaded

    def recorded(self: Ledger, rows: Sequence[Any], *arguments: Any) -> None:
        if rows:
            reached("load saved by rTorrent, not recorded")
        mark_loaded(self, rows, *arguments)

    _set(Ledger, mark_loaded=recorded)
    _wrap_disposal(reached)


def _wrap_disposal(reached: Reached) -> None:
    from pyrotorque_watcher.ledger import Ledger
    from pyrotorque_watcher.settle.metafile_names import MetafileNames
    from pyrotorque_watcher.settle.ties import Ties

    def then(owner: type, name: str, point: str) -> None:
        effect = getattr(owner, name)

        def followed(*arguments: Any) -> Any:
            result = effect(*arguments)
            reached(point)
            return result

        setattr(owner, name, followed)

    then(MetafileNames, "link_to", "metafile has its second name, tie not changed")
    then(Ties, "_replace", "tie changed, not verified")
    then(Ledger, "mark_disposing", "tie saved, old name not removed")
    then(MetafileNames, "remove", "old name removed, not recorded")


def _set(owner: type, **methods: Any) -> None:
    for name, method in methods.items():
        setattr(owner, name, method)
