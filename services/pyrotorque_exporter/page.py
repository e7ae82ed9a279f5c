"""The status page: one small HTML document, from what is known already and a few numbers of rTorrent."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Protocol

from pyrotorque.bus import ask
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.events import (
    Durable,
    Fact,
    JobFailed,
    LoadFailed,
    ServiceStateChanged,
    StartFailed,
    TorrentLoaded,
    TorrentStarted,
)
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, ExplainQueue
from pyrotorque.settings.schema import ExporterSettings
from pyrotorque.text import printable
from pyrotorque_exporter import shown
from pyrotorque_exporter.exposition import Exposition
from pyrotorque_exporter.page_rows import Row, alarms, process_rows, queue_rows, watch_facts
from pyrotorque_exporter.service_states import ServiceStates

if TYPE_CHECKING:
    from jinja2 import Template

ROWS_MAX: Final = 12
GROUPS: Final = frozenset(("processes", "queue", "watch", "jobs", "system", "throttle", "summary"))
REFRESH: Final = 10
REFRESH_SOON: Final = 1
FAILED_METAFILES: Final = "pyrotorque_watch_failed_metafiles"
ANSWER_FRESH: Final = 15.0
ANSWER_WITHIN: Final = 3.0
ASK_EVERY: Final = 8.0


class QueueExplanations:
    """Gives what is known at once and asks in the background, so that the page never waits for the scheduler."""

    def __init__(
        self,
        explain: Callable[[], Answer],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._explain, self._clock = explain, clock
        self._lock = threading.Lock()
        self._asked_at = self._answered_at = float("-inf")
        self._asking = False
        self._queues: dict[str, dict[str, Any]] = {}

    @classmethod
    def at_scheduler(cls, layout: Layout) -> "QueueExplanations":
        return cls(lambda: ask(layout, "scheduler", ExplainQueue(), ANSWER_WITHIN))

    def refresh(self) -> None:
        """Ask in the background, unless that was done just now."""
        with self._lock:
            now = self._clock()
            if not self._asking and now - self._asked_at >= ASK_EVERY:
                self._asked_at, self._asking = now, True
                threading.Thread(target=self._ask, name="peek", daemon=True).start()

    def queues(self) -> dict[str, dict[str, Any]] | None:
        """What each queue last explained, by its job; nothing where that is too long ago, None while it is asked."""
        with self._lock:
            if self._clock() - self._answered_at < ANSWER_FRESH:
                return dict(self._queues)
            return None if self._asking else {}

    def _ask(self) -> None:
        try:
            answer = self._explain()
        except ServiceUnreachable:
            answer = Answer(ok=False, text="")
        with self._lock:
            self._asking = False
            if answer.ok and isinstance(answer.data, list):
                self._queues = {str(one["job"]): one for one in answer.data if isinstance(one, dict) and "job" in one}
                self._answered_at = self._clock()


class Queues(Protocol):
    """Tells what the queues would start next, once it was states to `look`; None while nobody can say yet."""

    def refresh(self) -> None: ...
    def queues(self) -> Mapping[str, Mapping[str, Any]] | None: ...


@dataclass(frozen=True, kw_only=True)
class StatusPage:
    """Renders the page; names of torrents, paths and reasons appear only when `names` is set."""

    states: ServiceStates
    recent: Callable[[], Sequence[Durable]]
    queues: Queues
    prefix: str = "rtorrent_"
    names: bool = False
    wall: Callable[[], float] = time.time

    def of(self, settings: ExporterSettings) -> "StatusPage":
        """The page as one exporter job shows it."""
        return replace(self, prefix=settings.prefix, names=settings.page_names)

    @property
    def groups(self) -> frozenset[str]:
        """The groups that the page shows something of."""
        return GROUPS

    def refresh(self) -> None:
        """Somebody asks for the page: `html` will be called in a moment."""
        self.queues.refresh()

    def html(self, seen: Exposition) -> bytes:
        """The document, from what a scrape gave."""
        now = self.wall()
        recent = list(reversed(self.recent()))
        explained = self.queues.queues()
        processes = process_rows(self.states, seen, now)
        failed = self._failed(recent, seen, now)
        gauge = seen.value(FAILED_METAFILES)
        text = _template().render(
            host=socket.gethostname(),
            now=shown.clock(now),
            refresh=REFRESH if explained is not None else REFRESH_SOON,
            names=self.names,
            alarms=alarms(processes, seen, prefix=self.prefix, failed=int(gauge or len(failed))),
            rtorrent=self._rtorrent(seen, now),
            processes=processes,
            queues=queue_rows(self.states.last_checks(), explained or {}, seen, now, names=self.names),
            watch=watch_facts(seen, now),
            loads=self._loads([event for event in recent if isinstance(event, TorrentLoaded)], now),
            starts=self._starts([event for event in recent if isinstance(event, TorrentStarted)], now),
            failed=failed[:ROWS_MAX],
            troubles=self._troubles(recent, now),
        )
        return text.encode("utf-8", "replace")

    def _rtorrent(self, seen: Exposition, now: float) -> Row:
        prefix = self.prefix
        up = seen.value(f"{prefix}up")
        versions = next((one for one in seen.metrics if one.name == f"{prefix}info"), None)
        started = seen.value(f"{prefix}start_time_seconds")
        rates = {
            word: shown.rate(seen.value(f"{prefix}{word}_rate_bytes_per_second") or 0.0)
            for word in ("download", "upload")
        }
        states = seen.labelled(f"{prefix}items")
        return {
            "asked": up is not None,
            "up": up == 1.0,
            "version": versions.samples[0].labels.get("client_version", "") if versions else "",
            "uptime": shown.duration(now - started) if started else "",
            **rates,
            "states": [(state, f"{count:.0f}") for state, count in states.items()],
            "total": f"{sum(states.values()):.0f}",
            "left": shown.size(seen.value(f"{prefix}items_left_bytes") or 0.0),
            "peers": f"{seen.value(f'{prefix}connected_peers') or 0:.0f}",
            "stalled": f"{seen.value(f'{prefix}items_stalled') or 0:.0f}",
            "messages": f"{seen.value(f'{prefix}items_with_message') or 0:.0f}",
        }

    def _item(self, event: TorrentLoaded | TorrentStarted | StartFailed) -> str:
        return printable(event.name) if self.names else f"{event.info_hash[:8]}…"

    def _loads(self, events: Sequence[TorrentLoaded], now: float) -> list[Row]:
        return [
            {
                **_when(event, now),
                "item": self._item(event),
                "job": event.job,
                "how": event.mode,
                "took": shown.duration(event.seconds),
            }
            for event in events[:ROWS_MAX]
        ]

    def _starts(self, events: Sequence[TorrentStarted], now: float) -> list[Row]:
        return [
            {
                **_when(event, now),
                "item": self._item(event),
                "job": event.job,
                "waited": "" if event.waited is None else shown.duration(event.waited),
            }
            for event in events[:ROWS_MAX]
        ]

    def _failed(self, newest_first: Sequence[Durable], seen: Exposition, now: float) -> list[Row]:
        """Metafiles that failed and were neither loaded since nor, as far as the watcher can say, taken away."""
        settled: set[str] = set()
        rows: list[Row] = []
        for event in newest_first:
            if isinstance(event, LoadFailed | TorrentLoaded) and event.metafile not in settled:
                settled.add(event.metafile)
                if isinstance(event, LoadFailed) and event.kind != "duplicate":
                    rows.append(
                        {
                            **_when(event, now),
                            "job": event.job,
                            "kind": event.kind.replace("_", " "),
                            "metafile": printable(event.metafile) if self.names else "",
                            "reason": printable(event.reason) if self.names else "",
                        }
                    )
        still = seen.value(FAILED_METAFILES)
        return rows if still is None else rows[: int(still)]

    def _troubles(self, newest_first: Sequence[Durable], now: float) -> list[Row]:
        """What went wrong lately; what went wrong in the same way again and again is one row."""
        last: dict[str, Fact] = {}
        times = Counter[str]()
        for event in newest_first:
            if what := self._trouble(event):
                last.setdefault(what, event)
                times[what] += 1
        return [
            {**_when(event, now), "what": what, "times": times[what]} for what, event in list(last.items())[:ROWS_MAX]
        ]

    def _trouble(self, event: Durable) -> str:
        match event:
            case StartFailed():
                return f"start of {self._item(event)} failed: {event.kind}"
            case JobFailed():
                return f"job {event.job} failed" + (f": {printable(event.reason)}" if self.names else "")
            case ServiceStateChanged(state="BACKOFF" | "EXITED" | "FATAL" | "UNKNOWN"):
                return f"{event.service} was {event.before.lower()}, then {event.state.lower()}"
            case _:
                return ""


def _when(event: Fact, now: float) -> Row:
    return {"at": shown.clock(event.at), "ago": shown.ago(event.at, now)}


@cache
def _template() -> "Template":
    # Here, because a service whose page nobody refreshes at need not carry a template engine.
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("pyrotorque_exporter").joinpath("page.html").read_text("utf-8"))
