"""What a measurement returns, and how the table of all of them is printed."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: what was measured, ours, what it stands beside, and the goal that design promises ("" = none)."""

    what: str
    ours: str
    beside: str = ""
    goal: str = ""
    met: bool | None = None


def milliseconds(samples: Sequence[float]) -> str:
    """Median and 95th percentile of durations in seconds."""
    ordered = sorted(samples)
    return f"{statistics.median(ordered) * 1e3:.1f} / {ordered[int(len(ordered) * 0.95)] * 1e3:.1f} ms"


def processor_of(pid: int) -> float:
    """Seconds that the threads of `pid` have run (proc_pid_schedstat, finer than the ticks of proc_pid_stat)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def show(title: str, figures: Iterable[Figure], *, as_json: bool = False) -> None:
    """Print the figures as a table, or as JSON, one object a line."""
    if as_json:
        for figure in figures:
            print(json.dumps({"benchmark": title} | asdict(figure)), flush=True)
        return
    table = Table(title=title, title_justify="left")
    for column in ("what", "ours", "beside", "goal", "met"):
        table.add_column(column, overflow="fold")
    for figure in figures:
        table.add_row(
            figure.what,
            figure.ours,
            figure.beside,
            figure.goal,
            {None: "", True: "yes", False: "NO"}[figure.met],
        )
    Console(width=140).print(table)
