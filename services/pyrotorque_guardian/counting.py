"""The guardian's totals: how often each program was started again, and how its processes ended."""

from pyrotorque.totals import Totals
from pyrotorque_guardian.listening import StateChange

# A process that ends in STARTING goes to BACKOFF and was never RUNNING; all others end in EXITED.
_ENDED = ("EXITED", "BACKOFF")
_AGAIN = ("EXITED", "BACKOFF", "FATAL")


class Counts:
    """What the exporter shows of programs over all lives of the guardian."""

    def __init__(self, totals: Totals) -> None:
        self._restarts = totals.counter(
            "pyrotorque_process_restarts_total", "Starts of a program after it had ended by itself.", ("process",)
        )
        self._exits = totals.counter(
            "pyrotorque_process_exits_total",
            "Ends of a program's process by itself: ok, error, or killed by the guardian (watchdog).",
            ("process", "reason"),
        )

    def sees(self, change: StateChange, killed: bool) -> None:
        """Count what `change` means; `killed` when it was the guardian's doing."""
        if change.state == "STARTING" and change.before in _AGAIN:
            self._restarts.inc(change.process)
        if change.state in _ENDED:
            expected = change.state == "EXITED" and change.expected
            self._exits.inc(change.process, "watchdog" if killed else "ok" if expected else "error")
