"""What the panel shows of its group, as plain values: asked of the services, for a second, by all viewers together."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from pyrotorque.bus.client import ask
from pyrotorque.disk_usage import Disk
from pyrotorque.errors import PyrotorqueError, ServiceUnreachable
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import process_stat
from pyrotorque.requests import Answer, DescribeService, ExplainQueue, ListMetafiles, Request
from pyrotorque.supervisord import Process, Supervisord
from pyrotorque.text import printable
from pyrotorque_panel.answer_cache import AnswerCache
from pyrotorque_panel.cleaning import cleaned
from pyrotorque_panel.command_runner import CommandRunner
from pyrotorque_panel.fleet_routes import FleetView, has_fleet
from pyrotorque_panel.recent_events import RecentEvents
from pyrotorque_panel.transfer_ring import TransferRing

_TIMEOUT: Final = 3.0
_EXPLAIN_TIMEOUT: Final = 8.0
_SILENT: Final = "it does not answer"
_STATES: Final = {
    "STOPPED": "it is stopped",
    "STOPPING": "it is being stopped",
    "EXITED": "it has ended",
    "BACKOFF": "it ended right after its start, and is started again",
    "FATAL": "it ended right after each start: supervisord starts it no more",
}
NEEDS_MAX: Final = 5


class GroupView:
    """Answers of the services are kept for a second; while one is fetched, others wait for it."""

    def __init__(self, name: str, layout: Layout, ring: TransferRing, events: RecentEvents) -> None:
        self.name = name
        self.layout = layout
        self.ring = ring
        self.events = events
        self.answers = AnswerCache()
        self.fleet = FleetView(layout, ask)
        self.has_fleet = has_fleet(layout)

    # -- answers of the services

    def scheduler(self) -> Mapping[str, Any]:
        """Raises ServiceUnreachable."""
        return self._data("scheduler", lambda: self._ask("scheduler", DescribeService(), _TIMEOUT))

    def watcher(self) -> Mapping[str, Any]:
        """Raises ServiceUnreachable."""
        return self._data("watcher", lambda: self._ask("watcher", DescribeService(), _TIMEOUT))

    def queues(self) -> list[dict[str, Any]]:
        """What `pyrotorque explain --json` shows; empty if there is no queue.

        Raises ServiceUnreachable, also while rTorrent is away: what is unknown is not empty.
        """
        return self._listed(self.answers.get("queues", self._explain_queues))

    def queues_soon(self, seconds: float) -> list[dict[str, Any]] | None:
        """As `queues`, or what they were some seconds ago, or None while their explanation takes longer than `seconds`.

        With many items it takes rTorrent a while.
        """
        answer = self.answers.get_within("queues", self._explain_queues, seconds)
        return None if answer is None else self._listed(answer)

    def _explain_queues(self) -> Answer:
        return self._explained(ExplainQueue())

    def explain(self, item: str) -> Answer:
        """Why an item is started or not. Raises ServiceUnreachable."""
        return self._explained(ExplainQueue(item=item))

    def _explained(self, request: ExplainQueue) -> Answer:
        if self.ring.hangs:
            # The scheduler would wait for rTorrent, too, and give no other answer meanwhile.
            raise ServiceUnreachable(str(cleaned(self.ring.problem)))
        return self._ask("scheduler", request, _EXPLAIN_TIMEOUT)

    def _listed(self, answer: Answer) -> list[dict[str, Any]]:
        if answer.ok:
            return list(answer.data) if isinstance(answer.data, list) else []
        if any(job.get("kind") == "queue" for job in self.jobs()):
            raise ServiceUnreachable(answer.text)
        return []

    def metafiles(self, state: str, after: int, limit: int = 200) -> dict[str, Any]:
        """A page of the ledger, newest first. Raises ServiceUnreachable."""
        request = ListMetafiles(state=state, after=after, limit=limit, newest=True)
        answer = self._ask("watcher", request, _TIMEOUT)
        if not answer.ok:
            raise ServiceUnreachable(answer.text)
        return dict(answer.data)

    def cleanups(self) -> list[dict[str, Any]]:
        """The plan of each clean-up job. Raises ActionRefused if there is none."""
        found: list[dict[str, Any]] = self.answers.get("cleanups", self._previewed, share=0.0)
        return found

    def _previewed(self) -> list[dict[str, Any]]:
        return CommandRunner(self.layout).lines("cleanup", "--json")

    def quarantine(self) -> list[dict[str, Any]]:
        """What clean-up jobs have moved to quarantine; `entry` names one."""
        found: list[dict[str, Any]] = self.answers.get("quarantine", self._quarantined, share=0.0)
        return found

    def _quarantined(self) -> list[dict[str, Any]]:
        found = CommandRunner(self.layout).lines("quarantine", "list", "--json")
        return [each | {"entry": str(each["folder"]).rpartition("/")[2]} for each in found]

    def disks(self) -> list[dict[str, Any]]:
        """Room on the disks of all items and of the watched folders, as last measured."""
        return [_disk(each) for each in self.ring.disks]

    def processes(self) -> list[dict[str, Any]]:
        """supervisord's view of each program; empty if it does not answer."""

        def read() -> list[dict[str, Any]]:
            found = Supervisord(self.layout.supervisor_socket, timeout=_TIMEOUT).processes()
            return [_process(each) for each in found]

        try:
            found: list[dict[str, Any]] = self.answers.get("processes", read)
        except PyrotorqueError:
            return []
        return found

    def is_away(self) -> bool:
        """Whether the group does not run: neither supervisord nor a service listens."""
        found: bool = self.answers.get("away", lambda: not Supervisord(self.layout.supervisor_socket).listens())
        return found

    def _data(self, key: str, fetch: Callable[[], Answer]) -> Mapping[str, Any]:
        answer: Answer = self.answers.get(key, fetch)
        return answer.data if isinstance(answer.data, dict) else {}

    def _ask(self, service: str, request: Request, timeout: float) -> Answer:
        answer = ask(self.layout, service, request, timeout)
        found: Any = cleaned(answer.data)
        return Answer(ok=answer.ok, text=str(cleaned(answer.text)), data=found)

    # -- what follows from them

    def jobs(self) -> list[dict[str, Any]]:
        """Raises ServiceUnreachable."""
        return [dict(job) for job in self.scheduler().get("jobs", [])]

    def overview(self, now: float, *, queues_within: float | None = None) -> dict[str, Any]:
        """Everything on the first page; what is unknown is None, and is among the needs.

        With `queues_within`, the explanation of the queues is waited for so many seconds: if it takes longer,
        `queues_pending` is set; if it is unknown, `queues_problem` is the reason.
        """
        with ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(_attempt, call) for call in (self.jobs, self.watcher, self.processes)]
            (jobs, jobs_error), (watcher, watcher_error), (processes, _) = [f.result() for f in futures]
        # After the other questions: the scheduler answers one at a time.
        if queues_within is None:
            queues, queues_error = _attempt(self.queues)
        else:
            queues, queues_error = _attempt(partial(self.queues_soon, queues_within))
        sample = self.ring.latest()
        metafiles = (watcher or {}).get("metafiles", {})
        failed_jobs = [job for job in jobs or () if (job.get("last_run") or {}).get("ok") is False]
        failed = self._failed_metafiles(metafiles)
        away = bool(jobs_error and watcher_error and not processes and self.is_away())
        needs = self._needs(jobs_error, watcher_error, processes or [], failed_jobs, failed, metafiles)
        if away:
            text = f"it does not run: `pyrotorque --config-dir {printable(str(self.layout.config_dir))}` starts it"
            needs = [_need("group", f"group {self.name}", text, 0.0)]
        return {
            "group": self.name,
            "away": away,
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
            "disks": self.disks(),
            "at": now,
            "jobs": jobs,
            "watcher": watcher,
            "queues": queues,
            "queues_pending": queues is None and not queues_error,
            "queues_problem": queues_error,
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
        """What a person should look at, the worst first: kind, subject, reason, since when, how many things."""
        needs: list[dict[str, Any]] = []
        if self.ring.problem:
            reason = cleaned(self.ring.problem)
            needs.append(_need("rtorrent", "rTorrent", reason, self.ring.since))
        down = {each["name"]: each for each in processes if each["state"] not in ("RUNNING", "STARTING")}
        for name, error in (("scheduler", jobs_error), ("watcher", watcher_error)):
            # While rTorrent hangs, they wait for it: to restart them would not help.
            waits = self.ring.hangs and "did not answer within" in error
            if error and name not in down and not waits:
                needs.append(_need("service", name, error, 0.0))
        needs += [
            _need("service", name, _STATES.get(each["state"], f"it is {each['state']}"), 0.0)
            for name, each in down.items()
        ]
        for job in failed_jobs:
            run = job["last_run"]
            needs.append(_need("job", job["job"], run.get("reason") or "its last run failed", run["at"]))
        for row in failed:
            needs.append(_need("metafile", row["path"], row["reason"], row["changed"]))
        if len(failed) < int(counts.get("failed", 0)) and failed:
            more = int(counts["failed"]) - len(failed)
            needs.append(_need("metafiles", f"{more} more", "metafiles were not loaded", 0.0, more))
        return needs


def _need(kind: str, subject: str, reason: str, since: float, count: int = 1) -> dict[str, Any]:
    return {"kind": kind, "subject": subject, "reason": reason, "since": since, "count": count}


def _attempt(call: Callable[[], Any]) -> tuple[Any, str]:
    try:
        return call(), ""
    except PyrotorqueError as error:
        return None, str(error) or _SILENT


def _process(process: Process) -> dict[str, Any]:
    found = process_stat(process.pid) if process.pid else None
    return {
        "name": process.name,
        "state": process.state,
        "since": process.started,
        "pid": process.pid,
        "memory": found.resident_bytes if found else 0,
    }


def _disk(disk: Disk) -> dict[str, Any]:
    used = 100 * (disk.size - disk.free) / disk.size if disk.size else 0.0
    return {"mountpoint": printable(disk.mountpoint), "free": disk.free, "size": disk.size, "used": round(used, 1)}
