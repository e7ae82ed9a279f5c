"""Commands that a program completes with words that it reads or finds: `xargs`, `parallel`, `find -exec`."""

import itertools
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from pyrotorque.jobs.command_words import Word, unsafe_fields
from pyrotorque.jobs.wrappers import Wrapper, program_at, programs_of, wrapper_of

_EXECUTING: Final = ("-exec", "-execdir", "-ok", "-okdir")
_FIND: Final = re.compile(r"g?find|bfs")
_FD: Final = re.compile(r"fd|fdfind")
_FD_EXECUTING: Final = ("-x", "-X", "--exec", "--exec-batch")
_PARALLEL: Final = Wrapper(
    re.compile(r"parallel|sem|rush"), "aCdEIijLlnNPsST",
    frozenset(["--jobs", "--arg-file", "--delay", "--timeout", "--joblog", "--retries", "--results", "--tmpdir"]),
)  # fmt: skip
_FOUND: Final = re.compile(r"\{\}")
_BRACES: Final = re.compile(r"\{[^{}\s]*\}")


def fed_commands(words: Sequence[Word], given: frozenset[str]) -> Iterator[list[Word]]:
    """The commands as they are run, with a torrent's text where the program inserts words; `given` is its input."""
    for at in programs_of(words):
        if not 0 <= at < len(words) or words[at].fields:
            return
        name, after = words[at].program, words[at + 1 :]
        if name == "xargs":
            yield from _xargs(words[at], after, given)
        elif _PARALLEL.programs.fullmatch(name) and ":::" not in [word.text for word in after]:
            yield from _parallel(after, given)
        elif _FIND.fullmatch(name):
            yield from _executed(after, _EXECUTING, (";", "+"))
        elif _FD.fullmatch(name):
            yield from _executed(after, _FD_EXECUTING, (";",), appends=True)


def _xargs(program: Word, words: Sequence[Word], given: frozenset[str]) -> Iterator[list[Word]]:
    wrapper = wrapper_of(program)
    at = program_at(wrapper, words, 0) if wrapper else len(words)
    fields = given | unsafe_fields(words[:at])
    if fields and 0 <= at < len(words):
        mark = _mark([word.text for word in words[:at]])
        yield _completed(words[at:], re.compile(re.escape(mark)) if mark else None, fields)


def _mark(options: Sequence[str]) -> str:
    """The text that xargs replaces: `-I MARK`, `-IMARK`, `-i` or `--replace=MARK`; without it, words are appended."""
    for text, after in itertools.pairwise([*options, ""]):
        if text[:2] in ("-I", "-J"):
            return text[2:] or after
        if text[:2] == "-i" or text.startswith("--replace"):
            return (text[2:] if text[:2] == "-i" else text.partition("=")[2]) or "{}"
        if found := re.fullmatch(r"-[0prtxo]+[IJ](.*)", text):
            return found[1] or after
    return ""


def _parallel(words: Sequence[Word], given: frozenset[str]) -> Iterator[list[Word]]:
    at = program_at(_PARALLEL, words, 0)
    fields = given | unsafe_fields(words[:at])
    if not fields:
        return
    try:
        # It joins its words, and passes them to a shell.
        texts = shlex.split(" ".join(word.text for word in words[at:]))
    except ValueError:
        texts = [word.text for word in words[at:]]
    yield _completed([Word(text) for text in texts], _BRACES, fields)


def _executed(
    words: Sequence[Word], options: Sequence[str], ends: Sequence[str], *, appends: bool = False
) -> Iterator[list[Word]]:
    fields = unsafe_fields(words)
    starts = [number + 1 for number, word in enumerate(words) if word.text in options]
    for start in starts if fields else ():
        end = next((at for at in range(start, len(words)) if words[at].text in ends), len(words))
        yield _completed(words[start:end], _BRACES if appends else _FOUND, fields, appends=appends)


def _completed(
    words: Sequence[Word], mark: re.Pattern[str] | None, fields: frozenset[str], *, appends: bool = True
) -> list[Word]:
    """The words with the mark replaced by a value, or the value after them."""
    shown = f"{{{{{min(fields)}}}}}"
    replaced = [
        Word(mark.sub(lambda _: shown, word.text), fields)
        if mark and not word.fields and mark.search(word.text)
        else word
        for word in words
    ]
    return [*words, Word(shown, fields)] if appends and replaced == list(words) else replaced
