"""Evaluates expressions of templates in Jinja2's sandbox: no imports, no internals, bounded memory."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, nodes
from jinja2.environment import TemplateExpression
from jinja2.exceptions import SecurityError
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.meta import TrackingCodeGenerator
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.visitor import NodeTransformer

from pyrotorque.errors import TemplateError
from pyrotorque.templates.functions import FILTERS, FUNCTIONS, TEXT_MAX
from pyrotorque.templates.limits import BITS_MAX, SIZE_MAX, bounded, check_step, check_time, checked, size_of
from pyrotorque.text import printable

# fmt: off
_SAFE_FILTERS: Final = (
    "abs", "capitalize", "count", "d", "default", "first", "float", "int", "join", "last", "length", "list", "lower",
    "max", "min", "reject", "replace", "reverse", "round", "select", "sort", "string", "sum", "title", "trim",
    "truncate", "unique", "upper", "wordcount",
)
# fmt: on
# Each of these makes a text of any length from a short one.
_WIDENING: Final = frozenset(
    ("format", "format_map", "center", "ljust", "rjust", "zfill", "expandtabs", "translate", "to_bytes")
)
_WIDE: Final = re.compile(r"%[^a-zA-Z%]*(?:\d{4}|\*)")
_CONCATENATION: Final = "_concatenated"
"""The name of a filter in compiled expressions."""
_SOURCE_MAX: Final = 8_192
"""Characters of one expression: a larger one takes seconds to compile."""
_BRACKETS_MAX: Final = 190
"""Open brackets: Python's parser may take exponential time before it refuses 200."""
_FOLDED_DEPTH_MAX: Final = 30
"""Folding constants takes cubic time in the depth of an expression."""
_SEARCHED_MAX: Final = 1_000
"""Elements or characters in which `select` and `reject` look for each of theirs."""
_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|#[^\n]*""")
_BRACKET: Final = re.compile(r"[(\[{]|[)\]}]")

Evaluate = Callable[[Mapping[str, object]], object]


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, (str, bytes, int)) and attr in _WIDENING:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if getattr(value, "__name__", "") in ("format", "format_map"):
            raise SecurityError("format is not allowed; use ~ to join texts")
        return None

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        check_step(left, right)
        if operator == "**" and not (_small(left, 10_000) and _small(right, 64)):
            raise SecurityError("a power of numbers this large is not allowed")
        if operator == "*" and not _bounded_product(left, right):
            raise SecurityError("a text, list or number this long is not allowed")
        if operator == "%" and isinstance(left, (str, bytes)):
            _check_fields(str(left), right)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        check_step(owner, *args, *kwargs.values())
        if isinstance(owner, (str, bytes)):
            if name == "replace" and len(args) >= 2:
                _check_replacement(owner, *args[:2])
            if name == "join" and args:
                args = (_joinable(owner, args[0]), *args[1:])
        return _bounded(checked(super().call(context, obj, *args, **kwargs)))

    def _compile(self, source: str, filename: str) -> Any:
        depth = 0
        for bracket in _BRACKET.findall(_QUOTED.sub("", source)):
            depth += 1 if bracket in "([{" else -1
            if depth > _BRACKETS_MAX:
                raise SecurityError("this is nested too deeply")
        return super()._compile(source, filename)


def _small(value: object, limit: int) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= limit


def _bounded_product(left: object, right: object) -> bool:
    if isinstance(left, int) and isinstance(right, int):
        return left.bit_length() + right.bit_length() <= BITS_MAX
    for value, times in ((left, right), (right, left)):
        if isinstance(value, (str, bytes, list, tuple)) and isinstance(times, int):
            return len(value) * times <= TEXT_MAX and size_of(value) * times <= SIZE_MAX
    return True


def _check_fields(text: str, values: object) -> None:
    """Each field of `text % values` may be any of the values, as often as it likes."""
    if _WIDE.search(text):
        raise SecurityError("a field this wide is not allowed")
    if len(text) + text.count("%") * size_of(values) > SIZE_MAX:
        raise SecurityError("a text this long is not allowed")


def _check_replacement(text: Any, old: Any, new: Any) -> None:
    if len(str(old)) + len(str(new)) > 1_000:
        raise SecurityError("a replacement this long is not allowed")
    if len(text) + text.count(old) * len(new) > SIZE_MAX:
        raise SecurityError("a text this long is not allowed")


def _joinable(separator: Any, values: Iterable[Any]) -> list[Any]:
    found: list[Any] = checked(list(values))
    if len(found) * len(separator) > SIZE_MAX:
        raise SecurityError("a text this long is not allowed")
    return found


def _bounded(value: Any) -> Any:
    if isinstance(value, (str, bytes)) and len(value) > TEXT_MAX:
        raise SecurityError(f"a text of more than {TEXT_MAX} characters is not allowed")
    return value


def _checked_replace(replace: Callable[..., Any]) -> Callable[..., Any]:
    """Jinja's filter, whose first argument is its own."""

    @functools.wraps(replace)
    def step(own: Any, text: Any, old: Any, new: Any, *rest: Any, **named: Any) -> Any:
        _check_replacement(str(text), str(old), str(new))
        return replace(own, text, old, new, *rest, **named)

    return step


def _checked_join(join: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(join)
    def step(own: Any, values: Iterable[Any], d: Any = "", *rest: Any, **named: Any) -> Any:
        return join(own, _joinable(str(d), values), d, *rest, **named)

    return step


def _concatenated(*values: object) -> str:
    return "".join(map(str, values))


class _Steps(NodeTransformer):
    """Makes each concatenation a filter, which is a step with limits."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        first, *rest = node.nodes
        return nodes.Filter(first, _CONCATENATION, rest, [], None, None, lineno=node.lineno)


def _is_in(value: Any, values: Any) -> bool:
    if isinstance(values, (str, list, tuple)) and len(values) > _SEARCHED_MAX:
        raise SecurityError(f"a search in more than {_SEARCHED_MAX} elements or characters is not allowed")
    return value in values


@functools.cache
def _environment(optimized: bool = True) -> _Sandbox:
    sandbox = _Sandbox(undefined=StrictUndefined, autoescape=False, optimized=optimized)
    filters: dict[str, Any] = {name: JINJA_FILTERS[name] for name in _SAFE_FILTERS}
    filters |= {"replace": _checked_replace(filters["replace"]), "join": _checked_join(filters["join"]), **FILTERS}
    filters[_CONCATENATION] = _concatenated
    filters = {name: bounded(function) for name, function in filters.items()}
    functions: dict[str, Any] = {**FUNCTIONS, "range": safe_range}
    for known, ours in ((sandbox.filters, filters), (sandbox.globals, functions)):
        known.clear()
        known.update(ours)
    sandbox.tests["in"] = _is_in
    return sandbox


def _is_deep(expression: nodes.Node) -> bool:
    level = [expression]
    for _ in range(_FOLDED_DEPTH_MAX):
        level = [child for node in level for child in node.iter_child_nodes()]
    return bool(level)


def _names(whole: nodes.Template, sandbox: _Sandbox) -> set[str]:
    """As jinja2.meta.find_undeclared_variables, which always folds constants."""
    generator = TrackingCodeGenerator(sandbox)
    if not sandbox.optimized:
        generator.optimizer = None
    generator.visit(whole)
    return generator.undeclared_identifiers


def compile_expression(source: str) -> tuple[Evaluate, frozenset[str]]:
    """A function that returns the value of `source` for a namespace, and the names that it reads.

    It is compiled in little time, whatever it is.
    """
    if len(source) > _SOURCE_MAX:
        raise TemplateError(f"{printable(source[:200])}: an expression of more than {_SOURCE_MAX} characters")
    check_time()
    sandbox = _environment()
    try:
        parser = Parser(sandbox, source, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            raise TemplateError(f"{printable(source)}: {printable(str(parser.stream.current))} is not expected here")
        sandbox = _environment(not _is_deep(expression))
        result = nodes.Assign(nodes.Name("result", "store"), _Steps().visit(expression), lineno=1)
        whole = nodes.Template([result], lineno=1)
        whole.set_environment(sandbox)
        names = _names(whole, sandbox) - FUNCTIONS.keys() - {"range"}
        compiled = TemplateExpression(sandbox.from_string(whole), undefined_to_none=False)
    except (JinjaError, RecursionError, ValueError, SyntaxError, MemoryError) as error:
        raise TemplateError(f"{printable(source[:200])}: {printable(str(error)[:200])}") from None
    return lambda namespace: checked(compiled(namespace)), frozenset(names)
