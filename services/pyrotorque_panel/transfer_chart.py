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

Point = tuple[float, float | None]


def chart(samples: Sequence[TransferSample], begin: float, end: float) -> dict[str, Any] | None:
    """Paths of both speeds; None without values. What is unknown is a gap."""
    down = _means([(each.at, each.down) for each in samples], begin, end)
    up = _means([(each.at, each.up) for each in samples], begin, end)
    values = [value for _, value in (*down, *up) if value is not None]
    if len(samples) < 2 or not values:
        return None
    top = max(*values, 1)
    hours = (end - begin) / 3600
    label = f"Transfer of the last {hours:.0f} hours: download and upload up to {humanize.rate(top)}"
    times = [local_text(begin + (end - begin) * n / (_TIMES - 1), "%H:%M") for n in range(_TIMES)]
    paths = {"down": _path(down, begin, end, top), "up": _path(up, begin, end, top)}
    return paths | {"top": top, "label": label, "times": times}


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
        parts.append(f"{pen}{x:.0f} {_HEIGHT - value / top * (_HEIGHT - 4):.1f}")
        pen = "L"
    return "".join(parts)
