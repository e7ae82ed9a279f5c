"""supervisord's protocol for event listeners: READY, a header line and a payload, RESULT; bytes in, events out."""

from dataclasses import dataclass

READY = b"READY\n"
HANDLED = b"RESULT 2\nOK"

_PREFIX = "PROCESS_STATE_"


@dataclass(frozen=True, slots=True)
class StateChange:
    """A program went from one of supervisord's states to another; `expected` only means something for EXITED."""

    process: str
    group: str
    state: str
    before: str
    expected: bool
    pid: int


class Feed:
    """Puts the events together from whatever pieces they arrive in."""

    def __init__(self) -> None:
        self._waiting = b""

    def take(self, piece: bytes) -> list[StateChange | None]:
        """The events that `piece` completes; None for one of another kind, which wants its answer all the same."""
        self._waiting += piece
        found: list[StateChange | None] = []
        while (end := self._waiting.find(b"\n")) >= 0:
            header = _fields(self._waiting[:end])
            after = end + 1 + int(header.get("len", "0"))
            if len(self._waiting) < after:
                break
            found.append(_change(header.get("eventname", ""), _fields(self._waiting[end + 1 : after])))
            self._waiting = self._waiting[after:]
        return found


def _fields(line: bytes) -> dict[str, str]:
    pairs = (word.partition(":") for word in line.decode("utf-8", "replace").split())
    return {name: value for name, _, value in pairs}


def _change(event: str, payload: dict[str, str]) -> StateChange | None:
    if not event.startswith(_PREFIX):
        return None
    return StateChange(
        process=payload.get("processname", ""),
        group=payload.get("groupname", ""),
        state=event.removeprefix(_PREFIX),
        before=payload.get("from_state", ""),
        expected=payload.get("expected", "1") == "1",
        pid=int(payload.get("pid", "0")),
    )
