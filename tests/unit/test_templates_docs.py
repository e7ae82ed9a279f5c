"""Every example of docs/templates.md has the described result."""

import re
from pathlib import Path

import pytest

from pyrotorque import watchini
from pyrotorque.errors import UserError
from pyrotorque.loadcommands import compile_command
from pyrotorque.loadcommands.namespace import NAME_DOCS, NAMES, sample
from pyrotorque.settings.ini import interpolate, parse_ini
from pyrotorque.settings.problems import Report
from pyrotorque.templates.functions import HELPERS

DOCS = (Path(__file__).parents[2] / "docs" / "templates.md").read_text()
EXAMPLES = re.findall(r"^```ini\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
REFUSED = re.findall(r"^\| `([^|]+)` \| .+ \|$", DOCS.partition("## What is refused")[2], re.MULTILINE)

EXPECTED = {
    "target": b'd.custom.set=targetdir,"/var/torrent/done/tv/mkv/tv/sample/start"',
    "label": b'd.custom1.set="tv"',
    "throttle": b"d.throttle_name.set=slow",
    "directory": b'd.directory.set="/var/torrent/tv/Sample Show"',
    "small": b"",
    "nfo": b"f.multicall=*.nfo,f.priority.set=2",
    "pretty": b'd.custom.set=pretty,"Sample Show S01E02 720p WEB-DL x264-GROUP";d.custom.set=from,"example.com"',
}


def commands_in(example: str) -> dict[str, str]:
    report = Report()
    values = parse_ini(f"[TORQUE]\n{example}", "torque.ini", report)["torque"]
    report.raise_if_any()
    return {key.partition(".cmd.")[2]: interpolate(entry.value, {}) for key, entry in values.items()}


def recipes() -> dict[str, str]:
    return {name: text for example in EXAMPLES[:-1] for name, text in commands_in(example).items()}


def test_there_is_a_recipe_for_each_expectation() -> None:
    assert recipes().keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recipe_makes_the_command_it_promises(name: str) -> None:
    assert compile_command(name, recipes()[name]).render(sample()) == EXPECTED[name]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_listed_as_refused_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        compile_command("x", text)


def test_the_list_of_refusals_was_found() -> None:
    assert len(REFUSED) == 11


def test_the_table_lists_the_names_of_the_program() -> None:
    rows = [f"| `{name}` | {kind} | {doc} |" for name, (kind, doc) in NAME_DOCS.items()]
    section = DOCS.partition("\n## Names\n")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows


def test_the_kinds_of_the_names_are_those_of_their_values() -> None:
    kinds = {"text": str, "bool": bool, "number": int, "set": (set, frozenset), "list": tuple, "object": object}
    values = sample()
    assert values.keys() == NAME_DOCS.keys()
    assert [n for n, (kind, _) in NAME_DOCS.items() if not isinstance(values[n], kinds[kind])] == []  # type: ignore[arg-type]


def test_every_name_and_helper_is_documented() -> None:
    first_columns = " ".join(re.findall(r"^\| ([^|]+) \|", DOCS, re.MULTILINE))
    names = set(re.findall(r"`(\w+)`", first_columns))
    helpers = set(re.findall(r"`(?:h\.)?(\w+)\(", first_columns))
    assert names >= NAMES
    assert helpers >= HELPERS.keys()


def test_the_watch_ini_is_one() -> None:
    overrides = watchini.parse(EXAMPLES[-1])
    assert (overrides.load_mode, overrides.queued, overrides.on_loaded) == ("start", True, "keep")
    assert {key: value.render(sample()) for key, value in overrides.values.items()} == {
        "priority": b'd.priority.set="3"',
        "target": b'd.custom.set="targetdir","/var/torrent/done/tv/mkv"',
        "custom1": b'd.custom1.set="tv/sample/start"',
        "custom.from": b'd.custom.set="from","example.com"',
    }
