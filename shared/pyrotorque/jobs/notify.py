"""Sends a notification for each event: to a webhook, or by running a command."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any, Final

import msgspec

from pyrotorque.errors import UserError
from pyrotorque.events import Event
from pyrotorque.jobs.arguments import compile_text
from pyrotorque.jobs.base import Job
from pyrotorque.jobs.command import EVENT_FIELDS, ConfiguredProgram, event_namespace
from pyrotorque.jobs.params import get_count, get_seconds, get_text, texts_below
from pyrotorque.sha256 import hexdigest
from pyrotorque.text import encode_json, printable

_RETRY_PAUSES: Final = (0.5, 2.0, 5.0)
_RESPONSE_MAX: Final = 64 << 10
_ERROR_TEXT_MAX: Final = 200


class WebhookUnavailable(UserError):
    """The webhook did not accept the message; a retry may succeed."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Do not follow: the message is for this server only."""


class Notify(Job):
    """Exactly one of `url` and `command`.

    The webhook gets the event as JSON; with `text`, that template as plain text; with `json.KEY` templates, a JSON
    object of them. `header.NAME` adds headers. All attempts for one event have the same X-Pyrotorque-Event.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._url = get_text(config, "url")
        command = get_text(config, "command", "args")
        if bool(self._url) == bool(command):
            raise UserError(f"job.{self.name} needs either url (a webhook) or command (a program), not both")
        if self._url and not self._url.startswith(("http://", "https://")):
            raise UserError(f"job.{self.name}.url: expected http:// or https://, got {printable(self._url)}")
        self._program = ConfiguredProgram(config, log=self.log, dry_run=self.dry_run) if command else None
        self._within = get_seconds(config, "within", 10.0)
        self._attempts = max(1, get_count(config, "attempts", 3))
        self._headers = texts_below(config, "header.")
        self._text = compile_text(get_text(config, "text")) if get_text(config, "text") else None
        self._json = {key: compile_text(text) for key, text in texts_below(config, "json.").items()}
        used = [*self._json.values(), *([self._text] if self._text else [])]
        fields = frozenset[str]().union(*(template.fields for template in used))
        if unknown := sorted((fields | (self._program.fields if self._program else frozenset())) - EVENT_FIELDS):
            raise UserError(f"job.{self.name}: no event has a field {unknown[0]} ({', '.join(sorted(EVENT_FIELDS))})")

    def run(self, event: Event | None = None) -> None:
        if self._program is not None:
            self._program.run(event_namespace(event, self.name))
            return
        request = self.request(event)
        if self.dry_run:
            self.log.info("would send %d bytes to %s", len(request.data or b""), request.host)  # type: ignore[arg-type]
            return
        for attempt in range(self._attempts):
            try:
                self._send(request)
            except WebhookUnavailable as error:
                if attempt + 1 == self._attempts:
                    raise
                self.log.warning("%s; retrying", error)
                time.sleep(_RETRY_PAUSES[min(attempt, len(_RETRY_PAUSES) - 1)])
            else:
                return

    def request(self, event: Event | None) -> urllib.request.Request:
        """The HTTP request for this event."""
        names = event_namespace(event, self.name)
        event_json = encode_json(_as_json(event, self.name))
        kind, body = "application/json", event_json
        if self._json:
            body = encode_json({key: template.render(names) for key, template in self._json.items()})
        elif self._text is not None:
            kind, body = "text/plain; charset=utf-8", printable(self._text.render(names)).encode()
        mark = hexdigest(event_json)[:32]
        headers = {"Content-Type": kind, "User-Agent": "pyrotorque", "X-Pyrotorque-Event": mark, **self._headers}
        return urllib.request.Request(self._url, data=body, headers=headers, method="POST")

    def _send(self, request: urllib.request.Request) -> None:
        opener = urllib.request.build_opener(_NoRedirects)
        try:
            with opener.open(request, timeout=self._within) as response:
                response.read(_RESPONSE_MAX)
        except urllib.error.HTTPError as error:
            body = printable(error.read(_ERROR_TEXT_MAX))
            text = f"{request.host} answered {error.code} {printable(str(error.reason))}: {body}"
            error.close()
            # A message that the server rejects (4xx) would be rejected again.
            raise (WebhookUnavailable if error.code >= 500 or error.code == 429 else UserError)(text) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise WebhookUnavailable(
                f"{request.host} did not respond (deadline {self._within:g} s): {printable(str(reason))}"
            ) from None


def _as_json(event: Event | None, job: str) -> dict[str, object]:
    """The event as `pyrotorque events --json` prints it, and the job that sends it."""
    fields: dict[str, object] = msgspec.to_builtins(event) if event is not None else {"type": "Test"}
    return {**fields, "job_name": job}
