"""Program of the process that runs a user's `config.py`: sends its fields, then computes their values batch by batch.

Requests and responses are JSON objects, one per line, on standard input and output; what the user's code prints goes to
standard error. It exits at the end of its input, and when its parent dies.
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

ComputeField = Callable[[Any], Any]


def main() -> int:
    """Load the file of the first argument, as its copy (the third) has it, and serve requests until the input ends."""
    die_with_parent(int(sys.argv[2]))
    responses = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    computes: dict[str, ComputeField] = {}
    try:
        declared = load(Path(sys.argv[1]), Path(sys.argv[3]))
    except BaseException as error:  # a user's file may raise anything, including SystemExit
        _send(responses, {"problem": error_line(error, sys.argv[1])})
    else:
        computes = {declaration.name: compute for declaration, compute in declared}
        _send(responses, {"fields": [_describe(declaration) for declaration, _ in declared]})
    for line in sys.stdin:
        _send(responses, evaluate(computes, json.loads(line), sys.argv[1]))
    return 0


def load(path: Path, copy: Path) -> list[tuple[Declaration, ComputeField]]:
    """The functions in a Python file that are declared as fields; its content is that of `copy`, perhaps itself."""
    spec = importlib.util.spec_from_file_location("pyrotorque_user_config", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    exec(compile(copy.read_bytes(), path, "exec"), vars(module))
    found = [value for value in vars(module).values() if isinstance(getattr(value, MARK, None), Declaration)]
    return [(getattr(value, MARK), value) for value in found]


def evaluate(computes: Mapping[str, ComputeField], request: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The values of the requested fields for the requested items, and the first error of each field."""
    values: dict[str, list[Any]] = {}
    errors: dict[str, str] = {}
    items = [SimpleNamespace(**item) for item in request["items"]]
    for name in request["names"]:
        values[name] = []
        for item in items:
            try:
                values[name].append(_plain(computes[name](item)))
            except Exception as error:
                values[name].append(None)
                errors.setdefault(name, f"{error_line(error, path)}, for the item {item.hash}")
    return {"values": values, "errors": errors}


def error_line(error: BaseException, path: str) -> str:
    """The error, with its line in the user's file."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == path:
            line = frame.lineno
    return f"{path}:{line or 1}: {type(error).__name__}: {error}"


def _describe(declaration: Declaration) -> dict[str, Any]:
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


def _send(stream: Any, response: Mapping[str, Any]) -> None:
    stream.write(json.dumps(response) + "\n")


if __name__ == "__main__":
    sys.exit(main())
