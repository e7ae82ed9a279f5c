"""When a program that supervisord gave up on is tried again: after 1, 2, 4, … seconds, never later than 45."""

from dataclasses import dataclass, field

DELAY_FIRST = 1.0
DELAY_MAX = 45.0
"""Below the promised 60 s, for a start takes time too."""
SOUND_AFTER = 60.0
"""Who ran that long begins anew with the first delay."""


@dataclass
class Revival:
    """Decides by what is told and the time given; starts nothing."""

    _due: dict[str, float] = field(default_factory=dict[str, float])
    _delay: dict[str, float] = field(default_factory=dict[str, float])
    _running_since: dict[str, float] = field(default_factory=dict[str, float])

    def sees(self, name: str, state: str, now: float) -> None:
        """A program is in `state` now."""
        if state == "RUNNING":
            self._running_since.setdefault(name, now)
        elif (since := self._running_since.pop(name, None)) is not None and now - since >= SOUND_AFTER:
            self._delay.pop(name, None)
        if state == "FATAL":
            self._due.setdefault(name, now + self._delay.get(name, DELAY_FIRST))
        else:
            self._due.pop(name, None)

    def due(self, now: float) -> list[str]:
        """Who is to be started now; each is due again later should it stay FATAL."""
        names = sorted(name for name, at in self._due.items() if at <= now)
        for name in names:
            self._delay[name] = min(2 * self._delay.get(name, DELAY_FIRST), DELAY_MAX)
            self._due[name] = now + self._delay[name]
        return names
