"""The environment of supervisord and its services."""

import os

_FOR_OTHER_PYTHONS = (
    "PYTHONDEVMODE",
    "PYTHONINSPECT",
    "PYTHONIOENCODING",
    "PYTHONMALLOC",
    "PYTHONOPTIMIZE",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONTRACEMALLOC",
    "PYTHONVERBOSE",
    "PYTHONWARNINGS",
)


def environment_of_supervisord() -> dict[str, str]:
    """Our environment with absolute import paths, and without what changes how Python runs.

    supervisord has another working directory, and with PYTHONWARNINGS=error it answers no request.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _FOR_OTHER_PYTHONS}
    if paths := environment.get("PYTHONPATH"):
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths.split(os.pathsep) if path)
    return environment
