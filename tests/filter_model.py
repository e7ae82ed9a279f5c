"""A small model of rTorrent's filter commands, by the parser rules and results measured on 0.9.8."""

from collections.abc import Mapping

Answers = Mapping[str, str]


def passes(where: str, answers: Answers) -> bool:
    """Whether rTorrent lets an item with these answers by command (`d.complete=`) through the filter."""
    return _true(_run(where, answers))


def _run(command: str, answers: Answers) -> str:
    name, _, rest = command.partition("=")
    if name == "and":
        return str(int(all(_true(_run(part, answers)) for part in _braced(rest))))
    if name == "or":
        return str(int(any(_true(_run(part, answers)) for part in _braced(rest))))
    if name == "not":
        assert rest.startswith("$"), "an argument that is run"
        return str(int(not _true(_run(rest[1:], answers))))
    if name in ("value", "cat"):
        return rest
    if name in ("less", "greater", "equal"):
        one, other = (_run(part, answers) for part in _arguments(rest))
        if name == "equal":
            return str(int(one == other))
        return str(int(int(one) < int(other) if name == "less" else int(one) > int(other)))
    return answers[command]


def _true(value: str) -> bool:
    return value not in ("", "0")


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
