"""Group `views`: how many items each view shows; views overlap, so these must not be added up."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from pyrotorque_exporter.collectors import Turn
from pyrotorque_exporter.command_metrics import number
from pyrotorque_exporter.families import by_label
from pyrotorque_exporter.labels import label_value

LIMIT = 100


class Views:
    """Asks for the list of views, then for all sizes at once; names that begin with one of `exclude` are left out."""

    name = "views"
    asks_rtorrent = True

    def __init__(self, prefix: str, exclude: tuple[str, ...] = ("rtcontrol",)) -> None:
        self._prefix, self._exclude = prefix, exclude

    def collect(self, turn: Turn) -> Iterator[Metric]:
        (names,) = turn.calls.ask(self.name, [("view.list", ())])
        shown = [str(name) for name in names if self._wanted(str(name))] if isinstance(names, list) else []
        shown = shown[:LIMIT]
        sizes = turn.calls.ask(self.name, [("view.size", ("", name)) for name in shown])
        values = {
            label_value(name): size
            for name, answer in zip(shown, sizes, strict=True)
            if (size := number(answer)) is not None
        }
        yield by_label("gauge", f"{self._prefix}view_items", "Items in a view (view.size).", "view", values)

    def _wanted(self, view: str) -> bool:
        return not (self._exclude and view.startswith(self._exclude))
