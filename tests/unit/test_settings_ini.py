"""The INI dialect of the earlier daemons' files."""

import time
from contextlib import suppress

import pytest

from pyrotorque.settings.ini import Entry, interpolate, parse_ini
from pyrotorque.settings.problems import Report


def values(text: str) -> dict[str, str]:
    report = Report()
    read = parse_ini(text, "torque.ini", report)
    assert report.problems == []
    return {key: entry.value for key, entry in read.get("torque", {}).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[TORQUE]\na = 1", {"a": "1"}, id="key and value"),
        pytest.param("[torque]\na=1", {"a": "1"}, id="lower-case section"),
        pytest.param("[Torque]\na: 1", {"a": "1"}, id="colon"),
        pytest.param("[TORQUE]\nA = 1\na = 2", {"A": "1", "a": "2"}, id="keys keep their case"),
        pytest.param("[TORQUE]\na = x=y", {"a": "x=y"}, id="equals in the value"),
        pytest.param("[TORQUE]\na =\n", {"a": ""}, id="empty value"),
        pytest.param("[TORQUE]\na = 1\n  [ b ]\n", {"a": "1\n[ b ]"}, id="continuation that begins with a bracket"),
        pytest.param("[TORQUE]\na = 1\n\n  2\n", {"a": "1\n2"}, id="continuation after an empty line"),
        pytest.param("[TORQUE]\na =\n  1\n", {"a": "1"}, id="value on the next line"),
        pytest.param("[TORQUE]\na = 1\n  # no\n  ; no\n  2", {"a": "1\n2"}, id="indented comments are comments"),
        pytest.param("[TORQUE]\n# x\n; y\na = 1", {"a": "1"}, id="comments"),
        pytest.param("[TORQUE]\na = 1 ; why", {"a": "1"}, id="comment after a value"),
        pytest.param("[TORQUE]\na = x;y", {"a": "x;y"}, id="semicolon without a blank is no comment"),
        pytest.param("[TORQUE]\na = b # c", {"a": "b # c"}, id="hash after a value belongs to it"),
        pytest.param("[TORQUE]\r\na = 1\r\n", {"a": "1"}, id="DOS line ends"),
        pytest.param("  [TORQUE]\n  a = 1\n      2\n", {"a": "1\n2"}, id="whole file indented"),
        pytest.param(
            "[TORQUE]\na = {{# set it\n    }}d.x=1", {"a": "{{# set it\n}}d.x=1"}, id="template comment over lines"
        ),
        pytest.param(
            "[TORQUE]\na = {{# set it\n    # it }}d.x=1",
            {"a": "{{# set it\n# it }}d.x=1"},
            id="a hash within an open template belongs to it",
        ),
        pytest.param("[OTHER]\na = 1", {}, id="another section"),
        pytest.param("", {}, id="empty file"),
    ],
)
def test_it_reads(text: str, expected: dict[str, str]) -> None:
    assert values(text) == expected


def test_each_value_knows_its_line() -> None:
    read = parse_ini("# x\n\n[TORQUE]\na = 1\n  2\nb = 3\n", "torque.ini", Report())
    assert read["torque"]["b"] == Entry("3", "torque.ini", 6)


def test_of_equal_keys_the_last_is_used_and_both_lines_are_reported() -> None:
    report = Report()
    read = parse_ini("[TORQUE]\na = 1\na = 2\n", "torque.ini", report)
    assert read["torque"]["a"].value == "2"
    assert str(report.warnings[0]) == ("torque.ini:3: a: is set twice, in lines 2 and 3: the last value is used")


@pytest.mark.parametrize("text", ["[TORQUE]\nnonsense\n", "a = 1\n", "[TORQUE\na = 1"])
def test_an_invalid_line_is_reported_with_its_number(text: str) -> None:
    report = Report()
    parse_ini(text, "torque.ini", report)
    assert report.problems
    assert report.problems[0].line > 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100%%", "100%"),
        ("%%(name)s", "%(name)s"),
        ("%(base)s/x", "/b/x"),
        ("100% sure", "100% sure"),
        ("50%", "50%"),
    ],
)
def test_percent_signs(text: str, expected: str) -> None:
    assert interpolate(text, {"base": "/b"}) == expected


def test_an_unknown_reference_is_an_error() -> None:
    with pytest.raises(KeyError):
        interpolate("%(nowhere)s", {})


@pytest.mark.parametrize(
    "text",
    [
        "a" + " " * 60_000 + "b",
        "a = 1" + "\n x" * 20_000,
        "a = {{" + "\n # {{" * 8_000,
        "a = " + "%(" * 30_000,
        "a = %(" + "(" * 60_000,
        "a = b" + " " * 60_000 + ";",
        "[" * 60_000,
        "\n[a]" * 15_000,
    ],
    ids=lambda text: text[:12].strip(),
)
def test_the_time_for_a_file_grows_with_its_length_only(text: str) -> None:
    """Another person may have written a watch.ini; processor time, whatever else the machine does."""
    before = time.process_time()
    read = parse_ini(f"[x]\n{text}\n", "watch.ini", Report())
    for entry in read["x"].values():
        with suppress(KeyError):
            interpolate(entry.value, {})
    assert time.process_time() - before < 2.0


@pytest.mark.parametrize(
    ("text", "ignored"),
    [
        ("[TORQUE] dry_run = True\n", "dry_run = True"),
        ("# x\n[TORQUE]\ra = 1\rb = 2\r", "a = 1"),
        ("[TORQUE]]\n", "]"),
        ("[TORQUE] # a comment\n", ""),
        ("[TORQUE]  ; a comment\n", ""),
        ("[TORQUE]   \n", ""),
    ],
)
def test_text_behind_a_section_is_not_ignored_silently(text: str, ignored: str) -> None:
    report = Report()
    parse_ini(text, "torque.ini", report)
    assert [ignored in str(warning) for warning in report.warnings] == ([True] if ignored else [])


@pytest.mark.parametrize(
    ("text", "line", "wanted"),
    [
        ("[TORQUE]\n  a = 1\n", 2, "is indented, but continues no value"),
        ("[TORQUE]\n\ta = 1\n", 2, "is indented, but continues no value"),
        ("a\n  [TORQUE]\n", 2, "is indented, but continues no value"),
        ("[TORQUE\na = 1\n", 1, "`]` is missing"),
        ("[TORQUE]\na = 1\n[job.queue\n", 3, "`]` is missing"),
        ("a = 1\n", 1, "precedes the first section: add [TORQUE] above it"),
        ("[TORQUE]\na\n", 2, "is neither a section, nor KEY = VALUE, nor a comment"),
    ],
)
def test_a_line_that_is_not_read_has_its_reason(text: str, line: int, wanted: str) -> None:
    report = Report()
    parse_ini(text, "torque.ini", report)
    assert [wanted in problem.text for problem in report.problems if problem.line == line] == [True]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\n#b = 2\n    3\n", 4),
        ("a = 1\n; job.b-d : 2\n\t3\n", 4),
        ("a = 1\n##job.queue.startable=2\n  [ 3 ]\n", 4),
        # indented comments, and those without a setting, are within a value
        ("a = 1\n    #b = 2\n    3\n", 0),
        ("a = 1\n# the rest\n    3\n", 0),
        ("a = 1\n# Note: the rest\n    3\n", 0),
        ("a = 1\n#b = 2\n#    3\n", 0),
        ("a = 1\n#b = 2\nc = 3\n    4\n", 0),
        ("a = {{# x\n#b = 2\n   }}y\n", 0),
    ],
)
def test_lines_of_a_setting_that_was_made_a_comment_are_reported(text: str, line: int) -> None:
    report = Report()
    parse_ini(f"[TORQUE]\n{text}", "torque.ini", report)
    found = [(warning.line, warning.key, "line 2" in warning.text) for warning in report.warnings]
    assert found == ([(line, "a", True)] if line else [])
