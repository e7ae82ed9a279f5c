"""What the panel shows of its group, as plain values: asked of the services, for a second, by all viewers together."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from pyrotorque.bus.client import ask
from pyrotorque.errors import PyrotorqueError, ServiceUnreachable
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, DescribeService, ExplainQueue, ListMetafiles, Request
from pyrotorque.supervisord import Supervisord
from pyrotorque_panel.cleaning import cleaned
from pyrotorque_panel.command_runner import CommandRunner
from pyrotorque_panel.fleet_routes import FleetView
from pyrotorque_panel.recent_events import RecentEvents
from pyrotorque_panel.transfer_ring import TransferRing

_FRESH: Final = 1.0
_TIMEOUT: Final = 3.0
_EXPLAIN_TIMEOUT: Final = 8.0
_SILENT: Final = "it does not answer"
NEEDS_MAX: Final = 5


class GroupView:
    """Answers of the services are kept for a second; while one is fetched, others wait for it."""

    def __init__(self, name: str, layout: Layout, ring: TransferRing, events: RecentEvents) -> None:
        self.name = name
        self.layout = layout
        self.ring = ring
        self.events = events
        self._kept: dict[str, tuple[float, Any]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self.fleet = FleetView(layout, ask)

    def forget(self) -> None:
        """Something was changed: ask again."""
        with self._lock:
            self._kept.clear()

    # -- answers of the services

    def scheduler(self) -> Mapping[str, Any]:
        """Raises ServiceUnreachable."""
        return self._data("scheduler", lambda: self._ask("scheduler", DescribeService(), _TIMEOUT))

    def watcher(self) -> Mapping[str, Any]:
        """Raises ServiceUnreachable."""
        return self._data("watcher", lambda: self._ask("watcher", DescribeService(), _TIMEOUT))

    def queues(self) -> list[dict[str, Any]]:
        """What `pyrotorque explain --json` shows; empty if there is no queue. Raises ServiceUnreachable."""
        answer: Answer = self._fetched("queues", lambda: self._ask("scheduler", ExplainQueue(), _EXPLAIN_TIMEOUT))
        return list(answer.data) if answer.ok and isinstance(answer.data, list) else []

    def explain(self, item: str) -> Answer:
        """Why an item is started or not."""
        return self._ask("scheduler", ExplainQueue(item=item), _EXPLAIN_TIMEOUT)

    def metafiles(self, state: str, after: int, limit: int = 200) -> dict[str, Any]:
        """A page of the ledger, newest first. Raises ServiceUnreachable."""
        request = ListMetafiles(state=state, after=after, limit=limit, newest=True)
        answer = self._ask("watcher", request, _TIMEOUT)
        if not answer.ok:
            raise ServiceUnreachable(answer.text)
        return dict(answer.data)

    def cleanups(self) -> list[dict[str, Any]]:
        """The plan of each clean-up job. Raises ActionRefused if there is none."""
        return CommandRunner(self.layout).lines("cleanup", "--json")

    def quarantine(self) -> list[dict[str, Any]]:
        """What clean-up jobs have moved to quarantine; `entry` names one."""
        found = CommandRunner(self.layout).lines("quarantine", "list", "--json")
        return [each | {"entry": str(each["folder"]).rpartition("/")[2]} for each in found]

    def processes(self) -> list[dict[str, Any]]:
        """supervisord's view of each program; empty if it does not answer."""

        def read() -> list[dict[str, Any]]:
            found = Supervisord(self.layout.supervisor_socket, timeout=_TIMEOUT).processes()
            return [{"name": each.name, "state": each.state, "since": each.started, "pid": each.pid} for each in found]

        try:
            found: list[dict[str, Any]] = self._fetched("processes", read)
        except PyrotorqueError:
            return []
        return found

    def _data(self, key: str, fetch: Callable[[], Answer]) -> Mapping[str, Any]:
        answer: Answer = self._fetched(key, fetch)
        return answer.data if isinstance(answer.data, dict) else {}

    def _ask(self, service: str, request: Request, timeout: float) -> Answer:
        answer = ask(self.layout, service, request, timeout)
        found: Any = cleaned(answer.data)
        return Answer(ok=answer.ok, text=str(cleaned(answer.text)), data=found)

    def _fetched(self, key: str, fetch: Callable[[], Any]) -> Any:
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            at, value = self._kept.get(key, (0.0, None))
            if time.monotonic() - at > _FRESH:
                try:
                    value = fetch()
                except PyrotorqueError as error:
                    value = error
                self._kept[key] = (time.monotonic(), value)
        if isinstance(value, PyrotorqueError):
            raise value
        return value

    # -- what follows from them

    def jobs(self) -> list[dict[str, Any]]:
        """Raises ServiceUnreachable."""
        return [dict(job) for job in self.scheduler().get("jobs", [])]

    def overview(self, now: float) -> dict[str, Any]:
        """Everything on the first page; what is unknown is None, and is among the needs."""
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(_attempt, call) for call in (self.jobs, self.watcher, self.queues, self.processes)]
            (jobs, jobs_error), (watcher, watcher_error), (queues, _), (processes, _) = [f.result() for f in futures]
        sample = self.ring.latest()
        metafiles = (watcher or {}).get("metafiles", {})
        failed_jobs = [job for job in jobs or () if (job.get("last_run") or {}).get("ok") is False]
        failed = self._failed_metafiles(metafiles)
        needs = self._needs(jobs_error, watcher_error, processes or [], failed_jobs, failed, metafiles)
        return {
            "group": self.name,
            "well": not needs,
            "needs": needs,
            "download_rate": sample.down if sample else None,
            "upload_rate": sample.up if sample else None,
            "downloading": sample.downloading if sample else None,
            "seeding": sample.seeding if sample else None,
            "items": sample.items if sample else None,
            "waiting": None if queues is None else sum(int(queue.get("startable") or 0) for queue in queues),
            "failed_metafiles": None if watcher is None else int(metafiles.get("failed", 0)),
            "failed_jobs": None if jobs is None else len(failed_jobs),
            "free_bytes": self.ring.free_bytes,
            "at": now,
            "jobs": jobs,
            "watcher": watcher,
            "queues": queues,
            "processes": processes,
            "rtorrent": {"version": self.ring.version, "problem": cleaned(self.ring.problem), "since": self.ring.since},
        }

    def _failed_metafiles(self, counts: Mapping[str, Any]) -> list[dict[str, Any]]:
        if not counts.get("failed"):
            return []
        try:
            rows: list[dict[str, Any]] = self.metafiles("failed", 0, NEEDS_MAX)["metafiles"]
        except PyrotorqueError:
            return []
        return rows

    def _needs(
        self,
        jobs_error: str,
        watcher_error: str,
        processes: list[dict[str, Any]],
        failed_jobs: list[dict[str, Any]],
        failed: list[dict[str, Any]],
        counts: Mapping[str, Any],
    ) -> list[dict[str, Any]]:
        """What a person should look at, the worst first: kind, subject, reason and since when."""
        needs: list[dict[str, Any]] = []
        if self.ring.problem:
            reason = cleaned(self.ring.problem)
            needs.append(_need("rtorrent", "rTorrent", reason, self.ring.since))
        down = {each["name"]: each for each in processes if each["state"] not in ("RUNNING", "STARTING")}
        for name, error in (("scheduler", jobs_error), ("watcher", watcher_error)):
            if error and name not in down:
                needs.append(_need("service", name, error, 0.0))
        needs += [_need("service", name, f"it is {each['state']}", 0.0) for name, each in down.items()]
        for job in failed_jobs:
            run = job["last_run"]
            needs.append(_need("job", job["job"], run.get("reason") or "its last run failed", run["at"]))
        for row in failed:
            needs.append(_need("metafile", row["path"], row["reason"], row["changed"]))
        if len(failed) < int(counts.get("failed", 0)) and failed:
            more = int(counts["failed"]) - len(failed)
            needs.append(_need("metafiles", f"{more} more", "metafiles were not loaded", 0.0))
        return needs


def _need(kind: str, subject: str, reason: str, since: float) -> dict[str, Any]:
    return {"kind": kind, "subject": subject, "reason": reason, "since": since}


def _attempt(call: Callable[[], Any]) -> tuple[Any, str]:
    try:
        return call(), ""
    except PyrotorqueError as error:
        return None, str(error) or _SILENT
