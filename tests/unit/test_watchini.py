"""watch.ini sets options for the metafiles of a folder and of the folders below."""

import pytest

from pyrotorque.errors import SettingsError
from pyrotorque.loadcommands.namespace import sample
from pyrotorque.watchini import Overrides, inherited, parse


def commands(overrides: Overrides) -> dict[str, bytes]:
    return {key: value.render(sample()) for key, value in overrides.values.items()}


def test_an_empty_file_sets_nothing() -> None:
    assert parse("") == Overrides()
    assert parse("# nothing\n[watch]\n") == Overrides()


def test_a_section_header_is_optional() -> None:
    assert parse("queued = yes") == parse("[watch]\nqueued = yes") == Overrides(queued=True)


@pytest.mark.parametrize(
    ("word", "means"), [("start", "start"), ("started", "start"), ("normal", "normal"), ("x", "normal")]
)
def test_load_mode_has_the_same_values_as_for_a_job(word: str, means: str) -> None:
    assert parse(f"load_mode = {word}").load_mode == means


def test_values_are_data_as_a_whole_and_may_be_templates() -> None:
    found = commands(parse('custom.a = x, "y"; $z\ncustom1 = {{label}}!\npriority = high\ntarget = /a b/{{relpath}}\n'))
    assert found == {
        "custom.a": b'd.custom.set="a","x, \\"y\\"; $z"',
        "custom1": b'd.custom1.set="tv/mkv!"',
        "priority": b'd.priority.set="3"',
        "target": b'd.custom.set="targetdir","/a b/tv/sample/start"',
    }


def test_percent_signs_are_doubled_as_in_torque_ini() -> None:
    assert commands(parse("custom1 = 100%% %%(label)s")) == {"custom1": b'd.custom1.set="100% tv/mkv"'}
    assert commands(parse("custom1 = %(label)s")) == {"custom1": b'd.custom1.set="tv/mkv"'}


def test_each_option_of_the_nearest_folder_wins() -> None:
    outer = parse(
        "load_mode = start\nqueued = yes\ncustom1 = a\ncustom2 = b\ncmd.x = d.custom3.set=c\ncmd.y = d.custom4.set=d"
    )
    inner = parse("queued = no\ncustom1 = z\ncmd.x =\non_loaded = delete")
    both = inherited(outer, inner)
    assert (both.load_mode, both.queued, both.on_loaded) == ("start", False, "delete")
    assert commands(both) == {"custom1": b'd.custom1.set="z"', "custom2": b'd.custom2.set="b"'}
    assert both.commands == {"x": "", "y": "d.custom4.set=d"}
    assert inherited() == Overrides()


def test_all_errors_are_reported_at_once_with_their_lines() -> None:
    text = "lod_mode = start\nqueued = maybe\ncmd.a = branch=x\n\npriority = 9\non_loaded = burn\ncustom1 = {{nope}}"
    with pytest.raises(SettingsError) as caught:
        parse(text, file="tv/watch.ini")
    lines = str(caught.value).splitlines()
    assert [line.split(" ")[0] for line in lines] == [f"tv/watch.ini:{number}:" for number in (1, 2, 3, 5, 6, 7)]
    assert "did you mean load_mode?" in lines[0]
    assert "in a watched tree" in lines[2]


@pytest.mark.parametrize(
    "text", ["cmd.a = execute.throw=x", "cmd.a = f.multicall=*,execute=x", "cmd.a = d.tied_to_file.set=/x"]
)
def test_it_runs_no_programs(text: str) -> None:
    with pytest.raises(SettingsError, match=r"put it into torque\.ini"):
        parse(text)


@pytest.mark.parametrize("key", ["cmd.a", "custom1", "target"])
def test_it_reads_no_other_files(key: str) -> None:
    with pytest.raises(SettingsError, match="file: is not allowed"):
        parse(f"{key} = file:/etc/hostname")


def test_the_number_of_settings_is_limited() -> None:
    with pytest.raises(SettingsError, match="the limit is 200"):
        parse("".join(f"custom.k{number} = {{{{label|upper}}}}\n" for number in range(2_000)))
