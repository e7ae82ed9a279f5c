"""Whether a process refuses or reports conditions that 1.0.0 accepted, but that cannot mean what was typed."""

from collections.abc import Callable

from pyrotorque.errors import ConditionError

_default: Callable[[ConditionError], None] | None = None


def default_report() -> Callable[[ConditionError], None] | None:
    """Gets such errors where the caller of `conditions.parse` has no preference; None: they are raised."""
    return _default


def set_default_report(report: Callable[[ConditionError], None] | None) -> None:
    """For a process that runs what is configured already, such as the worker of a job."""
    global _default
    _default = report
