"""When the watcher's totals are told: at once, soon after they changed, and now and then in any case."""

from dataclasses import dataclass
from typing import Final

from pyrotorque.events import Family
from pyrotorque.totals import Totals

CHANGED: Final = 5.0
ANYWAY: Final = 30.0


@dataclass
class Reports:
    """What was told last, and when (monotonic)."""

    totals: Totals
    at: float = float("-inf")
    last: tuple[Family, ...] = ()

    def due(self, clock: float) -> tuple[Family, ...] | None:
        """The families, when they are to be told."""
        if clock - self.at < CHANGED:
            return None
        families = self.totals.families()
        if families == self.last and clock - self.at < ANYWAY:
            return None
        self.at, self.last = clock, families
        return families
