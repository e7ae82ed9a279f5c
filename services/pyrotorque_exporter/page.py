"""The status page: one small HTML document, from what is known already and a few numbers of rTorrent."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

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
from pyrotorque.settings.schema import ExporterSettings
from pyrotorque.text import printable
from pyrotorque_exporter import shown
from pyrotorque_exporter.exposition import Exposition
from pyrotorque_exporter.page_rows import Row, process_rows, queue_rows, watch_facts
from pyrotorque_exporter.told import Told

if TYPE_CHECKING:
    from jinja2 import Template

ROWS_MAX: Final = 12
REFRESH: Final = 10


class StatusPage:
    """Renders the page; names of torrents, paths and reasons appear only when `page_names` is set."""

    groups = frozenset(("processes", "queue", "watch", "jobs", "system", "throttle", "summary"))

    def __init__(
        self,
        told: Told,
        recent: Callable[[], Sequence[Durable]],
        *,
        explained: Callable[[], Mapping[str, Mapping[str, Any]]] = dict,
        prefix: str = "rtorrent_",
        names: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._told, self._recent, self._explained = told, recent, explained
        self._prefix, self._names, self._wall = prefix, names, wall

    def of(self, settings: ExporterSettings) -> "StatusPage":
        """The page as one exporter job shows it."""
        return StatusPage(self._told, self._recent, prefix=settings.prefix, names=settings.page_names, wall=self._wall)

    def html(self, exposition: Exposition | None) -> bytes:
        """The document; `exposition` is None when rTorrent did not answer in time."""
        now = self._wall()
        seen = exposition or Exposition(b"")
        recent = list(reversed(self._recent()))
        text = _template().render(
            host=socket.gethostname(),
            now=shown.clock(now),
            refresh=REFRESH,
            names=self._names,
            rtorrent=self._rtorrent(seen, now),
            processes=process_rows(self._told.snapshot(), seen, now),
            queues=queue_rows(self._told.last_checks(), self._explained(), seen, now, names=self._names),
            watch=watch_facts(seen, now),
            loads=self._loads([event for event in recent if isinstance(event, TorrentLoaded)], now),
            starts=self._starts([event for event in recent if isinstance(event, TorrentStarted)], now),
            failed=self._failed(recent, now),
            troubles=self._troubles(recent, now),
        )
        return text.encode("utf-8", "replace")

    def _rtorrent(self, seen: Exposition, now: float) -> Row:
        prefix = self._prefix
        up = seen.value(f"{prefix}up") == 1.0
        versions = next((one for one in seen.metrics if one.name == f"{prefix}info"), None)
        started = seen.value(f"{prefix}start_time_seconds")
        rates = {
            word: shown.rate(seen.value(f"{prefix}{word}_rate_bytes_per_second") or 0.0)
            for word in ("download", "upload")
        }
        states = seen.labelled(f"{prefix}items")
        return {
            "up": up,
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
        return printable(event.name) if self._names else f"{event.info_hash[:8]}…"

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

    def _failed(self, newest_first: Sequence[Durable], now: float) -> list[Row]:
        """Metafiles that failed and were not loaded since, each once."""
        settled: set[str] = set()
        rows: list[Row] = []
        for event in newest_first:
            if isinstance(event, LoadFailed | TorrentLoaded) and event.metafile not in settled:
                settled.add(event.metafile)
                if isinstance(event, LoadFailed):
                    rows.append(
                        {
                            **_when(event, now),
                            "job": event.job,
                            "kind": event.kind.replace("_", " "),
                            "metafile": printable(event.metafile) if self._names else "",
                            "reason": printable(event.reason) if self._names else "",
                        }
                    )
        return rows[:ROWS_MAX]

    def _troubles(self, newest_first: Sequence[Durable], now: float) -> list[Row]:
        rows: list[Row] = []
        for event in newest_first:
            match event:
                case StartFailed():
                    what = f"start of {self._item(event)} failed: {event.kind}"
                case JobFailed():
                    what = f"job {event.job} failed" + (f": {printable(event.reason)}" if self._names else "")
                case ServiceStateChanged(state="BACKOFF" | "EXITED" | "FATAL" | "UNKNOWN"):
                    what = f"{event.service} was {event.before}, is {event.state}"
                case _:
                    continue
            rows.append({**_when(event, now), "what": what})
        return rows[:ROWS_MAX]


def _when(event: Fact, now: float) -> Row:
    return {"at": shown.clock(event.at), "ago": shown.ago(event.at, now)}


@cache
def _template() -> "Template":
    # Here, because a service whose page nobody looks at need not carry a template engine.
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("pyrotorque_exporter").joinpath("page.html").read_text("utf-8"))
