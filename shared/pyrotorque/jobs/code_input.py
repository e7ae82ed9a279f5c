"""Programs that run their standard input as code, or as commands of their own: `echo {{name}} | sh`."""

import itertools
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from pyrotorque.errors import UserError
from pyrotorque.jobs.command_words import Word
from pyrotorque.jobs.interpreters import INPUT_FILES, INTERPRETERS, SHELL, input_is_code, shell_code
from pyrotorque.jobs.shell_text import read_shell
from pyrotorque.jobs.wrappers import NO_PROGRAM, Wrapper, program_at, programs_of, wrapper_of

_DEPTH_MAX: Final = 5
_REMOTE: Final = (
    Wrapper(re.compile(r"ssh|rsh|slogin|dbclient|plink"), "BbcDEeFIiJLlmOopPQRSWw", positions=1, none="nNOWGQV"),
    Wrapper(re.compile(r"autossh"), "MBbcDEeFIiJLlmOopPQRSWw", positions=1, none="nNOWGQV"),
)
_LOGIN: Final = re.compile(r"sudo(?:-rs)?|doas")
_LOGIN_OPTIONS: Final = re.compile(r"-[a-zA-Z]*[si]|--shell|--login")


class _InputReader(NamedTuple):
    """It reads commands, unless one of the options `own` is given, or as many `words` (0: however many).

    `letters` and `long`: options with a value.
    """

    programs: re.Pattern[str]
    own: str = ""
    letters: str = ""
    words: int = 0
    long: str = ""


_READERS: Final = (
    _InputReader(re.compile(r"at|batch"), "f l d r c", "qt"),
    _InputReader(re.compile(r"sqlite3?"), "", "", 2, "-cmd -init -separator -newline -nullvalue -maxsize -vfs -mmap"),
    _InputReader(re.compile(r"duckdb"), "-c", "", 2, "-cmd -init -separator -newline -nullvalue"),
    _InputReader(re.compile(r"mysql|mariadb"), "e --execute", "uhPDSp"),
    _InputReader(re.compile(r"psql"), "c f l --command --file --list", "dhpUvPFRoLT"),
    _InputReader(re.compile(r"mongo(?:sh)?"), "--eval --file", "", 2),
    _InputReader(re.compile(r"redis-cli|valkey-cli"), "", "hpanusirt", 1),
    _InputReader(re.compile(r"lftp"), "c e f", "up"),
    _InputReader(re.compile(r"sftp"), "b", "BcDFiJloPRSsX"),
    _InputReader(re.compile(r"smbclient"), "c T L --command", "UIpWsdAlkOnm"),
    _InputReader(re.compile(r"ftp|ed|ex")),
    _InputReader(re.compile(r"gdb"), "--batch -batch"),
    _InputReader(re.compile(r"pdsh|clush"), "", "wxlugtfR", 1),
    _InputReader(re.compile(r"adb"), "", "st", 2),
    _InputReader(re.compile(r"sg"), "c", "", 2),
    _InputReader(re.compile(r"newgrp")),
    _InputReader(re.compile(r"crontab"), "l e r", "u", 1),
    _InputReader(re.compile(r"script"), "c --command", "EoOIBTm"),
)
_FILE_READERS: Final = re.compile(r"crontab|g?make|ninja|just|xdotool|psql|lftp|sftp|nft|tmux|curl|\.|source")
_CURL: Final = re.compile(r"-[a-zA-Z]*K|--config")


def runs_input(words: Sequence[Word], depth: int = 0) -> str:
    """The program among these words that runs its standard input as code, or nothing."""
    before = 0
    for at in programs_of(words):
        if at == NO_PROGRAM:
            return _somewhere(words, before)
        if at >= len(words):
            return words[before].program if before < len(words) and _starts_shell(words, before) else ""
        if words[at].fields:
            return ""
        if _is_reader(words[at], words[at + 1 :], depth):
            return words[at].program
        before = at
    return ""


def _somewhere(words: Sequence[Word], at: int) -> str:
    """A shell among the words of a wrapper such as `docker run`, whose program may be anywhere or missing."""
    wrapper = wrapper_of(words[at])
    for number in range(at + 1, len(words)) if wrapper and wrapper.after else ():
        if INTERPRETERS[0][0].fullmatch(words[number].program) and input_is_code(SHELL, words[number + 1 :]):
            return words[number].program
    return ""


def _starts_shell(words: Sequence[Word], at: int) -> bool:
    """Whether the wrapper at this position starts a shell, because it has no program to run."""
    wrapper = wrapper_of(words[at])
    if _LOGIN.fullmatch(words[at].program):
        return any(_LOGIN_OPTIONS.fullmatch(word.text) for word in words[at + 1 :])
    return wrapper is not None and wrapper.shell


def _is_reader(program: Word, words: Sequence[Word], depth: int) -> bool:
    name = program.program
    if remote := next((each for each in _REMOTE if each.programs.fullmatch(name)), None):
        at = program_at(remote, words, 0)
        return at != NO_PROGRAM and (at >= len(words) or _runs_input_of(" ".join(w.text for w in words[at:]), depth))
    if _FILE_READERS.fullmatch(name) and _reads_file(name, words):
        return True
    for pattern, interpreter in INTERPRETERS:
        if pattern.fullmatch(name):
            if input_is_code(interpreter, words):
                return True
            if any(_runs_input_of(code, depth) for code in shell_code(name, interpreter, words)):
                return True
    return any(each.programs.fullmatch(name) and not _has_own(each, words) for each in _READERS)


def _reads_file(name: str, words: Sequence[Word]) -> bool:
    """Whether the standard input is named as the file with the commands."""
    if name == "curl":  # others of its files are data
        return any(
            _CURL.fullmatch(word.text) and after.text in INPUT_FILES for word, after in itertools.pairwise(words)
        ) or any(word.text in ("-K-", "--config=-") for word in words)
    return any(word.text in INPUT_FILES or word.text in ("-f-", "--file=-", "-b-") for word in words)


def _has_own(reader: _InputReader, words: Sequence[Word]) -> bool:
    own, plain, is_value = reader.own.split(), 0, False
    for word in words:
        text = word.text
        if is_value:
            is_value = False
        elif text[:1] == "-" and len(text) > 1:
            literal = "" if text[:2] == "--" else word.literal[1:]
            end = next((at for at, letter in enumerate(literal) if letter in reader.letters), len(literal))
            if any(each in own for each in (*literal[: end + 1], word.literal.partition("=")[0])):
                return True
            is_value = (end < len(literal) and end == len(text) - 2) or text in reader.long.split()
        else:
            plain += 1
    return 0 < reader.words <= plain


def _runs_input_of(code: str, depth: int) -> bool:
    """Whether a command in this shell code runs its standard input as code."""
    if depth >= _DEPTH_MAX:
        return True
    try:
        commands = read_shell(code.replace("\0", "")).commands
    except UserError:
        return False
    return any(
        runs_input([Word(word.text) for word in command.words], depth + 1)
        for command in commands
        if not command.redirected
    )
