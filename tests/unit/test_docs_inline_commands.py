"""The commands within sentences of the pages have options and choices that exist; blocks are executed elsewhere."""

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress

import click
import pytest

from demo.group import REPOSITORY
from pyrotorque_control.cli import pyrotorque
from tests.docs_blocks import pages

_COMMAND = re.compile(r"`pyrotorque(?P<words>\s[^`]+)`")
_FILES = {"METAFILE": str(REPOSITORY / "README.md"), "PATH": str(REPOSITORY / "README.md")}


def inline_commands() -> list[tuple[str, str]]:
    """The page and the words of each command in a sentence, without those with an omission."""
    current = [page for page in pages() if page.name != "CHANGELOG.md"]
    texts = [*current, *sorted((REPOSITORY / "deploy").rglob("*.yml"))]
    return list(dict.fromkeys(found for page in texts for found in _commands_of(page.name, page.read_text())))


def _commands_of(page: str, text: str) -> Iterator[tuple[str, str]]:
    for found in _COMMAND.finditer(text):
        words = " ".join(found["words"].split())
        if "…" not in words and "|status" not in words:
            yield page, words


def parse_only(words: Sequence[str], command: click.Command = pyrotorque, parent: click.Context | None = None) -> None:
    """Parse a command line as `pyrotorque` does, without running it; of a command that is only named, its name."""
    context = command.make_context(command.name, list(words), parent=parent)
    if not isinstance(command, click.Group):
        return
    rest = [*context._protected_args, *context.args]  # pyright: ignore[reportPrivateUsage]
    if rest:
        _, found, left = command.resolve_command(context, rest)
        assert found is not None
        if left:
            parse_only(left, found, context)


@pytest.mark.parametrize(("page", "words"), inline_commands())
def test_a_command_in_a_sentence_can_be_typed(page: str, words: str) -> None:
    with suppress(click.MissingParameter, click.BadOptionUsage):  # named without their values
        parse_only([_FILES.get(word, word) for word in shlex.split(words)])


def test_there_are_such_commands_and_a_wrong_one_is_noticed() -> None:
    assert len(inline_commands()) > 40
    for wrong in ("watched --state penning", "select name=x -o name", "statsu", "explain --jbo queue", "--restrat"):
        with pytest.raises(click.UsageError):
            parse_only(wrong.split())
