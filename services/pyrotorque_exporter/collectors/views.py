"""Group `views`: the number of items in each view; views overlap, so do not sum them."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.command_metrics import number
from pyrotorque_exporter.families import by_label
from pyrotorque_exporter.labels import label_value

LIMIT = 100


class ViewsCollector:
    """One call for the list of views, one for all sizes; names that begin with one of `exclude` are left out."""

    name = "views"
    uses_rtorrent = True

    def __init__(self, exclude: tuple[str, ...] = ("rtcontrol",)) -> None:
        self._exclude = exclude

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        (names,) = context.calls.multicall(self.name, [("view.list", ())])
        views = [str(name) for name in names if not self._excluded(str(name))] if isinstance(names, list) else []
        views = views[:LIMIT]
        sizes = context.calls.multicall(self.name, [("view.size", ("", name)) for name in views])
        values = {
            label_value(name): size
            for name, result in zip(views, sizes, strict=True)
            if (size := number(result)) is not None
        }
        yield by_label("gauge", "rtorrent_view_items", "Items in a view (view.size).", "view", values)

    def _excluded(self, view: str) -> bool:
        return bool(self._exclude) and view.startswith(self._exclude)
