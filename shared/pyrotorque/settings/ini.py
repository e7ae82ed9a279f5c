"""Parses the INI dialect of pyrocore's configuration files and records the line of each value.

Differences from Python's configparser: an indented line always continues the previous value, even if it starts with `[`
or follows an empty line; keys are case-sensitive, sections not; ` ;` ends the first line of a value; if a key is set
twice, the last value is used, with a warning.
"""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrotorque.linux.files import read_text_file
from pyrotorque.settings.problems import Problem, Report
from pyrotorque.text import printable

_SECTION: Final = re.compile(r"\[(?P<name>[^\]]+)\]")
# No two parts of these take the same characters, and nothing is looked for behind an unclosed one: the watch.ini of
# another person must not keep its reader busy for minutes.
_OPTION: Final = re.compile(r"(?P<key>[^:=\s][^:=]*)[:=](?P<value>.*)$", re.DOTALL)
_INLINE_COMMENT: Final = re.compile(r"\s;.*$", re.DOTALL)
# A setting that was made a comment; its indented lines are often forgotten.
_COMMENTED_OUT: Final = re.compile(r"[#;]+[ \t]*(?:[A-Za-z_][\w.-]*[ \t]*=|job\.[\w.-]+[ \t]*:)")
_REFERENCE: Final = re.compile(r"%(?:%|\((?P<name>[^()]*)\)s)")

DEFAULT_SECTION: Final = "default"


@dataclass(frozen=True, slots=True)
class Entry:
    """A raw value (`%` still doubled), the name of its file in messages, and the line of its key."""

    value: str
    file: str
    line: int


Sections = dict[str, dict[str, Entry]]


def read_ini(path: Path, report: Report) -> Sections:
    """The sections of a file, with names in lower case; problems are added to `report`."""
    try:
        data = read_text_file(path)
    except OSError as error:
        report.problems.append(Problem(str(path), 0, "", f"cannot be read: {error.strerror}"))
        return {}
    if b"\0" in data:
        report.problems.append(Problem(str(path), 0, "", "contains NUL bytes: save it as plain text in UTF-8"))
        return {}
    return parse_ini(data.decode("utf-8-sig", "surrogateescape"), path.name, report)


def parse_ini(text: str, file: str, report: Report) -> Sections:
    """The sections in `text`; `file` is its name in messages."""
    return _IniReader(file, report).read(textwrap.dedent(text.replace("\r\n", "\n")))


class _IniReader:
    def __init__(self, file: str, report: Report) -> None:
        self.file, self.report = file, report
        self.sections: Sections = {}
        self.section: dict[str, Entry] | None = None
        self.key: str | None = None
        self.lines: list[str] = []
        """Of the value of this key."""
        self.unclosed = 0
        """How many `{{` more than `}}` it has."""
        self.commented_out = False
        """Whether the line before is a setting that was made a comment."""

    def read(self, text: str) -> Sections:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip() and line[0] not in "#;":
                self._read_line(number, line.rstrip())
            self.commented_out = _COMMENTED_OUT.match(line) is not None
        self._end_value()
        return self.sections

    def _read_line(self, number: int, line: str) -> None:
        if line[0].isspace() and self.section is not None and self.key is not None:
            self._continue(number, line.strip())
        elif found := _SECTION.match(line):
            self._end_value()
            self.section = self.sections.setdefault(found["name"].strip().lower(), {})
            if (rest := line[found.end() :].strip()) and rest[0] not in "#;":
                text = f"{printable(rest[:80])!r} behind {found[0]} is ignored: write it in a line of its own"
                self.report.warnings.append(Problem(self.file, number, "", text))
        elif line[0].isspace():
            text = f"{line.strip()!r} is indented, but continues no value: remove the blanks before it"
            self._add_problem(number, text)
        elif line[0] == "[":
            self._add_problem(number, f"{line!r} is no section: its `]` is missing")
        elif self.section is None:
            self._add_problem(number, f"{line.strip()!r} precedes the first section: add [TORQUE] above it")
        elif option := _OPTION.match(line):
            value = _INLINE_COMMENT.sub("", option["value"].lstrip())
            self._begin(self.section, option["key"].rstrip(), value.strip(), number)
        else:
            self._add_problem(number, f"{line.strip()!r} is neither a section, nor KEY = VALUE, nor a comment")

    def _begin(self, section: dict[str, Entry], key: str, value: str, number: int) -> None:
        if (before := section.get(key)) is not None:
            text = f"is set twice, in lines {before.line} and {number}: the last value is used"
            self.report.warnings.append(Problem(self.file, number, key, text))
        self._end_value()
        section[key] = Entry(value, self.file, number)
        self.key, self.lines, self.unclosed = key, [value], _unclosed(value)

    def _continue(self, number: int, line: str) -> None:
        """Inside an open template, `#` and `;` are part of the template and do not begin a comment."""
        if self.commented_out and self.key is not None and self.section is not None and self.unclosed <= 0:
            before = self.section[self.key]
            text = (
                f"continues the value in line {before.line}, because the setting between them is a comment: make this "
                "line a comment, too, or indent that one"
            )
            self.report.warnings.append(Problem(self.file, number, self.key, text))
        if line[0] not in "#;" or self.unclosed > 0:
            self.lines.append(line)
            self.unclosed += _unclosed(line)

    def _end_value(self) -> None:
        """Give the key all lines of its value."""
        if self.section is not None and self.key is not None and len(self.lines) > 1:
            before = self.section[self.key]
            self.section[self.key] = Entry("\n".join(self.lines).lstrip("\n"), before.file, before.line)
        self.key = None

    def _add_problem(self, number: int, text: str) -> None:
        self.report.problems.append(Problem(self.file, number, "", text))


def _unclosed(text: str) -> int:
    return text.count("{{") - text.count("}}")


def interpolate(value: str, variables: Mapping[str, str]) -> str:
    """`value` with `%%` replaced by `%` and `%(name)s` by a variable; any other `%` is kept.

    Raises KeyError with the name of an unknown variable.
    """

    def replaced(found: re.Match[str]) -> str:
        return "%" if found["name"] is None else variables[found["name"]]

    return _REFERENCE.sub(replaced, value)
