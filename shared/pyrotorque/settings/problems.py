"""Problems of a configuration, each with file and line, reported together."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.errors import SettingsError
from pyrotorque.suggestions import suggestion as suggestion  # workers of 1.0.0 import it late from here
from pyrotorque.text import printable


@dataclass(frozen=True, slots=True)
class Problem:
    """One error or warning; `file` and `line` may be empty; `text` may have several lines, to point with a caret."""

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = ": ".join(part for part in (place, self.key, self.text) if part)
        return "\n".join(map(printable, text.split("\n")))


class SettingsProblems(SettingsError):
    """An invalid configuration; `problems` are in the order of files and lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Final = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line)))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(slots=True)
class Report:
    """Collects errors (`problems`) and warnings while a configuration is read."""

    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[Problem] = field(default_factory=list[Problem])

    def raise_if_any(self) -> None:
        """Raise SettingsProblems if there are errors."""
        if self.problems:
            raise SettingsProblems(self.problems)
