"""Why programs of the owner's supervisor.conf cannot be run, found as supervisord does when it starts them."""

from typing import Any


def why_not_run(process: Any) -> str:
    """Why the command of a supervisord ProcessConfig cannot be run now; empty if it can, or if that is not known."""
    from supervisor.process import ProcessException, Subprocess

    command = str(process.command).split(maxsplit=1)
    if command and "/" in command[0] and not command[0].startswith("/"):
        return ""  # it depends on the directory in which supervisord was started
    try:
        Subprocess(process).get_execv_args()
    except ProcessException as error:
        text = str(error)
        # The whole command may contain a password.
        return "it is no list of words" if text.startswith("can't parse") else text
    return ""
