"""Tells a person or another program what happened: to a webhook, or by a command, once for each event."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any, Final

from pyrotorque.errors import UserError
from pyrotorque.events import Event
from pyrotorque.jobs.arguments import compile_text
from pyrotorque.jobs.base import Job
from pyrotorque.jobs.command import Program
from pyrotorque.jobs.eventnames import NAMES, as_json, namespace_of
from pyrotorque.jobs.params import seconds_of, text_of, whole_of
from pyrotorque.text import encode_json, printable

_PAUSES: Final = (0.5, 2.0, 5.0)
_ANSWER_MAX: Final = 64 << 10
_SAID: Final = 200


class NotNow(UserError):
    """The webhook did not take the message; another attempt may help."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """A message for one server is not carried to another."""


class Notify(Job):
    """Exactly one of `url` and `command`.

    The webhook gets the event as JSON; with `text`, that template as plain text; with `json.KEY` templates, a JSON
    object of them. `header.NAME` adds headers. Every attempt for one event has the same X-Pyrotorque-Event.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._url = text_of(config, "url")
        command = text_of(config, "command", "args")
        if bool(self._url) == bool(command):
            raise UserError(f"job.{self.name} needs either url (a webhook) or command (a program)")
        if self._url and not self._url.startswith(("http://", "https://")):
            raise UserError(f"job.{self.name}.url: expected http:// or https://, got {printable(self._url)}")
        self._program = Program(config, log=self.log, dry_run=self.dry_run) if command else None
        self._within = seconds_of(config, "within", 10.0)
        self._attempts = max(1, whole_of(config, "attempts", 3))
        self._headers = {key[7:]: str(value) for key, value in config.items() if key.startswith("header.")}
        self._text = compile_text(text_of(config, "text")) if text_of(config, "text") else None
        self._json = {key[5:]: compile_text(str(value)) for key, value in config.items() if key.startswith("json.")}
        used = [*self._json.values(), *([self._text] if self._text else [])]
        fields = frozenset[str]().union(*(template.fields for template in used))
        if unknown := sorted((fields | (self._program.fields if self._program else frozenset())) - NAMES):
            raise UserError(f"job.{self.name}: no event has a field {unknown[0]} ({', '.join(sorted(NAMES))})")

    def run(self, event: Event | None = None) -> None:
        if self._program is not None:
            self._program.run(namespace_of(event, self.name))
            return
        request = self.request(event)
        if self.dry_run:
            self.log.info("would send %d bytes to %s", len(request.data or b""), request.host)  # type: ignore[arg-type]
            return
        for attempt in range(self._attempts):
            try:
                self._send(request)
            except NotNow as error:
                if attempt + 1 == self._attempts:
                    raise
                self.log.warning("%s; trying again", error)
                time.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            else:
                return

    def request(self, event: Event | None) -> urllib.request.Request:
        """What the webhook gets."""
        names = namespace_of(event, self.name)
        told = encode_json(as_json(event, self.name))
        kind, body = "application/json", told
        if self._json:
            body = encode_json({key: template.render(names) for key, template in self._json.items()})
        elif self._text is not None:
            kind, body = "text/plain; charset=utf-8", printable(self._text.render(names)).encode()
        mark = hashlib.sha256(told).hexdigest()[:32]
        headers = {"Content-Type": kind, "User-Agent": "pyrotorque", "X-Pyrotorque-Event": mark, **self._headers}
        return urllib.request.Request(self._url, data=body, headers=headers, method="POST")

    def _send(self, request: urllib.request.Request) -> None:
        opener = urllib.request.build_opener(_NoRedirects)
        try:
            with opener.open(request, timeout=self._within) as answer:
                answer.read(_ANSWER_MAX)
        except urllib.error.HTTPError as error:
            said = printable(error.read(_SAID))
            text = f"{request.host} answered {error.code} {printable(str(error.reason))}: {said}"
            error.close()
            # What the server finds wrong with the message will be wrong the next time, too.
            raise (NotNow if error.code >= 500 or error.code == 429 else UserError)(text) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise NotNow(
                f"{request.host} could not be told within {self._within:g} s: {printable(str(reason))}"
            ) from None
