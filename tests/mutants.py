"""Changes each comparison, constant, operator and branch of the queue's rules, one at a time: a test must fail then.

`python -m tests.mutants [MODULE ...]` prints the changes that no test notices, and exits with their number (at most
99). Those of EQUIVALENT change nothing that can be noticed: they are not tried, and an entry without its change counts,
too. A mutant is run in a child process that has imported nothing of the module yet.
"""

import ast
import contextlib
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

import hypothesis
import pytest

from demo.group import REPOSITORY

QUEUE: Final = "pyrotorque_scheduler.queue"
# Tables before properties: most mutants die at once.
TESTS: Final = {
    f"{QUEUE}.policy": ("queue_policy", "queue_groups", "queue_forecast", "queue_policy_properties"),
    f"{QUEUE}.groups": ("queue_groups", "queue_policy", "queue_stall", "queue_adoption"),
    f"{QUEUE}.stall": ("queue_stall",),
    f"{QUEUE}.rotation": ("queue_rotation",),
    f"{QUEUE}.retries": ("queue_rotation",),
    f"{QUEUE}.model": ("queue_model", "queue_policy", "queue_forecast", "queue_policy_properties"),
}
# Changes that cannot be noticed, as they are printed, and why.
EQUIVALENT: Final = {
    "stall: _EXPONENT_MAX: Final = 30: 30  →  31": "2 ** 30 times ten minutes exceeds any stall_retry_max",
    "stall: break: break  →  continue": "starts are never given back, so no further item is chosen",
    "stall: break  # all groups after it need as many: break  →  continue": "no further item is chosen",
    "stall: if room.is_full(group) and not mine:: if room.is_full(group) and (not mine):  →  if False:": (
        "items of other groups leave it full, so none of them is closed for it"
    ),
    "groups: if len(self._queues) == 1:: if len(self._queues) == 1:  →  if False:": "it saves thousands of calls",
    "groups: rank = self._ranks[index] if self._ranks else 0: 0  →  1": "without ranks, all are equal",
    "groups: if not self._room.limits.field:: if not self._room.limits.field:  →  if False:": (
        "it saves the heap: all items are in one group, which keeps their order"
    ),
    "policy: self._first_hold: Hold | None = None: Hold | None  →  Hold & None": "annotations are not evaluated",
    "retries: self._last = 0: 0  →  1": "only the order of these numbers counts",
    "retries: self._last += 1: 1  →  2": "only the order of these numbers counts",
    "retries: break: break  →  continue": "no further item is read in either case",
    'rotation: found = {str(item["hash"]): _running(item, group, forced) for item, group in zip(items, groups, '
    "strict=True)}: True  →  False": "each item has a group",
    "rotation: if row.is_parked:  # its owner started it, or it was never closed: "
    "if row.is_parked:  →  if True:": "what is not parked stays so",
    'rotation: known = {str(item["hash"]) for item in waiting} if due else set[str](): '
    "{str(item['hash']) for item in waiting} if due else set[str]()  →  {str(item['hash']) for item in waiting}": (
        "it saves reading thousands of items, and compares them with nothing"
    ),
}
_SECONDS: Final = 300
# pytest and hypothesis are imported once, in the parent.
_OPTIONS: Final = (
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore:Module already imported",
    "--hypothesis-profile",
    "mutants",
)
_COMPARED: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),  # codespell:ignore
    ast.NotIn: (ast.In,),  # codespell:ignore
}
_CALCULATED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
}
_OTHER_NAMES: Final = {"min": "max", "max": "min", "all": "any", "any": "all"}


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Each change of this source: its line, what was replaced, and the changed source."""
    tree = ast.parse(source)
    decorators = {id(part) for node in ast.walk(tree) for each in _decorators(node) for part in ast.walk(each)}
    for place, node in enumerate(ast.walk(tree)):
        for changed in _changes(node) if id(node) not in decorators else ():
            other = copy.deepcopy(tree)
            target = next(found for number, found in enumerate(ast.walk(other)) if number == place)
            _replace(other, target, changed)
            what = f"{ast.unparse(node).splitlines()[0]}  →  {ast.unparse(changed).splitlines()[0]}"
            yield getattr(node, "lineno", 0), what, ast.unparse(ast.fix_missing_locations(other))


def _decorators(node: ast.AST) -> list[ast.expr]:
    return node.decorator_list if isinstance(node, ast.ClassDef | ast.FunctionDef) else []


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=[operator]):
            for other in _COMPARED.get(type(operator), ()):
                yield _with(node, ops=[other()])
        case ast.BoolOp(op=operator, values=values):
            yield _with(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
            for number in range(len(values)):
                left = [*values[:number], *values[number + 1 :]]
                yield left[0] if len(left) == 1 else _with(node, values=left)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(op=operator) if type(operator) in _CALCULATED:
            yield _with(node, op=_CALCULATED[type(operator)]())
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Call(func=ast.Name(id=name)) if name in _OTHER_NAMES:
            yield _with(node, func=ast.Name(_OTHER_NAMES[name], ast.Load()))
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.If():
            yield _with(node, test=ast.Constant(True))
            yield _with(node, test=ast.Constant(False))
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield ast.Pass()
        case _:
            pass


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _replace(tree: ast.AST, target: ast.AST, changed: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, name, changed)
            elif isinstance(value, list) and any(each is target for each in value):
                setattr(parent, name, [changed if each is target else each for each in value])


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a changed source."""

    def __init__(self, module: str, source: str) -> None:
        self._module, self._source = module, source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, self._module, "exec"), module.__dict__)


def is_noticed(module: str, source: str) -> bool:
    """Whether a test fails, or does not end, with the module changed to this source."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            signal.alarm(_SECONDS)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            sys.meta_path.insert(0, _Changed(module, source))
            hypothesis.settings.register_profile("mutants", database=None, derandomize=True, deadline=None)
            tests = [str(REPOSITORY / "tests" / "unit" / f"test_{name}.py") for name in TESTS[module]]
            os._exit(int(pytest.main([*_OPTIONS, *tests])))
        os._exit(1)
    _, status = os.waitpid(child, 0)
    return status != 0


def main(modules: Sequence[str]) -> int:
    count, survived, began = 0, 0, time.monotonic()
    for module in modules or TESTS:
        path = REPOSITORY / "services" / Path(*module.split(".")).with_suffix(".py")
        source = path.read_text()
        if is_noticed(module, source):
            print(f"{module}: its tests fail without a change, too")
            return 99
        unused = {entry for entry in EQUIVALENT if entry.startswith(f"{module.rpartition('.')[2]}: ")}
        for line, what, changed in mutants(source):
            count += 1
            entry = f"{module.rpartition('.')[2]}: {source.splitlines()[line - 1].strip()}: {what}"
            if entry in EQUIVALENT:
                unused.discard(entry)
                continue
            if not is_noticed(module, changed):
                survived += 1
                print(f"{path.relative_to(REPOSITORY)}:{line}\n    {entry}", flush=True)
        for entry in sorted(unused):
            survived += 1
            print(f"no longer a change of the source: {entry}", flush=True)
    print(f"{count} mutants, {survived} survived, {time.monotonic() - began:.0f} s")
    return min(survived, 99)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
