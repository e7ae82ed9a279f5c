"""Validates a loaded configuration and reports all errors together: schedules, conditions, templates, paths, jobs.

It imports the grammar, the templates and the schedules, so services run it in a separate process
(see `pyrotorque.configuration`).
"""

import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, get_args

from pyrotorque.customfields import ConfigFields
from pyrotorque.errors import ConditionError, PyrotorqueError, UserError
from pyrotorque.hanging_roots import answering_job, answering_settings, folders_of, hanging_folders
from pyrotorque.item_stats import parse_labels, parse_stats
from pyrotorque.job_order import order_problems, order_warnings
from pyrotorque.listen_address import address_error
from pyrotorque.listening_ports import clashing_ports
from pyrotorque.placement_rules import parse_accepts, parse_prefer
from pyrotorque.settings import LoadedSettings, Problem
from pyrotorque.settings.fleet import read_credentials
from pyrotorque.settings.schema import (
    METRIC_GROUPS,
    AnyJob,
    CustomSettings,
    ExporterSettings,
    FleetSettings,
    QueueSettings,
    Settings,
    WatchSettings,
)
from pyrotorque.settings.templates import template_texts
from pyrotorque.socket_paths import shorter_run_dir, too_long
from pyrotorque.suggestions import suggestion
from pyrotorque.template_files import FILE, read_template
from pyrotorque.text import printable
from pyrotorque.watch_checks import failing_settings, one_client_reason

# An empty prefix would make `up`, a metric of Prometheus itself.
_PREFIX: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PORT_MAX: Final = 65_535
# Programs that expect their downloads in one client.

KeyedErrors = Iterator[tuple[str, str]]


def failing(loaded: LoadedSettings) -> list[Problem]:
    """Settings that can only fail later. `check` reports them as errors; a group starts with them, and warns."""
    settings = answering_settings(loaded.settings, hanging_folders(loaded.settings))
    problems = [loaded.problem(key, text) for key, text in failing_settings(settings)]
    problems.extend(loaded.problem(key, text) for key, text in clashing_ports(loaded.settings))
    for name, text in order_problems(loaded.settings.jobs):
        problems.append(loaded.problem(f"job.{name}.after", text))
    for job in loaded.settings.jobs:
        if isinstance(job, ExporterSettings) and job.active and (text := address_error(job.address)):
            problems.append(loaded.problem(f"job.{job.name}.address", text))
    return problems


def check(loaded: LoadedSettings, *, strict: bool = False) -> tuple[list[Problem], list[Problem]]:
    """Errors, and warnings; errors in inactive jobs are warnings.

    Conditions that 1.0.0 accepted, but that cannot mean what was typed, are errors if `strict`, else warnings.
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    config_fields = ConfigFields(loaded.layout.config_dir / "config.py", {})
    for key, text in _group_errors(loaded):
        problems.append(loaded.problem(key, text))
    if strict and (reason := too_long(loaded.layout.run_dir)):  # a start finds it when it creates the folder
        problems.append(loaded.problem("run_dir", f"{reason}: {shorter_run_dir(loaded.layout.config_dir)}"))
    for job in loaded.settings.jobs:
        found = [loaded.problem(f"job.{job.name}.{key}", text) for key, text in _job_errors(job, loaded, config_fields)]
        (problems if job.active else warnings).extend(found)
        if isinstance(job, QueueSettings):
            texts = _misread_conditions(job, loaded.settings, config_fields)
            found = [loaded.problem(f"job.{job.name}.{key}", text) for key, text in texts]
            (problems if job.active and strict else warnings).extend(found)
    for problem, is_error in _constructor_errors(loaded, problems, strict=strict):
        (problems if is_error else warnings).append(problem)
    warnings.extend(loaded.problem(f"job.{name}.after", text) for name, text in order_warnings(loaded.settings.jobs))
    warnings.extend(loaded.problem(f"job.{name}.schedule", text) for name, text in _schedule_warnings(loaded.settings))
    hanging = hanging_folders(loaded.settings)
    for job in loaded.settings.active_jobs(WatchSettings):
        for root in answering_job(job, hanging).path:
            problems.extend(loaded.problem(f"job.{job.name}.{key}", text) for key, text in _root_errors(root))
    warnings.extend(_missing_roots(loaded, hanging))
    warnings.extend(loaded.problem(f"job.{name}.place", text) for name, text in _placement_warnings(loaded.settings))
    warnings.extend(_config_py_warnings(config_fields))
    config_fields.close()
    return problems, warnings


def _schedule_warnings(settings: Settings) -> Iterator[tuple[str, str]]:
    """Schedules without a fire time that is still to come, such as the 31st of February."""
    from pyrotorque.schedule import parse_schedule

    for job in settings.jobs:
        if not job.active or not job.schedule or isinstance(job, ExporterSettings):
            continue
        with suppress(UserError):
            if parse_schedule(job.schedule).next_fire(time.time()) is None:
                yield job.name, f"{job.schedule!r} has no time that is still to come: the job is never run by it"


def _placement_warnings(settings: Settings) -> Iterator[tuple[str, str]]:
    """Settings of trees of the fleet that surprise their owner."""
    for job in settings.active_jobs(WatchSettings):
        texts = [*(str(path) for path in job.path), *(text for _, text in job.commands)]
        if job.place == "fleet" and (reason := one_client_reason(*texts)):
            yield job.name, reason


def _config_py_warnings(config_fields: ConfigFields) -> Iterator[Problem]:
    """A config.py that cannot be imported is only a warning: it may be an old one for another Python."""
    file, _, rest = config_fields.problem.partition(":")
    line, _, text = rest.partition(": ")
    if file:
        prefix = "cannot be imported, so conditions cannot use its fields: "
        yield Problem(file, int(line) if line.isdigit() else 0, "", prefix + (text if line.isdigit() else rest.strip()))


def _fleet_errors(settings: FleetSettings) -> KeyedErrors:
    if not settings.servers:
        return
    if find_spec("nats") is None:
        yield "fleet.servers", "needs the package nats-py: pip install 'pyrotorque[fleet]'"
    if settings.credentials is not None:
        try:
            read_credentials(settings.credentials)
        except ValueError as error:
            yield "fleet.credentials", str(error)
    yield from _parse_errors("fleet.accepts", parse_accepts, settings.accepts)
    yield from _parse_errors("fleet.prefer", parse_prefer, settings.prefer)
    for name in ("ca", "certificate", "key"):
        path = getattr(settings, name)
        if path is not None and not os.access(path, os.R_OK):
            yield f"fleet.{name}", f"cannot read {path}"
        elif path is not None and not path.is_file():
            yield f"fleet.{name}", f"{path} is no file"


def _group_errors(loaded: LoadedSettings) -> KeyedErrors:
    from pyrotorque.rtorrent import parse_url

    yield from _fleet_errors(loaded.settings.fleet)
    if loaded.settings.rtorrent.url is not None:
        yield from _parse_errors("scgi_url", parse_url, loaded.settings.rtorrent.url)


def _job_errors(job: AnyJob, loaded: LoadedSettings, config_fields: ConfigFields) -> KeyedErrors:
    from pyrotorque.schedule import parse_schedule

    if job.schedule or not isinstance(job, CustomSettings):
        yield from _parse_errors("schedule", parse_schedule, job.schedule)
    if isinstance(job, QueueSettings):
        yield from _queue_errors(job, loaded.settings, config_fields)
    elif isinstance(job, WatchSettings):
        yield from _watch_errors(job, loaded.layout.config_dir / "templates")
        if job.place == "fleet" and not loaded.settings.fleet.servers:
            yield "place", "is fleet, but this group belongs to no fleet: set fleet.servers, or place = local"
    elif isinstance(job, ExporterSettings):
        yield from _exporter_errors(job, loaded)
    elif isinstance(job, CustomSettings):
        yield from _custom_errors(job, loaded.layout.config_dir)


_STALL_RETRY_MIN: Final = 600.0


def _parse_errors(key: str, parser: Callable[[str], object], text: str) -> KeyedErrors:
    try:
        parser(text)
    except PyrotorqueError as error:
        yield key, str(error)


def _queue_errors(job: QueueSettings, settings: Settings, config_fields: ConfigFields) -> KeyedErrors:
    from pyrotorque.conditions import parse, parse_sort
    from pyrotorque.fields import check_group_field, configured
    from pyrotorque.hours import parse_hours

    table = config_fields.given(configured(settings.aliases, settings.traits_by_alias, job.min_free))
    if not job.startable.strip():
        yield "startable", "is empty: set which items may be started, for example prio>0"
    accepted: list[ConditionError] = []
    parsed = partial(parse, custom=table, tolerate=accepted.append)
    for key, text in job.conditions(settings.queue_startable_base):
        yield from _parse_errors(key, parsed, text)
    if job.sort_fields.strip():
        yield from _parse_errors("sort_fields", partial(parse_sort, custom=table), job.sort_fields)
    yield from _parse_errors("hours", parse_hours, job.hours)
    if job.stall_retry < _STALL_RETRY_MIN:
        yield "stall_retry", "is less than 10m: rTorrent does not connect to the same peers again for ten minutes"
    if job.group_by:
        yield from _parse_errors("group_by", partial(check_group_field, table=table), job.group_by)
    elif job.group_max or job.group_maxima:
        yield "group_by", "is not set: set the field whose values are the groups, for example group_by = alias"


def _misread_conditions(job: QueueSettings, settings: Settings, config_fields: ConfigFields) -> KeyedErrors:
    """The first error of each setting that 1.0.0 accepts, but that cannot mean what was typed, or changes items."""
    from pyrotorque.conditions import parse, parse_sort
    from pyrotorque.fields import configured, field
    from pyrotorque.fields.effects import HINT, effect_of

    table = config_fields.given(configured(settings.aliases, settings.traits_by_alias, job.min_free))
    named: dict[str, Collection[str]] = {"group_by": (job.group_by,)}
    with suppress(ConditionError):  # an error of `_queue_errors`
        named["sort_fields"] = parse_sort(job.sort_fields, custom=table).fields
    for key, names in named.items():
        known = (field(name) for name in names)
        yield from ((key, f"{problem}: {HINT}") for each in known if each and (problem := effect_of(each)))
    for key, text in job.conditions(settings.queue_startable_base):
        errors: list[ConditionError] = []
        try:
            parse(text, custom=table, tolerate=errors.append)
        except ConditionError:
            continue  # an error of `_queue_errors`
        yield from ((key, str(error)) for error in errors[:1])


def _watch_errors(job: WatchSettings, templates: Path) -> KeyedErrors:
    from pyrotorque.loadcommands import compile_command

    if job.active and not job.path:
        yield "path", "is empty: set the folder to watch"
    for name, text in job.commands:
        yield from _parse_errors(f"cmd.{name}", partial(compile_command, name, templates=templates), text)
    for key, disposal in (("loaded_path", job.on_loaded), ("failed_path", job.on_failed)):
        target = job.loaded_path if key == "loaded_path" else job.failed_path
        if disposal == "move" and target is None:
            yield key, f"is not set: on_{key.removesuffix('_path')} = move requires the folder to move metafiles to"


def _root_errors(root: Path) -> KeyedErrors:
    if _why_missing(root):
        return
    if os.path.exists(root) and not root.is_dir():
        yield "path", f"{root} is not a folder"
    elif not os.access(root, os.R_OK | os.X_OK):
        yield "path", f"{root} cannot be read by this user: grant read and search permission"


def _missing_roots(loaded: LoadedSettings, hanging: frozenset[bytes]) -> Iterator[Problem]:
    """A missing root is only a warning: disks and network mounts may appear after the group has started."""
    for job in loaded.settings.active_jobs(WatchSettings):
        for folder in hanging.intersection(folders_of(job)):
            text = f"{printable(folder)} does not answer: the watcher loads nothing that needs it until it does"
            yield loaded.problem(f"job.{job.name}.path", text)
        for root in answering_job(job, hanging).path:
            if why := _why_missing(root):
                text = f"{root} is missing ({why}): the watcher waits for it; mount it, create it, or correct the path"
                yield loaded.problem(f"job.{job.name}.path", text)


def _why_missing(root: Path) -> str:
    """The error of the kernel for a missing root or a stale mount; empty if the root exists."""
    try:
        root.stat()
    except PermissionError:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _exporter_errors(job: ExporterSettings, loaded: LoadedSettings) -> KeyedErrors:
    if not job.jobs:
        yield "jobs", "is empty: set a metric group; `system` has all but trackers and items"
    for group in job.jobs:
        if group.removeprefix("-") not in METRIC_GROUPS:
            known = f"{suggestion(group, METRIC_GROUPS)} ({', '.join(METRIC_GROUPS)})"
            yield "jobs", f"{group!r} is not a metric group{known}"
    for key, parse in (("item_stats", parse_stats), ("item_labels", parse_labels)):
        try:
            parse(getattr(job, key))
        except ValueError as error:
            yield key, str(error)
    if not _PREFIX.fullmatch(job.prefix):
        yield "prefix", f"{job.prefix!r} is not a valid beginning of metric names: use letters, digits and _"
    if not 0 < job.port <= _PORT_MAX:
        yield "port", f"{job.port} is not a port (1 to {_PORT_MAX})"
    for other in loaded.settings.jobs if job.active else ():
        if isinstance(other, ExporterSettings) and other.active and other.name < job.name and other.port == job.port:
            yield "port", f"{job.port} is already used by job.{other.name}"


def _custom_errors(job: CustomSettings, config_dir: Path) -> KeyedErrors:
    from pyrotorque.events import Durable

    module = job.handler.partition(":")[0].partition(".")[0]
    own = config_dir / "jobs"
    if not (own / f"{module}.py").exists() and not (own / module).is_dir() and find_spec(module) is None:
        yield "handler", f"there is no package or module {module!r}: it is neither installed nor in {own}"
    known = [event.__name__ for event in get_args(Durable)]
    for event in job.on:
        if event not in known:
            yield "on", f"{event!r} is not an event{suggestion(event, known)} ({', '.join(known)})"
    for key, text in template_texts(job).items():
        if text.startswith(FILE):
            yield from _parse_errors(key, partial(read_template, templates=config_dir / "templates"), text)


def _constructor_errors(
    loaded: LoadedSettings, known: list[Problem], *, strict: bool
) -> Iterator[tuple[Problem, bool]]:
    """Errors from the constructors of custom jobs, each run in its own process; True if the settings are wrong."""
    wrong = {problem.key.split(".")[1] for problem in known if problem.key.startswith("job.")}
    customs = [job for job in loaded.settings.jobs if isinstance(job, CustomSettings)]
    jobs = [job for job in customs if job.active and job.name not in wrong]
    if not jobs:
        return
    from pyrotorque.workers.trial import creation_problems

    for name, problem in creation_problems(jobs, loaded.settings, loaded.layout).items():
        yield (
            loaded.problem(f"job.{name}.{problem.key}", problem.text + problem.consequence),
            problem.config_error and (strict or not problem.misread),
        )
