"""Reads the file that a setting `file:NAME` names."""

from pathlib import Path
from typing import Final

from pyrotorque.errors import TemplateError
from pyrotorque.home import expand_home
from pyrotorque.linux.files import read_text_file
from pyrotorque.text import printable

FILE: Final = "file:"
SOURCE_MAX: Final = 65_536


def read_template(setting: str, templates: Path | None) -> str:
    """The text of the file that `setting` names (absolute, `~/…`, or below `templates`).

    TemplateError if it cannot be read, such as a pipe, which would stop its reader.
    """
    name = setting.removeprefix(FILE).strip()
    path = expand_home(name)
    if not path.is_absolute():
        if templates is None:
            raise TemplateError(f"file:{printable(name)}: there is no folder for templates here, use an absolute path")
        path = templates / path
    try:
        text = read_text_file(path).decode("utf-8", "surrogateescape").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TemplateError(f"file:{printable(name)}: cannot read {printable(str(path))}: {reason}") from error
    if text.startswith(FILE):
        raise TemplateError(f"file:{printable(name)}: {printable(str(path))} names another file; write the text itself")
    return text
