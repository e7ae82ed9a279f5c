"""Sends notifications with Apprise, in a process that ends after sending (the extra `pyrotorque[notify]`)."""

import importlib.util
import re
import subprocess
from collections.abc import Sequence
from typing import Final, Literal

from pyrotorque.errors import UserError
from pyrotorque.interpreter import module_command
from pyrotorque.text import encode_json, printable

MessageType = Literal["info", "success", "warning", "failure"]
_INSTALL: Final = "install it with `pip install 'pyrotorque[notify]'`, or `pipx inject pyrotorque apprise`"
_OUTPUT_MAX: Final = 300
# Shorter parts of an address are words, such as `org`.
_SHORT: Final = 4


class NotSent(UserError):
    """A service did not accept the message; a retry may succeed."""


def require_apprise(job: str) -> None:
    """Raise UserError if Apprise is not installed; it is not imported."""
    if importlib.util.find_spec("apprise") is None:
        raise UserError(f"job.{job}.url: this address needs Apprise, which is not installed: {_INSTALL}")


def send(urls: Sequence[str], title: str, body: str, kind: MessageType, *, within: float) -> None:
    """Send one message to all of `urls`. Raises NotSent, without the addresses: they contain secrets."""
    given = encode_json({"urls": list(urls), "title": title, "body": body, "type": kind})
    names = ", ".join(dict.fromkeys(url.partition(":")[0] for url in urls))
    command = module_command("pyrotorque.jobs.apprise_child")
    try:
        ended = subprocess.run(
            command, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=within, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotSent(f"{names} did not respond (deadline {within:g} s)") from None
    if ended.returncode:
        raise NotSent(f"{names} did not accept the message: {_without_secrets(ended.stdout, urls)}")


def _without_secrets(output: bytes, urls: Sequence[str]) -> str:
    text = printable(" ".join(output.decode("utf-8", "replace").split()))
    for url in urls:
        parts = re.split(r"[/@?&:]+", url.partition(":")[2])
        for secret in (url, *sorted((part for part in parts if len(part) > _SHORT), key=len, reverse=True)):
            text = text.replace(secret, "…")
    return text[-_OUTPUT_MAX:] or "no reason was given"
