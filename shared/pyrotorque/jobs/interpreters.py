"""Interpreters: which of their arguments are code, and whether they read code from their standard input."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pyrotorque.jobs.command_words import Word

INPUT_FILES: Final = frozenset(("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"))
"""Names of the standard input as a file."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """Options that have code in the next or the same word; options that have another word; `first`: code without one.

    `script`: the first other word is a file that is run; without it, code is read from the standard input. `own`: the
    letters and long options with the code itself, instead of a file; for `first`, only a file may be the input.
    """

    code: str = ""
    long: tuple[str, ...] = ()
    valued: str = ""
    first: bool = False
    script: bool = True
    own: str = ""


SHELL: Final = Interpreter(
    "cC",
    ("--command", "--init-command", "--rcfile", "--init-file", "-command", "-Command"),
    "oO",
    own="c --command -command -Command",
)
INTERPRETERS: Final = (
    (re.compile(r"(?:static-)?(?:r?bash|(?:d?a|z|o?k|mk|lk|ya|fi|t?c|pw|elvi|xon|o|y|po|hu|sa)?sh|ksh93)"), SHELL),
    (re.compile(r"rc|es|nu|powershell(?:\.exe)?"), SHELL),
    (re.compile(r"(?:python|pypy|ipython|jython)[\d.]*"), Interpreter("c", (), "WXQ", own="c m")),
    (re.compile(r"perl[\d.]*"), Interpreter("eEmM", (), "I", own="e E")),
    (re.compile(r"(?:j|m)?ruby[\d.]*|irb|pry"), Interpreter("er", (), "I", own="e")),
    (
        re.compile(r"node(?:js)?|bun|deno"),
        Interpreter("epr", ("--eval", "--print", "--require", "--import"), own="e p --eval --print --test"),
    ),
    (
        re.compile(r"php[\d.]*"),
        Interpreter(
            "rBREf", ("--run", "--process-code", "--file"), "dc", own="r B R E f --run --process-code --file"
        ),
    ),
    (
        re.compile(r"lua(?:jit)?[\d.]*|Rscript|R|osascript|expect|julia|guile|groovy"),
        Interpreter("ecl", ("--eval",), own="e c --eval"),
    ),
    (re.compile(r"java"), Interpreter("", ("-jar", "-cp", "-classpath", "--class-path", "-javaagent"), own="-")),
    (re.compile(r"tclsh[\d.]*|wish[\d.]*|jshell|m4"), Interpreter()),
    (
        re.compile(r"octave|gnuplot|ghci?|scala|elixir|iex|erl|clojure|clj|racket|sbcl|swipl|janet|g?dc"),
        Interpreter(
            "efg", ("--eval", "-eval", "--load", "--script", "--expression", "--file"),
            own="e f g --eval --script --expression --file",
        ),
    ),
    (re.compile(r"[gmn]?awk|busybox-awk"), Interpreter("fei", ("--file", "--source", "--include"), "vF", True, False)),
    (re.compile(r"g?sed"), Interpreter("ef", ("--expression", "--file"), "l", True, False)),
    # The Perl program; of util-linux, the text that is replaced.
    (re.compile(r"(?:perl-|file-|p)?rename"), Interpreter("eE", ("--expr",), "", True, False)),
    (re.compile(r"su|sg|runuser"), Interpreter("c", ("--command", "--session-command"), "gGswTu", script=False)),
    (re.compile(r"script|flock"), Interpreter("c", ("--command",), "wEoO", script=False)),
    (re.compile(r"env"), Interpreter("S", ("--split-string",), "uC", script=False)),
    (re.compile(r"[a-z-]+-terminal(?:-emulator)?|xterm|u?rxvt"), Interpreter("e", ("--command",), script=False)),
    (
        re.compile(r"vim?|nvim|ex|emacs|gdb"),
        Interpreter("cexl", ("--eval", "--cmd", "--ex", "--load", "--command"), script=False),
    ),
)  # fmt: skip

_STANDARD_INPUT: Final = Word("-")
_WITH_SHELL: Final = re.compile(r"su|sg|runuser|script|flock|env")


def code_of(interpreter: Interpreter, words: Sequence[Word]) -> Iterator[Word]:
    """The words among its arguments that it runs as code, or as the file with its code."""
    expects_code = is_value = False
    ended = not interpreter.code and not interpreter.long and not interpreter.first
    has_code = False
    for word in words:
        text = word.text
        if is_value:
            is_value = False
        elif text == "--":
            ended = True
        elif not ended and text.startswith(("-", "+")) and len(text) > 1:
            literal = word.literal
            name = literal.partition("=")[0]
            letters = "" if text.startswith("--") else literal[1:]
            if name in interpreter.long or any(letter in interpreter.code for letter in letters):
                has_code = True
                if word.fields:
                    yield word
                expects_code = "=" not in literal and not word.fields
            elif letters and letters[-1] in interpreter.valued:
                is_value = True
        elif expects_code:
            yield word
            expects_code = False
        elif interpreter.first and not has_code:
            yield word
            return
        else:
            if interpreter.script and not has_code and word.names_program:
                yield word
            if interpreter.script or interpreter.first:
                return


def input_is_code(interpreter: Interpreter, words: Sequence[Word]) -> bool:
    """Whether it runs its standard input as code with these arguments."""
    if interpreter.first or not interpreter.script:
        return any(word.text in INPUT_FILES for word in code_of(interpreter, words)) or any(
            word.text in ("-f-", "--file=-", "-f/dev/stdin", "--file=/dev/stdin") for word in words
        )
    is_value, own = False, interpreter.own.split()
    for number, word in enumerate(words):
        letters = _letters(interpreter, word)
        if is_value:
            is_value = False
        elif word.text in INPUT_FILES or (interpreter is SHELL and "s" in letters and "c" not in letters):
            return True
        elif word.text[:1] in ("-", "+") and word.text != "--":
            if any(each in own for each in (*letters, word.literal.partition("=")[0])):
                return words[number + 1 : number + 2] == [_STANDARD_INPUT]
            is_value = word.text in interpreter.long or (
                letters[-1:] in {*interpreter.valued, *interpreter.code} and len(letters) == len(word.text) - 1
            )
        elif word.text != "--":
            return False
    return "-" not in own


def _letters(interpreter: Interpreter, word: Word) -> str:
    """The letters of a word of options; after one with a value or code, the rest is this."""
    letters = "" if word.text[:2] == "--" else word.literal[1:]
    ends = interpreter.code + interpreter.valued
    end = next((at for at, letter in enumerate(letters) if letter in ends), len(letters))
    return letters[: end + 1] if word.text[:1] in ("-", "+") else ""


def shell_code(program: str, interpreter: Interpreter, words: Sequence[Word]) -> Iterator[str]:
    """The code for a shell among its arguments: the owner's own."""
    if interpreter is SHELL or _WITH_SHELL.fullmatch(program):
        yield from (word.text for word in code_of(interpreter, words) if not word.fields)
