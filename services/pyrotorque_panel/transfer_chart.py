"""The curve of the last hours: both speeds as paths of an SVG."""

from collections.abc import Sequence
from typing import Any, Final

from pyrotorque import humanize
from pyrotorque.local_time import local_text
from pyrotorque_panel.transfer_ring import TransferSample

_WIDTH: Final = 720
_HEIGHT: Final = 120
_POINTS: Final = 180
_TIMES: Final = 4
_LOWEST_TOP: Final = 1024
_TOPS: Final = (1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 600, 800, 1024)

Point = tuple[float, float | None]


def chart(samples: Sequence[TransferSample], begin: float, end: float) -> dict[str, Any] | None:
    """Paths of both speeds; None without values. What is unknown is a gap."""
    down = _means([(each.at, each.down) for each in samples], begin, end)
    up = _means([(each.at, each.up) for each in samples], begin, end)
    values = [value for _, value in (*down, *up) if value is not None]
    if len(samples) < 2 or not values:
        return None
    highest = max(values)
    top = _round_top(max(highest, _LOWEST_TOP))
    hours = (end - begin) / 3600
    label = f"Transfer of the last {hours:.0f} hours: download and upload up to {humanize.rate(highest)}"
    times = [local_text(begin + (end - begin) * n / (_TIMES - 1), "%H:%M") for n in range(_TIMES)]
    paths = {"down": _path(down, begin, end, top), "up": _path(up, begin, end, top)}
    rates = [humanize.rate(value).replace(".0 ", " ") for value in (top, top / 2)]
    return paths | {"area": _area(paths["down"]), "rates": [*rates, "0"], "label": label, "times": times}


def _round_top(highest: float) -> float:
    """The value of the upper line: at least the highest, and easy to read, as its half is."""
    unit = 1.0
    while highest / unit >= _TOPS[-1]:
        unit *= 1024
    return unit * next(top for top in _TOPS if top * unit >= highest)


def _means(points: Sequence[Point], begin: float, end: float) -> list[Point]:
    """One value for each part of the width; a part without an answer of rTorrent is unknown."""
    width = max((end - begin) / _POINTS, 1.0)
    parts: dict[int, list[float]] = {}
    for at, value in points:
        found = parts.setdefault(int((at - begin) / width), [])
        if value is not None:
            found.append(value)
    made: list[Point] = []
    before = -1
    for number, values in sorted(parts.items()):
        if number > before + 1 and made:
            made.append((begin + number * width, None))
        made.append((begin + (number + 0.5) * width, sum(values) / len(values) if values else None))
        before = number
    return made


def _path(points: Sequence[Point], begin: float, end: float, top: float) -> str:
    parts: list[str] = []
    pen = "M"
    for at, value in points:
        if value is None:
            pen = "M"
            continue
        x = min((at - begin) / max(end - begin, 1.0), 1.0) * _WIDTH
        parts.append(f"{pen}{x:.0f} {_HEIGHT - value / top * _HEIGHT:.1f}")
        pen = "L"
    return "".join(parts)


def _area(path: str) -> str:
    """What is below a path; each of its parts ends at a gap."""
    parts = [part for part in path.split("M") if part]
    return "".join(f"M{part}V{_HEIGHT}H{part.partition(' ')[0]}Z" for part in parts)
