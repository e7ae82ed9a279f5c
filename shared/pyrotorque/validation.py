"""Everything that can be known to be wrong with a configuration before anything is started, all of it in one go.

It loads the grammar, the templates and the trigger code, so a service lets a process of its own do it
(see `pyrotorque.configuration`).
"""

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, get_args

from pyrotorque.customfields import ConfigFields
from pyrotorque.errors import PyrotorqueError
from pyrotorque.item_stats import parse_labels, parse_stats
from pyrotorque.settings import Loaded, Problem
from pyrotorque.settings.problems import suggestion
from pyrotorque.settings.schema import (
    METRIC_GROUPS,
    AnyJob,
    CustomSettings,
    ExporterSettings,
    QueueSettings,
    Settings,
    WatchSettings,
)

# An empty one would give `up`, which is Prometheus' own.
_PREFIX: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PORT_MAX: Final = 65_535

Complaints = Iterator[tuple[str, str]]


def check(loaded: Loaded) -> tuple[list[Problem], list[Problem]]:
    """What forbids to run this configuration, and what is only worth a warning: also all that is wrong in idle jobs."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    config_fields = ConfigFields(loaded.layout.config_dir / "config.py", {})
    for key, text in _of_group(loaded):
        problems.append(loaded.problem(key, text))
    for job in loaded.settings.jobs:
        found = [loaded.problem(f"job.{job.name}.{key}", text) for key, text in _of_job(job, loaded, config_fields)]
        (problems if job.active else warnings).extend(found)
    for problem, forbids in _of_making(loaded, problems):
        (problems if forbids else warnings).append(problem)
    warnings.extend(_overlaps(loaded))
    warnings.extend(_roots_to_come(loaded))
    warnings.extend(_of_config_py(config_fields))
    config_fields.close()
    return problems, warnings


def _of_config_py(config_fields: ConfigFields) -> Iterator[Problem]:
    """A config.py that cannot be read is no error by itself: one for another Python may lie there for years."""
    file, _, rest = config_fields.problem.partition(":")
    line, _, text = rest.partition(": ")
    if file:
        told = "no condition can use its fields, for it cannot be read: "
        yield Problem(file, int(line) if line.isdigit() else 0, "", told + (text if line.isdigit() else rest.strip()))


def _of_group(loaded: Loaded) -> Complaints:
    from pyrotorque.rtorrent import parse_url

    if loaded.settings.rtorrent.url is not None:
        yield from _tried("scgi_url", parse_url, loaded.settings.rtorrent.url)


def _of_job(job: AnyJob, loaded: Loaded, config_fields: ConfigFields) -> Complaints:
    from pyrotorque.schedule import parse_schedule

    if job.schedule or not isinstance(job, CustomSettings):
        yield from _tried("schedule", parse_schedule, job.schedule)
    if isinstance(job, QueueSettings):
        yield from _of_queue(job, loaded.settings, config_fields)
    elif isinstance(job, WatchSettings):
        yield from _of_watch(job, loaded.layout.config_dir / "templates")
    elif isinstance(job, ExporterSettings):
        yield from _of_exporter(job, loaded)
    elif isinstance(job, CustomSettings):
        yield from _of_custom(job, loaded.layout.config_dir)


def _tried(key: str, read: Callable[[str], object], text: str) -> Complaints:
    try:
        read(text)
    except PyrotorqueError as error:
        yield key, str(error)


def _of_queue(job: QueueSettings, settings: Settings, config_fields: ConfigFields) -> Complaints:
    from pyrotorque.conditions import parse, parse_sort
    from pyrotorque.fields import configured
    from pyrotorque.hours import parse_hours

    table = config_fields.given(configured(settings.aliases, settings.traits_by_alias, job.min_free))
    if not job.startable.strip():
        yield "startable", "is empty: say which items may be started, for example prio>0"
    for key, text in (("startable", job.startable), ("downloading", job.downloading)):
        if text.strip():
            yield from _tried(key, partial(parse, custom=table), text)
    if settings.queue_startable_base.strip():
        yield from _tried("startable", partial(parse, custom=table), settings.queue_startable_base)
    if job.sort_fields.strip():
        yield from _tried("sort_fields", partial(parse_sort, custom=table), job.sort_fields)
    yield from _tried("hours", parse_hours, job.hours)


def _of_watch(job: WatchSettings, templates: Path) -> Complaints:
    from pyrotorque.loadcommands import compile_command

    if job.active and not job.path:
        yield "path", "is empty: say which folder to watch"
    for root in job.path if job.active else ():
        yield from _of_root(root)
    for name, text in job.commands:
        yield from _tried(f"cmd.{name}", partial(compile_command, name, templates=templates), text)
    for key, disposal in (("loaded_path", job.on_loaded), ("failed_path", job.on_failed)):
        target = job.loaded_path if key == "loaded_path" else job.failed_path
        if disposal == "move" and target is None:
            yield key, f"is not set: on_{key.removesuffix('_path')} = move needs the folder to move metafiles to"


def _of_root(root: Path) -> Complaints:
    if _why_away(root):
        return
    if os.path.exists(root) and not root.is_dir():
        yield "path", f"{root} is not a folder"
    elif not os.access(root, os.R_OK | os.X_OK):
        yield "path", f"{root} may not be read by this user: give it read and search permission"


def _roots_to_come(loaded: Loaded) -> Iterator[Problem]:
    """A root that is not there is no mistake by itself: disks and network mounts may come long after the group."""
    for job in loaded.settings.jobs:
        for root in job.path if isinstance(job, WatchSettings) and job.active else ():
            if why := _why_away(root):
                said = f"{root} is not there ({why}): the watcher waits for it. If nobody mounts it, create the folder"
                yield loaded.problem(f"job.{job.name}.path", f"{said}, or correct the path")


def _why_away(root: Path) -> str:
    """What the kernel says of a root that does not exist, or whose mount is dead; empty where it is there."""
    try:
        root.stat()
    except PermissionError:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _of_exporter(job: ExporterSettings, loaded: Loaded) -> Complaints:
    if not job.jobs:
        yield "jobs", "names no group of metrics: `system` is all but trackers and items"
    for group in job.jobs:
        if group.removeprefix("-") not in METRIC_GROUPS:
            known = f"{suggestion(group, METRIC_GROUPS)} ({', '.join(METRIC_GROUPS)})"
            yield "jobs", f"{group!r} is no group of metrics{known}"
    for key, parse in (("item_stats", parse_stats), ("item_labels", parse_labels)):
        try:
            parse(getattr(job, key))
        except ValueError as error:
            yield key, str(error)
    if not _PREFIX.fullmatch(job.prefix):
        yield "prefix", f"{job.prefix!r} cannot begin the name of a metric: expected letters, digits, _"
    if not 0 < job.port <= _PORT_MAX:
        yield "port", f"{job.port} is not a port (1 to {_PORT_MAX})"
    for other in loaded.settings.jobs if job.active else ():
        if isinstance(other, ExporterSettings) and other.active and other.name < job.name and other.port == job.port:
            yield "port", f"{job.port} is already taken by job.{other.name}"


def _of_custom(job: CustomSettings, config_dir: Path) -> Complaints:
    from pyrotorque.events import Durable

    module = job.handler.partition(":")[0].partition(".")[0]
    own = config_dir / "jobs"
    if not (own / f"{module}.py").exists() and not (own / module).is_dir() and find_spec(module) is None:
        yield "handler", f"there is no package or module {module!r}, neither installed nor in {own}"
    known = [event.__name__ for event in get_args(Durable)]
    for event in job.on:
        if event not in known:
            yield "on", f"{event!r} is no event{suggestion(event, known)} ({', '.join(known)})"


def _of_making(loaded: Loaded, known: list[Problem]) -> Iterator[tuple[Problem, bool]]:
    """What the constructors of users' jobs say, each in a process of its own; True where it is about the settings."""
    wrong = {problem.key.split(".")[1] for problem in known if problem.key.startswith("job.")}
    customs = [job for job in loaded.settings.jobs if isinstance(job, CustomSettings)]
    jobs = [job for job in customs if job.active and job.name not in wrong]
    if not jobs:
        return
    from pyrotorque.workers.trial import creation_problems

    for name, problem in creation_problems(jobs, loaded.settings, loaded.layout).items():
        text = problem.text if problem.config_error else f"{problem.text}; the job fails until this is fixed"
        yield loaded.problem(f"job.{name}.handler", text), problem.config_error


def _overlaps(loaded: Loaded) -> Iterator[Problem]:
    """Two jobs that watch the same files would load each with the settings of whoever sees it first."""
    watches = [job for job in loaded.settings.jobs if isinstance(job, WatchSettings) and job.active]
    for number, job in enumerate(watches):
        for other in watches[:number]:
            shared = {str(a) for a in job.path for b in other.path if a.is_relative_to(b) or b.is_relative_to(a)}
            if shared:
                said = f"overlaps with job.{other.name}: {', '.join(sorted(shared))} is watched by both"
                yield loaded.problem(f"job.{job.name}.path", said)
