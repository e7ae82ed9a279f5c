"""Reads the file that a setting `file:NAME` names."""

from pathlib import Path
from typing import Final

from pyrotorque.errors import TemplateError
from pyrotorque.home import expand_home
from pyrotorque.text import printable

FILE: Final = "file:"
SOURCE_MAX: Final = 65_536


def read_template(setting: str, templates: Path | None) -> str:
    """The text of the file that `setting` names (absolute, `~/…`, or below `templates`). Raises TemplateError."""
    name = setting.removeprefix(FILE).strip()
    path = expand_home(name)
    if not path.is_absolute():
        if templates is None:
            raise TemplateError(f"file:{printable(name)}: there is no folder for templates here, use an absolute path")
        path = templates / path
    try:
        with path.open("rb") as file:
            data = file.read(SOURCE_MAX * 4 + 1)
    except OSError as error:
        raise TemplateError(f"file:{printable(name)}: cannot read {printable(str(path))}: {error.strerror}") from error
    return data.decode("utf-8", "surrogateescape").strip()
