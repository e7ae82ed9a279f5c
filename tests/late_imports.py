"""Replays the late imports of a running 1.0.0 process after its wheel was replaced; prints those that fail.

`python -P tests/late_imports.py SITE NEW MODULE...` imports each MODULE from the link SITE, points SITE to NEW,
then executes every import of pyrotorque inside a function of the modules loaded so far.
"""

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Executed only in `python -m pyrotorque.configuration`, which is one version throughout.
_OF_THE_CHECK = ("pyrotorque.configuration", "read")


class LateImport(NamedTuple):
    """An import statement in a function of a loaded module."""

    importer: str
    module: str
    names: tuple[str, ...]


def late_imports() -> list[LateImport]:
    """All of them, in the modules of pyrotorque that this process has loaded."""
    sources = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    ours = {name: Path(source) for name, source in sources.items() if source and name.startswith("pyrotorque")}
    return sorted({late for name, source in ours.items() for late in _in_functions(name, source)})


def _in_functions(importer: str, source: Path) -> Iterator[LateImport]:
    for function in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef) or (importer, function.name) == _OF_THE_CHECK:
            continue
        for statement in ast.walk(function):
            if isinstance(statement, ast.ImportFrom) and (module := statement.module or "").startswith("pyrotorque"):
                yield LateImport(importer, module, tuple(alias.name for alias in statement.names))


def failure(late: LateImport) -> str:
    """Why the import fails in this process; empty when it succeeds."""
    try:
        module = importlib.import_module(late.module)
        for name in late.names:
            getattr(module, name)
    except Exception as error:
        return f"{late.importer}: from {late.module} import {', '.join(late.names)}: {type(error).__name__}: {error}"
    return ""


def main(site: Path, new: Path, modules: list[str]) -> int:
    sys.path.insert(0, str(site))
    for module in modules:
        importlib.import_module(module)
    late = late_imports()
    replacement = site.with_name(f"{site.name}.new")
    replacement.symlink_to(new)
    replacement.replace(site)
    importlib.invalidate_caches()
    print("\n".join(each.module for each in late))
    failures = [line for line in map(failure, late) if line]
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
