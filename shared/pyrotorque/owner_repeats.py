"""Repetitions of one cause in the owner's log: the first is a line at once, the others are counted in further lines."""

from dataclasses import dataclass
from typing import Final

from pyrotorque.humanize import duration

WINDOW: Final = 600.0
"""Seconds in which repetitions are counted for one line."""


@dataclass(slots=True)
class _Repeated:
    begins: float
    text: str
    count: int = 0


class RepeatFolding:
    """Causes are any two words, such as an event and what it is about; times are those of any one clock, in seconds."""

    def __init__(self) -> None:
        self._causes: dict[tuple[str, str], _Repeated] = {}

    def is_first(self, cause: tuple[str, str], text: str, now: float) -> bool:
        """Whether `text` is written now, because the cause did not happen within the last window."""
        known = self._causes.get(cause)
        if known is None or (now - known.begins >= WINDOW and not known.count):
            self._causes[cause] = _Repeated(now, text)
            return True
        known.text = text
        known.count += 1
        return False

    def due(self, now: float) -> list[tuple[str, str]]:
        """Event and text of the lines whose windows have ended; the next window begins."""
        found: list[tuple[str, str]] = []
        for cause, known in list(self._causes.items()):
            if now - known.begins < WINDOW:
                continue
            if known.count:
                found.append((cause[0], _line(known, now)))
                self._causes[cause] = _Repeated(now, known.text)
            else:
                del self._causes[cause]
        return found

    def end(self, now: float) -> list[tuple[str, str]]:
        """Event and text of the lines of all windows: the process ends."""
        found = [(cause[0], _line(known, now)) for cause, known in self._causes.items() if known.count]
        self._causes.clear()
        return found


def _line(known: _Repeated, now: float) -> str:
    times = "once" if known.count == 1 else f"{known.count:,} times"
    return f"{known.text} (again {times} in {duration(max(now - known.begins, 1.0))})"
