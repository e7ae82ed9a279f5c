"""The groups of a fleet on a narrow terminal: nothing is wider than it, and no word is broken."""

import io
import sys
from typing import Any

import pytest
from rich.cells import cell_len
from rich.text import Text

from pyrotorque_control.commands import fleet


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def group(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "own": False, "state": "present", "seen": 0.5, "items": 12_345, "downloading": 10, "slots": 20,
        "down_rate": 123_456_789, "up_rate": 98_765_432, "rtorrent": "0.16.17", "problems": [],
        "rooms": [{"free": 123_456_789_012, "size": 10**12}, {"free": 9_876_543_210_987, "size": 10**13}], **more,
    }  # fmt: skip


GROUPS = [
    group("seedbox", own=True),
    group("a" * 63, problems=["rTorrent does not answer: no process listens at scgi:///home/me/rt/" + "x" * 200]),
    group(
        "a-name-of-several-words-" * 2 + "and-one", state="gone", seen=90_000.0, problems=["日本語" * 60, "\x1b[31m"]
    ),
    group("new", items=None, downloading=None, slots=None, down_rate=None, up_rate=None, rooms=[], rtorrent=""),
]


@pytest.mark.parametrize("width", [40, 80, 100, 140, 200])
def test_the_groups_fit_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    fleet._show_groups(GROUPS)  # pyright: ignore[reportPrivateUsage]
    assert "\x1b[31m" not in screen.getvalue()
    shown = Text.from_ansi(screen.getvalue()).plain
    assert [line for line in shown.splitlines() if cell_len(line) > width] == []
    words = set(shown.split())
    assert {"seedbox", "(this)", "present", "0.16.17", "12345", "10/20"} <= words if width >= 80 else True


def test_a_narrow_terminal_has_everything_that_a_wide_one_has(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: dict[int, str] = {}
    for width in (80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys, "stdout", screen := Screen())
        fleet._show_groups(GROUPS[:1])  # pyright: ignore[reportPrivateUsage]
        shown[width] = " ".join(screen.getvalue().split())
    for part in ("117.7 MiB/s", "94.2 MiB/s", "115.0 GiB", "9.0 TiB", "0.16.17", "10/20"):
        assert part in shown[80]
        assert part in shown[200]
