"""Moves that failed, as the movers stored them: which item, where to, why, and when each is tried again."""

from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import unquote

import msgspec

from pyrotorque.humanize import coming_time
from pyrotorque.jobs.move_failures import stored_failures
from pyrotorque.layout import Layout
from pyrotorque.stored_configuration import last_good
from pyrotorque.text import is_hash_of, printable

_SHOWN: Final = 10


class FailedMove(msgspec.Struct, frozen=True, kw_only=True):
    """`retry_at` is in Unix seconds: the job tries again at its first run after it."""

    job: str
    info_hash: str
    name: str
    target: str
    reason: str
    cause: str
    times: int
    retry_at: float


def failed_moves(layout: Layout) -> list[FailedMove]:
    """Of all active jobs, the next attempt first."""
    settings = last_good(layout)
    active = {job.name for job in settings.jobs if job.active} if settings else None
    found = [
        FailedMove(
            job=unquote(path.parent.name),
            info_hash=info_hash,
            name=failure.name,
            target=failure.target,
            reason=failure.reason,
            cause=failure.cause,
            times=failure.times,
            retry_at=failure.retry_at,
        )
        for path in layout.state_dir.glob("jobs/*/failures")
        if active is None or unquote(path.parent.name) in active
        for info_hash, failure in stored_failures(path.parent).items()
        if failure.times
    ]
    return sorted(found, key=lambda move: (move.retry_at, move.job, move.info_hash))


def is_chosen(move: FailedMove, item: str) -> bool:
    """Whether `item` is its info-hash or part of its name, as `explain` reads it."""
    return is_hash_of(move.info_hash, item) or item.casefold() in move.name.casefold()


def failure_lines(moves: Sequence[FailedMove], now: float) -> Iterator[str]:
    """One line for each of the first moves, and the number of the others."""
    for move in moves[:_SHOWN]:
        target = f" to {printable(move.target)}" if move.target else ""
        retry = coming_time(move.retry_at, now) if move.retry_at > now else "the next run"
        count = f" ({move.times} times)" if move.times > 1 else ""
        yield (
            f"{printable(move.job)}: could not move {printable(move.name or move.info_hash)}{target}{count}:"
            f" {printable(move.reason)}; next attempt: {retry}"
        )
    if len(moves) > _SHOWN:
        yield f"... and {len(moves) - _SHOWN} more moves that failed (`pyrotorque status --json`)"
