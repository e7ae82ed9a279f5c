"""Sends notifications: to a webhook, to services of Apprise, or by running a command."""

import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from pyrotorque.errors import StateError, UserError
from pyrotorque.events import Event
from pyrotorque.hours import parse_hours
from pyrotorque.jobs.apprise import MessageType, NotSent, require_apprise, send
from pyrotorque.jobs.arguments import compile_text
from pyrotorque.jobs.base import Job
from pyrotorque.jobs.command import EVENT_FIELDS, ConfiguredProgram, event_namespace
from pyrotorque.jobs.notify_message import (
    DIGESTED,
    Message,
    again,
    digest,
    message,
    needs_owner,
    parse_priorities,
)
from pyrotorque.jobs.notify_services import split_addresses, with_priority
from pyrotorque.jobs.notify_state import NotifyState, read_state, write_state
from pyrotorque.jobs.params import get_bool, get_count, get_seconds, get_text, texts_below
from pyrotorque.jobs.webhook import WebhookUnavailable, post
from pyrotorque.settings.values import duration
from pyrotorque.sha256 import hexdigest
from pyrotorque.text import encode_json, printable

_RETRY_PAUSES: Final = (0.5, 2.0, 5.0)
# What templates may use besides the fields of events.
_MESSAGE_FIELDS: Final = frozenset(("title", "message", "priority"))
# Fields of events that name an item or a path.
_PRIVATE: Final = (
    "name",
    "metafile",
    "reason",
    "old_path",
    "new_path",
    "quarantine",
    "target",
    "text",
    "info_hash",
    "mountpoint",
    "subject",
)


class Notify(Job):
    """Exactly one of `url` and `command`.

    A webhook gets the event as JSON. People get a message: with `text`, that template as plain text; with `json.KEY`
    templates, a JSON object of them; through Apprise, title and text. All attempts for one event have the same
    X-Pyrotorque-Event.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        url, command = get_text(config, "url"), get_text(config, "command", "args")
        if bool(url) == bool(command):
            raise UserError(f"job.{self.name} needs either url (a webhook) or command (a program), not both")
        self._url, self._services = split_addresses(url, self.name)
        if self._services:
            require_apprise(self.name)
        self._program = ConfiguredProgram(config, log=self.log, dry_run=self.dry_run) if command else None
        self._within = get_seconds(config, "within", 30.0 if self._services else 10.0)
        self._attempts = max(1, get_count(config, "attempts", 3))
        self._headers = {name: compile_text(text) for name, text in texts_below(config, "header.").items()}
        self._text = compile_text(get_text(config, "text")) if get_text(config, "text") else None
        self._title = compile_text(get_text(config, "title")) if get_text(config, "title") else None
        self._json = {key: compile_text(text) for key, text in texts_below(config, "json.").items()}
        self._private = get_bool(config, "private")
        self._only_problems = get_bool(config, "only_problems")
        self._priorities = parse_priorities(texts_below(config, "priority."), self.name)
        self._for_people = bool(self._services or self._text or self._title or self._json)
        self._folds = get_bool(config, "fold", self._for_people)
        self._every, self._repeat = self._duration("every", "0"), self._duration("repeat", "6h")
        quiet = get_text(config, "quiet_hours")
        self._quiet = parse_hours(quiet) if quiet else None
        self._unsaved: NotifyState | None = None
        used = [one for one in (self._text, self._title, *self._json.values(), *self._headers.values()) if one]
        fields = frozenset[str]().union(*(template.fields for template in used)) - _MESSAGE_FIELDS
        if unknown := sorted((fields | (self._program.fields if self._program else frozenset())) - EVENT_FIELDS):
            raise UserError(f"job.{self.name}: no event has a field {unknown[0]} ({', '.join(sorted(EVENT_FIELDS))})")

    def run(self, event: Event | None = None) -> None:
        if self._program is not None:
            self._program.run(event_namespace(event, self.name))
        elif not self._for_people:
            self._post(self.request(event))
        elif event is None:
            self._run_without_event(time.time())
        else:
            self._run_for_people(event, time.time())

    def request(self, event: Event | None, sent: Message | None = None) -> urllib.request.Request:
        """The HTTP request for this event, or for a message about several."""
        about = sent or message(event, private=self._private)
        names = self._names(event, about)
        event_json = encode_json(_as_json(event, self.name))
        kind, body = "application/json", event_json
        if self._json:
            body = encode_json({key: template.render(names) for key, template in self._json.items()})
        elif self._text is not None:
            kind, body = "text/plain; charset=utf-8", _lines(self._rendered_text(event, about)).encode()
        elif self._for_people:
            kind, body = "text/plain; charset=utf-8", _lines(about.text).encode()
        mark = hexdigest(event_json if event is not None or sent is None else body)[:32]
        headers = {name: _header(template.render(names)) for name, template in self._headers.items()}
        headers = {"Content-Type": kind, "User-Agent": "pyrotorque", "X-Pyrotorque-Event": mark, **headers}
        return urllib.request.Request(self._url, data=body, headers=headers, method="POST")

    # -- messages for people

    def _run_without_event(self, now: float) -> None:
        """Send the digest that is due; without digests this run is a test."""
        if not (self._every or self._quiet):
            self._deliver(None, message(None))
            return
        state = self._state()
        if not state.pending or self._is_quiet(now) or 0 <= now - state.digest_at < self._every:
            return
        title, text = digest(state.pending)
        text += f"\nand {state.dropped} more" if state.dropped else ""
        self._deliver(None, Message(kind="Digest", title=title, text=text, priority="low"))
        state.pending, state.dropped, state.digest_at = [], 0, now
        self._store(state)

    def _run_for_people(self, event: Event, now: float) -> None:
        if self._only_problems and not needs_owner(event):
            return
        about = message(event, private=self._private)
        about = replace(about, priority=self._priorities.get(about.kind, about.priority))
        state = self._state()
        text = self._folded(about, state, now) if self._folds else about.text
        if text is None:
            self._store(state)
            return
        waits = (self._is_quiet(now) and about.priority != "high") or (self._every and about.kind in DIGESTED)
        if waits:
            state.keep(about.kind, about.subject)
        else:
            try:
                self._deliver(event, replace(about, text=text))
            except Exception:
                if state.not_sent(about.cause):
                    self._store(state)
                raise
        self._store(state)

    def _folded(self, about: Message, state: NotifyState, now: float) -> str | None:
        """The text with how often its cause happened; None if there is no message now."""
        if about.ends:
            ended = state.end(about.ends)
            if ended is None:
                return None
            counts_itself = about.kind == "JobRecovered"  # its text has the number of failed runs
            return about.text if ended.total == 1 or counts_itself else f"{about.text}; it happened {ended.total} times"
        if not about.cause:
            return about.text
        known = state.causes.get(about.cause)
        since = (known.sent or known.first) if known is not None else now
        count = state.report(about.cause, now, self._repeat)
        return None if count is None else again(about.text, count, since, now)

    def _deliver(self, event: Event | None, about: Message) -> None:
        if self._services:
            self._send_to_services(event, about)
        else:
            self._post(self.request(event, about))

    def _send_to_services(self, event: Event | None, about: Message) -> None:
        names = self._names(event, about)
        title = _one_line(self._title.render(names)) if self._title is not None else about.title
        text = self._rendered_text(event, about) if self._text is not None else about.text
        kind: MessageType = "success" if about.ends else "info"
        if about.cause:
            kind = "failure" if about.priority == "high" else "warning"
        if self.dry_run:
            self.log.info("would send %s", printable(f"{title}: {text}"))
            return
        urls = [with_priority(url, about.priority) for url in self._services]
        self._attempt(lambda: send(urls, title, text, kind, within=self._within))

    def _rendered_text(self, event: Event | None, about: Message) -> str:
        """The text of the template; a message about several events has its own."""
        if self._text is None or (event is None and about.kind == "Digest"):
            return f"{about.title}\n{about.text}" if self._text is not None else about.text
        text = self._text.render(self._names(event, about))
        plain = message(event, private=self._private).text
        # How often it happened, which a template with `message` has already.
        count = about.text.removeprefix(plain) if about.text.startswith(plain) else ""
        return text if count in text else text + count

    def _names(self, event: Event | None, about: Message) -> dict[str, object]:
        """The values of templates: the fields of the event, and the message for people."""
        names = event_namespace(event, self.name)
        if self._private:
            names.update({field: "an item" if field == "name" else "" for field in _PRIVATE if names.get(field)})
        title = about.title
        return {**names, "title": title, "message": f"{title}: {about.text}", "priority": about.priority}

    def _is_quiet(self, now: float) -> bool:
        return self._quiet is not None and self._quiet.contain(now)

    def _state(self) -> NotifyState:
        if self._unsaved is not None:
            return self._unsaved
        return read_state(self.state_dir) if self._context.state_dir is not None else NotifyState()

    def _store(self, state: NotifyState) -> None:
        """On a full disk it is kept in memory: a run that failed after its message would send it again and again."""
        if self._context.state_dir is None or self.dry_run:
            return
        try:
            write_state(self.state_dir, state)
        except (OSError, StateError) as error:
            if self._unsaved is None:
                self.log.warning("cannot store what was sent: %s", error)
            self._unsaved = state
        else:
            self._unsaved = None

    def _duration(self, name: str, default: str) -> float:
        text = get_text(self.config, name) or default
        try:
            return duration(text)
        except ValueError as error:
            raise UserError(f"job.{self.name}.{name}: {error}") from error

    # -- the webhook

    def _post(self, request: urllib.request.Request) -> None:
        if self.dry_run:
            self.log.info("would send %d bytes to %s", len(request.data or b""), request.host)  # type: ignore[arg-type]
            return
        self._attempt(lambda: post(request, within=self._within))

    def _attempt(self, call: Callable[[], None]) -> None:
        for attempt in range(self._attempts):
            try:
                call()
            except (WebhookUnavailable, NotSent) as error:
                if attempt + 1 == self._attempts:
                    raise
                self.log.warning("%s; retrying", error)
                time.sleep(_RETRY_PAUSES[min(attempt, len(_RETRY_PAUSES) - 1)])
            else:
                return


def _as_json(event: Event | None, job: str) -> dict[str, object]:
    """The event as `pyrotorque events --json` prints it, and the job that sends it."""
    fields: dict[str, object] = msgspec.to_builtins(event) if event is not None else {"type": "Test"}
    return {**fields, "job_name": job}


def _lines(text: str) -> str:
    """Text for people: lines, without other control characters."""
    return "\n".join(map(printable, text.split("\n")))


def _header(text: str) -> str:
    """One line in UTF-8, as each character for one byte: Python sends headers in Latin-1, which few names are in."""
    return _one_line(text).encode().decode("latin-1")


def _one_line(text: str) -> str:
    """A header or a title: no line break of a name may begin another header."""
    return printable(" ".join(text.split()))
