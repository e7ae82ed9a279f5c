"""The inbox of a job, as a further root of its tree watch."""

import logging

import msgspec

from pyrotorque.fleet_inbox import inbox_of
from pyrotorque.layout import Layout
from pyrotorque.settings.schema import Settings, WatchSettings

log = logging.getLogger(__name__)


def with_inbox(job: WatchSettings, settings: Settings, layout: Layout) -> WatchSettings:
    """The job with its inbox, if the fleet may give metafiles to it."""
    if job.place != "fleet" or not settings.fleet.servers:
        return job
    inbox = inbox_of(layout.state_dir, job.name)
    try:
        inbox.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        log.warning("%s: cannot create %s: %s", job.name, inbox, error.strerror)
    return msgspec.structs.replace(job, path=(*job.path, inbox))
