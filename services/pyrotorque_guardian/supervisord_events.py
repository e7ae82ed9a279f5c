"""Parses supervisord's protocol for event listeners: READY, a header line and a payload, RESULT."""

from dataclasses import dataclass

READY = b"READY\n"
HANDLED = b"RESULT 2\nOK"

_PREFIX = "PROCESS_STATE_"


@dataclass(frozen=True, slots=True)
class ProcessStateChange:
    """A program changed from one of supervisord's states to another; `expected` is meaningful for EXITED only.

    `group` is its group in supervisord: its name, unless the owner has set another.
    """

    process: str
    state: str
    before: str
    expected: bool
    pid: int
    group: str = ""


class EventParser:
    """Assembles events from a stream that arrives in arbitrary pieces."""

    def __init__(self) -> None:
        self._received = b""

    def feed(self, piece: bytes) -> list[ProcessStateChange | None]:
        """The events that `piece` completes; None for an event of another kind, which must be acknowledged as well."""
        self._received += piece
        events: list[ProcessStateChange | None] = []
        while (end := self._received.find(b"\n")) >= 0:
            header = _fields(self._received[:end])
            after = end + 1 + int(header.get("len", "0"))
            if len(self._received) < after:
                break
            events.append(_state_change(header.get("eventname", ""), _fields(self._received[end + 1 : after])))
            self._received = self._received[after:]
        return events


def _fields(line: bytes) -> dict[str, str]:
    pairs = (word.partition(":") for word in line.decode("utf-8", "replace").split())
    return {name: value for name, _, value in pairs}


def _state_change(event: str, payload: dict[str, str]) -> ProcessStateChange | None:
    if not event.startswith(_PREFIX):
        return None
    return ProcessStateChange(
        process=payload.get("processname", ""),
        state=event.removeprefix(_PREFIX),
        before=payload.get("from_state", ""),
        expected=payload.get("expected", "1") == "1",
        pid=int(payload.get("pid", "0")),
        group=payload.get("groupname", ""),
    )
