"""Actions on jobs: pause, resume, run; and accept another rTorrent."""

from pyrotorque.actions.delivery import Actor, ask_service
from pyrotorque.errors import UnknownName
from pyrotorque.layout import Layout
from pyrotorque.requests import AcceptRTorrent, Answer, PauseJob, ResumeJob, RunJob
from pyrotorque.stored_configuration import last_good
from pyrotorque.suggestions import suggestion


def pause_job(actor: Actor, job: str) -> Answer:
    """Do not run the job until it is resumed; kept over restarts."""
    require_job(actor.layout, job)
    return ask_service(actor, "scheduler", PauseJob(job=job, by=actor.by))


def resume_job(actor: Actor, job: str) -> Answer:
    """Run a paused job again."""
    require_job(actor.layout, job)
    return ask_service(actor, "scheduler", ResumeJob(job=job, by=actor.by))


def run_job(actor: Actor, job: str, timeout: float = 600.0) -> Answer:
    """Run the job now, and wait for its end; it continues after `timeout` seconds."""
    require_job(actor.layout, job)
    return ask_service(actor, "scheduler", RunJob(job=job, by=actor.by), timeout)


def accept_rtorrent(actor: Actor) -> Answer:
    """The rTorrent that answers now is the right one, although it is not the known one."""
    return ask_service(actor, "scheduler", AcceptRTorrent(by=actor.by))


def require_job(layout: Layout, job: str) -> None:
    """Raises UnknownName, with the most similar name, if the configuration in force has no such job."""
    settings = last_good(layout)
    if settings is None:
        return  # the scheduler decides
    names = [each.name for each in settings.jobs]
    if job not in names:
        raise UnknownName(f"there is no job {job!r}{suggestion(job, names)}")
