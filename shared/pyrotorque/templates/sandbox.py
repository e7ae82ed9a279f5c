"""Evaluates expressions of templates in Jinja2's sandbox: no imports, no internals, bounded memory."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range

from pyrotorque.errors import TemplateError
from pyrotorque.templates.functions import FILTERS, FUNCTIONS, TEXT_MAX
from pyrotorque.text import printable

# fmt: off
_SAFE_FILTERS: Final = (
    "abs", "capitalize", "count", "d", "default", "first", "float", "int", "join", "last", "length", "list", "lower",
    "max", "min", "reject", "replace", "reverse", "round", "select", "sort", "string", "sum", "title", "trim",
    "truncate", "unique", "upper", "wordcount",
)
# fmt: on
# Each of these makes a text of any length from a short one.
_WIDENING: Final = frozenset(("format", "format_map", "center", "ljust", "rjust", "zfill", "expandtabs", "translate"))
_WIDE: Final = re.compile(r"%[^a-zA-Z%]*(?:\d{4}|\*)")

Evaluate = Callable[[Mapping[str, object]], object]


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(("*", "**", "%"))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, (str, bytes)) and attr in _WIDENING:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if getattr(value, "__name__", "") in ("format", "format_map"):
            raise SecurityError("format is not allowed; use ~ to join texts")
        return None

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and not (_small(left, 10_000) and _small(right, 64)):
            raise SecurityError("a power of numbers this large is not allowed")
        if operator == "*" and not _bounded_product(left, right):
            raise SecurityError("a text or list this long is not allowed")
        if operator == "%" and isinstance(left, (str, bytes)) and _WIDE.search(str(left)):
            raise SecurityError("a field this wide is not allowed")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(obj, "__name__", "") == "replace" and sum(len(str(arg)) for arg in args) > 1_000:
            raise SecurityError("a replacement this long is not allowed")
        return _bounded(super().call(context, obj, *args, **kwargs))


def _small(value: object, limit: int) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= limit


def _bounded_product(left: object, right: object) -> bool:
    for value, times in ((left, right), (right, left)):
        if isinstance(value, (str, bytes, list, tuple)) and isinstance(times, int):
            return len(value) * times <= TEXT_MAX
    return True


def _bounded(value: Any) -> Any:
    if isinstance(value, (str, bytes)) and len(value) > TEXT_MAX:
        raise SecurityError(f"a text of more than {TEXT_MAX} characters is not allowed")
    return value


@functools.cache
def _environment() -> _Sandbox:
    sandbox = _Sandbox(undefined=StrictUndefined, autoescape=False)
    filters: dict[str, Any] = {**{name: JINJA_FILTERS[name] for name in _SAFE_FILTERS}, **FILTERS}
    functions: dict[str, Any] = {**FUNCTIONS, "range": safe_range}
    for known, ours in ((sandbox.filters, filters), (sandbox.globals, functions)):
        known.clear()
        known.update(ours)
    return sandbox


def compile_expression(source: str) -> tuple[Evaluate, frozenset[str]]:
    """A function that returns the value of `source` for a namespace, and the names that it reads."""
    sandbox = _environment()
    try:
        parser = Parser(sandbox, source, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            raise TemplateError(f"{printable(source)}: {printable(str(parser.stream.current))} is not expected here")
        whole = nodes.Template([nodes.Output([expression], lineno=1)], lineno=1)
        whole.set_environment(sandbox)
        names = find_undeclared_variables(whole) - FUNCTIONS.keys() - {"range"}
        compiled = sandbox.compile_expression(source, undefined_to_none=False)
    except (JinjaError, RecursionError, ValueError, SyntaxError, MemoryError) as error:
        raise TemplateError(f"{printable(source[:200])}: {printable(str(error)[:200])}") from None
    return lambda namespace: compiled(namespace), frozenset(names)
