"""Imports the class that `job.NAME.handler` names: from `CONFIG_DIR/jobs` first, else from installed packages."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from pyrotorque.errors import UserError
from pyrotorque.text import printable


def load_handler(handler: str, jobs_dir: Path) -> Callable[[Any], Any]:
    """The class of the handler `package.module:Class`; `jobs_dir` is `CONFIG_DIR/jobs`.

    Raises UserError if there is none, and whatever the module raises during its import.
    """
    module_name, _, name = handler.partition(":")
    _import_from(jobs_dir, module_name.partition(".")[0])
    if jobs_dir.is_dir() and str(jobs_dir) not in sys.path:
        # Last, so that a file there cannot replace a module that others import.
        sys.path.append(str(jobs_dir))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        places = f"neither installed nor in {printable(str(jobs_dir))}"
        raise UserError(f"there is no module {error.name!r}, {places}") from None
    found = getattr(module, name, None)
    if not callable(found):
        raise UserError(_missing_class(module, name, jobs_dir))
    handler_class: Callable[[Any], Any] = found
    return handler_class


def error_summary(error: BaseException) -> str:
    """An error of foreign code in one line, with the innermost source line outside of pyrotorque."""
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r})"
    text = str(error)
    summary = type(error).__name__ + (f": {text}" if text else "")
    if isinstance(error, SyntaxError):
        return f"{summary} ({error.filename}:{error.lineno})"
    ours = str(Path(__file__).resolve().parents[1])
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    foreign = [frame for frame in frames if not frame.filename.startswith(ours)] or frames
    return f"{summary} ({foreign[-1].filename}:{foreign[-1].lineno})" if foreign else summary


def _missing_class(module: ModuleType, name: str, jobs_dir: Path) -> str:
    from pyrotorque.suggestions import suggestion

    near = suggestion(name, [each for each, value in vars(module).items() if isinstance(value, type)])
    text = f"the module {module.__name__} has no class {name!r}{near}"
    file = jobs_dir / f"{module.__name__}.py"
    if file.exists() and getattr(module, "__file__", "") != str(file):
        text += f": {printable(str(file))} has the name of a module of Python; rename it"
    return text


def _import_from(jobs_dir: Path, top: str) -> None:
    """Import a user's module by its path: no other module of that folder takes precedence over installed packages."""
    file = jobs_dir / f"{top}.py"
    package = jobs_dir / top / "__init__.py"
    source = package if package.exists() else file
    if not source.exists() or top in sys.modules:
        return
    places = [str(package.parent)] if source is package else None
    spec = importlib.util.spec_from_file_location(top, source, submodule_search_locations=places)
    if spec is None or spec.loader is None:
        raise UserError(f"{printable(str(source))} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[top] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[top]
        raise
