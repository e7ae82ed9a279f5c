"""Argument vectors from templates: an inserted value is always text of one argument, never a command.

With `shell`, values are positional parameters of `sh -c`, and the command text contains only `"${1}"`: no shell parses
the value itself. Where the text may change these parameters, it has variables instead.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pyrotorque.errors import TemplateError, UserError
from pyrotorque.jobs.code_arguments import refuse_code
from pyrotorque.jobs.command_words import Word
from pyrotorque.jobs.shell_commands import HOLE, ShellWord, SimpleCommand
from pyrotorque.jobs.shell_text import read_shell
from pyrotorque.template_files import FILE, read_template
from pyrotorque.templates import Inserted, Template, compile_source
from pyrotorque.templates.template import Piece
from pyrotorque.text import printable

_OPEN, _CLOSE = "{{", "}}"
# Characters of Unicode's private use area replace template expressions while the text is split into words.
_FIRST_PLACEHOLDER: Final = 0xF0000
_VARIABLE: Final = "pyrotorque_value_"
# What may change `$1`; functions have another one.
_CHANGING: Final = frozenset((".", "source", "set", "shift", "eval", "function"))
_FUNCTION: Final = re.compile(r"\(\s*\)")


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
            _checked(pieces)

    def argv(self, namespace: Mapping[str, object]) -> list[str]:
        pieces = self._template.pieces(namespace)
        values = [piece.text for piece in pieces if isinstance(piece, Inserted)]
        # Checked again: not every combination of conditions is among the shapes.
        return ["/bin/sh", "-c", _checked(pieces).text, "sh", *map(_without_nul, values)]


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


class _Placed(NamedTuple):
    text: str
    commands: list[SimpleCommand]


def _checked(pieces: list[Piece]) -> _Placed:
    """Raises UserError if a value is inserted where it would be run."""
    placed = _placed(pieces)
    _refuse_code(placed.commands, [piece.fields for piece in pieces if isinstance(piece, Inserted)])
    return placed


def _placed(pieces: list[Piece]) -> _Placed:
    """The shell text with a parameter in place of each value, and its commands."""
    source = "".join(HOLE if isinstance(piece, Inserted) else piece for piece in pieces)
    if HOLE not in source:
        return _Placed(source, [])
    if "((" in source:
        raise UserError("a value cannot be inserted in a shell command with `((`: shell arithmetic would evaluate it")
    script = read_shell(source)
    changes = _changes_parameters(source, script.commands)
    first, *rest = source.split(HOLE)
    parts = [first]
    for number, (quoted, text) in enumerate(zip(script.quoted, rest, strict=True), 1):
        parameter = f"${{{_VARIABLE}{number}}}" if changes else f"${{{number}}}"
        parts += [parameter if quoted else f'"{parameter}"', text]
    kept = [f"{_VARIABLE}{number}=${{{number}}}; " for number in range(1, len(rest) + 1)] if changes else []
    return _Placed("".join([*kept, *parts]), script.commands)


def _changes_parameters(source: str, commands: Sequence[SimpleCommand]) -> bool:
    words = {word.text for command in commands for word in command.words if word.text != "."}
    programs = {command.words[0].text for command in commands}
    return bool(_CHANGING & (words | programs)) or _FUNCTION.search(source) is not None


def _refuse_code(commands: Sequence[SimpleCommand], fields: Sequence[frozenset[str]]) -> None:
    for command in commands:
        given = frozenset[str]().union(*(fields[number] for number in command.given))
        refuse_code([_shell_word(word, fields) for word in command.words], given)


def _shell_word(word: ShellWord, fields: Sequence[frozenset[str]]) -> Word:
    """The word with its values as they are written in templates."""
    first, *rest = word.text.split(HOLE)
    shown = [f"{{{{{', '.join(sorted(fields[number]))}}}}}" for number in word.values]
    text = first + "".join(value + text for value, text in zip(shown, rest, strict=False))
    return Word(text, frozenset[str]().union(*(fields[number] for number in word.values)))


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise TemplateError("a value with a NUL byte cannot be a command argument")
    return text
