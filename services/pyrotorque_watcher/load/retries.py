"""Retries what failed because of a setting after that setting was changed: in a watch.ini, a template, or the job."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator

import msgspec

from pyrotorque.errors import UserError
from pyrotorque.humanize import duration
from pyrotorque.layout import Layout
from pyrotorque.linux.filesystems import is_within
from pyrotorque.logs import owner_event
from pyrotorque.settings.schema import Settings
from pyrotorque.settings.serialization import to_json
from pyrotorque.sha256 import hexdigest
from pyrotorque.text import counted, one_line, printable
from pyrotorque_watcher.fleet.fleet_rows import FleetRows
from pyrotorque_watcher.ledger import FailedFile, Ledger
from pyrotorque_watcher.load.recipes import JobRecipes
from pyrotorque_watcher.load.watch_ini import folders_between
from pyrotorque_watcher.scan.files import WATCH_INI, is_metafile

log = logging.getLogger(__name__)


def retry_after_ini_change(recipes: JobRecipes, folders: Iterable[bytes], ledger: Ledger, now: float) -> None:
    """For each folder whose watch.ini was written: report its errors, or retry what failed because of it."""
    job = recipes.job.name
    for folder in folders:
        try:
            recipes.check_ini(folder)
        except UserError as error:
            for line in str(error).splitlines():
                log.warning("%s: %s", job, line)
            owner_event("watch.ini wrong", f"{job}: {one_line(error)}", subject=printable(folder))
            recipes.reported_ini.setdefault(folder, time.monotonic())
            continue
        if folder in recipes.reported_ini:
            _end_report(recipes, folder, "is valid again")
        log.info("%s: watch.ini in %s is in force", job, printable(folder))
        failed = ledger.failed_by_settings(job)
        below = [each for each in failed if is_within(folder, each.root) and is_within(each.path, folder)]
        _retry(job, below, ledger, now)


def retry_after_unseen_change(recipes: JobRecipes, ledger: Ledger, now: float) -> None:
    """Retry what failed before a watch.ini was changed or removed, where no event reported that."""
    for folder in [each for each in recipes.reported_ini if not os.path.lexists(each + b"/" + WATCH_INI)]:
        _end_report(recipes, folder, "was removed")
    newest: dict[bytes, float] = {}
    changed: list[FailedFile] = []
    for each in ledger.failed_by_settings(recipes.job.name):
        folder = os.path.dirname(each.path)
        if folder not in newest:
            newest[folder] = recipes.newest_ini(folder, each.root)
        if each.at < newest[folder] <= now or _names_removed_ini(each):
            changed.append(each)
    if changed:
        _retry(recipes.job.name, changed, ledger, now)


def retry_after_settings_change(
    recipes: JobRecipes, settings: Settings, layout: Layout, ledger: Ledger, now: float
) -> None:
    """Retry all that failed because of the settings of a job, if these are not those that it had last."""
    job = recipes.job
    parts = [to_json(msgspec.structs.replace(settings, digest="", jobs=(job,))), *_stamps(layout)]
    with ledger.transaction():
        changed = ledger.replace_settings(job.name, hexdigest(b"\0".join(parts))[:16])
    if changed:
        FleetRows(ledger).look_again(job.name)
        _retry(job.name, ledger.failed_by_settings(job.name), ledger, now)


def warn_of_unknown_commands(jobs: Iterable[JobRecipes], known: Callable[[str], bool]) -> None:
    """One warning for each setting with a command that this rTorrent does not have: all its loads fail."""
    for recipes in jobs:
        for key, command in recipes.unknown_commands(known):
            log.warning("%s: this rTorrent has no command %s: nothing is loaded until that is corrected", key, command)


def _end_report(recipes: JobRecipes, folder: bytes, how: str) -> None:
    took = duration(time.monotonic() - recipes.reported_ini.pop(folder))
    text = f"{recipes.job.name}: watch.ini in {printable(folder)} {how} after {took}"
    owner_event("watch.ini valid", text, subject=printable(folder))


def _stamps(layout: Layout) -> Iterator[bytes]:
    """The versions of the files besides torque.ini that loads depend on."""
    for path in (layout.config_dir / "config.py", *sorted((layout.config_dir / "templates").glob("*"))):
        try:
            found = path.stat()
        except OSError:
            continue
        yield b"%b %d %d" % (os.fsencode(path), found.st_mtime_ns, found.st_size)


def _names_removed_ini(failed: FailedFile) -> bool:
    for folder in folders_between(failed.root, os.path.dirname(failed.path)):
        path = folder + b"/" + WATCH_INI
        if printable(path) in failed.reason:
            return not os.path.lexists(path)
    return False


def _retry(job: str, failed: Iterable[FailedFile], ledger: Ledger, now: float) -> None:
    with ledger.transaction():
        count = ledger.retry([each.turn for each in failed if is_metafile(each.path)], now)
    if count:
        log.info("%s: retrying %s", job, counted(count, "metafile"))
