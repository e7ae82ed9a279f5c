"""The words of a condition: parses and writes shell-style quoting, preserving which characters were escaped."""

import re
from typing import Final, NamedTuple

_PLAIN: Final = re.compile(r"[^\s\"'\\,]*")
_SPECIAL: Final = re.compile(r"[\s\"'\\,]")
_SPECIAL_OR_BRACE: Final = re.compile(r"[\s\"'\\,{}]")
_PAIR_OR_SLASH: Final = re.compile(r"\\.|/", re.DOTALL)
# The beginning of a comparison: a field, and an operator.
OPERATOR: Final = re.compile(r"(custom_[A-Za-z0-9_-]+|[A-Za-z_][A-Za-z0-9_]*)(<=|>=|<>|!=|==|<|>|=|~)")
# A regular expression without slashes: `^linux`, `.*linux`, `(?i)linux`, `linux.*$`.
REGEX_LIKE: Final = re.compile(r"^\^(?:[A-Za-z0-9(\[/]|\.[*+?\w])|^\.[*+].|^\(\?[a-zA-Z:=!]|[*+)]\$$")
# At the beginning of a value, they look like quotes.
QUOTES: Final = "“„«‘‚`"
INVISIBLE: Final = "\u00ad\u200b\u200c\u200e\u200f\u2060\ufeff"
# In a value without quotes, these look like a second comparison, like quotes or like a regular expression.
_DOUBTFUL: Final = re.compile(rf"[;&|{QUOTES}{INVISIBLE}]|^~|^[a-z][a-z0-9_]*[=<>!~]|{REGEX_LIKE.pattern}")
_WILDCARD: Final = re.compile(r"[*?\[\]]")
_PLAIN_TAG: Final = re.compile(r"[\w-]*")
# At the start of a value these are special; as data they are escaped with a backslash.
_LEADING: Final = ("!", "+", "-", "=", "/")


class Cell(NamedTuple):
    """One character of a word: `literal` if it was escaped with a backslash, `at` is its offset in the text."""

    char: str
    literal: bool
    at: int


def cells(word: str, offset: int) -> list[Cell]:
    """The characters of one raw word after quotes and backslashes are processed as in a POSIX shell.

    Quotes group (spaces, brackets); a comma in quotes still separates values. Outside of quotes a backslash escapes
    the next character. In double quotes it only escapes `"` and itself.
    """
    found: list[Cell] = []
    quote, position = "", 0
    while position < len(word):
        char = word[position]
        following = word[position + 1 : position + 2]
        if quote == char:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
        elif char == "\\" and not quote and following:
            position += 1
            found.append(Cell(following, True, offset + position))
        elif char == "\\" and quote == '"' and following and following in '"\\':
            position += 1
            found.append(Cell(following, False, offset + position))
        else:
            found.append(Cell(char, False, offset + position))
        position += 1
    return found


def is_quoted(word: str) -> bool:
    """Whether a raw word has quotes or backslashes, and so cannot be a misspelt keyword."""
    return any(char in "\"'\\" for char in word)


def bare_text(found: list[Cell]) -> str:
    """The characters of the cells, with NUL for each that was escaped: it is no syntax."""
    return "".join("\0" if cell.literal else cell.char for cell in found)


def has_wildcards(word: str) -> bool:
    """Whether a raw word has a wildcard that is not escaped."""
    return _WILDCARD.search(bare_text(cells(word, 0))) is not None


def is_comparison(word: str) -> bool:
    """Whether the grammar reads a word as a field and an operator, both without quotes and backslashes."""
    return OPERATOR.match(word) is not None


def is_balanced(text: str) -> bool:
    """Whether each bracket of a bare text has its other one, as in a pattern: none of them is meant for a group."""
    return text.count("[") == text.count("]")


def begins_group(word: str) -> bool:
    """Whether the first bracket of a bare word has no other one in it, nor in its first value (see `ends_group`)."""
    first = word.partition(",")[0]
    return word.startswith(("[", "]")) and not any(map(is_balanced, (word, first)))


def ends_group(word: str) -> bool:
    """Whether the last bracket of a bare word closes nothing in it: it is meant to end a group.

    Brackets in an earlier value, such as a regular expression, say nothing about those of the last one.
    """
    last = word.rpartition(",")[2]
    return word.endswith("]") and all(text.count("[") < text.count("]") for text in (word, last))


def split_values(found: list[Cell]) -> list[list[Cell]]:
    """The comma-separated values of a list; a comma in `/…/` or after a backslash does not separate."""
    values: list[list[Cell]] = []
    position = 0
    while True:
        end = _value_end(found, position)
        values.append(found[position:end])
        if end >= len(found):
            return values
        position = end + 1


def _value_end(found: list[Cell], begin: int) -> int:
    first = begin
    while first < len(found) and found[first][:2] == ("!", False):
        first += 1
    closing = regex_end(found, first)
    if closing:
        return closing
    return next((i for i in range(begin, len(found)) if found[i][:2] == (",", False)), len(found))


def bangs(value: list[Cell]) -> int:
    """How many characters of a value negate it: 1 or 0."""
    return int(bool(value) and value[0][:2] == ("!", False))


def regex_end(found: list[Cell], begin: int) -> int:
    """The offset after the slash that closes the regular expression at `begin`; 0 if none begins there.

    It ends at the first slash that is followed by a comma or the end. An expression with a comma must escape inner
    slashes as `\\/`: `path=/data/a,b,/data/c/` is a list of three.
    """
    if begin >= len(found) or found[begin][:2] != ("/", False):
        return 0
    comma = slash = False
    position = begin + 1
    while position < len(found):
        char, literal, _ = found[position]
        if char == "\\" and not literal:
            position += 2
            continue
        if char == "/" and not literal:
            if position + 1 == len(found) or found[position + 1][:2] == (",", False):
                return 0 if comma and slash else position + 1
            slash = True
        comma = comma or (char == "," and not literal)
        position += 1
    return 0


def regex_text(found: list[Cell]) -> str:
    """Cells as the text of a regular expression: `\\d` keeps its backslash, `\\\\` is one backslash, `\\/` a slash."""
    text = "".join(f"\\{char}" if literal and char != "\\" else char for char, literal, _ in found)
    return _PAIR_OR_SLASH.sub(lambda pair: "/" if pair[0] == "\\/" else pair[0], text)


def glob_text(found: list[Cell]) -> str:
    """Cells as a glob pattern in which escaped wildcards match themselves."""
    return "".join(f"[{char}]" if literal and char in "*?[" else char for char, literal, _ in found)


def plain_text(found: list[Cell]) -> str:
    """The characters of the cells."""
    return "".join(cell.char for cell in found)


def quoted_tag(tag: str) -> str:
    """A word of a set, quoted so that no character in it is taken for a pattern or a separator."""
    text = quoted(tag)
    return text if _PLAIN_TAG.fullmatch(tag) or is_quoted(text) else f'"{text}"'


def quoted(text: str) -> str:
    """`text` quoted so that it parses to one value with exactly these characters."""
    braces = text.startswith("{{") or text.endswith("}}")
    leading = text.startswith(_LEADING)
    guarded = braces or leading
    # A bare word with unbalanced brackets looks like a missing space, and is rejected.
    plain = _PLAIN.fullmatch(text) and not _DOUBTFUL.search(text)
    if not guarded and plain and is_balanced(text):
        return text
    if not guarded and not any(char in text for char in '"\\,'):
        return f'"{text}"'
    special = _SPECIAL_OR_BRACE if braces else _SPECIAL
    # A backslash before a line break is refused: it looks like a continued line.
    escaped = special.sub(lambda found: '"\n"' if found[0] == "\n" else f"\\{found[0]}", text)
    return f"\\{escaped}" if leading else escaped


def quoted_regex(pattern: str) -> str:
    """A regular expression between slashes, quoted so that it parses back unchanged."""
    if "," in pattern:
        pattern = _PAIR_OR_SLASH.sub(lambda pair: "\\/" if pair[0] == "/" else pair[0], pattern)
    if not re.search(r"[\s\"'\\]", pattern):
        return f"/{pattern}/"
    # A backslash before a line break is refused (`quoted`): the quotes are closed and opened between the two.
    if "'" not in pattern:
        return "'/" + pattern.replace("\\\n", "\\''\n") + "/'"
    escaped = pattern.replace("\\", "\\\\").replace('"', '\\"')
    return '"/' + escaped.replace("\\\n", '\\""\n') + '/"'
