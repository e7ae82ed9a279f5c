"""Finds queues that wait for room which no clean-up frees: it begins only below its own `min_free`."""

from collections.abc import Iterator

from pyrotorque.errors import UserError
from pyrotorque.humanize import size
from pyrotorque.settings.schema import CustomSettings, QueueSettings, Settings
from pyrotorque.text import printable


def space_warnings(settings: Settings) -> Iterator[str]:
    """For each active queue and clean-up for space: the queue stops above the room at which the clean-up begins."""
    from pyrotorque.housekeeping.cleanup_settings import read_cleanup
    from pyrotorque.housekeeping.last_run import CLEANUP
    from pyrotorque.jobs.params import with_texts
    from pyrotorque.workers.preparation import job_config

    queues = [job for job in settings.jobs if isinstance(job, QueueSettings) and job.active and job.min_free]
    for job in settings.jobs if queues else ():
        if not isinstance(job, CustomSettings) or job.handler != CLEANUP or not job.active:
            continue
        try:
            found = read_cleanup(with_texts(job_config(job, settings), job.texts))
        except UserError:  # an error of its own
            continue
        for queue in queues if found.min_free or found.max_used else ():
            if queue.min_free > found.min_free:
                least = f"job.{job.name}.min_free"
                begins = f"{least} ({size(found.min_free)})" if found.min_free else f"{least}, which is not set"
                yield printable(
                    f"job.{queue.name}.min_free ({size(queue.min_free)}) is more than {begins}: in between, the queue "
                    f"waits for room, and {job.name} frees none; set {least} to at least as much"
                )
