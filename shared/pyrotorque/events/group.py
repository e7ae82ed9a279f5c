"""Durable events about jobs, services, disks and rTorrent itself."""

import msgspec

from pyrotorque.events.base import Fact


class JobFailed(Fact, frozen=True, kw_only=True, tag=True):
    """A run of a job raised, crashed, hung or could not start.

    `rtorrent_away`: it was due by its schedule or requested while rTorrent does not answer, which is reported apart.
    """

    job: str
    reason: str
    seconds: float
    rtorrent_away: bool = False


class JobRecovered(Fact, frozen=True, kw_only=True, tag=True):
    """A run of a job succeeded after `failures` runs in a row had failed, the first of them `seconds` ago."""

    job: str
    failures: int
    seconds: float


class RTorrentLost(Fact, frozen=True, kw_only=True, tag=True):
    """rTorrent has not answered for `seconds`; published once for each absence, after half a minute."""

    reason: str
    seconds: float


class RTorrentReturned(Fact, frozen=True, kw_only=True, tag=True):
    """rTorrent answers again, `seconds` after the first call that failed; only after RTorrentLost."""

    seconds: float


class DiskLow(Fact, frozen=True, kw_only=True, tag=True):
    """A disk of items, watched folders, rTorrent's session or our state is nearly full; published once until it is not.

    `free` and `size` are bytes; the limits are `disk_free_percent` and `disk_free_bytes`.
    """

    mountpoint: str
    free: int
    size: int


class DiskRecovered(Fact, frozen=True, kw_only=True, tag=True):
    """A disk has room again, `seconds` after DiskLow."""

    mountpoint: str
    free: int
    size: int
    seconds: float


class QueueStalled(Fact, frozen=True, kw_only=True, tag=True):
    """All slots of a queue are taken by items without progress for `seconds`, and others wait: see `stall_report`."""

    job: str
    slots: int
    seconds: float


class QueueResumed(Fact, frozen=True, kw_only=True, tag=True):
    """A queue moves again, `seconds` after QueueStalled."""

    job: str
    seconds: float


class ProblemReported(Fact, frozen=True, kw_only=True, tag=True):
    """A warning or error in `torque.log` without an event of its own; `problem` is its name in docs/logs.md.

    `subject` is what it is about, such as a folder, or empty.
    """

    service: str
    problem: str
    subject: str
    text: str


class ProblemEnded(Fact, frozen=True, kw_only=True, tag=True):
    """What ProblemReported reported is over; `problem` and `subject` are the same."""

    service: str
    problem: str
    subject: str
    text: str


class JobReported(Fact, frozen=True, kw_only=True, tag=True):
    """A user job published a report (`Job.publish`): a text, and values by name."""

    job: str
    text: str
    data: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict[str, str | int | float | bool])


class ServiceStateChanged(Fact, frozen=True, kw_only=True, tag=True):
    """supervisord reported a state change of a service; states have its names (RUNNING, BACKOFF, FATAL, …)."""

    service: str
    state: str
    before: str
    reason: str = ""


class ActionTaken(Fact, frozen=True, kw_only=True, tag=True):
    """Someone had a service do something, such as `pyrotorque pause`, or it was refused (`ok` is False).

    `by` is the command line with its user, or a session or token of the panel; `text` is the answer.
    """

    by: str
    action: str
    target: str
    ok: bool
    text: str
