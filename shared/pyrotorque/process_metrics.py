"""The counters of processes that one service counts and the exporter shows from zero on, declared for both."""

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
BUS_GAPS: Final = Family(
    name="pyrotorque_bus_gaps_total",
    kind="counter",
    help="Times that events of another service were lost.",
    labels=("source",),
)
EXIT_REASONS: Final = ("ok", "error", "watchdog")
