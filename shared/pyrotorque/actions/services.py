"""Actions on the services of a group: restart."""

from typing import Final

from pyrotorque.actions.delivery import Actor, record_action
from pyrotorque.errors import ActionRefused, PyrotorqueError, UnknownName, UserError
from pyrotorque.requests import Answer
from pyrotorque.suggestions import suggestion
from pyrotorque.supervisord import Supervisord, SupervisordError
from pyrotorque.text import printable

_ALIVE: Final = ("STARTING", "RUNNING", "BACKOFF")


def restart_service(actor: Actor, service: str) -> Answer:
    """Have supervisord restart a service. Raises UnknownName, UserError, ActionRefused."""
    shown = printable(service)[:100]
    text = f"{shown} is restarted"
    is_own = service == "panel" and actor.record is not None
    if is_own:
        record_action(actor, "restart", shown, True, text)  # this process ends now
    try:
        _restart(actor, service)
    except PyrotorqueError as error:
        record_action(actor, "restart", shown, False, str(error))
        raise
    if not is_own:
        record_action(actor, "restart", shown, True, text)
    return Answer(ok=True, text=text)


def _restart(actor: Actor, service: str) -> None:
    supervisord = Supervisord(actor.layout.supervisor_socket)
    try:
        known = {process.name: process for process in supervisord.processes()}
        if service not in known:
            raise UnknownName(f"there is no service {service!r}{suggestion(service, list(known))}")
        if service == "guardian":
            raise UserError("the guardian is not restarted alone: `pyrotorque --restart` restarts the group")
        process = known[service]
        if process.state in _ALIVE:
            supervisord.signal(process.full_name, "TERM")  # supervisord starts it again
        else:
            supervisord.start(process.full_name)
    except SupervisordError as error:
        raise ActionRefused(str(error)) from error
