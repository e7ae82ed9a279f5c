"""Runs a user's `config.py` in a separate process, in batches with a deadline; a new process after each failure."""

import json
import logging
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyrotorque.errors import UserError
from pyrotorque.fields.field import Field
from pyrotorque.fields.kinds import Kind, Tags
from pyrotorque.interpreter import UTF8, import_path, module_command

log = logging.getLogger(__name__)

BATCH: Final = 1_000
_CALL_DEADLINES: Final = 4  # deadline of a call, in deadlines of a batch
_RESPONSE_MAX: Final = 64 * 2**20
_TEXT_KINDS: Final[frozenset[Kind]] = frozenset(("text", "any"))


@dataclass(frozen=True, slots=True)
class DeclaredFields:
    """The fields of a config.py, for `conditions.parse(…, custom=…)`; `problem` is the error if it cannot be read."""

    fields: Mapping[str, Field]
    problem: str = ""


class CustomFieldWorker:
    """The fields of one config.py; its process starts on first use and lives until `close`.

    Any failure ends only that process and raises UserError here; the next call starts a new process. `deadline` is for
    each batch of items, in seconds; a call has four times as long, because a queue check must end, too. `umask` is the
    user's own. `reviewed` is the copy of the file that was checked last: if there is one, its content is used.
    """

    def __init__(self, path: Path, *, reviewed: Path | None = None, deadline: float = 5.0, umask: int = -1) -> None:
        self._path = path
        self._reviewed = reviewed
        self._deadline = deadline
        self._umask = umask
        self._process: subprocess.Popen[bytes] | None = None
        self._kinds: dict[str, Kind] = {}
        self._warned: set[str] = set()

    def declared(self) -> DeclaredFields:
        """The declared fields: none without the file; `problem` is set if the file cannot be read."""
        if not self._source().exists():
            return DeclaredFields({})
        self.close()
        try:
            response = self._start()
        except UserError as error:
            return DeclaredFields({}, str(error))
        fields = {each["name"]: _field(each) for each in response.get("fields", ())}
        return DeclaredFields(fields, str(response.get("problem", "")))

    def values(self, names: Sequence[str], items: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        """The values of the fields `names` for all `items`, each converted to the field's kind."""
        if self._process is None:
            self._start()
        found: dict[str, list[Any]] = {name: [] for name in names}
        end = time.monotonic() + _CALL_DEADLINES * self._deadline
        for begin in range(0, len(items), BATCH):
            batch = [_to_json(item) for item in items[begin : begin + BATCH]]
            if time.monotonic() >= end:
                raise self._failed(
                    f"processed only {begin} of {len(items)} items in {_CALL_DEADLINES * self._deadline:g} s"
                )
            response = self._request({"names": list(names), "items": batch})
            for name, error in response["errors"].items():
                self._warn(name, error)
            for name in names:
                found[name] += [_converted(value, self._kinds.get(name, "any")) for value in response["values"][name]]
        return found

    def close(self) -> None:
        """Kill the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.debug("the process of %s had already ended", self._path)
        process.communicate()

    def _source(self) -> Path:
        return self._reviewed if self._reviewed is not None and self._reviewed.exists() else self._path

    def _start(self) -> dict[str, Any]:
        self._process = subprocess.Popen(
            module_command(
                "pyrotorque.customfields.child", str(self._path), str(os.getpid()), str(self._source()), flags=UTF8
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": import_path()},
            start_new_session=True,
            umask=self._umask,
        )
        response = self._read_response()
        self._kinds = {each["name"]: each["kind"] for each in response.get("fields", ())}
        return response

    def _request(self, request: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None, "started before"
        assert process.stdin is not None, "a pipe"
        unsent = memoryview(json.dumps(request).encode() + b"\n")
        end = time.monotonic() + self._deadline
        os.set_blocking(process.stdin.fileno(), False)
        while unsent:
            if not select.select((), (process.stdin,), (), max(0.0, end - time.monotonic()))[1]:
                raise self._failed(f"did not read its input within {self._deadline:g} s")
            try:
                unsent = unsent[os.write(process.stdin.fileno(), unsent) :]
            except BrokenPipeError:
                raise self._failed("ended") from None
        return self._read_response()

    def _read_response(self) -> dict[str, Any]:
        process = self._process
        assert process is not None, "started before"
        assert process.stdout is not None, "a pipe"
        end = time.monotonic() + self._deadline
        received = bytearray()
        while not received.endswith(b"\n"):
            if not select.select((process.stdout,), (), (), max(0.0, end - time.monotonic()))[0]:
                raise self._failed(f"did not respond within {self._deadline:g} s")
            block = os.read(process.stdout.fileno(), 1 << 20)
            if not block or len(received) > _RESPONSE_MAX:
                raise self._failed("ended" if not block else "sent an oversized response")
            received += block
        try:
            response: dict[str, Any] = json.loads(received)
        except (ValueError, RecursionError):
            raise self._failed("sent a response that cannot be read") from None
        return response

    def _failed(self, what: str) -> UserError:
        process = self._process
        self.close()
        status = f" (status {process.returncode})" if process and what == "ended" else ""
        return UserError(
            f"{self._path}: the process that computes its fields {what}{status}; check the code of the fields"
        )

    def _warn(self, name: str, error: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            log.warning("the field %s is unknown for some items: %s", name, error)


def _field(description: Mapping[str, Any]) -> Field:
    return Field(
        description["name"],
        description["kind"],
        (),
        _not_computed_here,
        description["doc"] or "a field of config.py",
        details=("custom",),
        needs=tuple(description["needs"]),
    )


def _not_computed_here(*_: object) -> None:
    raise UserError("a field of config.py can only be computed in its own process")


def _to_json(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in item.items()}


def _converted(value: Any, kind: Kind) -> Any:
    """The value as its kind requires; None (unknown) if it cannot be converted."""
    if value is None:
        return None
    if kind == "bool":
        return bool(value)
    if kind in _TEXT_KINDS:
        return str(value)
    if kind in ("tags", "files"):
        words = [str(each) for each in value] if isinstance(value, list) else str(value).split()
        return Tags(word.lower() for word in words) if kind == "tags" else words
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
