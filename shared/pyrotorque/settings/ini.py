"""The INI dialect of the earlier daemons' files, read with the line of every value.

It differs from Python 3's configparser where their files need it: an indented line always continues the value above it
(also one that begins with `[`, also after an empty line), keys keep their case while sections do not, a `;` after a
blank ends the first line of a value, and the last of two equal keys wins, which is worth a warning.
"""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrotorque.settings.problems import Problem, Report

_SECTION: Final = re.compile(r"\[(?P<name>[^\]]+)\]")
_OPTION: Final = re.compile(r"(?P<key>[^:=\s][^:=]*?)\s*[:=]\s*(?P<value>.*)$", re.DOTALL)
_INLINE_COMMENT: Final = re.compile(r"\s;.*$", re.DOTALL)
_REFERENCE: Final = re.compile(r"%(?:%|\((?P<name>[^)]*)\)s)")

DEFAULT_SECTION: Final = "default"


@dataclass(frozen=True, slots=True)
class Entry:
    """A value as written (`%` still doubled), and where: the shown name of its file and the line of its key."""

    value: str
    file: str
    line: int


Sections = dict[str, dict[str, Entry]]


def read_ini(path: Path, report: Report) -> Sections:
    """The sections of a file, names in lower case; what cannot be read goes to `report`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        report.problems.append(Problem(str(path), 0, "", f"cannot be read: {error.strerror}"))
        return {}
    if b"\0" in data:
        report.problems.append(Problem(str(path), 0, "", "holds NUL bytes: save it as plain text in UTF-8"))
        return {}
    return parse_ini(data.decode("utf-8-sig", "surrogateescape"), path.name, report)


def parse_ini(text: str, file: str, report: Report) -> Sections:
    """The sections in `text`; `file` is the name to show in messages."""
    return _Reader(file, report).read(textwrap.dedent(text.replace("\r\n", "\n")))


class _Reader:
    def __init__(self, file: str, report: Report) -> None:
        self.file, self.report = file, report
        self.sections: Sections = {}
        self.section: dict[str, Entry] | None = None
        self.key: str | None = None

    def read(self, text: str) -> Sections:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip() and line[0] not in "#;":
                self._take(number, line.rstrip())
        return self.sections

    def _take(self, number: int, line: str) -> None:
        if line[0].isspace() and self.section is not None and self.key is not None:
            self._continue(self.section, self.key, line.strip())
        elif found := _SECTION.match(line):
            self.section = self.sections.setdefault(found["name"].strip().lower(), {})
            self.key = None
        elif self.section is None:
            self._complain(number, f"{line.strip()!r} stands before the first section; [TORQUE] is missing above it")
        elif option := _OPTION.match(line):
            self._begin(self.section, option["key"], _INLINE_COMMENT.sub("", option["value"]), number)
        else:
            self._complain(number, f"{line.strip()!r} is neither a section, nor KEY = VALUE, nor a comment")

    def _begin(self, section: dict[str, Entry], key: str, value: str, number: int) -> None:
        if (before := section.get(key)) is not None:
            said = f"is set twice, in line {before.line} and in line {number}: the last one counts"
            self.report.warnings.append(Problem(self.file, number, key, said))
        section[key] = Entry(value.strip(), self.file, number)
        self.key = key

    def _continue(self, section: dict[str, Entry], key: str, line: str) -> None:
        """Comments end where a template is still open: there `#` and `;` belong to the template."""
        entry = section[key]
        template_open = entry.value.count("{{") > entry.value.count("}}")
        if line[0] in "#;" and not template_open:
            return
        section[key] = Entry(f"{entry.value}\n{line}".lstrip("\n"), entry.file, entry.line)

    def _complain(self, number: int, text: str) -> None:
        self.report.problems.append(Problem(self.file, number, "", text))


def interpolate(value: str, variables: Mapping[str, str]) -> str:
    """`value` with `%%` as `%` and `%(name)s` from `variables`; a `%` that is neither stays as it is.

    Raises KeyError with the name that is not known.
    """

    def replaced(found: re.Match[str]) -> str:
        return "%" if found["name"] is None else variables[found["name"]]

    return _REFERENCE.sub(replaced, value)
