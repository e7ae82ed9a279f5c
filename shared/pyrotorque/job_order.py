"""The order of jobs that run on the same event: `job.NAME.after` names jobs that must have succeeded for it before."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pyrotorque.settings.schema import AnyJob, CustomSettings
from pyrotorque.suggestions import suggestion

MOVER: Final = "pyrotorque.jobs.mover:Mover"


class EventOrder:
    """Which jobs run before and after another one on the same event; settings that cannot hold are ignored.

    Between two jobs, one that does not run on the event is passed over: those before it are waited for instead.
    """

    def __init__(self, jobs: Iterable[AnyJob] = ()) -> None:
        customs = {job.name: job for job in jobs if isinstance(job, CustomSettings)}
        self._on = {name: frozenset(job.on) if job.active else frozenset[str]() for name, job in customs.items()}
        wanted = {name: [other for other in job.after if other in customs] for name, job in customs.items()}
        self._before = {
            job: tuple(name for name in names if job not in _reached(name, wanted)) for job, names in wanted.items()
        }

    def before(self, job: str, event: str) -> tuple[str, ...]:
        """The jobs that run on this type of event before `job` does."""
        found: dict[str, None] = {}
        for name in self._before.get(job, ()):
            found |= dict.fromkeys((name,) if event in self._on[name] else self.before(name, event))
        return tuple(found)

    def has_any(self, job: str) -> bool:
        """Whether `job` runs after another one on some event."""
        return bool(self._before.get(job))

    def precedes(self, job: str) -> bool:
        """Whether another job runs after `job` on some event."""
        return any(job in names for names in self._before.values())

    def after(self, job: str, event: str) -> tuple[str, ...]:
        """All jobs that wait on this type of event for `job`, also those that wait for such jobs.

        One that is not active now may have a run left from before.
        """
        found: dict[str, None] = {}
        pending = [job]
        while pending:
            name = pending.pop()
            for other in self._before:
                if other not in found and name in self.before(other, event):
                    found[other] = None
                    pending.append(other)
        return tuple(found)


def order_problems(jobs: Iterable[AnyJob]) -> Iterator[tuple[str, str]]:
    """(job, text) for each name in `after` that cannot be an order."""
    known = {job.name: job for job in jobs}
    customs = {name: job for name, job in known.items() if isinstance(job, CustomSettings)}
    wanted = {name: [other for other in job.after if other in customs] for name, job in customs.items()}
    for job in customs.values():
        if job.after and not job.on:
            yield job.name, "has no effect: it orders runs on events, and this job has no setting `on`"
            continue
        for name in dict.fromkeys(job.after):
            if text := _problem(job, name, known, wanted):
                yield job.name, text


def order_warnings(jobs: Iterable[AnyJob]) -> Iterator[tuple[str, str]]:
    """(job, text) for each name in `after` of an active job that may not mean what the owner expects."""
    known = {job.name: job for job in jobs}
    for job in known.values():
        if isinstance(job, CustomSettings) and job.active:
            for other in (known[name] for name in dict.fromkeys(job.after) if name in known):
                if not other.active:
                    yield job.name, f"job.{other.name} is not active: this job does not wait for it"
                elif other.handler == MOVER and isinstance(other, CustomSettings) and set(job.on) & set(other.on):
                    yield (
                        job.name,
                        (
                            f"job.{other.name} copies large items in several runs, and this job runs after the first:"
                            f" set job.{job.name}.on = TorrentMoved, without after"
                        ),
                    )


def _problem(job: CustomSettings, name: str, known: Mapping[str, AnyJob], wanted: Mapping[str, Iterable[str]]) -> str:
    other = known.get(name)
    if other is None:
        return f"there is no job {name!r}{suggestion(name, [other for other in known if other != job.name])}"
    if not isinstance(other, CustomSettings):
        return f"job.{name} does not run on events: only jobs with a setting `on` can be waited for"
    if not set(other.on) & set(job.on):
        return f"job.{name} does not run on {' or '.join(job.on)}: add it to job.{name}.on"
    if name == job.name or job.name in _reached(name, wanted):
        return f"job.{name} itself runs after this job"
    return ""


def _reached(name: str, edges: Mapping[str, Iterable[str]]) -> set[str]:
    """`name` and all jobs that run before it."""
    found: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current not in found:
            found.add(current)
            pending.extend(edges.get(current, ()))
    return found
