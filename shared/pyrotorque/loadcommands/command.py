"""One load command of the configuration, checked once and rendered for each metafile."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from pyrotorque.errors import CommandRefused, TemplateError
from pyrotorque.loadcommands import policy
from pyrotorque.loadcommands.grammar import Argument, ParsedCommand, Part, parse
from pyrotorque.loadcommands.namespace import NAMES, sample
from pyrotorque.templates import Inserted, Piece, Template, compile_template
from pyrotorque.text import printable

_TAG: Final = re.compile(r"\{\{[^{}]*\}\}")
_SIZE_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class LoadCommand:
    """`names` are the names of all rTorrent commands that it may contain, to be compared with those rTorrent knows."""

    name: str
    template: Template
    names: frozenset[str]

    def render(self, namespace: Mapping[str, object]) -> bytes:
        """The command string for one metafile: empty where the template has nothing to say about it.

        Raises TemplateError or CommandRefused, and then nothing of this load may be sent.
        """
        try:
            return _emitted(self.template.pieces(namespace))
        except (TemplateError, CommandRefused) as error:
            raise type(error)(f"cmd.{self.name}: {error}") from None


def compile_command(name: str, text: str, *, templates: Path | None = None, tame: bool = False) -> LoadCommand:
    """The command that `cmd.NAME = TEXT` describes, tried in all its shapes and on a sample.

    Raises TemplateError for what is no template, CommandRefused for what inserts a value where rTorrent runs it, or
    what rTorrent would not understand. `templates` is where `file:NAME` is looked for (CONFIG_DIR/templates).
    A `tame` text comes from a file that somebody else may have brought: it may set and ask, but run nothing.
    """
    template = compile_template(text, templates=templates)
    _check_tags(template.source)
    _check_names(template.fields)
    names = frozenset(found for shape in template.shapes() for found in _checked(shape))
    if tame:
        policy.check_tame(names)
    _emitted(template.pieces(sample()))
    return LoadCommand(name, template, names)


@dataclass(frozen=True, slots=True)
class ValueCommand:
    """`command` with one value that a template makes as a whole: a custom value, a completion target."""

    name: str
    command: str
    keys: tuple[str, ...]
    template: Template

    @property
    def names(self) -> frozenset[str]:
        return frozenset({self.command})

    def render(self, namespace: Mapping[str, object]) -> bytes:
        """As LoadCommand.render."""
        try:
            return setting(self.command, *self.keys, self.template.render(namespace))
        except (TemplateError, CommandRefused) as error:
            raise type(error)(f"{self.name}: {error}") from None


def compile_value(
    name: str, command: str, keys: Sequence[str], text: str, *, templates: Path | None = None
) -> ValueCommand:
    """`command` with `keys` and the value that the template `text` makes; `name` is what errors call it."""
    template = compile_template(f"{{{{#}}}}{text}" if "{{" in text else text, templates=templates)
    _check_names(template.fields)
    made = ValueCommand(name, command, tuple(keys), template)
    made.render(sample())
    return made


def setting(name: str, *values: str | bytes) -> bytes:
    """The command `name` with `values` as data, whatever they hold: for values that come from files, not templates."""
    raw = [value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value for value in values]
    policy.check_value(name, raw[-1])
    return name.encode("ascii") + b"=" + b",".join(map(quoted, raw))


def tie(path: bytes) -> bytes:
    """The command that ties an item to its metafile."""
    return setting("d.tied_to_file.set", path)


def quoted(value: bytes) -> bytes:
    """`value` as a whole argument.

    rTorrent runs an argument whose first byte is `$` even when it is quoted, but not a string inside a list: there the
    function object hands it through. Measured on rTorrent 0.9.8 and 0.16 with all bytes.
    """
    text = b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"(cat,{" + text + b"})" if value.startswith(b"$") else text


def _check_tags(source: str) -> None:
    if not source.startswith("{{") and _TAG.search(source):
        raise TemplateError("only a text that begins with {{ is a template: put {{# a comment}} in front of it")


def _check_names(fields: Iterable[str]) -> None:
    for field in sorted(set(fields) - NAMES):
        nearest = get_close_matches(field, NAMES, n=1) or sorted(NAMES)
        raise TemplateError(f"{printable(field)} is not known in templates; there is {', '.join(nearest)}")


def _checked(shape: Sequence[Piece]) -> Iterable[str]:
    for command in parse(shape):
        policy.check(command)
        yield command.name
        yield from _inner_names(command.name, command.arguments)


def _inner_names(name: str, arguments: Sequence[Argument]) -> Iterable[str]:
    """Names of commands inside the arguments: `f.multicall=*.nfo,f.priority.set=2`, `$cat=…`, function objects."""
    for index, argument in enumerate(arguments):
        if argument.function:
            yield argument.function
        yield from _inner_names(argument.function, argument.inner)
        text = b"".join(map(_bytes, argument.parts)).decode("utf-8", "surrogateescape")
        if argument.inserted:
            continue
        if text.startswith("$"):
            yield from _checked([text[1:]])
        elif index and text and name in policy.MULTICALLS:
            yield from _checked([text])


def _emitted(pieces: Sequence[Piece]) -> bytes:
    commands = parse(pieces)
    for command in commands:
        policy.check(command)
    text = b";".join(map(_emitted_command, commands))
    if len(text) > _SIZE_MAX:
        raise CommandRefused(f"the commands have {len(text)} bytes: {_SIZE_MAX} are sent")
    return text


def _emitted_command(command: ParsedCommand) -> bytes:
    arguments = [_emitted_argument(command.name, argument) for argument in command.arguments]
    return command.name.encode("ascii") + b"=" + b",".join(arguments)


def _emitted_argument(name: str, argument: Argument) -> bytes:
    if not argument.inserted:
        return bytes(symbol for symbol in argument.source if not isinstance(symbol, Inserted))
    value = b"".join(map(_bytes, argument.parts))
    policy.check_value(name, value)
    return quoted(value)


def _bytes(part: Part) -> bytes:
    return part.text.encode("utf-8", "surrogateescape") if isinstance(part, Inserted) else part
