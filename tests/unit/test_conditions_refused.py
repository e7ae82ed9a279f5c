"""What is refused: the place with a caret, what is wrong in a sentence, and what would be right."""

import pytest

from pyrotorque.conditions import parse, parse_sort
from pyrotorque.errors import ConditionError

TIME_FORMS = (
    "write a span before now with units in the order y m w d h i s (i = minutes): 1d12h;"
    " or a date: 2024-12-31, 31.12.2024, 12/31/2024T18:30; or Unix seconds"
)

# Text, the place of the caret, what is wrong, what would be right.
REFUSED = [
    (
        "directory={{d.path}}",
        10,
        "directory: conditions do not support templates",
        r"compare in a custom field, in config.py; or write `\{{` and `\}}` for literal braces",
    ),
    ("", 0, "there is no condition here", "`*` matches every item"),
    ("[ ]", 2, "a group is empty", "write a condition between `[` and `]`"),
    ("NOT", 3, "NOT has nothing after it", "write [ NOT … ]"),
    ("[ NOT ]", 6, "NOT has nothing after it", "write [ NOT … ]"),
    ("[ prio>0", 0, "`[` is never closed", "add ` ]`"),
    ("prio>0 ]", 7, "`]` closes nothing", "remove it, or open a group with `[`"),
    ("]", 0, "`]` closes nothing", "remove it, or open a group with `[`"),
    ("[ [ prio>0 ]", 0, "`[` is never closed", "add ` ]`"),
    ("OR", 0, "OR has nothing on its left side", ""),
    ("OR prio>0", 0, "OR has nothing on its left side", ""),
    ("prio>0 OR", 7, "OR has nothing on its right side", ""),
    ("prio>0 OR OR prio>1", 7, "OR has nothing on its right side", ""),
    ("[ OR prio>0 ]", 2, "OR has nothing on its left side", ""),
    ("[ prio>0 OR ]", 9, "OR has nothing on its right side", ""),
    (
        "prio>0 NOT is_open=1",
        7,
        "NOT in the middle of a group",
        "NOT negates a whole group and must be first in it: write [ NOT … ]",
    ),
    (
        "prio>0 OR NOT is_open=1",
        10,
        "NOT in the middle of a group",
        "NOT negates a whole group and must be first in it: write [ NOT … ]",
    ),
    ("prio>0 or prio>1", 7, "`or` is not an operator", "write OR in upper case; for an item of that name: name=or"),
    ("not prio>0", 0, "`not` is not an operator", "write [ NOT … ]; for an item of that name: name=not"),
    (
        "prio>0 and is_open=1",
        7,
        "`and` is not an operator",
        "leave it out: terms are joined by AND; for an item of that name: name=and",
    ),
    ("[prio>0 ]", 1, "a bracket needs a space after it", "write `[ prio>0`"),
    ("[ prio>0]", 8, "a bracket needs a space before it", "write `prio>0 ]`"),
    ("prio>0]", 6, "a bracket needs a space before it", "write `prio>0 ]`"),
    ("[a,b ]", 1, "a bracket needs a space after it", "write `[ a,b`"),
    ("[*],b]", 5, "a bracket needs a space before it", "write `[*],b ]`"),
    ("[ name=a,b]", 10, "a bracket needs a space before it", "write `name=a,b ]`"),
    ("[ name=[a,b]]", 12, "a bracket needs a space before it", "write `name=[a,b] ]`"),
    ("[ name=/]/,b]", 12, "a bracket needs a space before it", "write `name=/]/,b ]`"),
    ("unknown=", 0, "there is no field `unknown`", "all fields are listed in docs/conditions.md"),
    ("priority>0", 0, "there is no field `priority`", "did you mean `prio`?"),
    ("is_opn=yes", 0, "there is no field `is_opn`", "did you mean `is_open`?"),
    ("kind_101=a", 0, "there is no field `kind_101`", "kind_N takes a share in percent, from kind_0 to kind_100"),
    ("kind_x=a", 0, "there is no field `kind_x`", "kind_N takes a share in percent, from kind_0 to kind_100"),
    ("prio=", 5, "prio: a value is missing here", "this field has no empty value"),
    ("prio=foo", 5, "prio: `foo` is not a number", "write a plain number like 3 or 1.5"),
    (
        "prio>-1",
        5,
        "prio: `+` or `-` cannot follow this operator",
        "there are no negative values; write just the number",
    ),
    ("prio=1,", 7, "prio: a value is missing here", "this field has no empty value"),
    ("prio=1,,2", 7, "prio: a value is missing here", "this field has no empty value"),
    ("prio=nan", 5, "prio: `nan` is not a number", "write a plain number like 3 or 1.5"),
    ("prio=1e3", 5, "prio: `1e3` is not a number", "write a plain number like 3 or 1.5"),
    ("is_open=", 8, "is_open: a value is missing here", "write one of yes, no, true, false, 1, 0"),
    ("is_open=maybe", 8, "is_open: `maybe` is neither yes nor no", "write one of yes, no, true, false, 1, 0"),
    ("is_open>0", 8, "is_open: `>` needs numbers, and this field is of the kind bool", "use = or !="),
    ("size=5x", 5, "size: `5x` is not a size", "write a number of bytes, optionally with k, m, g or t: 700m"),
    ("size=1kb", 5, "size: `1kb` is not a size", "write a number of bytes, optionally with k, m, g or t: 700m"),
    ("size=k", 5, "size: `k` is not a size", "write a number of bytes, optionally with k, m, g or t: 700m"),
    ("down>", 5, "down: a value is missing here", "this field has no empty value"),
    ("name>foo", 5, "name: `>` needs numbers, and this field is of the kind text", "use = or !="),
    ("tagged<a", 7, "tagged: `<` needs numbers, and this field is of the kind tags", "use = or !="),
    ("tagged~a", 7, "tagged: `~` needs a text, and this field is of the kind tags", "use = or !="),
    ("loaded=foo", 7, "loaded: `foo` is not a time", TIME_FORMS),
    ("loaded=1s2i", 7, "loaded: `1s2i` is not a time", TIME_FORMS),
    ("loaded=5x", 7, "loaded: `5x` is not a time", TIME_FORMS),
    ("loaded=2024-02-30", 7, "loaded: `2024-02-30` is not a date and time of the calendar", ""),
    ("loaded=2024-13-01", 7, "loaded: `2024-13-01` is not a date and time of the calendar", ""),
    ("loaded<", 7, "loaded: a value is missing here", "this field has no empty value"),
    (
        "loaded>-2i",
        7,
        "loaded: `+` or `-` cannot follow this operator",
        "there are no negative values; write just the number",
    ),
    (
        "seedtime=2024-01-01",
        9,
        "seedtime: `2024-01-01` is not a duration",
        "write seconds, or units in the order y m w d h i s: 1w, 2h30i",
    ),
    (
        "seedtime>x",
        9,
        "seedtime: `x` is not a duration",
        "write seconds, or units in the order y m w d h i s: 1w, 2h30i",
    ),
    ("name=/(/", 5, "name: this is not a regular expression: missing ), unterminated subpattern at position 0", ""),
    ("name=/[/", 5, "name: this is not a regular expression: unterminated character set at position 0", ""),
    ("name=/a{999}{999}/", 5, "name: this is not a regular expression: its counted repeats make it too large", ""),
    ("name=/*a/", 5, "name: this is not a regular expression: nothing to repeat at position 0", ""),
    ("name==foo", 6, "name: `==` is for sets", "write name=… to match the whole text"),
    ("name=!!foo", 5, "name: negated twice", "write `\\!` for an exclamation mark that is part of the text"),
    ("name!=!foo", 6, "name: negated twice", "write `\\!` for an exclamation mark that is part of the text"),
    ("name='foo", 5, "the quote ' is never closed", "add '"),
    ('name="foo', 5, 'the quote " is never closed', 'add "'),
    ("prio>0 foo\\", 10, "a backslash at the end escapes nothing", "write `\\\\` for a backslash"),
    ("custom_x>foo", 9, "custom_x: `foo` is neither a number nor a size nor a time", "write 5, 700m or 1d12h"),
]


@pytest.mark.parametrize(("text", "at", "problem", "hint"), REFUSED, ids=[text or "empty" for text, *_ in REFUSED])
def test_a_malformed_condition_is_refused_with_the_place_and_a_hint(
    text: str, at: int, problem: str, hint: str
) -> None:
    with pytest.raises(ConditionError) as refused:
        parse(text)
    first, line, caret, *rest = str(refused.value).split("\n")
    assert first == problem
    assert line == f"  {text}"
    assert caret.index("^") == at + 2
    assert rest == ([hint] if hint else [])


def test_there_are_as_many_as_promised() -> None:
    assert len(REFUSED) >= 40


def test_only_the_line_with_the_error_is_shown() -> None:
    with pytest.raises(ConditionError) as refused:
        parse("is_open=no\n    prio>0\n    is_opn=yes\n")
    assert str(refused.value) == "there is no field `is_opn`\n      is_opn=yes\n      ^\ndid you mean `is_open`?"


def test_of_a_long_line_the_surroundings_are_shown() -> None:
    with pytest.raises(ConditionError) as refused:
        parse("foo " * 1_000 + "nope=1" + " bar" * 1_000)
    lines = str(refused.value).split("\n")
    assert max(map(len, lines)) < 120
    assert lines[1][lines[2].index("^") :].startswith("nope=1")


def test_control_characters_are_shown_escaped_and_the_caret_stays_in_place() -> None:
    with pytest.raises(ConditionError) as refused:
        parse("\x1b[2J nope=1")
    _, line, caret, _ = str(refused.value).split("\n")
    assert "\x1b" not in line
    assert line[caret.index("^") :] == "nope=1"


def test_a_sort_order_with_an_unknown_field_is_refused_with_its_place() -> None:
    with pytest.raises(ConditionError) as refused:
        parse_sort("-prio, loadet")
    assert str(refused.value) == "there is no field `loadet`\n  -prio, loadet\n         ^\ndid you mean `loaded`?"


def test_a_minus_without_a_field_is_refused() -> None:
    with pytest.raises(ConditionError, match="needs a field after it"):
        parse_sort("prio, -")
