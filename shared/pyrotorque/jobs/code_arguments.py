"""Finds values that a command would run as code: `sh -c "… {{name}}"` runs the name of a torrent as a command.

A value as an argument of its own is safe for a program that treats it as data, not for one that parses it: a shell,
an interpreter, or `ssh`, which passes its words to a shell. Such commands are errors. A program that is not listed here
is assumed to treat its arguments and its input as data.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pyrotorque.errors import UserError
from pyrotorque.jobs.code_input import runs_input
from pyrotorque.jobs.code_programs import (
    ARITHMETIC_TESTS,
    CODE_MODULES,
    CODE_VARIABLES,
    COMMAND_OPTIONS,
    DECLARATIONS,
    EXACT,
    NUMBER,
    CommandOptions,
)
from pyrotorque.jobs.command_words import Word, is_safe
from pyrotorque.jobs.fed_commands import fed_commands
from pyrotorque.jobs.interpreters import INTERPRETERS, code_of
from pyrotorque.jobs.wrappers import programs_of, wrapper_of
from pyrotorque.text import printable

# A shell parses all their words, here or on another host.
_ALL_WORDS: Final = re.compile(
    r"ssh|autossh|mosh|rsh|slogin|dbclient|watch|parallel|sem|rush|eval|trap|alias|tmux|byobu|hyperfine|g?make"
)
# The input as text of a word.
_READS_INPUT: Final = re.compile(r"(?:\$\(|`)\s*(?:cat(?:\s+-|\s+/dev/stdin)?|<\s*/dev/stdin)\s*(?:\)|`)")
_EXECUTING: Final = ("-exec", "-execdir", "-ok", "-okdir")
# Here the program is an argument of an option of another one: `rsync -e ssh SOURCE HOST:`.
_REMOTE_SHELL: Final = ("-e", "--rsh", "-S")
_ACTION: Final = re.compile(
    r"--(?:checkpoint-action=exec|to-command|use-compress-program|info-script|new-volume-script|rsh|rsync-path|preprocessor"
    r"|compress-program)=|-o?ProxyCommand=|(?:-o)?(?:Proxy|Local|Remote|KnownHosts|Permit(?:Local|Remote))Command[= ]",
    re.IGNORECASE,
)  # fmt: skip


def refuse_code(words: Sequence[Word], given: frozenset[str] = frozenset()) -> None:
    """Raise UserError if a text of a torrent would be run as code by the command with these words.

    `given` are the fields whose values it may read from its standard input.
    """
    given = frozenset(name for name in given if not is_safe(name))
    if given:
        words = [Word(word.text, word.fields | given) if _READS_INPUT.search(word.text) else word for word in words]
    found = next(_code_words(words), None)
    if not found and given and (program := runs_input(words)):
        raise UserError(
            f"{{{{{min(given)}}}}} in the input of {printable(program)} would be run as code by it: a torrent's name "
            "must not become a command. Give the program code of your own that reads its input as data "
            "(sh -c 'cat >> /log'), or pass the value as an argument"
        )
    for command in () if found else fed_commands(words, given):
        refuse_code(command)
    if found:
        word, program = found
        name = sorted(field for field in word.fields if not is_safe(field))[0]
        raise UserError(
            f"{{{{{name}}}}} in {printable(word.text)!r} would be run as code by {printable(program)}: a torrent's "
            "name must not become a command. Set shell = True and give the command without `sh -c`, or pass the value "
            "as an argument after the code: sh -c 'mv \"$1\" /done' sh {{path}}"
        )


def _code_words(words: Sequence[Word]) -> Iterator[tuple[Word, str]]:
    """The words with unsafe values that are code, each with the program that runs it."""
    yield from _variables(words)
    yield from ((each, words[0].program) for each in _evaluated(words) if each.is_unsafe)
    programs = _programs(words)
    for number, word in enumerate(words):
        before, after = words[:number], words[number + 1 :]
        if number in programs and word.names_program:
            yield word, "the system"
        if word.is_unsafe and _ACTION.match(word.text):
            yield word, words[0].program
        if word.fields:
            continue
        starts = number in programs or (
            not EXACT.fullmatch(word.program) and any(wrapper_of(each) or each.text in _EXECUTING for each in before)
        )
        if starts:
            yield from ((each, word.program) for each in _commands_after(word, before, after) if each.is_unsafe)
        for pattern, interpreter in INTERPRETERS:
            if pattern.fullmatch(word.program) and (starts or not interpreter.first):
                yield from ((each, word.program) for each in code_of(interpreter, after) if each.is_unsafe)
                if after[1:] and after[0].text == "-m" and after[1].text in CODE_MODULES:
                    yield from ((each, word.program) for each in after[2:] if each.is_unsafe)
                if interpreter.script:
                    return  # the other words are arguments of its code


def _programs(words: Sequence[Word]) -> frozenset[int]:
    """The positions of the programs that are run, also by wrappers and by `find -exec`."""
    starts = [0, *(number + 1 for number, word in enumerate(words) if word.text in _EXECUTING)]
    return frozenset(start + at for start in starts for at in programs_of(words[start:]) if at >= 0)


def _commands_after(word: Word, before: Sequence[Word], after: Sequence[Word]) -> Iterator[Word]:
    """The words after this program that it runs as commands."""
    for options in COMMAND_OPTIONS:
        if options.programs.fullmatch(word.program):
            yield from _commands_of(options, after)
    if _ALL_WORDS.fullmatch(word.program) and not (before and before[-1].text in _REMOTE_SHELL):
        yield from after


def _evaluated(words: Sequence[Word]) -> Iterator[Word]:
    """The words that bash evaluates as arithmetic or as the name of a variable, which may contain commands."""
    texts = [word.text for word in words]
    if texts[:1] == ["[["] or texts[-1:] == ["]]"]:
        yield from words if ARITHMETIC_TESTS.intersection(texts) else ()
    elif words and DECLARATIONS.fullmatch(texts[0]):
        is_number = any(re.fullmatch(r"-[a-zA-Z]*i[a-zA-Z]*", text) for text in texts)
        yield from (word for word in words[1:] if is_number or "=" not in word.literal)


def _variables(words: Sequence[Word]) -> Iterator[tuple[Word, str]]:
    """The assignments before a program whose value would be a command."""
    for word in words:
        if CODE_VARIABLES.match(word.text):
            if word.is_unsafe:
                yield word, word.text.partition("=")[0]
        elif not ("=" in word.text or word.text[:1] == "-" or NUMBER.fullmatch(word.text) or wrapper_of(word)):
            return


def _commands_of(options: CommandOptions, words: Sequence[Word]) -> Iterator[Word]:
    """The words that are commands, or have one attached."""
    is_rest, is_command = "*" in options.rest, False
    for word in words:
        literal = word.literal
        name, equals, _ = literal.partition("=")
        letters = literal[1:] if re.fullmatch(r"-[a-zA-Z]+=?", literal) else ""
        is_attached = (name in options.words and (equals or len(name) <= 2)) or (
            literal[:1] == "-" and literal[:2] != "--" and literal[1:2] in options.letters and len(literal) >= 2
        )
        if is_rest or is_command or (word.fields and is_attached):
            yield word
        is_command = not word.fields and (
            word.text in options.words or (bool(letters) and letters[-1] in options.letters)
        )
        is_rest = is_rest or word.text in options.rest
