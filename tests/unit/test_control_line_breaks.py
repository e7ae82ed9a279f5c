"""No line is wider than the terminal, and long words are broken at their separators."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from pyrotorque_control import terminal
from pyrotorque_control.line_breaks import broken, cut

TEXTS = st.text(alphabet=st.sampled_from("ab ./-:_日é  "), max_size=60)


@given(TEXTS, st.integers(4, 30), st.integers(0, 8))
def test_every_line_fits_and_nothing_is_lost(text: str, width: int, indent: int) -> None:
    lines = broken(text, width, " " * indent)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(TEXTS, st.integers(1, 30))
def test_what_is_cut_fits(text: str, width: int) -> None:
    assert cell_len(cut(text, width)) <= width
    if cell_len(text) <= width:
        assert cut(text, width) == text


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("pyrocore.torrent.queue:QueueManager", 24, ["pyrocore.torrent.queue", ":QueueManager"]),
        ("pyrocore.daemon.exporter:RtorrentExporter", 21, ["pyrocore.daemon.", "exporter", ":RtorrentExporter"]),
        ("a job-with-a-long-name", 14, ["a job-with-a-", "long-name"]),
        ("one two three", 8, ["one two", "three"]),
        ("in /home/me/watch/tv", 12, ["in /home/me/", "watch/tv"]),
    ],
)
def test_long_words_are_broken_at_separators(text: str, width: int, lines: list[str]) -> None:
    assert broken(text, width) == lines


def test_further_lines_are_indented() -> None:
    assert broken("  one two three", 10, "    ") == ["  one two", "    three"]


HOSTILE = ("x" * 300, "日本語" * 60, "a.name-with/separators:" * 20, "several words " * 30, "\x1b[2J" * 40, "")


@pytest.mark.parametrize("width", [80, 140, 40])
def test_a_table_of_hostile_cells_fits(width: int) -> None:
    out = Console(width=width, file=None, highlight=False)
    with out.capture() as captured:
        out.print(terminal.table(("job", "last result", "when", "next run"), [HOSTILE[:4], HOSTILE[2:], HOSTILE[1:5]]))
    assert all(cell_len(line) <= width for line in captured.get().splitlines())
    assert "\x1b[2J" not in captured.get()


def test_a_cell_keeps_its_style() -> None:
    from rich.text import Text

    out = Console(width=40, force_terminal=True, color_system="standard", highlight=False)
    with out.capture() as captured:
        out.print(terminal.table(("a",), [(Text("failed and broken " * 5, style="red"),)]))
    assert captured.get().count("\x1b[31m") >= 3
