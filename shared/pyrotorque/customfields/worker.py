"""Runs a user's `config.py` in a process of its own, in batches with a deadline; a fresh one after each failure."""

import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyrotorque.errors import UserError
from pyrotorque.fields.field import Field
from pyrotorque.fields.kinds import Kind, Tags

log = logging.getLogger(__name__)

BATCH: Final = 1_000
_BATCHES: Final = 4  # as many may take all of their time
_ANSWER_MAX: Final = 64 * 2**20
_MOST_TEXT: Final[frozenset[Kind]] = frozenset(("text", "any"))


@dataclass(frozen=True, slots=True)
class Declared:
    """The fields of a config.py, for `conditions.parse(…, custom=…)`; `problem` says why there are none."""

    fields: Mapping[str, Field]
    problem: str = ""


class CustomFieldWorker:
    """The fields of one config.py; its process starts when it is first needed and stays until `close`.

    Whatever goes wrong in it ends that process only, and is a UserError here; the next call has a fresh process.
    `deadline` holds for each batch of items, in seconds, and four times as long for all of a call: who checks a queue
    has to end, too. `umask` is the user's own.
    """

    def __init__(self, path: Path, *, deadline: float = 5.0, umask: int = -1) -> None:
        self._path = path
        self._deadline = deadline
        self._umask = umask
        self._process: subprocess.Popen[bytes] | None = None
        self._kinds: dict[str, Kind] = {}
        self._told: set[str] = set()

    def declared(self) -> Declared:
        """Which fields there are; a file that is absent has none, one that cannot be read has a problem."""
        if not self._path.exists():
            return Declared({})
        self.close()
        try:
            answer = self._start()
        except UserError as error:
            return Declared({}, str(error))
        fields = {each["name"]: _field(each) for each in answer.get("fields", ())}
        return Declared(fields, str(answer.get("problem", "")))

    def values(self, names: Sequence[str], items: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        """The values of the fields `names` for all `items`, each shaped as the field's kind says."""
        if self._process is None:
            self._start()
        found: dict[str, list[Any]] = {name: [] for name in names}
        end = time.monotonic() + _BATCHES * self._deadline
        for begin in range(0, len(items), BATCH):
            batch = [_sendable(item) for item in items[begin : begin + BATCH]]
            if time.monotonic() >= end:
                raise self._failed(f"had time for {begin} of {len(items)} items in {_BATCHES * self._deadline:g} s")
            answer = self._ask({"names": list(names), "items": batch})
            for name, error in answer["errors"].items():
                self._tell(name, error)
            for name in names:
                found[name] += [_shaped(value, self._kinds.get(name, "any")) for value in answer["values"][name]]
        return found

    def close(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.debug("the process of %s had ended", self._path)
        process.communicate()

    def _start(self) -> dict[str, Any]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pyrotorque.customfields.child", str(self._path), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
            umask=self._umask,
        )
        answer = self._answer()
        self._kinds = {each["name"]: each["kind"] for each in answer.get("fields", ())}
        return answer

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None, "started before"
        assert process.stdin is not None, "a pipe"
        unsent = memoryview(json.dumps(question).encode() + b"\n")
        end = time.monotonic() + self._deadline
        os.set_blocking(process.stdin.fileno(), False)
        while unsent:
            if not select.select((), (process.stdin,), (), max(0.0, end - time.monotonic()))[1]:
                raise self._failed(f"did not read its input within {self._deadline:g} s")
            try:
                unsent = unsent[os.write(process.stdin.fileno(), unsent) :]
            except BrokenPipeError:
                raise self._failed("ended") from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        process = self._process
        assert process is not None, "started before"
        assert process.stdout is not None, "a pipe"
        end = time.monotonic() + self._deadline
        received = bytearray()
        while not received.endswith(b"\n"):
            if not select.select((process.stdout,), (), (), max(0.0, end - time.monotonic()))[0]:
                raise self._failed(f"did not answer within {self._deadline:g} s")
            block = os.read(process.stdout.fileno(), 1 << 20)
            if not block or len(received) > _ANSWER_MAX:
                raise self._failed("ended" if not block else "gave too long an answer")
            received += block
        answer: dict[str, Any] = json.loads(received)
        return answer

    def _failed(self, what: str) -> UserError:
        process = self._process
        self.close()
        status = f" (status {process.returncode})" if process and what == "ended" else ""
        return UserError(f"{self._path}: the process that computes its fields {what}{status}; look at what they do")

    def _tell(self, name: str, error: str) -> None:
        if name not in self._told:
            self._told.add(name)
            log.warning("The field %s is not known for some items: %s", name, error)


def _field(described: Mapping[str, Any]) -> Field:
    return Field(
        described["name"],
        described["kind"],
        (),
        _computed_elsewhere,
        described["doc"] or "a field of config.py",
        details=("custom",),
        needs=tuple(described["needs"]),
    )


def _computed_elsewhere(*_: object) -> None:
    raise UserError("a field of config.py is computed in its own process only")


def _sendable(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in item.items()}


def _shaped(value: Any, kind: Kind) -> Any:
    """A value as its kind has it; None, not known, where it cannot be that."""
    if value is None:
        return None
    if kind == "bool":
        return bool(value)
    if kind in _MOST_TEXT:
        return str(value)
    if kind in ("tags", "files"):
        words = [str(each) for each in value] if isinstance(value, list) else str(value).split()
        return Tags(word.lower() for word in words) if kind == "tags" else words
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
