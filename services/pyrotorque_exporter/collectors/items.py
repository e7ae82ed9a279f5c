"""Group `items`: selected attributes of each item, rendered directly because there may be tens of thousands."""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote

from prometheus_client.core import Metric

from pyrotorque.item_stats import ItemLabel, ItemStat
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.exposition import PREFIX, with_prefix
from pyrotorque_exporter.families import single
from pyrotorque_exporter.labels import escaped, label_value
from pyrotorque_exporter.tracker_names import TrackerNames

Row = tuple[str, ...]


class ItemsCollector:
    """One call for all attributes of the items of `view`; at most `limit` items are shown, the others counted."""

    name = "items"
    uses_rtorrent = True

    def __init__(
        self,
        stats: Sequence[ItemStat],
        labels: Sequence[ItemLabel],
        trackers: TrackerNames,
        *,
        prefix: str = PREFIX,
        view: str = "main",
        limit: int = 1000,
    ) -> None:
        self._prefix, self._stats, self._labels = prefix, tuple(stats), tuple(labels)
        self._trackers, self._view, self._limit = trackers, view, limit

    def collect(self, context: ScrapeContext) -> Iterator[Metric | str]:
        known = context.calls.known
        stats = [stat for stat in self._stats if known(stat.command.partition("=")[0])]
        labels = [one for one in self._labels if not one.command or known(one.command.partition("=")[0])]
        label_commands = [one.command for one in labels if one.command]
        commands = ["d.hash=", *(stat.command for stat in stats), *label_commands]
        rows = context.calls.rows(self.name, self._view, commands)
        shown = rows[: self._limit]
        yield single(
            "gauge",
            "rtorrent_item_series_dropped",
            "Items beyond items_max, which are not shown.",
            float(len(rows) - len(shown)),
        )
        yield self._info(context, labels, shown, len(stats) + 1)
        for column, stat in enumerate(stats, 1):
            yield _rendered(with_prefix(f"{PREFIX}item_{stat.name}", self._prefix), stat, shown, column)

    def _info(self, context: ScrapeContext, labels: Sequence[ItemLabel], rows: Sequence[Row], column: int) -> str:
        trackers: Mapping[str, str] = {}
        if any(not one.command for one in labels):
            trackers = self._trackers.update(context.calls, self.name, [row[0] for row in rows], context.now)
        name = with_prefix("rtorrent_item_info", self._prefix)
        lines = [f"# HELP {name} Names of an item.\n# TYPE {name} gauge\n"]
        for row in rows:
            values = iter(row[column:])
            pairs = [f'info_hash="{row[0]}"']
            for one in labels:
                value = next(values) if one.command else trackers.get(row[0], "other")
                pairs.append(f'{one.name}="{escaped(label_value(_public(value)))}"')
            lines.append(f"{name}{{{','.join(pairs)}}} 1\n")
        return "".join(lines)


def _rendered(name: str, stat: ItemStat, rows: Sequence[Row], column: int) -> str:
    """The family of `stat`; an item whose value is not a number has no sample."""
    head = f"# HELP {name} {stat.help}\n# TYPE {name} {stat.kind}\n"
    if stat.divisor == 1.0 and all(_is_number(row[column]) for row in rows):
        return head + "".join([f'{name}{{info_hash="{row[0]}"}} {row[column]}\n' for row in rows])
    lines = [
        f'{name}{{info_hash="{row[0]}"}} {int(row[column]) / stat.divisor!r}\n'
        for row in rows
        if _is_number(row[column])
    ]
    return head + "".join(lines)


def _is_number(text: str) -> bool:
    return text.isdecimal() or (text[:1] == "-" and text[1:].isdecimal())


def _public(value: str) -> str:
    """`value`; empty if it is a URL or an absolute path, which may contain a passkey or reveal where data is stored."""
    # ruTorrent stores labels URL-encoded.
    plain = unquote(value) if "%" in value else value
    return "" if "://" in plain or plain.startswith(("/", "~/")) else value
