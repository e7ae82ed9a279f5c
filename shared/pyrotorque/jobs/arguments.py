"""Argument vectors from templates: an inserted value is always text of one argument, never a command.

With `shell`, values are positional parameters of `sh -c`, and the command text contains only `"${1}"`: no shell parses
the value itself.
"""

import shlex
from collections.abc import Mapping
from typing import Final, Literal

from pyrotorque.errors import TemplateError, UserError
from pyrotorque.jobs.code_arguments import Word, refuse_code, refuse_code_in_shell
from pyrotorque.template_files import FILE, read_template
from pyrotorque.templates import Inserted, Template, compile_source
from pyrotorque.templates.template import Piece
from pyrotorque.text import printable

Quote = Literal["", "'", '"']

_OPEN, _CLOSE = "{{", "}}"
# Characters of Unicode's private use area replace template expressions while the text is split into words.
_FIRST_PLACEHOLDER: Final = 0xF0000


def compile_text(text: str) -> Template:
    """Like `compile_template`, but expressions may be anywhere in the text: `--name={{name}}`."""
    return _compiled(_text_of(text))


class Vector:
    """A program and its arguments, each a separate template: spaces in values do not split arguments."""

    def __init__(self, text: str) -> None:
        self._words = [_compiled(word) for word in words(text)]
        if not self._words:
            raise UserError("the command is empty: it must name the program to run")
        refuse_code([_word(word) for word in words(text)])
        self.fields: frozenset[str] = frozenset[str]().union(*(word.fields for word in self._words))

    def argv(self, namespace: Mapping[str, object]) -> list[str]:
        return [_without_nul(word.render(namespace)) for word in self._words]


class ShellText:
    """A command text for `sh -c`; raises UserError if a value is inserted where that would not be safe."""

    def __init__(self, text: str) -> None:
        self._template = _compiled(text)
        if not text.strip():
            raise UserError("the command is empty: it must contain a shell command")
        self.fields = self._template.fields
        for pieces in self._template.shapes():
            _placed(pieces)
        if self.fields:
            text, expressions = _with_placeholders(text)
            refuse_code_in_shell(text, lambda word: _word(word.translate(expressions)))

    def argv(self, namespace: Mapping[str, object]) -> list[str]:
        text, values = _placed(self._template.pieces(namespace))
        return ["/bin/sh", "-c", text, "sh", *map(_without_nul, values)]


def compile_command(text: str, *, shell: bool) -> Vector | ShellText:
    """The compiled text of the setting `command`; of its words, `file:///a` is an argument like any other."""
    text = _text_of(text)
    return ShellText(text) if shell else Vector(text)


def words(text: str) -> list[str]:
    """The words of a command line, with shell quoting; text between `{{` and `}}` is never split."""
    without, expressions = _with_placeholders(text)
    try:
        split = shlex.split(without)
    except ValueError as error:
        raise UserError(f"the command cannot be split into words: {str(error).lower()}") from error
    return [word.translate(expressions) for word in split]


def _text_of(setting: str) -> str:
    """The settings of a user's own class may name files; those of shipped ones have their texts already."""
    text = setting.strip()
    return read_template(text, None) if text.startswith(FILE) else text


def _compiled(text: str) -> Template:
    source = text.strip()
    if _OPEN in source and not source.startswith(_OPEN):
        source = "{{#}}" + source
    return compile_source(source)


def _word(text: str) -> Word:
    return Word(text, _compiled(text).fields)


def _with_placeholders(text: str) -> tuple[str, dict[int, str]]:
    """`text` with one character for each template expression, and the expressions."""
    kept: list[str] = []
    parts: list[str] = []
    rest = text
    while _OPEN in rest:
        before, _, rest = rest.partition(_OPEN)
        inside, closed, rest = rest.partition(_CLOSE)
        if not closed:
            raise TemplateError(f"unclosed {_OPEN} in {printable(text)}")
        parts += [before, chr(_FIRST_PLACEHOLDER + len(kept))]
        kept.append(_OPEN + inside + _CLOSE)
    expressions = {_FIRST_PLACEHOLDER + number: expression for number, expression in enumerate(kept)}
    return "".join(parts) + rest, expressions


def _placed(pieces: list[Piece]) -> tuple[str, list[str]]:
    """The shell text with a parameter in place of each value, and the values."""
    text: list[str] = []
    values: list[str] = []
    quote: Quote = ""
    for piece in pieces:
        if isinstance(piece, Inserted):
            if quote == "'":
                raise UserError("a value cannot be inserted between single quotes in a shell command: use double ones")
            if text and text[-1].endswith(("\\", "$")):
                raise UserError("a value cannot be inserted directly after a \\ or $ in a shell command")
            values.append(piece.text)
            parameter = f"${{{len(values)}}}"
            text.append(parameter if quote else f'"{parameter}"')
        else:
            quote = _quote_after(piece, quote)
            text.append(piece)
    whole = "".join(text)
    if values and "((" in whole:
        raise UserError("a value cannot be inserted in a shell command with `((`: shell arithmetic would evaluate it")
    return whole, values


def _quote_after(text: str, quote: Quote) -> Quote:
    """The quote that is open after `text`; a wrong guess can split a word, but never inject a command."""
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
        raise TemplateError("a value with a NUL byte cannot be a command argument")
    return text
