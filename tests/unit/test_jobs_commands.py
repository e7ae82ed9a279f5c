"""Commands and notifications: a value is data whatever it holds, and processes that do not end are killed."""

import json
import logging
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque.errors import UserError
from pyrotorque.events import TorrentCompleted
from pyrotorque.jobs import JobConfig
from pyrotorque.jobs.arguments import ShellText, Vector
from pyrotorque.jobs.command import Command
from pyrotorque.jobs.notify import Notify
from pyrotorque.jobs.programs import environment
from tests.waiting import bound, eventually

EVENT = TorrentCompleted(at=1.0, info_hash="A" * 40, name='it\'s $(here) "now"')


def config(**settings: Any) -> JobConfig:
    return JobConfig({"job_name": "x", **settings})


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("/bin/echo {{name}}", ["/bin/echo", "a b"]),
        ("/bin/echo --name={{name}}!", ["/bin/echo", "--name=a b!"]),
        ("/bin/echo 'two words' \"{{ h.sz(size) }}\"", ["/bin/echo", "two words", "1.0 KiB"]),
        ("/bin/echo %(name)s", ["/bin/echo", "a b"]),
        ("/bin/echo {{ name.replace(' ', '-') }}", ["/bin/echo", "a-b"]),
    ],
)
def test_a_template_is_one_argument_whatever_it_inserts(text: str, argv: list[str]) -> None:
    assert Vector(text).argv({"name": "a b", "size": 1024}) == argv


@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_a_shell_never_reads_a_value(value: str) -> None:
    said = 'printf "%s\\n" {{name}}; printf "%s\\n" "<{{name}}>"'
    kept = 'kept=$(printf %s. {{name}}); printf "%s\\n" "$kept"'
    text = ShellText(f"{said}; {kept}")
    ended = subprocess.run(text.argv({"name": value}), capture_output=True, check=True)
    assert ended.stdout == f"{value}\n<{value}>\n{value}.\n".encode()


@pytest.mark.parametrize("text", ["echo '{{name}}'", "echo $(( {{name}} ))", "echo \\{{name}}", "echo ${{name}}"])
def test_where_a_shell_cannot_take_a_value_it_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="a value cannot be inserted"):
        ShellText(text)


@pytest.mark.parametrize("word", ["file:///etc/hostname", "file:/etc/hostname", "file:nowhere"])
def test_a_word_of_a_command_names_no_template_file(word: str) -> None:
    assert Vector(f"curl {word}").argv({}) == ["curl", word]
    assert Vector(f"curl {word}?q={{{{name}}}}").argv({"name": "a b"}) == ["curl", f"{word}?q=a b"]


def test_a_value_with_a_nul_byte_is_no_argument() -> None:
    with pytest.raises(UserError, match="NUL byte"):
        Vector("/bin/echo {{name}}").argv({"name": "a\0b"})


def test_a_command_gets_the_fields_of_the_event(tmp_path: Path) -> None:
    script = tmp_path / "show"
    script.write_text('#!/bin/sh\nprintf "%s|" "$@" > out\nenv > env\n')
    script.chmod(0o700)
    Command(config(command=f"{script} {{{{type}}}} {{{{name}}}} {{{{job_name}}}}", cwd=str(tmp_path))).run(EVENT)
    assert (tmp_path / "out").read_text() == f"TorrentCompleted|{EVENT.name}|x|"
    names = {line.split("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert "PYTHONPATH" not in names


def test_the_environment_of_a_command_has_the_usual_and_the_configured_variables() -> None:
    ours = {"PATH": "/bin", "LC_ALL": "C", "SECRET": "x", "SSH_AUTH_SOCK": "/s"}
    assert environment(ours) == {"PATH": "/bin", "LC_ALL": "C"}
    assert environment(ours, ["SSH_AUTH_SOCK"]) == {"PATH": "/bin", "LC_ALL": "C", "SSH_AUTH_SOCK": "/s"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"command": "/bin/false"}, "/bin/false exited with status 1"),
        ({"command": "/nowhere/at all"}, "/nowhere/at cannot be run: No such file"),
        ({"command": "/bin/sleep 60", "within": 0.2}, "exceeded its deadline of 0.2 s and was killed"),
        ({"command": "exit 7", "shell": True}, "exited with status 7"),
    ],
    ids=["status", "absent", "hangs", "shell"],
)
def test_a_command_that_fails_is_a_failed_run(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        Command(config(**settings)).run()


def test_what_a_command_started_ends_with_its_deadline(tmp_path: Path) -> None:
    job = Command(config(command=f"sleep 600 & echo $! > {tmp_path}/pid; wait", shell=True, within=bound(1.0)))
    with pytest.raises(UserError, match="was killed"):
        job.run()
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not os.path.exists(f"/proc/{pid}") or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text())


def test_a_dry_run_runs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Command(config(command=f"touch {tmp_path}/made", dry_run=True)).run()
    assert "would run touch" in caplog.text
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "job.x.command is not set"),
        ({"command": "echo {{nothing}}"}, "no event has a field nothing"),
        ({"command": "echo 'open"}, "cannot be split into words"),
        ({"command": "true", "within": "soon"}, "expected a number of seconds"),
    ],
)
def test_errors_in_a_command_are_raised_by_its_constructor(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        Command(config(**settings))


class Hook(HTTPServer):
    """A webhook that answers with one status after the other, the last one repeatedly."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.statuses = list(statuses)
        self.received: list[tuple[dict[str, str], bytes]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        hook = self.server
        assert isinstance(hook, Hook)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        hook.received.append((dict(self.headers.items()), body))
        status = hook.statuses.pop(0) if len(hook.statuses) > 1 else hook.statuses[0]
        self.send_response(status)
        self.send_header("Location", "/other")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook(200)
    yield made
    made.shutdown()
    made.server_close()


def test_a_webhook_gets_the_event_as_json(hook: Hook) -> None:
    Notify(config(url=hook.url, **{"header.Authorization": "Bearer x"})).run(EVENT)
    headers, body = hook.received[0]
    assert json.loads(body) == {"type": "TorrentCompleted", "at": 1.0, "job_name": "x", "info_hash": "A" * 40,
                                "name": EVENT.name}  # fmt: skip
    assert headers["Authorization"] == "Bearer x"


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("\u5b57\u5e55 film", "\u5b57\u5e55 film"),
        ("caf\u00e9", "caf\u00e9"),
        ("\U0001f600", "\U0001f600"),
        ("a\r\nX-Other: b", "a X-Other: b"),
        ("\x85\x9b\u202e", "\\x9b\\u202e"),
        ("caf\udce9", "caf\\xe9"),
    ],
)
def test_a_header_of_a_webhook_has_any_name_in_utf_8(hook: Hook, name: str, sent: str) -> None:
    """Python sends headers in Latin-1: a name in another script failed the message, as Title of ntfy does."""
    event = msgspec.structs.replace(EVENT, name=name)
    Notify(config(url=hook.url, text="x", **{"header.Title": "{{name}}"})).run(event)
    (headers, _) = hook.received[0]
    assert headers["Title"].encode("latin-1").decode() == sent
    assert "X-Other" not in headers


def test_a_webhook_gets_text_or_an_object_of_templates(hook: Hook) -> None:
    Notify(config(url=hook.url, text="{{type}}: {{name}}")).run(EVENT)
    Notify(config(url=hook.url, **{"json.content": "done: {{name}}"})).run(EVENT)
    assert hook.received[0][1].decode() == f"TorrentCompleted: {EVENT.name}"
    assert json.loads(hook.received[1][1]) == {"content": f"done: {EVENT.name}"}


def test_a_webhook_that_is_busy_gets_the_message_again_with_the_same_mark(hook: Hook) -> None:
    hook.statuses = [503, 429, 200]
    Notify(config(url=hook.url)).run(EVENT)
    assert len({headers["X-Pyrotorque-Event"] for headers, _ in hook.received}) == 1
    assert len(hook.received) == 3


@pytest.mark.parametrize(("status", "times"), [(404, 1), (302, 1), (500, 2)])
def test_a_webhook_that_refuses_is_a_failed_run(hook: Hook, status: int, times: int) -> None:
    hook.statuses = [status]
    with pytest.raises(UserError, match=f"answered {status}"):
        Notify(config(url=hook.url, attempts=2)).run(EVENT)
    assert len(hook.received) == times


def test_a_webhook_that_is_not_there_is_a_failed_run() -> None:
    with pytest.raises(UserError, match="did not respond"):
        Notify(config(url="http://127.0.0.1:1/", attempts=1)).run(EVENT)


def test_a_notification_may_be_a_command(tmp_path: Path) -> None:
    Notify(config(command=f"touch {tmp_path}/{{{{info_hash}}}}")).run(EVENT)
    assert os.listdir(tmp_path) == ["A" * 40]


@pytest.mark.parametrize("settings", [{}, {"url": "http://x/", "command": "true"}, {"url": "ftp://x/"}])
def test_a_notification_needs_one_way(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"either url|expected http"):
        Notify(config(**settings))
