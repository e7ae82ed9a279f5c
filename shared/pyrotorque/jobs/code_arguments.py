"""Finds values that a command would run as code: `sh -c "… {{name}}"` runs the name of a torrent as a command.

A value as an argument of its own is safe for a program that treats it as data, not for one that parses it: a shell,
an interpreter, or `ssh`, which passes its words to a shell. Such commands are errors. A program that is not listed here
is assumed to treat its arguments as data.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from pyrotorque.errors import UserError
from pyrotorque.events import Durable
from pyrotorque.jobs.code_programs import (
    CODE_MODULES,
    CODE_VARIABLES,
    COMMAND_OPTIONS,
    NUMBER,
    POSITIONS,
    CommandOptions,
)
from pyrotorque.text import printable


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command line: its text with the template expressions in it, and the fields that these insert."""

    text: str
    fields: frozenset[str] = frozenset()

    @property
    def program(self) -> str:
        return os.path.basename(self.text)


@dataclass(frozen=True, slots=True)
class _Interpreter:
    """Options that have code in the next or the same word; options that have another word; `first`: code without one.

    `script`: the first other word is a file that is run.
    """

    code: str = ""
    long: tuple[str, ...] = ()
    valued: str = ""
    first: bool = False
    script: bool = True


_SHELL: Final = _Interpreter(
    "cC", ("--command", "--init-command", "--rcfile", "--init-file", "-command", "-Command"), "oO"
)
_INTERPRETERS: Final = (
    (re.compile(r"(?:static-)?(?:r?bash|(?:d?a|z|o?k|mk|lk|ya|fi|t?c|pw|elvi|xon|o|y|po|hu|sa)?sh|ksh93)"), _SHELL),
    (re.compile(r"rc|es|nu|powershell(?:\.exe)?"), _SHELL),
    (re.compile(r"(?:python|pypy|ipython|jython)[\d.]*"), _Interpreter("c", (), "WXQ")),
    (re.compile(r"perl[\d.]*"), _Interpreter("eEmM", (), "I")),
    (re.compile(r"(?:j|m)?ruby[\d.]*"), _Interpreter("er", (), "I")),
    (re.compile(r"node(?:js)?|bun|deno"), _Interpreter("epr", ("--eval", "--print", "--require", "--import"))),
    (re.compile(r"php[\d.]*"), _Interpreter("rBRE", ("--run", "--process-code"), "dc")),
    (re.compile(r"lua(?:jit)?[\d.]*|Rscript|R|osascript|expect|julia|guile|groovy"), _Interpreter("ecl", ("--eval",))),
    (re.compile(r"java"), _Interpreter("", ("-jar", "-cp", "-classpath", "--class-path", "-javaagent"))),
    (re.compile(r"tclsh[\d.]*|wish[\d.]*|jshell|m4"), _Interpreter()),
    (
        re.compile(r"octave|gnuplot|ghc|scala|elixir|iex|erl|clojure|clj|racket|sbcl|swipl|janet|g?dc"),
        _Interpreter("efg", ("--eval", "-eval", "--load", "--script", "--expression", "--file")),
    ),
    (re.compile(r"[gmn]?awk|busybox-awk"), _Interpreter("fei", ("--file", "--source", "--include"), "vF", True, False)),
    (re.compile(r"g?sed"), _Interpreter("ef", ("--expression", "--file"), "l", True, False)),
    (re.compile(r"su|sg|runuser"), _Interpreter("c", ("--command", "--session-command"), "gGswTu", script=False)),
    (re.compile(r"script|flock"), _Interpreter("c", ("--command",), "wEoO", script=False)),
    (re.compile(r"env"), _Interpreter("S", ("--split-string",), "uC", script=False)),
    (re.compile(r"[a-z-]+-terminal(?:-emulator)?|xterm|u?rxvt"), _Interpreter("e", ("--command",), script=False)),
    (
        re.compile(r"vim?|nvim|ex|emacs|gdb"),
        _Interpreter("cexl", ("--eval", "--cmd", "--ex", "--load", "--command"), script=False),
    ),
)  # fmt: skip
# A shell parses all their words, here or on another host.
_ALL_WORDS: Final = re.compile(
    r"ssh|autossh|mosh|rsh|slogin|dbclient|watch|parallel|eval|trap|alias|tmux|byobu|hyperfine|g?make"
)
# They run the program that follows their options.
_WRAPPERS: Final = re.compile(
    r"env|nice|ionice|nohup|setsid|timeout|time|stdbuf|chrt|taskset|sudo|doas|xargs|flock|systemd-run|systemd-inhibit|"
    r"unshare|nsenter|strace|ltrace|chroot|busybox|exec|command|builtin|find|sshpass|caffeinate|prlimit|setpriv|cpulimit|"
    r"torsocks|torify|proxychains\d*|firejail|unbuffer|fakeroot|su-exec|gosu|tini|dumb-init|runuser|catchsegv|docker|podman|"
    r"screen|pkexec|xvfb-run|dbus-run-session|dbus-launch|rlwrap|numactl|choom|bwrap|flatpak-spawn|apptainer|singularity|"
    r"distrobox|toolbox|schroot|ip|start-stop-daemon|s6-setuidgid|chpst|faketime|abduco|dtach|"
    r"kubectl|lxc-attach|machinectl|if|then|else|elif|do|while|until|!|\{"
)
# They run the very next word, or the file that it names.
_DIRECT: Final = re.compile(
    r"exec|command|builtin|sudo|doas|nohup|setsid|env|nice|time|xargs|if|then|else|elif|do|while|until|!|\{|\.|source"
)
_EXECUTING: Final = ("-exec", "-execdir", "-ok", "-okdir")
# Here the program is an argument of an option of another one: `rsync -e ssh SOURCE HOST:`.
_REMOTE_SHELL: Final = ("-e", "--rsh", "-S")
_ACTION: Final = re.compile(
    r"--(?:checkpoint-action=exec|to-command|use-compress-program|info-script|new-volume-script|rsh|rsync-path|preprocessor"
    r"|compress-program)=|-o?ProxyCommand=|(?:-o)?(?:Proxy|Local|Remote|KnownHosts|Permit(?:Local|Remote))Command[= ]",
    re.IGNORECASE,
)  # fmt: skip
_SAFE_KINDS: Final = ("bool", "number", "size", "time", "time or never", "duration")
# Texts that are no names: of the owner, or from a fixed set.
_SAFE: Final = frozenset(["type", "job_name", "job", "info_hash", "hash", "service", "state", "before", "kind", "mode"])
_SEPARATORS: Final = frozenset((";", "&", "|", "&&", "||", "(", ")", ";;", "|&", "\n"))
_SUBSTITUTION: Final = re.compile(r"\$\(|`|<\(|>\(")
_DEPTH_MAX: Final = 5


def refuse_code(words: Sequence[Word]) -> None:
    """Raise UserError if a text of a torrent would be run as code by the command with these words."""
    if found := next(_code_words(words), None):
        word, program = found
        name = sorted(field for field in word.fields if not is_safe(field))[0]
        raise UserError(
            f"{{{{{name}}}}} in {printable(word.text)!r} would be run as code by {printable(program)}: a torrent's "
            "name must not become a command. Set shell = True and give the command without `sh -c`, or pass the value "
            "as an argument after the code: sh -c 'mv \"$1\" /done' sh {{path}}"
        )


def refuse_code_in_shell(text: str, word: Callable[[str], Word]) -> None:
    """As `refuse_code`, for each command in a text for a shell, where values are parameters."""
    for command in _commands(text):
        refuse_code([word(each) for each in command])


def is_safe(name: str) -> bool:
    """Whether values of this field are numbers or words of a fixed set, never a text from a torrent."""
    if name in _SAFE or name in _event_numbers():
        return True
    # Imported for such commands only: a worker then loads no fields (10 MiB).
    from pyrotorque.fields import field

    found = field(name)
    return found is not None and found.kind in _SAFE_KINDS


def _event_numbers() -> frozenset[str]:
    """Fields of events that are not a text in any event."""
    kinds = [kind for event in get_args(Durable) for kind in event.__annotations__.items()]
    texts = {name for name, kind in kinds if "str" in str(kind)}
    return frozenset(name for name, _ in kinds if name not in texts) | {"at"}


def _code_words(words: Sequence[Word]) -> Iterator[tuple[Word, str]]:
    """The words with unsafe values that are code, each with the program that runs it."""
    yield from _variables(words)
    for number, word in enumerate(words):
        before, after = words[:number], words[number + 1 :]
        if (_is_first_word(before) or _is_program(before)) and _is_unsafe(word) and _names_program(word):
            yield word, "the system"
        if _is_unsafe(word) and _ACTION.match(word.text):
            yield word, words[0].program
        starts = _starts_program(before)
        if word.fields:
            continue
        for options in COMMAND_OPTIONS if starts else ():
            if options.programs.fullmatch(word.program):
                yield from ((each, word.program) for each in _commands_of(options, after) if _is_unsafe(each))
        if _ALL_WORDS.fullmatch(word.program) and starts and not (before and before[-1].text in _REMOTE_SHELL):
            yield from ((each, word.program) for each in after if _is_unsafe(each))
        for pattern, interpreter in _INTERPRETERS:
            if pattern.fullmatch(word.program) and (starts or not interpreter.first):
                yield from ((each, word.program) for each in _code_of(interpreter, after) if _is_unsafe(each))
                if after[1:] and after[0].text == "-m" and after[1].text in CODE_MODULES:
                    yield from ((each, word.program) for each in after[2:] if _is_unsafe(each))
                if interpreter.script:
                    return  # the other words are arguments of its code


def _starts_program(before: Sequence[Word]) -> bool:
    return not before or any(_WRAPPERS.fullmatch(word.program) or word.text in _EXECUTING for word in before)


def _is_first_word(before: Sequence[Word]) -> bool:
    return not before or before[-1].text in _EXECUTING or _DIRECT.fullmatch(before[-1].program) is not None


def _is_program(before: Sequence[Word]) -> bool:
    """Whether the next word is the program of the last wrapper: only options and numbers are between."""
    for number in range(len(before) - 1, -1, -1):
        positions = POSITIONS.get(before[number].program)
        if positions is not None and _starts_program(before[:number]):
            between = [word.text for word in before[number + 1 :]]
            if between and between[-1][:1] == "-" and not NUMBER.fullmatch(between[-1]):
                return False  # perhaps the value of this option
            return len([text for text in between if text[:1] != "-" and not NUMBER.fullmatch(text)]) == positions
    return False


def _variables(words: Sequence[Word]) -> Iterator[tuple[Word, str]]:
    """The assignments before a program whose value would be a command."""
    for word in words:
        if CODE_VARIABLES.match(word.text):
            if _is_unsafe(word):
                yield word, word.text.partition("=")[0]
        elif not (
            "=" in word.text or word.text[:1] == "-" or NUMBER.fullmatch(word.text) or _WRAPPERS.fullmatch(word.program)
        ):
            return


def _commands_of(options: CommandOptions, words: Sequence[Word]) -> Iterator[Word]:
    """The words that are commands, or have one attached."""
    is_rest, is_command = "*" in options.rest, False
    for word in words:
        literal = re.split(r"\{\{|%\(", word.text, maxsplit=1)[0]
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


def _names_program(word: Word) -> bool:
    """Whether a value is the beginning of its path; custom values are the owner's."""
    is_custom = all(name.startswith("custom") for name in word.fields)
    return word.text.startswith(("{{", "%(")) and not is_custom


def _is_unsafe(word: Word) -> bool:
    return any(not is_safe(name) for name in word.fields)


def _code_of(interpreter: _Interpreter, words: Sequence[Word]) -> Iterator[Word]:
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
            literal = re.split(r"\{\{|%\(", text, maxsplit=1)[0]
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
            if interpreter.script and not has_code and _names_program(word):
                yield word
            if interpreter.script or interpreter.first:
                return


def _commands(text: str, depth: int = 0) -> Iterator[list[str]]:
    """The words of each simple command, also of those in command substitutions."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|()\n")
    lexer.whitespace = " \t\r"
    lexer.commenters = ""
    lexer.wordchars += "".join(chr(code) for code in range(33, 127) if chr(code) not in ";&|()'\"\\")
    # Without these, a value would end its word.
    lexer.wordchars += "".join(char for char in set(text) if ord(char) > 126)
    words: list[str] = []
    try:
        for each in lexer:
            if set(each) <= set(";&|()\n"):
                if words:
                    yield words
                words = []
                continue
            words.append(each)
            if depth < _DEPTH_MAX and (found := _SUBSTITUTION.search(each)):
                yield from _commands(each[found.end() :].rstrip(")`"), depth + 1)
    except ValueError:
        # An open quote: the shell reports it.
        pass
    if words:
        yield words
