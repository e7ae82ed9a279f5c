"""Finds settings of tree watches that can only fail: errors in `check`, warnings when the watcher starts."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pyrotorque.settings.schema import Settings, WatchSettings
from pyrotorque.text import printable
from pyrotorque.watchroots import WatchRoots, active_roots

_ONE_CLIENT: Final = re.compile(r"sonarr|radarr|lidarr|readarr|whisparr|mylar|medusa|sickchill", re.IGNORECASE)


def one_client_reason(*texts: str) -> str:
    """Why metafiles with these paths, labels or commands are not for the fleet; empty if they may be."""
    found = next((each[0] for text in texts if (each := _ONE_CLIENT.search(text))), "")
    if not found:
        return ""
    return (
        f"the fleet may load these metafiles in any group, and {found} looks for them in one client: use place = local "
        "for what Sonarr, Radarr and the like download"
    )


def failing_settings(settings: Settings) -> Iterator[tuple[str, str]]:
    """The key and the reason for each such setting of the active tree watches; reads no file."""
    roots = active_roots(settings)
    for first, second in roots.equal():
        if first.job != second.job:
            text = f"{printable(second.path)} is already a root of job.{first.job}, which loads the metafiles in it"
            yield f"job.{second.job}.path", text
    for job in settings.active_jobs(WatchSettings):
        targets = (("loaded_path", job.on_loaded, job.loaded_path), ("failed_path", job.on_failed, job.failed_path))
        for key, disposal, target in targets:
            if target is not None and (reason := _target_error(target, roots) if disposal == "move" else ""):
                yield f"job.{job.name}.{key}", f"{target} {reason}"


def _target_error(target: Path, roots: WatchRoots) -> str:
    if owner := roots.owner(bytes(target)):
        return f"is in the tree of job.{owner.job}, which would load the moved metafiles again: use another folder"
    return unusable_folder(target)


def unusable_folder(folder: Path) -> str:
    """Why this user cannot write to `folder`, or create it; empty if that is possible."""
    for existing in (folder, *folder.parents):
        try:
            found = os.path.isdir(existing)
            if not found and os.path.lexists(existing):
                return f"cannot be used: {existing} is not a folder"
        except (OSError, ValueError) as error:
            return f"cannot be used: {error}"
        if found:
            if os.access(existing, os.W_OK | os.X_OK):
                return ""
            done = "written" if existing == folder else "created"
            return f"cannot be {done} by this user: {existing} has no write and search permission for it"
    return ""
