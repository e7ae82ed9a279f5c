"""Imports a library without those of its imports that no service uses: they are most of the memory that it needs."""

import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _Placeholder(ModuleType):
    """Takes the place of a module while a library is imported; what is not given in `attributes` is an empty class."""

    def __init__(self, name: str, attributes: Mapping[str, Any]) -> None:
        super().__init__(name)
        self.__dict__.update(attributes)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@contextmanager
def placeholders(*names: str, absent: Sequence[str] = (), **attributes: Mapping[str, Any]) -> Generator[None]:
    """Imports in the block get a placeholder for each of `names` (and keys of `attributes`) that is not loaded yet.

    Later imports of these modules get the real ones. A key of `attributes` has `_` for each dot of the module's name.
    Imports of a module in `absent` raise ImportError in the block: for libraries that do without it.
    """
    wanted: dict[str, Mapping[str, Any]] = {name: {} for name in names}
    wanted |= {key.replace("_", "."): given for key, given in attributes.items()}
    hidden: dict[str, ModuleType | None] = {name: _Placeholder(name, given) for name, given in wanted.items()}
    hidden |= dict.fromkeys(absent)
    hidden = {name: instead for name, instead in hidden.items() if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]  # None: an import raises ImportError
    try:
        yield
    finally:
        for name, instead in hidden.items():
            if name in sys.modules and sys.modules[name] is instead:
                del sys.modules[name]
