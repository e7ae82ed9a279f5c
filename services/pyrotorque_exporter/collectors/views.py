"""Group `views`: how many items each view shows; views overlap, so these must not be added up."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.command_metrics import number
from pyrotorque_exporter.families import by_label
from pyrotorque_exporter.labels import label_value

LIMIT = 100


class ViewsCollector:
    """Asks for the list of views, then for all sizes at once; names that begin with one of `exclude` are left out."""

    name = "views"
    uses_rtorrent = True

    def __init__(self, prefix: str, exclude: tuple[str, ...] = ("rtcontrol",)) -> None:
        self._prefix, self._exclude = prefix, exclude

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        (names,) = context.calls.multicall(self.name, [("view.list", ())])
        shown = [str(name) for name in names if self._wanted(str(name))] if isinstance(names, list) else []
        shown = shown[:LIMIT]
        sizes = context.calls.multicall(self.name, [("view.size", ("", name)) for name in shown])
        values = {
            label_value(name): size
            for name, answer in zip(shown, sizes, strict=True)
            if (size := number(answer)) is not None
        }
        yield by_label("gauge", f"{self._prefix}view_items", "Items in a view (view.size).", "view", values)

    def _wanted(self, view: str) -> bool:
        return not (self._exclude and view.startswith(self._exclude))
