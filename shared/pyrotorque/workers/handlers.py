"""Finds the class of a job: in the file of the user's own folder first, else in the installed packages."""

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


def job_class(handler: str, own: Path) -> Callable[[Any], Any]:
    """The class that `package.module:Class` names; `own` is the folder `CONFIG_DIR/jobs`.

    Raises UserError when there is none, and whatever the module raises while it is imported.
    """
    module_name, _, name = handler.partition(":")
    _load_own(module_name.partition(".")[0], own)
    if own.is_dir() and str(own) not in sys.path:
        # Last, so that a file there cannot take the place of a module that others import.
        sys.path.append(str(own))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise UserError(f"there is no module {error.name!r}, neither installed nor in {printable(str(own))}") from None
    found = getattr(module, name, None)
    if not callable(found):
        raise UserError(_without_class(module, name, own))
    made: Callable[[Any], Any] = found
    return made


def _without_class(module: ModuleType, name: str, own: Path) -> str:
    from pyrotorque.settings.problems import suggestion

    near = suggestion(name, [each for each, value in vars(module).items() if isinstance(value, type)])
    said = f"the module {module.__name__} has no class {name!r}{near}"
    file = own / f"{module.__name__}.py"
    if file.exists() and getattr(module, "__file__", "") != str(file):
        said += f": {printable(str(file))} has the name of a module of Python's own; rename it"
    return said


def _load_own(top: str, own: Path) -> None:
    """A user's own file is taken by its path: nothing else is imported from that folder before installed packages."""
    file = own / f"{top}.py"
    package = own / top / "__init__.py"
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


def explained(error: BaseException) -> str:
    """An error of foreign code in one line, with the innermost place outside of our own code."""
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r})"
    text = str(error)
    said = type(error).__name__ + (f": {text}" if text else "")
    if isinstance(error, SyntaxError):
        return f"{said} ({error.filename}:{error.lineno})"
    ours = str(Path(__file__).resolve().parent)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    foreign = [frame for frame in frames if not frame.filename.startswith(ours)] or frames
    return f"{said} ({foreign[-1].filename}:{foreign[-1].lineno})" if foreign else said
