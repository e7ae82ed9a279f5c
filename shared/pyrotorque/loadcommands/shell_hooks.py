"""Finds hooks in an rtorrent.rc that insert a value of an item into shell code, where it can become a command."""

import re
from collections.abc import Iterator
from typing import Final

# `execute.nothrow = sh, -c, "mv $d.base_path= …"`: the value is inserted into the code of the shell.
_SHELL: Final = re.compile(
    r"execute\S*\s*[=,]\s*\"?\{?\s*(?:/\S*/)?(?:ba|da|z|k)?sh\s*,\s*\"?-\w*c\w*\"?\s*,(?P<text>.*)", re.DOTALL
)
_VALUE: Final = re.compile(
    r"[$(]\(*(?P<name>d\.(?:custom\w*|name|base_path|base_filename|directory\w*|tied_to_file|message))\b"
)


def shell_hooks(rc: str) -> Iterator[tuple[int, str]]:
    """The line number of each such hook and the name of the inserted value.

    A value that is an argument after the code (`sh,-c,"mv \\"$1\\" …",sh,$d.base_path=`) is safe and not reported.
    """
    for line, text in logical_lines(rc):
        found = _SHELL.search(text)
        if found and (value := _VALUE.search(_first_argument(found["text"]))):
            yield line, value["name"]


def logical_lines(rc: str) -> Iterator[tuple[int, str]]:
    """Lines as rTorrent joins them, with the number of the first one, without comments."""
    number, begun, text = 0, 0, ""
    for number, line in enumerate(rc.split("\n"), 1):
        begun = begun or number
        text += line.removesuffix("\\")
        if not line.endswith("\\"):
            if not text.lstrip().startswith("#"):
                yield begun, text
            begun, text = 0, ""


def _first_argument(text: str) -> str:
    """`text` up to the comma that ends the argument that the shell runs."""
    text = text.lstrip()
    if text.startswith(('"', "\\")):
        quote = '\\"' if text.startswith("\\") else '"'
        inner = text.removeprefix(quote)
        return inner.partition(quote)[0] if quote == '\\"' else re.split(r'(?<!\\)"', inner, maxsplit=1)[0]
    if text.startswith("("):
        return text
    return text.partition(",")[0]
