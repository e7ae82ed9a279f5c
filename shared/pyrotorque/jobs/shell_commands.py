"""The simple commands of a shell text, and which values each of them gets as input."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

HOLE: Final = "\0"
"""Stands for a value in a shell text: no text of a template contains it."""

_MIDDLES: Final = frozenset(("then", "else", "elif", "do", "!"))
_OPENERS: Final = frozenset(("{", "if", "while", "until", "for", "select", "case"))
_CLOSERS: Final = frozenset(("}", "fi", "done", "esac"))
_NOTHING: Final = frozenset[int]()


@dataclass(frozen=True, slots=True)
class ShellWord:
    """A word without its quotes, and the numbers of the values in it; `plain` if it had no quotes."""

    text: str
    values: range = range(0)
    plain: bool = False


@dataclass(slots=True)
class SimpleCommand:
    """A program with its words; `given` are the values that it may read from its standard input."""

    words: list[ShellWord] = field(default_factory=list[ShellWord])
    given: frozenset[int] = _NOTHING
    redirected: bool = False


@dataclass(slots=True)
class _Group:
    """A compound command that is open: where its pipeline and its commands begin, and what it gets as input."""

    start: int
    first: int
    inherited: frozenset[int]
    piped: frozenset[int]
    case: str = ""
    documents: frozenset[int] = _NOTHING


class CommandList:
    """Collects the commands between two brackets; the reader of the text reports its words and operators."""

    def __init__(self, found: list[SimpleCommand], inherited: frozenset[int], start: int) -> None:
        self._found = found
        self._groups = [_Group(start, len(found), inherited, inherited)]
        self._command = SimpleCommand()
        self._compound: Sequence[SimpleCommand] = ()
        self._is_loop_head = False
        self._continues = False

    @property
    def piped(self) -> frozenset[int]:
        """The values that the next command may read from its standard input."""
        return self._groups[-1].piped

    @property
    def is_empty(self) -> bool:
        return not self._command.words

    def word(self, word: ShellWord, start: int) -> None:
        group, self._continues = self._groups[-1], False
        if group.case in ("subject", "in", "pattern"):
            self._case_word(group, word)
        elif self._is_loop_head:
            self._is_loop_head = word.text != "do"
        elif self._command.words or not (word.plain and self._is_keyword(word.text, start)):
            self._command.words.append(word)
            self._compound = ()

    def _case_word(self, group: _Group, word: ShellWord) -> None:
        if group.case == "pattern":
            if word.text == "esac" and word.plain:
                self._close_group()
        else:
            group.case = "in" if group.case == "subject" else "pattern"

    def _is_keyword(self, text: str, start: int) -> bool:
        if text in _OPENERS:
            piped = self.piped
            self._groups.append(_Group(start, len(self._found), piped, piped, "subject" if text == "case" else ""))
            self._is_loop_head = text in ("for", "select")
        elif text in _CLOSERS:
            self._close_group()
        return text in _OPENERS or text in _CLOSERS or text in _MIDDLES

    def _close_group(self) -> None:
        if len(self._groups) > 1:
            self._compound = self._found[self._groups.pop().first :]

    def closes_pattern(self, start: int) -> bool:
        """Whether a `)` only ends the pattern of a `case`."""
        group = self._groups[-1]
        if group.case != "pattern":
            return False
        group.case, group.start, group.piped = "body", start, group.inherited
        return True

    @property
    def in_pattern(self) -> bool:
        return self._groups[-1].case == "pattern"

    def operator(self, text: str, start: int) -> None:
        """The command ends with one of ; & | && || ;; and the like, or with its line."""
        group = self._groups[-1]
        if text == "\n" and self._continues and self.is_empty:
            return
        self.finish()
        if group.case == "body" and text in (";;", ";&", ";;&"):
            group.case = "pattern"
        if text in ("|", "|&") and group.case != "pattern":
            group.piped = group.piped | group.documents | frozenset(range(group.start, start))
        else:
            group.start, group.piped, group.documents = start, group.inherited, _NOTHING
        self._is_loop_head, self._continues = False, text in ("|", "|&", "&&", "||")

    def finish(self) -> None:
        command = self._command
        if command.words:
            command.given |= _NOTHING if command.redirected else self.piped
            self._found.append(command)
        self._command, self._compound = SimpleCommand(), ()

    def bracketed(self, first: int, given: frozenset[int]) -> None:
        """The commands since `first` were between brackets; `given` may be the input of what follows."""
        self._groups[-1].piped |= given
        self._command, self._compound, self._continues = SimpleCommand(), self._found[first:], False

    def document(self, number: int) -> None:
        """A here-document is the input of the command here, and of what its output is piped to."""
        give(self.targets(), (number,))
        for group in self._groups:
            group.documents |= {number}

    def documents_read(self, start: int) -> None:
        """The values of here-documents belong to the commands before."""
        if not self._continues:
            self._groups[-1].start = start

    def targets(self) -> Sequence[SimpleCommand]:
        """The commands that a redirection here applies to."""
        return self._compound if self.is_empty and self._compound else [self._command]


def give(targets: Sequence[SimpleCommand], values: Iterable[int]) -> None:
    """The standard input of these commands is a text with these values."""
    for target in targets:
        target.given |= frozenset(values)
        target.redirected = True
