"""Finds files that configure nothing where something was configured: emptied, cut off by a full disk, or not mounted.

The witness is the last good configuration.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from pyrotorque.layout import Layout
from pyrotorque.linux.dangling_links import missing_target
from pyrotorque.settings import PACKAGED, LoadedSettings, Problem, Report, file_identity, sets_something
from pyrotorque.settings.ini import read_ini
from pyrotorque.settings.schema import Settings
from pyrotorque.settings.templates import template_texts
from pyrotorque.stored_configuration import copy_file, last_good, stored_file
from pyrotorque.supervisord.config import written_layout
from pyrotorque.template_files import FILE
from pyrotorque.text import printable


def lost_settings(loaded: LoadedSettings) -> Iterator[Problem]:
    """Problems of files that configure nothing, where something was configured."""
    jobs = list(_lost_jobs(loaded))
    yield from jobs
    layout = written_layout(loaded.layout.config_dir) or loaded.layout
    before = last_good(layout) or last_good(loaded.layout)
    reported = {loaded.layout.config_dir / "torque.ini"} if jobs else set[Path]()
    if before is not None:
        yield from _lost_templates(loaded, before)
        trackers = list(_lost_trackers(loaded, before))
        yield from trackers
        yield from _lost_address(loaded, before)
        reported |= {loaded.layout.config_dir / "config.ini"} if trackers else set()
    for path in _emptied(loaded, before, layout):
        if path not in reported:
            yield _emptied_file(path, layout)


def _emptied(loaded: LoadedSettings, before: Settings | None, layout: Layout) -> Iterator[Path]:
    """The files that set something in the last good configuration, are still read, and set nothing now."""
    home, found = loaded.layout.config_dir, set(loaded.settings.files)
    known = set(before.files) if before is not None else set[str]()
    if before is not None:
        # Versions up to 1.1.0 did not record the files.
        had_address = before.rtorrent.origin.startswith("config.ini:")
        had_aliases = missing_target(home / "config.ini") and before.aliases.keys() - loaded.settings.aliases.keys()
        known |= {"config.ini"} if had_address or had_aliases else set()
    if _set_something(copy_file(layout)):
        known.add("torque.ini")
    yield from (path for path in loaded.files if file_identity(path, home) in known - found)


def _emptied_file(path: Path, layout: Layout) -> Problem:
    if target := missing_target(path):
        text = (
            f"is a link to {printable(target)}, which does not exist, but set something in the last good configuration "
            f"({stored_file(layout)}): mount its disk, or restore it. To do without its settings, remove the link"
        )
        return Problem(printable(path.name), 0, "", text)
    is_torque = path.name == "torque.ini"
    text = (
        f"sets nothing, but did so in the last good configuration ({stored_file(layout)}). Was the file truncated? "
        f"{_copy_hint(layout) if is_torque else ''}To do without its settings, "
        f"{'set any other one, such as dry_run = False' if is_torque else 'remove it'}"
    )
    return Problem(printable(path.name), 0, "", text)


def _lost_address(loaded: LoadedSettings, before: Settings) -> Iterator[Problem]:
    """rTorrent's own file had the address, is there, and has none: another rTorrent could be found instead."""
    file = before.rtorrent.origin
    if before.rtorrent.url and loaded.settings.rtorrent.url is None and os.path.isabs(file) and os.path.lexists(file):
        yield Problem(
            "", 0, "",
            f"{printable(file)} has no address of rTorrent, but had {printable(before.rtorrent.url)} in the last good "
            f"configuration ({stored_file(loaded.layout)}). Was the file truncated? To do without it, set scgi_url in "
            "[TORQUE]",
        )  # fmt: skip


def _lost_jobs(loaded: LoadedSettings) -> Iterator[Problem]:
    """A problem if the files set no job although jobs were active: torque.ini was emptied or truncated."""
    if any(key.startswith("job.") and origin.file != PACKAGED for key, origin in loaded.origins.items()):
        return
    # The setting of the state folder may be lost as well.
    layout = written_layout(loaded.layout.config_dir) or loaded.layout
    stored = stored_file(layout)
    before = last_good(layout) or last_good(loaded.layout)
    witness = stored if before is not None else copy_file(layout)
    active = {job.name for job in before.jobs if job.active} if before is not None else _jobs_in_copy(witness)
    if lost := sorted(active - {job.name for job in loaded.settings.jobs if job.active}):
        yield Problem(
            "torque.ini", 0, "",
            f"sets no job, but these are active in the last good configuration ({witness}): {', '.join(lost)}. "
            f"Was the file truncated? {_copy_hint(layout)}To switch a job off, set job.NAME.active = False",
        )  # fmt: skip


def _lost_templates(loaded: LoadedSettings, before: Settings) -> Iterator[Problem]:
    had = {(job.name, key): text for job in before.jobs for key, text in template_texts(job).items()}
    for job in loaded.settings.jobs:
        for key, text in template_texts(job).items() if job.active else ():
            if text.startswith(FILE) and not had.get((job.name, key), FILE).startswith(FILE):
                yield loaded.problem(
                    f"job.{job.name}.{key}",
                    f"{printable(text)} has no text any more: its last good text is in {stored_file(loaded.layout)}",
                )


def _lost_trackers(loaded: LoadedSettings, before: Settings) -> Iterator[Problem]:
    """config.ini is there and sets nothing. To do without it, its owner removes it."""
    file = loaded.layout.config_dir / "config.ini"
    lost = before.aliases.keys() - loaded.settings.aliases.keys()
    if lost and file.exists() and not any(read_ini(file, Report()).values()):
        yield Problem(
            file.name, 0, "",
            f"sets nothing, but the last good configuration ({stored_file(loaded.layout)}) has trackers in [ANNOUNCE]: "
            f"{', '.join(map(printable, sorted(lost)))}. Was the file truncated? To do without it, remove it",
        )  # fmt: skip


def _set_something(copy: Path) -> bool:
    return copy.exists() and sets_something(read_ini(copy, Report()))


def _jobs_in_copy(copy: Path) -> set[str]:
    """The jobs that the copy of torque.ini sets: a witness if the stored configuration is lost as well."""
    settings = read_ini(copy, Report()).get("torque", {}) if copy.exists() else {}
    return {key.split(".")[1] for key in settings if key.startswith("job.")}


def _copy_hint(layout: Layout) -> str:
    copy = copy_file(layout)
    return f"Its last good content is in {copy}. " if copy.exists() else ""
