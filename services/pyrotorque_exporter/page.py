"""The status page: one HTML document from the last scrape, recent events and the scheduler's explanations."""

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from pyrotorque import humanize
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
from pyrotorque.hosts import is_own_host
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, ExplainQueue
from pyrotorque.settings.schema import ExporterSettings
from pyrotorque.text import printable
from pyrotorque_exporter.exposition import Exposition
from pyrotorque_exporter.page_rows import Row, alarms, process_rows, queue_rows, watch_facts
from pyrotorque_exporter.service_states import ServiceStates

if TYPE_CHECKING:
    from jinja2 import Template

log = logging.getLogger(__name__)

ROWS_MAX: Final = 12
GROUPS: Final = frozenset(("processes", "queue", "watch", "jobs", "system", "throttle", "summary"))
REFRESH: Final = 10
REFRESH_SOON: Final = 1
FAILED_METAFILES: Final = "pyrotorque_watch_failed_metafiles"
ANSWER_FRESH: Final = 15.0
ANSWER_WITHIN: Final = 3.0
REQUEST_EVERY: Final = 8.0


class QueueExplanations:
    """The scheduler's explanation of each queue, requested in the background: the page never waits for it."""

    def __init__(
        self,
        explain: Callable[[], Answer],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._explain, self._clock = explain, clock
        self._lock = threading.Lock()
        self._requested_at = self._answered_at = float("-inf")
        self._requesting = False
        self._queues: dict[str, dict[str, Any]] = {}

    @classmethod
    def from_scheduler(cls, layout: Layout) -> "QueueExplanations":
        return cls(lambda: ask(layout, "scheduler", ExplainQueue(), ANSWER_WITHIN))

    def refresh(self) -> None:
        """Request the explanations in the background, unless that was done just now."""
        with self._lock:
            now = self._clock()
            if not self._requesting and now - self._requested_at >= REQUEST_EVERY:
                self._requested_at, self._requesting = now, True
                threading.Thread(target=self._request, name="explain-queue", daemon=True).start()

    def queues(self) -> dict[str, dict[str, Any]] | None:
        """The explanation of each queue by its job; empty if the last is too old, None while one is requested."""
        with self._lock:
            if self._clock() - self._answered_at < ANSWER_FRESH:
                return dict(self._queues)
            return None if self._requesting else {}

    def _request(self) -> None:
        try:
            answer = self._explain()
        except ServiceUnreachable:
            answer = Answer(ok=False, text="")
        with self._lock:
            self._requesting = False
            if answer.ok and isinstance(answer.data, list):
                self._queues = {str(one["job"]): one for one in answer.data if isinstance(one, dict) and "job" in one}
                self._answered_at = self._clock()


class ExplanationSource(Protocol):
    """Explains the queues after a `refresh`; None while the explanation is requested."""

    def refresh(self) -> None: ...
    def queues(self) -> Mapping[str, Mapping[str, Any]] | None: ...


@dataclass(frozen=True, kw_only=True)
class StatusPage:
    """Renders the page; names of torrents, paths and error texts appear only if `names` is set."""

    states: ServiceStates
    recent: Callable[[], Sequence[Durable]]
    queues: ExplanationSource
    names: bool = False
    hosts: tuple[str, ...] = ()
    """Names of reverse proxies, under which the page may show names."""
    wall: Callable[[], float] = time.time

    def for_job(self, settings: ExporterSettings) -> "StatusPage":
        """The page with the settings of one exporter job."""
        return replace(self, names=settings.page_names, hosts=settings.page_hosts)

    def for_host(self, authority: str | None) -> "StatusPage":
        """The page for a request with this host: without names if another site may have sent it."""
        if not self.names or is_own_host(authority, self.hosts):
            return self
        _log_foreign_host(printable(str(authority)[:100]))
        return replace(self, names=False)

    @property
    def groups(self) -> frozenset[str]:
        """The groups of metrics that the page shows."""
        return GROUPS

    def refresh(self) -> None:
        """Prepare for a call of `html` that follows shortly."""
        self.queues.refresh()

    def html(self, exposition: Exposition) -> bytes:
        """The document, with the metrics of `exposition`."""
        now = self.wall()
        recent = list(reversed(self.recent()))
        explained = self.queues.queues()
        processes = process_rows(self.states, exposition, now)
        failed = self._failed(recent, exposition, now)
        gauge = exposition.value(FAILED_METAFILES)
        text = _template().render(
            host=socket.gethostname(),
            now=humanize.date_time(now),
            refresh=REFRESH if explained is not None else REFRESH_SOON,
            names=self.names,
            alarms=alarms(processes, exposition, failed=int(gauge or len(failed))),
            rtorrent=_rtorrent(exposition, now),
            processes=processes,
            queues=queue_rows(self.states.last_checks(), explained or {}, exposition, now, names=self.names),
            watch=watch_facts(exposition, now),
            loads=self._loads([event for event in recent if isinstance(event, TorrentLoaded)], now),
            starts=self._starts([event for event in recent if isinstance(event, TorrentStarted)], now),
            failed=failed[:ROWS_MAX],
            troubles=self._problems(recent, now),
        )
        return text.encode("utf-8", "replace")

    def _item(self, event: TorrentLoaded | TorrentStarted | StartFailed) -> str:
        return printable(event.name) if self.names else f"{event.info_hash[:8]}…"

    def _loads(self, events: Sequence[TorrentLoaded], now: float) -> list[Row]:
        return [
            {
                **_when(event, now),
                "item": self._item(event),
                "job": event.job,
                "how": event.mode,
                "took": humanize.duration(event.seconds),
            }
            for event in events[:ROWS_MAX]
        ]

    def _starts(self, events: Sequence[TorrentStarted], now: float) -> list[Row]:
        return [
            {
                **_when(event, now),
                "item": self._item(event),
                "job": event.job,
                "waited": "" if event.waited is None else humanize.duration(event.waited),
            }
            for event in events[:ROWS_MAX]
        ]

    def _failed(self, newest_first: Sequence[Durable], exposition: Exposition, now: float) -> list[Row]:
        """Metafiles that failed, were not loaded later and, by the watcher's count, still exist."""
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
        still = exposition.value(FAILED_METAFILES)
        return rows if still is None else rows[: int(still)]

    def _problems(self, newest_first: Sequence[Durable], now: float) -> list[Row]:
        """Recent problems; repetitions of the same problem share a row."""
        last: dict[str, Fact] = {}
        times = Counter[str]()
        for event in newest_first:
            if what := self._problem(event):
                last.setdefault(what, event)
                times[what] += 1
        return [
            {**_when(event, now), "what": what, "times": times[what]} for what, event in list(last.items())[:ROWS_MAX]
        ]

    def _problem(self, event: Durable) -> str:
        match event:
            case StartFailed():
                return f"start of {self._item(event)} failed: {event.kind}"
            case JobFailed():
                return f"job {event.job} failed" + (f": {printable(event.reason)}" if self.names else "")
            case ServiceStateChanged(state="BACKOFF" | "EXITED" | "FATAL" | "UNKNOWN"):
                return f"{event.service} was {event.before.lower()}, then {event.state.lower()}"
            case _:
                return ""


def _rtorrent(exposition: Exposition, now: float) -> Row:
    up = exposition.value("rtorrent_up")
    versions = next((one for one in exposition.metrics if one.name == "rtorrent_info"), None)
    started = exposition.value("rtorrent_start_time_seconds")
    states = exposition.labelled("rtorrent_items")
    return {
        "is_known": up is not None,
        "up": up == 1.0,
        "version": versions.samples[0].labels.get("client_version", "") if versions else "",
        "uptime": humanize.duration(now - started) if started else "",
        "download": humanize.rate(exposition.value("rtorrent_download_rate_bytes_per_second") or 0.0),
        "upload": humanize.rate(exposition.value("rtorrent_upload_rate_bytes_per_second") or 0.0),
        "states": [(state, f"{count:.0f}") for state, count in states.items()],
        "total": f"{sum(states.values()):.0f}",
        "left": humanize.size(exposition.value("rtorrent_items_left_bytes") or 0.0),
        "peers": f"{exposition.value('rtorrent_connected_peers') or 0:.0f}",
        "stalled": f"{exposition.value('rtorrent_items_stalled') or 0:.0f}",
        "messages": f"{exposition.value('rtorrent_items_with_message') or 0:.0f}",
    }


def _when(event: Fact, now: float) -> Row:
    return {"at": humanize.date_time(event.at), "ago": humanize.age(event.at, now)}


@lru_cache(maxsize=8)
def _log_foreign_host(authority: str) -> None:
    log.warning(
        "the status page was requested as %s and shows no names: if that is your reverse proxy, add it to "
        "job.NAME.page_hosts",
        authority,
    )


@cache
def _template() -> "Template":
    # Imported here: until the page is requested, the service needs no template engine in memory.
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(Path(__file__).with_name("page.html").read_text("utf-8"))
