"""Actions on metafiles in the ledger of the watcher."""

from collections.abc import Iterable

from pyrotorque.actions.delivery import Actor, ask_service
from pyrotorque.errors import UserError
from pyrotorque.limits import in_parts
from pyrotorque.requests import Answer, ForgetMetafiles, RetryMetafiles


def retry_metafiles(actor: Actor, paths: Iterable[str]) -> Answer:
    """Load these metafiles, or those that failed in these folders, again."""
    # The request without paths means all of them: see `retry_all_metafiles`.
    parts = in_parts(_required_paths(paths))
    return _together(ask_service(actor, "watcher", RetryMetafiles(paths=part, by=actor.by)) for part in parts)


def retry_all_metafiles(actor: Actor) -> Answer:
    """Load all metafiles again that failed, or that existed before the first start."""
    return ask_service(actor, "watcher", RetryMetafiles(by=actor.by))


def forget_metafiles(actor: Actor, paths: Iterable[str]) -> Answer:
    """These failed metafiles, or those in these folders, are no longer listed as failed; they load when they change."""
    parts = in_parts(_required_paths(paths))
    return _together(ask_service(actor, "watcher", ForgetMetafiles(paths=part, by=actor.by)) for part in parts)


def _together(answers: Iterable[Answer]) -> Answer:
    """One answer for a request that was sent in parts."""
    first, *more = answers
    if not more:
        return first
    counts = [answer.data["count"] for answer in (first, *more)]
    return Answer(ok=True, text="; ".join(answer.text for answer in (first, *more)), data={"count": sum(counts)})


def _required_paths(paths: Iterable[str]) -> tuple[str, ...]:
    chosen = tuple(paths)
    if not chosen or not all(path.startswith("/") for path in chosen):
        raise UserError("name the metafiles by their absolute paths")
    return chosen
