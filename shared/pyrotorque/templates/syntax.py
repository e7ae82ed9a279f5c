"""Parses the `{{…}}` syntax into a tree of literal text, expressions, conditions and loops."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from pyrotorque.errors import TemplateError
from pyrotorque.text import printable

_NAME = r"[A-Za-z][A-Za-z0-9_]*"
_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_ASSIGNMENT = re.compile(rf"({_NAME})\s*=(?!=)\s*(.+)", re.DOTALL)
_LOOP = re.compile(rf"({_NAME}(?:\s*,\s*{_NAME})*)\s+in\s+(.+)", re.DOTALL)
_FIELD = re.compile(rf"%(?:%|\(({_NAME})\)s)")
_STATEMENTS = "if|elif|else|endif|for|endfor|default|set"
_KEYWORD = re.compile(rf"({_STATEMENTS}|break|continue|inherit|def|enddef|py)\b\s*:?\s*(.*)", re.DOTALL)
# Readers of the tree call themselves for each block.
_DEPTH_MAX = 100
_UNSUPPORTED = {
    "py": "Python code in templates is not supported: use an expression, {{set name = …}}, or a filter",
    "inherit": "inheritance between templates is not supported",
    "def": "functions cannot be defined in a template",
    "enddef": "functions cannot be defined in a template",
    "break": "break and continue are not supported in loops",
    "continue": "break and continue are not supported in loops",
}


@dataclass(frozen=True, slots=True)
class Literal:
    text: str


@dataclass(frozen=True, slots=True)
class Expression:
    source: str
    line: int


@dataclass(frozen=True, slots=True)
class Assignment:
    name: str
    source: str
    line: int
    only_default: bool


@dataclass(slots=True)
class IfBlock:
    """The cases in order; the last one has no test if it is an else."""

    cases: "list[tuple[Expression | None, list[Node]]]"


@dataclass(slots=True)
class Loop:
    names: tuple[str, ...]
    values: Expression
    body: "list[Node]" = field(default_factory=list)


Node: TypeAlias = Literal | Expression | Assignment | IfBlock | Loop


def parse_fields(text: str) -> list[Node]:
    """The nodes of a text without `{{`: `%(field)s` inserts a value, `%%` is a percent sign, any other `%` is kept."""
    nodes: list[Node] = []
    at = 0
    for found in _FIELD.finditer(text):
        nodes.append(Literal(text[at : found.start()]))
        nodes.append(Expression(found[1], _line(text, found.start())) if found[1] else Literal("%"))
        at = found.end()
    return _without_empty([*nodes, Literal(text[at:])])


def parse_template(text: str) -> list[Node]:
    """The nodes of a text with `{{…}}` tags; raises TemplateError with the line of the error."""
    return _TemplateParser(text).read()


def _without_empty(nodes: list[Node]) -> list[Node]:
    return [node for node in nodes if node != Literal("")]


class _TemplateParser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.root: list[Node] = []
        self.open: list[tuple[IfBlock | Loop, int]] = []
        self.body = self.root

    def read(self) -> list[Node]:
        at = 0
        # Behind the last }} each {{ would be looked for up to the end of the text.
        for found in _TAG.finditer(self.text, 0, self.text.rfind("}}") + 2):
            at = self._text(at, found)
            self._tag(found[1].strip(), _line(self.text, found.start()))
        self._literal(self.text[at:], at)
        if self.open:
            word, line = _word(self.open[-1][0]), self.open[-1][1]
            raise TemplateError(f"line {line}: {{{{{word}}}}} is not closed: {{{{end{word}}}}} is missing")
        return self.root

    def _text(self, at: int, tag: re.Match[str]) -> int:
        """Add the text before a tag; of a line with only a statement nothing remains."""
        before, after = self.text[at : tag.start()], tag.end()
        inner = tag[1].strip()
        indent = re.search(r"(?:^|(?<=\n))[ \t]*$", before)
        rest = re.compile(r"[ \t]*(?:\n|$)").match(self.text, after)
        if (inner[:1] == "#" or _KEYWORD.match(inner)) and indent and rest and (before or at == 0 or self._fresh(at)):
            before, after = before[: indent.start()], rest.end()
        self._literal(before, at)
        return after

    def _fresh(self, at: int) -> bool:
        return self.text[at - 1] == "\n"

    def _literal(self, text: str, at: int) -> None:
        for stray in ("{{", "}}"):
            if stray in text:
                raise TemplateError(f"line {_line(self.text, at + text.index(stray))}: unmatched {stray}")
        if text:
            self.body.append(Literal(text))

    def _tag(self, inner: str, line: int) -> None:
        if inner.startswith("#"):
            return
        keyword = _KEYWORD.fullmatch(inner)
        if keyword is None:
            self.body.append(_expression(inner, line))
        elif keyword[1] in _UNSUPPORTED:
            raise TemplateError(f"line {line}: {{{{{keyword[1]}}}}}: {_UNSUPPORTED[keyword[1]]}")
        else:
            self._statement(keyword[1], keyword[2].strip().removesuffix(":").rstrip(), line)

    def _statement(self, word: str, rest: str, line: int) -> None:
        match word:
            case "if":
                body: list[Node] = []
                self._begin(IfBlock([(_expression(rest, line), body)]), body, line)
            case "for":
                self._begin_loop(rest, line)
            case "elif" | "else":
                self._next_case(word, rest, line)
            case "endif" | "endfor":
                self._end(word, rest, line)
            case _:
                self._assign(word, rest, line)

    def _begin(self, node: IfBlock | Loop, body: list[Node], line: int) -> None:
        if len(self.open) == _DEPTH_MAX:
            raise TemplateError(f"line {line}: more than {_DEPTH_MAX} blocks are nested")
        self.body.append(node)
        self.open.append((node, line))
        self.body = body

    def _begin_loop(self, rest: str, line: int) -> None:
        found = _LOOP.fullmatch(rest)
        if found is None:
            raise TemplateError(f"line {line}: {{{{for {printable(rest)}}}}} should be {{{{for NAME in VALUES}}}}")
        loop = Loop(tuple(re.findall(_NAME, found[1])), _expression(found[2], line))
        self._begin(loop, loop.body, line)

    def _next_case(self, word: str, rest: str, line: int) -> None:
        node = self.open[-1][0] if self.open else None
        if not isinstance(node, IfBlock) or node.cases[-1][0] is None:
            raise TemplateError(f"line {line}: {{{{{word}}}}} without an {{{{if}}}} before it")
        if (word == "elif") != bool(rest):
            raise TemplateError(f"line {line}: {{{{elif}}}} needs a condition, {{{{else}}}} takes none")
        self.body = []
        node.cases.append((_expression(rest, line) if rest else None, self.body))

    def _end(self, word: str, rest: str, line: int) -> None:
        node = self.open.pop()[0] if self.open else None
        if node is None or rest or f"end{_word(node)}" != word:
            raise TemplateError(f"line {line}: {{{{{word}}}}} does not match an open block")
        outer = self.open[-1][0] if self.open else None
        self.body = self.root if outer is None else outer.body if isinstance(outer, Loop) else outer.cases[-1][1]

    def _assign(self, word: str, rest: str, line: int) -> None:
        found = _ASSIGNMENT.fullmatch(rest)
        if found is None:
            raise TemplateError(f"line {line}: {{{{{word} {printable(rest)}}}}} should be {{{{{word} NAME = VALUE}}}}")
        self.body.append(Assignment(found[1], found[2], line, word == "default"))


def expressions(nodes: list[Node]) -> Iterator[Expression | Assignment]:
    """Every expression in the tree."""
    for node in nodes:
        match node:
            case Literal():
                pass
            case Expression() | Assignment():
                yield node
            case IfBlock():
                for test, body in node.cases:
                    yield from [test] if test else []
                    yield from expressions(body)
            case Loop():
                yield node.values
                yield from expressions(node.body)


def _expression(source: str, line: int) -> Expression:
    if not source:
        raise TemplateError(f"line {line}: an expression is missing between the braces")
    return Expression(source, line)


def _word(node: IfBlock | Loop) -> str:
    return "if" if isinstance(node, IfBlock) else "for"


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
