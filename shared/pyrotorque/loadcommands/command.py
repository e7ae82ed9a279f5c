"""Load commands of the configuration, checked once and rendered for each metafile."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrotorque.errors import CommandRefused, TemplateError
from pyrotorque.loadcommands import policy
from pyrotorque.loadcommands.grammar import Argument, ParsedCommand, Part, parse
from pyrotorque.loadcommands.namespace import NAMES, sample
from pyrotorque.suggestions import nearest
from pyrotorque.templates import Inserted, Piece, Template, compile_template
from pyrotorque.templates.limits import check_time
from pyrotorque.text import printable

_TAG: Final = re.compile(r"\{\{[^{}]*\}\}")
_SIZE_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class LoadCommand:
    """`names` are the rTorrent commands that it may contain, to be checked against those of the running rTorrent.

    Many conditions have too many combinations for all of them to be in there, so the commands of a `restricted` text
    are checked each time.
    """

    name: str
    template: Template
    names: frozenset[str]
    restricted: bool

    def render(self, namespace: Mapping[str, object]) -> bytes:
        """The command string for one metafile; empty if the template renders to nothing.

        Raises TemplateError or CommandRefused; then no command of this load may be sent.
        """
        try:
            return _emitted(self.template.pieces(namespace), self.restricted)
        except (TemplateError, CommandRefused) as error:
            raise type(error)(f"cmd.{self.name}: {error}") from None


def compile_command(name: str, text: str, *, templates: Path | None = None, restricted: bool = False) -> LoadCommand:
    """The command in `cmd.NAME = TEXT`, checked in all its shapes and with a sample.

    Raises TemplateError for an invalid template, CommandRefused if it inserts a value where rTorrent would run it, or
    if rTorrent could not parse it. `templates` is the folder of `file:NAME` (CONFIG_DIR/templates).
    A `restricted` text comes from a file that others may have written: it may set and read values, but run nothing.
    """
    template = compile_template(text, templates=templates)
    _check_tags(template.source)
    _check_names(template.fields)
    shapes = list(template.shapes())
    names = frozenset(found for shape in shapes for found in _checked(shape))
    for shape in shapes if restricted else ():
        _check_restricted(parse(shape))
    _emitted(template.pieces(sample()), restricted)
    return LoadCommand(name, template, names, restricted)


@dataclass(frozen=True, slots=True)
class ValueCommand:
    """`command` with one value that is the whole text of a template: a custom value, a completion target."""

    name: str
    command: str
    keys: tuple[str, ...]
    template: Template

    @property
    def names(self) -> frozenset[str]:
        return frozenset({self.command})

    def render(self, namespace: Mapping[str, object]) -> bytes:
        """The command string for one metafile; raises TemplateError or CommandRefused."""
        try:
            return setting(self.command, *self.keys, self.template.render(namespace))
        except (TemplateError, CommandRefused) as error:
            raise type(error)(f"{self.name}: {error}") from None


def compile_value(
    name: str, command: str, keys: Sequence[str], text: str, *, templates: Path | None = None
) -> ValueCommand:
    """`command` with `keys` and the rendered template `text` as value; `name` is its name in errors."""
    template = compile_template(f"{{{{#}}}}{text}" if "{{" in text else text, templates=templates)
    _check_names(template.fields)
    made = ValueCommand(name, command, tuple(keys), template)
    made.render(sample())
    return made


def setting(name: str, *values: str | bytes) -> bytes:
    """The command `name` with `values` as data, for values from files instead of templates."""
    raw = [value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value for value in values]
    policy.check_value(name, raw[-1])
    return name.encode("ascii") + b"=" + b",".join(map(quoted, raw))


def tie(path: bytes) -> bytes:
    """The command that ties an item to its metafile."""
    return setting("d.tied_to_file.set", path)


@dataclass(frozen=True, slots=True)
class StorageCommand:
    """A command that chooses the folder for the content of an item.

    `folder` is None if it depends on values in rTorrent. With `is_base` the files are directly in it.
    """

    name: str
    folder: bytes | None
    is_base: bool


def storage_commands(text: bytes) -> Iterator[StorageCommand]:
    """The commands in a rendered text that choose where content is stored."""
    for name, (*keys, last) in written_arguments(text):
        if name in policy.STORING:
            yield StorageCommand(name, last, name == "d.directory_base.set")
        elif name == "d.custom.set" and keys and keys[0] in (None, policy.TARGET_KEY):
            yield StorageCommand("the target", last, is_base=False)


def written_arguments(text: bytes) -> Iterator[tuple[str, list[bytes | None]]]:
    """The commands in a rendered text, and their arguments; None for one that rTorrent evaluates."""
    for command in parse([text.decode("utf-8", "surrogateescape")]):
        yield command.name, [_plain_text(argument) for argument in command.arguments]


def _plain_text(argument: Argument) -> bytes | None:
    """The text of an argument; None if rTorrent evaluates it."""
    text = b"".join(map(_bytes, argument.parts))
    return text if argument.plain and not text.startswith(b"$") else None


def quoted(value: bytes) -> bytes:
    """Any bytes as one argument of a command, so that rTorrent parses them unchanged and runs nothing.

    rTorrent runs an argument that starts with `$` even if it is quoted, but not a string inside a list, which the
    function object returns as it is. Measured on rTorrent 0.9.8 and 0.16 with all bytes.
    """
    text = b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"(cat,{" + text + b"})" if value.startswith(b"$") else text


def _check_tags(source: str) -> None:
    if not source.startswith("{{") and _TAG.search(source):
        raise TemplateError("only a text that starts with {{ is a template: put {{# a comment}} before it")


def _check_names(fields: Iterable[str]) -> None:
    for field in sorted(set(fields) - NAMES):
        near = nearest(field, NAMES) or ", ".join(sorted(NAMES))
        raise TemplateError(f"{printable(field)} is not defined in templates; there is {near}")


def _check_restricted(commands: Iterable[ParsedCommand]) -> None:
    """Raises CommandRefused for a command that a text of others must not have, also inside of another one."""
    for command in commands:
        nested = list(_inner_names(command.name, command.arguments))
        policy.check_restricted((command.name, *nested))
        policy.check_nested(nested)


def _checked(shape: Sequence[Piece]) -> Iterable[str]:
    check_time()
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


def _emitted(pieces: Sequence[Piece], restricted: bool) -> bytes:
    commands = parse(pieces)
    if restricted:
        _check_restricted(commands)
    for command in commands:
        policy.check(command)
    text = b";".join(map(_emitted_command, commands))
    if len(text) > _SIZE_MAX:
        raise CommandRefused(f"the commands have {len(text)} bytes, the limit is {_SIZE_MAX}")
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
