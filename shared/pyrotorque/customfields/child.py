"""The process that runs a user's `config.py`: it tells which fields there are, then computes them batch by batch.

One JSON object a line on standard input and on the descriptor that standard output had at the start; what the user's
code prints goes to standard error. It ends when its input does, and when its parent dies.
"""

import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pyrotorque.customfields.declaration import MARK, Declaration
from pyrotorque.linux.processes import die_with_parent

Compute = Callable[[Any], Any]


def main() -> int:
    """Load the file that the first argument names and answer until the input ends."""
    die_with_parent(int(sys.argv[2]))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    computes: dict[str, Compute] = {}
    try:
        declared = load(Path(sys.argv[1]))
    except BaseException as error:  # a user's file may raise anything, also SystemExit
        _say(answers, {"problem": explained(error, sys.argv[1])})
    else:
        computes = {declaration.name: compute for declaration, compute in declared}
        _say(answers, {"fields": [_described(declaration) for declaration, _ in declared]})
    for line in sys.stdin:
        _say(answers, evaluated(computes, json.loads(line), sys.argv[1]))
    return 0


def load(path: Path) -> list[tuple[Declaration, Compute]]:
    """The functions of a Python file that are declared as fields."""
    spec = importlib.util.spec_from_file_location("pyrotorque_user_config", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    found = [value for value in vars(module).values() if isinstance(getattr(value, MARK, None), Declaration)]
    return [(getattr(value, MARK), value) for value in found]


def evaluated(computes: Mapping[str, Compute], asked: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The values of the asked fields for the asked items, and the first error of each field."""
    values: dict[str, list[Any]] = {}
    errors: dict[str, str] = {}
    items = [SimpleNamespace(**item) for item in asked["items"]]
    for name in asked["names"]:
        values[name] = []
        for item in items:
            try:
                values[name].append(_plain(computes[name](item)))
            except Exception as error:
                values[name].append(None)
                errors.setdefault(name, f"{explained(error, path)}, for the item {item.hash}")
    return {"values": values, "errors": errors}


def explained(error: BaseException, path: str) -> str:
    """What went wrong, with the line of the user's file where it did."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == path:
            line = frame.lineno
    return f"{path}:{line or 1}: {type(error).__name__}: {error}"


def _described(declaration: Declaration) -> dict[str, Any]:
    return {
        "name": declaration.name,
        "kind": declaration.kind,
        "needs": list(declaration.needs),
        "doc": declaration.doc,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset, tuple, list)):
        return [str(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _say(stream: Any, answer: Mapping[str, Any]) -> None:
    stream.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    sys.exit(main())
