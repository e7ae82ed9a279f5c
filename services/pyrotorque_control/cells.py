"""Cells of tables: long words are broken at their separators, not in the middle."""

from typing import TYPE_CHECKING

from rich.containers import Lines
from rich.text import Text

from pyrotorque_control.line_breaks import broken

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod, OverflowMethod


class TableCell(Text):
    """Text of one style."""

    def wrap(
        self,
        console: "Console",
        width: int,
        *,
        justify: "JustifyMethod | None" = None,
        overflow: "OverflowMethod | None" = None,
        tab_size: int = 8,
        no_wrap: bool | None = None,
    ) -> Lines:
        """The lines of at most `width` cells."""
        return Lines(Text(line, style=self.style) for line in broken(self.plain, width))
