"""The watcher's metrics, which the exporter serves as group `watch`."""

from collections.abc import Iterable, Mapping

from pyrotorque.events import LoadFailure, LoadMode
from pyrotorque.totals import Counter, Totals
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.scan.inotify import watches_limit
from pyrotorque_watcher.scan.walk import WalkCause

_EVENTS = ("close_write", "moved_to", "moved_from", "create", "delete", "overflow", "other")
_MODES: tuple[LoadMode, ...] = ("start", "normal", "queued")
_FAILURES: tuple[LoadFailure, ...] = (
    "invalid",
    "duplicate",
    "rpc",
    "timeout",
    "io",
    "template",
    "refused",
    "too_large",
)
_CAUSES: tuple[WalkCause, ...] = ("startup", "overflow", "timer")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class WatcherMetrics:
    """Absolute totals; `totals` is published to the exporter."""

    def __init__(self, totals: Totals) -> None:
        self.totals = totals
        self._events = totals.counter(
            "pyrotorque_watch_events_total", "File system events received from the kernel (inotify).", ("event",)
        )
        self._metafiles = totals.counter(
            "pyrotorque_watch_metafiles_total", "Metafiles that were accepted for loading, each counted once."
        )
        self._loads = totals.counter("pyrotorque_watch_loads_total", "Metafiles loaded, by mode.", ("mode",))
        self._failures = totals.counter(
            "pyrotorque_watch_load_failures_total", "Metafiles not loaded, by reason.", ("reason",)
        )
        self._seconds = totals.histogram(
            "pyrotorque_watch_load_duration_seconds", "From the close of a metafile to its item in rTorrent.", _SECONDS
        )
        self._overflows = totals.counter(
            "pyrotorque_watch_queue_overflows_total",
            "Times that the kernel dropped file system events; all trees are scanned again then.",
        )
        self._rescans = totals.counter("pyrotorque_watch_rescans_total", "Scans of a whole tree, by cause.", ("cause",))
        self._pending = totals.gauge(
            "pyrotorque_watch_pending_metafiles", "Metafiles that were found and are neither loaded nor refused yet."
        )
        self._failed = totals.gauge(
            "pyrotorque_watch_failed_metafiles", "Metafiles that could not be loaded and wait for a change or a retry."
        )
        self._oldest = totals.gauge(
            "pyrotorque_watch_oldest_pending_timestamp_seconds", "When the oldest pending metafile was seen.", ()
        )
        self._folders = totals.gauge(
            "pyrotorque_watch_directories", "Folders that are watched: inotify watches in use."
        )
        self._limit = totals.gauge(
            "pyrotorque_watch_directories_limit",
            "inotify watches that this user may have (fs.inotify.max_user_watches).",
        )
        self._missing = totals.gauge(
            "pyrotorque_watch_roots_missing",
            "Configured folders that do not exist, for example on a disk that is not mounted.",
        )
        self._last = totals.gauge("pyrotorque_watch_last_event_timestamp_seconds", "When the last event was received.")
        _start_at_zero(self._events, _EVENTS)
        _start_at_zero(self._loads, _MODES)
        _start_at_zero(self._failures, _FAILURES)
        _start_at_zero(self._rescans, _CAUSES)
        self._oldest.remove()
        self._last.remove()

    def events_received(self, events: Mapping[str, int], now: float) -> None:
        for name, count in events.items():
            self._events.inc(name, by=count)
        self._overflows.inc(by=events.get("overflow", 0))
        self._last.set(now)

    def walk_finished(self, cause: WalkCause) -> None:
        """A whole tree was walked; a root that appeared again counts as found by the timer."""
        self._rescans.inc(cause if cause in _CAUSES else "timer")

    def accepted(self) -> None:
        self._metafiles.inc()

    def loaded(self, mode: LoadMode, seconds: float) -> None:
        self._loads.inc(mode)
        self._seconds.observe(seconds)

    def failed(self, kind: LoadFailure) -> None:
        self._failures.inc(kind)

    @property
    def pending(self) -> int:
        """Metafiles seen and not finished, at the last update of the gauges."""
        return int(self._pending.get())

    @property
    def finished(self) -> float:
        """Metafiles that were ever loaded or refused."""
        loads = sum(self._loads.get(mode) for mode in _MODES)
        return loads + sum(self._failures.get(kind) for kind in _FAILURES)

    def update_gauges(self, ledger: Ledger, watches: int, missing: int) -> None:
        counts = ledger.counts()
        self._pending.set(sum(counts.get(state, 0) for state in ("seen", "sent")))
        self._failed.set(counts.get("failed", 0))
        oldest = ledger.oldest_pending()
        if oldest is None:
            self._oldest.remove()
        else:
            self._oldest.set(oldest)
        self._folders.set(watches)
        self._limit.set(watches_limit())
        self._missing.set(missing)


def _start_at_zero(counter: Counter, labels: Iterable[str]) -> None:
    for label in labels:
        counter.inc(label, by=0.0)
