"""Actions on metafiles in the ledger of the watcher."""

from collections.abc import Iterable

from pyrotorque.actions.delivery import Actor, ask_service
from pyrotorque.errors import UserError
from pyrotorque.requests import Answer, RetryMetafiles


def retry_metafiles(actor: Actor, paths: Iterable[str]) -> Answer:
    """Load these metafiles, or those that failed in these folders, again."""
    chosen = tuple(paths)
    if not chosen or not all(path.startswith("/") for path in chosen):
        # The request without paths means all of them: see `retry_all_metafiles`.
        raise UserError("name the metafiles by their absolute paths")
    return ask_service(actor, "watcher", RetryMetafiles(paths=chosen, by=actor.by))


def retry_all_metafiles(actor: Actor) -> Answer:
    """Load all metafiles again that failed, or that existed before the first start."""
    return ask_service(actor, "watcher", RetryMetafiles(by=actor.by))
