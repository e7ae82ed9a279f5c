"""Compiles a template and renders it to pieces: written text and inserted values."""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from pyrotorque.errors import TemplateError
from pyrotorque.template_files import FILE, SOURCE_MAX, read_template
from pyrotorque.templates.functions import TEXT_MAX
from pyrotorque.templates.limits import RENDER_SECONDS, check_time, limited
from pyrotorque.templates.syntax import (
    Assignment,
    Expression,
    IfBlock,
    Literal,
    Loop,
    Node,
    expressions,
    parse_fields,
    parse_template,
)
from pyrotorque.text import printable

_TURNS_MAX: Final = 10_000
_SHAPES_MAX: Final = 256
_VALUES_AT_ONCE: Final = 64
"""Values after which the time is looked at; each step of an expression does so by itself."""
_SYMBOLS_MAX: Final = 500_000
"""Characters and values in all shapes of a template together: each is parsed once."""
_PLAIN_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# Constants and operators of Jinja2, which are not names.
_WORDS: Final = frozenset(
    ("true", "True", "false", "False", "none", "None", "not", "and", "or", "in", "is", "if", "else")
)

Value = TypeVar("Value")
Evaluate: TypeAlias = Callable[[Mapping[str, object]], object]


@dataclass(frozen=True, slots=True)
class Inserted:
    """A value that a template inserted into its text, and the names of the namespace that it depends on."""

    text: str
    fields: frozenset[str]
    line: int


Piece: TypeAlias = str | Inserted


Compiled: TypeAlias = Mapping[str, tuple[Evaluate, frozenset[str]]]


class Template:
    """A compiled template; rendering depends only on the namespace, the clock and `mtime`, and is bounded."""

    def __init__(self, source: str, nodes: list[Node]) -> None:
        self.source = source
        self._nodes = nodes
        self._compiled: Compiled = {node.source: _compile(node) for node in expressions(nodes)}

    @property
    def fields(self) -> frozenset[str]:
        """The names that the template reads from its namespace."""
        return self._read(self._nodes)

    def render(self, namespace: Mapping[str, object]) -> str:
        return "".join(piece if isinstance(piece, str) else piece.text for piece in self.pieces(namespace))

    def pieces(self, namespace: Mapping[str, object]) -> list[Piece]:
        """The text for `namespace`; inserted values are separate pieces."""
        with limited(RENDER_SECONDS):
            return list(_Rendering(self._compiled, namespace).run(self._nodes))

    def shapes(self) -> Iterator[list[Piece]]:
        """The possible texts for any values: each case of its conditions, loops with 0 to 2 turns.

        Of many combinations, and of long texts, it is a selection: what must not be in the text is to be looked for in
        the rendered one, too.
        """
        return iter(_shapes(self._nodes, self._compiled))

    def _read(self, nodes: Iterable[Node]) -> frozenset[str]:
        """The names that are read before the template sets them."""
        read, own = set[str](), set[str]()
        for node in nodes:
            match node:
                case Literal():
                    pass
                case Expression():
                    read |= self._compiled[node.source][1] - own
                case Assignment():
                    read |= self._compiled[node.source][1] - own
                    own.add(node.name)
                case IfBlock():
                    for test, body in node.cases:
                        read |= (self._compiled[test.source][1] - own) if test else set()
                        read |= self._read(body) - own
                        own |= {inner.name for inner in body if isinstance(inner, Assignment)}
                case Loop():
                    read |= self._compiled[node.values.source][1] - own
                    read |= self._read(node.body) - own - {*node.names, "loop"}
        return frozenset(read)


def compile_template(text: str, *, templates: Path | None = None) -> Template:
    """The template in `text`.

    Text that starts with `{{` (after spaces) is a template, `file:PATH` names a file with one (absolute, `~/…`, or
    below the folder `templates`), and in any other text `%(field)s` is replaced; write `%%` for a `%` before `(`.
    The additional `%%` of INI files was resolved before.
    """
    source = text.strip()
    return compile_source(read_template(source, templates) if source.startswith(FILE) else source)


def compile_source(source: str) -> Template:
    """Like `compile_template`, for text that names no file, such as one argument of a program."""
    if len(source) > SOURCE_MAX:
        raise TemplateError(f"a template has {len(source)} characters, the limit is {SOURCE_MAX}")
    if "\0" in source:
        raise TemplateError("a template contains a NUL byte")
    return Template(source, parse_template(source) if source.startswith("{{") else parse_fields(source))


def _compile(node: Expression | Assignment) -> tuple[Evaluate, frozenset[str]]:
    source = node.source
    if _PLAIN_NAME.fullmatch(source) and source not in _WORDS:
        return lambda namespace: _look_up(namespace, source), frozenset({source})
    # Imported late: most configurations insert only plain names, and it costs megabytes in a service.
    from pyrotorque.templates.sandbox import compile_expression

    try:
        return compile_expression(source)
    except TemplateError as error:
        raise TemplateError(f"line {node.line}: {error}") from None


def _look_up(namespace: Mapping[str, object], name: str) -> object:
    if name in namespace:
        return namespace[name]
    raise TemplateError(f"{name} is not defined here")


class _Rendering:
    def __init__(self, compiled: Compiled, namespace: Mapping[str, object]) -> None:
        self.compiled = compiled
        self.names = dict(namespace)
        self.turns = 0
        self.values = 0
        self.length = 0

    def run(self, nodes: Iterable[Node]) -> Iterator[Piece]:
        for node in nodes:
            match node:
                case Literal():
                    yield self._counted(node.text)
                case Expression():
                    text = self._counted(self._value(node, _as_text))
                    yield Inserted(text, self.compiled[node.source][1], node.line)
                case Assignment():
                    if not (node.only_default and node.name in self.names):
                        self.names[node.name] = self._value(node, _as_is)
                case IfBlock():
                    yield from self.run(self._chosen(node))
                case Loop():
                    yield from self._loop(node)

    def _chosen(self, condition: IfBlock) -> list[Node]:
        for test, body in condition.cases:
            if test is None or self._value(test, bool):
                return body
        return []

    def _loop(self, loop: Loop) -> Iterator[Piece]:
        values = self._value(loop.values, _as_list)
        outer = dict(self.names)
        for index, value in enumerate(values):
            self.turns += 1
            if self.turns > _TURNS_MAX:
                raise TemplateError(f"line {loop.values.line}: more than {_TURNS_MAX} turns of loops")
            self.names.update(_unpacked(loop, value))
            self.names["loop"] = {"index": index + 1, "first": index == 0, "last": index + 1 == len(values)}
            yield from self.run(loop.body)
        self.names = outer

    def _value(self, node: Expression | Assignment, convert: Callable[[object], Value]) -> Value:
        try:
            self.values += 1
            if self.values % _VALUES_AT_ONCE == 0:
                check_time()
            return convert(self.compiled[node.source][0](self.names))
        except Exception as error:  # an expression can raise any exception
            reason = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
            raise TemplateError(
                f"line {node.line}: {printable(node.source[:200])}: {printable(reason[:200])}"
            ) from None

    def _counted(self, text: str) -> str:
        self.length += len(text)
        if self.length > TEXT_MAX:
            raise TemplateError(f"the text of the template has more than {TEXT_MAX} characters")
        return text


def _shapes(nodes: Iterable[Node], compiled: Compiled) -> list[list[Piece]]:
    """Every combination if there are few short ones, else a selection: with each case, unless they are long, too."""
    check_time()
    options = [_options(node, compiled) for node in nodes]
    largest = sum(max(map(_symbols, each)) for each in options)
    most = max(1, min(_SHAPES_MAX, _SYMBOLS_MAX // max(1, largest)))
    if math.prod(map(len, options)) <= most:
        chosen: Iterable[tuple[list[Piece], ...]] = itertools.product(*options)
    else:
        widest = min(most, max(map(len, options)))
        chosen = [tuple(each[turn % len(each)] for each in options) for turn in range(widest)]
    return [list(itertools.chain.from_iterable(parts)) for parts in chosen]


def _symbols(pieces: Iterable[Piece]) -> int:
    return sum(len(piece) if isinstance(piece, str) else 1 for piece in pieces)


def _options(node: Node, compiled: Compiled) -> list[list[Piece]]:
    match node:
        case Literal():
            return [[node.text]]
        case Expression():
            return [[Inserted("x", compiled[node.source][1], node.line)]]
        case Assignment():
            return [[]]
        case IfBlock():
            otherwise: list[list[Piece]] = [] if node.cases[-1][0] is None else [[]]
            return [shape for _, body in node.cases for shape in _shapes(body, compiled)] + otherwise
        case Loop():
            once = _shapes(node.body, compiled)
            is_short = sum(map(_symbols, once)) <= _SYMBOLS_MAX // 3
            return [*once, *(shape * 2 for shape in once if is_short), []]


def _unpacked(loop: Loop, value: object) -> dict[str, object]:
    if len(loop.names) == 1:
        return {loop.names[0]: value}
    try:
        return dict(zip(loop.names, _as_list(value), strict=True))
    except ValueError:
        raise TemplateError(f"line {loop.values.line}: the values do not fit the {len(loop.names)} names") from None


def _as_is(value: object) -> object:
    return value


def _as_list(value: object) -> list[object]:
    if not isinstance(value, Iterable):
        raise TemplateError(f"{type(value).__name__} cannot be looped over")
    return list(itertools.islice(value, _TURNS_MAX + 1))


def _as_text(value: object) -> str:
    """None is empty, several values are joined by commas, and bytes are kept."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, (set, frozenset)):
        return ",".join(sorted(map(str, value)))
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
