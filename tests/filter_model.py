"""A small model of rTorrent's filter commands, by the parser rules and results measured on 0.9.8."""

import re
from collections.abc import Mapping
from typing import TypeAlias

Answers = Mapping[str, str]
Value: TypeAlias = "int | str"

_TEXTS = re.compile(r"d\.(custom[1-5=]|(message|tied_to_file|name|directory|throttle_name|hash)=)")


def passes(where: str, answers: Answers) -> bool:
    """Whether rTorrent lets an item with these answers by command (`d.complete=`) through the filter.

    A number is true when it is not 0, a text when it is not empty: the text `0` is true.
    """
    return bool(_run(where, answers))


def _run(command: str, answers: Answers) -> Value:
    name, _, rest = command.partition("=")
    if name == "and":
        return int(all(_run(part, answers) for part in _braced(rest)))
    if name == "or":
        return int(any(_run(part, answers) for part in _braced(rest)))
    if name == "not":
        assert rest.startswith("$"), "an argument that is run"
        return int(not _run(rest[1:], answers))
    if name == "value":
        return int(rest)
    if name == "cat":
        return rest
    if name in ("less", "greater", "equal"):
        one, other = (_run(part, answers) for part in _arguments(rest))
        assert type(one) is type(other), "rTorrent compares like with like"
        if name == "equal":
            return int(one == other)
        return int(int(one) < int(other) if name == "less" else int(one) > int(other))
    return answers[command] if _TEXTS.match(command) else int(answers[command])


def _braced(text: str) -> list[str]:
    assert text.startswith("{"), text
    assert text.endswith("}"), text
    return _arguments(text[1:-1])


def _arguments(text: str) -> list[str]:
    """Arguments between commas: bare up to the next comma, or quoted with backslashes taking the next character."""
    found: list[str] = []
    position = 0
    while position <= len(text):
        if text[position : position + 1] == '"':
            word, position = "", position + 1
            while text[position] != '"':
                position += text[position] == "\\"
                word += text[position]
                position += 1
            position += 1
        else:
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            word, position = text[position:end], end
            assert not set(word) & set(' "{}'), f"{word!r} would need quotes"
        found.append(word)
        position += 1
    return found
