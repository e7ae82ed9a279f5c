"""The metrics that the guardian counts and the exporter shows from zero on: declared once for both."""

from typing import Final

from pyrotorque.events import Family

RESTARTS: Final = Family(
    name="pyrotorque_process_restarts_total",
    kind="counter",
    help="Starts of a program after it ended by itself.",
    labels=("process",),
)
EXITS: Final = Family(
    name="pyrotorque_process_exits_total",
    kind="counter",
    help="Ends of a program's process by itself: ok, error, or killed by the guardian (watchdog).",
    labels=("process", "reason"),
)
EXIT_REASONS: Final = ("ok", "error", "watchdog")
