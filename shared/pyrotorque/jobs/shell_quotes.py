"""Quotes and substitutions in a shell text with holes for values: how a parameter in each hole must be written.

A value must be text of one word. The rules are those of POSIX sh, and what bash adds where `sh` may be bash. Where
shells differ, or a value would not stay as it is, a UserError is raised.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Final, Self

from pyrotorque.errors import UserError
from pyrotorque.jobs.shell_commands import HOLE, ShellWord, SimpleCommand

PLAIN, DOUBLE, HERE = "plain", "double", "here"
_META: Final = frozenset(" \t\n;&|()<>")
_PARAMETER: Final = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*|\d+|[@*#?$!-])(:?[-=?+]|##?|%%?)")
_BLANKS: Final = re.compile(r"(?:[ \t]|\\\n)+")
_DEPTH_MAX: Final = 60
ASSIGNED: Final = "after = between ${ and } in a shell command: put it in double quotes"


def refusal(where: str) -> UserError:
    return UserError(f"a value cannot be inserted {where}")


@dataclass(slots=True)
class Findings:
    """What was read so far: for each hole, whether it is quoted already; the commands; the values in here-documents.

    A here-document has a number after those of the holes: it is read later than the command that gets it.
    """

    total: int
    quoted: list[bool] = field(default_factory=list[bool])
    commands: list[SimpleCommand] = field(default_factory=list[SimpleCommand])
    documents: dict[int, range] = field(default_factory=dict[int, range])


class Quotes(ABC):
    """Reads words; texts between backticks and here-documents have readers of their own."""

    def __init__(self, text: str, found: Findings, depth: int = 0) -> None:
        self._text = text
        self._at = 0
        self._found, self._depth = found, depth
        self._refused = ""
        self._given = frozenset[int]()
        self._is_closed = True

    @abstractmethod
    def commands(self, closer: str, inherited: frozenset[int]) -> None:
        """Read commands up to the closing bracket."""

    def _inner(self, text: str) -> Self:
        inner = type(self)(text, self._found, self._depth)
        inner._refused, inner._given = self._refused, self._given
        return inner

    def _word(self) -> ShellWord:
        begin, start, parts = self._at, self._holes, list[str]()
        while self._at < len(self._text) and (self._text[self._at] not in _META or self._is_process()):
            parts.append(self._process() if self._is_process() else self._part(PLAIN))
        text = "".join(parts)
        return ShellWord(text, range(start, self._holes), text == self._text[begin : self._at])

    def _is_process(self) -> bool:
        return self._text.startswith(("<(", ">("), self._at)

    def _process(self) -> str:
        begin, is_output = self._at, self._text[self._at] == ">"
        self._at += 2
        # What is written to it may follow.
        self.commands(")", frozenset(range(self._found.total)) if is_output else self._given)
        return self._text[begin : self._at]

    def _part(self, context: str) -> str:
        """The next character, substitution or quoted text, without quotes."""
        char = self._take(self._at + 1)
        if char == HOLE:
            if self._refused:
                raise refusal(self._refused)
            self._found.quoted.append(context != PLAIN)
        elif char == "\\":
            return self._escaped(context)
        elif char == "$":
            return self._dollar(context)
        elif char == "`":
            return self._backticks(context)
        elif context == PLAIN and char == "'":
            return self._single()
        elif context == PLAIN and char == '"':
            return self._until('"', DOUBLE)
        return char

    def _escaped(self, context: str) -> str:
        char = self._take(self._at + 1)
        if char == HOLE:
            raise refusal("directly after a \\ or $ in a shell command")
        if char == "\n":
            return ""
        return char if context == PLAIN or char in '$`"\\' else f"\\{char}"

    def _single(self) -> str:
        end = self._text.find("'", self._at)
        inside = self._take(end if end >= 0 else len(self._text))
        self._close("'")
        if HOLE in inside:
            raise refusal("between single quotes in a shell command: use double ones")
        return inside

    def _until(self, closer: str, context: str, nested: str = "") -> str:
        self._deeper()
        parts: list[str] = []
        while self._at < len(self._text) and self._text[self._at] != closer:
            if self._text[self._at] == nested:
                self._at += 1
                parts.append(self._until(nested, DOUBLE))
            else:
                parts.append(self._part(context))
        self._close(closer)
        self._depth -= 1
        return "".join(parts)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise refusal(f"in a shell command with more than {_DEPTH_MAX} nested quotes and substitutions")

    def _dollar(self, context: str) -> str:
        begin, char = self._at - 1, self._text[self._at : self._at + 1]
        if char == HOLE:
            raise refusal("directly after a \\ or $ in a shell command")
        if char == "'" and context == PLAIN:
            return self._ansi_quoted()
        if char in ("(", "{", "["):
            self._at += 1
            if char == "(":
                self.commands(")", self._given)
            elif char == "{":
                self._parameter(context)
            else:
                self._without_values("]", context, "between $[ and ] in a shell command: some shells evaluate it")
        elif char == "$":
            self._at += 1
        return self._text[begin : self._at]

    def _ansi_quoted(self) -> str:
        self._at += 1
        inside = self._single()
        if inside.endswith("\\"):
            raise refusal("in a shell command with \\' between $' and ': not every shell reads it alike")
        return inside

    def _parameter(self, context: str) -> None:
        """What follows in `${name:-word}`."""
        found = _PARAMETER.match(self._text, self._at)
        if not found:
            self._without_values("}", context, "there between ${ and } in a shell command")
            return
        self._at = found.end()
        if found[1][0] in "#%":
            if context == HERE:
                self._without_values("}", PLAIN, "in a pattern between ${ and } in a here-document")
            else:
                self._until("}", PLAIN)
        elif found[1][-1] == "=" and context == PLAIN:
            self._without_values("}", context, ASSIGNED)
        else:
            self._until("}", context, '"' if context == DOUBLE else "")

    def _without_values(self, closer: str, context: str, reason: str) -> None:
        before, self._refused = self._refused, reason
        self._until(closer, context)
        self._refused = before

    def _backticks(self, context: str) -> str:
        begin = self._at - 1
        found = re.compile(r"(?:[^`\\]|\\.)*", re.DOTALL).match(self._text, self._at)
        inside = self._take(found.end() if found else self._at)
        self._close("`")
        if context == HERE and '\\"' in inside and HOLE in inside:
            raise refusal('in a shell command with \\" between backticks in a here-document: use $( )')
        inner = self._inner(re.sub(r'\\([$`\\"])' if context == DOUBLE else r"\\([$`\\])", r"\1", inside))
        inner.commands("", self._given)
        if not inner._is_closed and HOLE in inside:
            raise refusal("between backticks with an open quote or bracket in a shell command")
        return self._text[begin : self._at]

    @property
    def _holes(self) -> int:
        return len(self._found.quoted)

    def _skip_blanks(self) -> None:
        if found := _BLANKS.match(self._text, self._at):
            self._at = found.end()

    def _take(self, end: int) -> str:
        begin, self._at = self._at, end
        return self._text[begin:end]

    def _close(self, closer: str) -> None:
        """Skip the closing character; without it, the shell reports the text as incomplete."""
        if closer and self._at >= len(self._text):
            self._is_closed = False
        self._at += len(closer)
