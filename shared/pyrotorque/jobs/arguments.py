"""Argument vectors from templates: a value that is inserted is always one argument's text, and never a command.

With `shell` a value travels as a positional parameter of `sh -c` and only `"${1}"` stands in the text: no shell ever
reads the value itself, whatever it holds.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pyrotorque.errors import TemplateError, UserError
from pyrotorque.templates import Inserted, Template, compile_template
from pyrotorque.templates.template import Piece
from pyrotorque.text import printable

Quote = Literal["", "'", '"']

_OPEN, _CLOSE = "{{", "}}"
# A character of Unicode's private use stands for a template expression while the text is split into words.
_FIRST_STANDIN: Final = 0xF0000


def compile_text(text: str, *, templates: Path | None = None) -> Template:
    """A template whose expressions may stand anywhere, unlike in `compile_template`: `--name={{name}}`."""
    source = text.strip()
    if _OPEN in source and not source.startswith((_OPEN, "file:")):
        source = "{{#}}" + source
    return compile_template(source, templates=templates)


class Vector:
    """A program and its arguments, each a template of its own: blanks in values do not split them."""

    def __init__(self, text: str) -> None:
        self._words = [compile_text(word) for word in words(text)]
        if not self._words:
            raise UserError("the command is empty: say which program to run")
        self.fields: frozenset[str] = frozenset[str]().union(*(word.fields for word in self._words))

    def argv(self, namespace: Mapping[str, object]) -> list[str]:
        return [_without_nul(word.render(namespace)) for word in self._words]


class ShellText:
    """A text for `sh -c`; raises UserError where a value would stand at a place that cannot take one."""

    def __init__(self, text: str) -> None:
        self._template = compile_text(text)
        if not text.strip():
            raise UserError("the command is empty: say what the shell is to do")
        self.fields = self._template.fields
        for pieces in self._template.shapes():
            _placed(pieces)

    def argv(self, namespace: Mapping[str, object]) -> list[str]:
        text, values = _placed(self._template.pieces(namespace))
        return ["/bin/sh", "-c", text, "sh", *map(_without_nul, values)]


def compile_command(text: str, *, shell: bool) -> Vector | ShellText:
    """What to run, from the text of a setting."""
    return ShellText(text) if shell else Vector(text)


def words(text: str) -> list[str]:
    """The words of a command line, by a shell's quotes; what stands between `{{` and `}}` is never split."""
    kept: list[str] = []
    parts: list[str] = []
    rest = text
    while _OPEN in rest:
        before, _, rest = rest.partition(_OPEN)
        inside, closed, rest = rest.partition(_CLOSE)
        if not closed:
            raise TemplateError(f"a {_OPEN} is not closed in {printable(text)}")
        parts += [before, chr(_FIRST_STANDIN + len(kept))]
        kept.append(_OPEN + inside + _CLOSE)
    try:
        split = shlex.split("".join(parts) + rest)
    except ValueError as error:
        raise UserError(f"the command cannot be split into words: {str(error).lower()}") from error
    standins = {_FIRST_STANDIN + number: expression for number, expression in enumerate(kept)}
    return [word.translate(standins) for word in split]


def _placed(pieces: list[Piece]) -> tuple[str, list[str]]:
    """The shell's text with parameters in place of values, and the values."""
    text: list[str] = []
    values: list[str] = []
    quote: Quote = ""
    for piece in pieces:
        if isinstance(piece, Inserted):
            if quote == "'":
                raise UserError("a value cannot stand between single quotes of a shell command: use double quotes")
            if text and text[-1].endswith(("\\", "$")):
                raise UserError("a value cannot stand right after a \\ or $ of a shell command")
            values.append(piece.text)
            parameter = f"${{{len(values)}}}"
            text.append(parameter if quote else f'"{parameter}"')
        else:
            quote = _quote_after(piece, quote)
            text.append(piece)
    whole = "".join(text)
    if values and "((" in whole:
        raise UserError("a value cannot stand in a shell command with `((`: arithmetic would evaluate it")
    return whole, values


def _quote_after(text: str, quote: Quote) -> Quote:
    """Which quote is open after the author's words; a wrong guess costs a split word, never an injection."""
    escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif char == quote:
            quote = ""
        elif not quote and char in ("'", '"'):
            quote = "'" if char == "'" else '"'
    return quote


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise TemplateError("a value with a NUL byte cannot be an argument of a command")
    return text
