"""Reads a shell text with holes for values: how the values must be inserted, and which commands it has."""

import re
from typing import Final, NamedTuple

from pyrotorque.jobs.shell_commands import HOLE, CommandList, SimpleCommand, give
from pyrotorque.jobs.shell_quotes import ASSIGNED, HERE, Findings, Quotes, refusal

_OPERATOR: Final = re.compile(r";;&|;;|;&|&&|\|\||\|&|[;&|]")
_REDIRECTION: Final = re.compile(r"<<<|<<-|<<|<>|<&|<|>>|>\||>&|>|&>>|&>")


class ShellScript(NamedTuple):
    """For each hole, whether it is in double quotes already; and the commands."""

    quoted: list[bool]
    commands: list[SimpleCommand]


def read_shell(text: str) -> ShellScript:
    """The holes and commands of `text`; raises UserError if a value cannot be inserted in a hole."""
    found = Findings(text.count(HOLE))
    _ScriptReader(text, found).commands("", frozenset())
    for command in found.commands:
        command.given = frozenset(hole for number in command.given for hole in found.documents.get(number, (number,)))
    return ShellScript(found.quoted, found.commands)


class _HereDocument(NamedTuple):
    end: str
    is_indented: bool
    is_quoted: bool
    number: int


class _ScriptReader(Quotes):
    """Reads lists of commands, with their brackets, redirections and here-documents."""

    _awaited = 0

    def commands(self, closer: str, inherited: frozenset[int]) -> None:
        """Read commands up to the closing bracket."""
        self._deeper()
        given, refused = self._given, self._refused
        # The output of commands is split as usual: only the value itself may not stand there.
        self._refused = "" if refused == ASSIGNED else refused
        out, pending = CommandList(self._found.commands, inherited, self._holes), list[_HereDocument]()
        while self._at < len(self._text):
            self._skip_blanks()
            char = self._text[self._at : self._at + 1]
            if char == ")" and not out.closes_pattern(self._holes) and closer:
                break
            if char == "\n":
                self._at += 1
                out.operator(char, self._holes)
                self._here_documents(pending)
                out.documents_read(self._holes)
            elif char:
                self._given = out.piped
                self._token(char, out, pending)
        out.finish()
        if pending and closer:
            raise refusal("in a shell command where a here-document begins after its `)`")
        self._close(closer)
        self._given, self._refused = given, refused
        self._depth -= 1

    def _token(self, char: str, out: CommandList, pending: list[_HereDocument]) -> None:
        if char == "#":
            end = self._text.find("\n", self._at)
            self._found.quoted += [True] * self._take(end if end >= 0 else len(self._text)).count(HOLE)
        elif char == ")":
            self._at += 1
        elif char == "(":
            self._bracket(out)
        elif found := self._redirection():
            self._redirect(found, "", out, pending)
        elif found := _OPERATOR.match(self._text, self._at):
            self._at = found.end()
            out.operator(found[0], self._holes)
        else:
            start, word = self._holes, self._word()
            found = self._redirection()
            if found and word.plain and word.text.isdigit():
                self._redirect(found, word.text, out, pending)
            else:
                out.word(word, start)

    def _bracket(self, out: CommandList) -> None:
        """A subshell, the brackets of a function, the optional one of a pattern, or an array of bash."""
        is_array, first = self._text[self._at - 1 : self._at] == "=", len(self._found.commands)
        self._at += 1
        if not out.in_pattern:
            is_function = not out.is_empty
            self.commands(")", out.piped)
            if is_array:
                del self._found.commands[first:]
            else:
                # Any command of the text may be piped to a function.
                out.bracketed(first, frozenset(range(self._found.total)) if is_function else frozenset())

    def _redirection(self) -> re.Match[str] | None:
        return None if self._is_process() else _REDIRECTION.match(self._text, self._at)

    def _redirect(self, found: re.Match[str], number: str, out: CommandList, pending: list[_HereDocument]) -> None:
        start = self._at = found.end()
        self._skip_blanks()
        word, is_input = self._word(), number in ("", "0")
        if found[0] in ("<<", "<<-"):
            raw = self._text[start : self._at]
            if HOLE in raw:
                raise refusal("in the word that ends a here-document")
            document = self._found.total + len(self._found.documents)
            self._found.documents[document] = range(0)
            self._awaited += 1
            pending.append(_HereDocument(word.text, found[0] == "<<-", any(c in raw for c in "'\"\\"), document))
            if is_input:
                out.document(document)
        elif is_input and found[0] in ("<", "<>", "<<<"):
            give(out.targets(), word.values)

    def _here_documents(self, pending: list[_HereDocument]) -> None:
        if self._awaited > len(pending):
            raise refusal("in a shell command where a substitution has several lines before a here-document")
        self._awaited = 0
        for document in pending:
            start, body = self._holes, self._body(document)
            if document.is_quoted and HOLE in body:
                raise refusal("in a here-document with a quoted end in a shell command: write the end without quotes")
            if not document.is_quoted:
                inner = self._inner(body)
                inner.here_text()
                if not inner._is_closed and self._found.total:
                    raise refusal("in a shell command with a here-document that ends within a quote or bracket")
            self._found.documents[document.number] = range(start, self._holes)
        pending.clear()

    def _body(self, document: _HereDocument) -> str:
        lines: list[str] = []
        while self._at < len(self._text):
            end = self._text.find("\n", self._at) + 1
            line = self._take(end or len(self._text))
            bare = line.removesuffix("\n")
            if (bare.lstrip("\t") if document.is_indented else bare) == document.end:
                if not document.is_quoted and lines and re.search(r"(?<!\\)(?:\\\\)*\\\n\Z", lines[-1]):
                    raise refusal("in a shell command with a here-document whose end follows a \\")
                break
            lines.append(line)
        return "".join(lines)

    def here_text(self) -> None:
        while self._at < len(self._text):
            self._part(HERE)
