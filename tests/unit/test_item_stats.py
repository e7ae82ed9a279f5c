"""The settings `item_stats` and `item_labels` accept attributes only, and give them names and types."""

import pytest

from pyrotorque.item_stats import ItemLabel, parse_labels, parse_stats


@pytest.mark.parametrize(
    ("entry", "command", "name", "kind", "divisor"),
    [
        pytest.param("up.total", "d.up.total=", "uploaded_bytes_total", "counter", 1, id="a known one"),
        pytest.param("d.up.total", "d.up.total=", "uploaded_bytes_total", "counter", 1, id="with its prefix"),
        pytest.param("ratio", "d.ratio=", "ratio", "gauge", 1000, id="per mille becomes a ratio"),
        pytest.param("chunk_size", "d.chunk_size=", "chunk_size", "gauge", 1, id="an unknown one"),
        pytest.param("skip.total", "d.skip.total=", "skip", "gauge", 1, id="a gauge's name has no _total"),
        pytest.param("custom:Score", "d.custom=Score", "score", "gauge", 1, id="a custom value"),
        pytest.param("custom:s-1=score", "d.custom=s-1", "score", "gauge", 1, id="with a name"),
        pytest.param("skip.total=skipped_bytes_total", "d.skip.total=", "skipped_bytes_total", "counter", 1, id="type"),
        pytest.param("ratio=share/1000", "d.ratio=", "share", "gauge", 1000, id="with a divisor"),
    ],
)
def test_an_entry_becomes_a_metric(entry: str, command: str, name: str, kind: str, divisor: float) -> None:
    (stat,) = parse_stats([entry])
    assert (stat.command, stat.name, stat.kind, stat.divisor) == (command, name, kind, divisor)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "accepting_seeders.enable",
        "views.push_back_unique",
        "tracker_announce",
        "multicall2",
        "up.total;d.erase",
        "$system.pid",
        "up.total=,execute.throw",
        "custom=a b",
        "views.push_back:x",
        "erase",
        "d.stop",
        "custom1.set",
        "save_full_session",
        "up.total=name{}",
        "UP",
        "ratio=share/0",
    ],
)
def test_commands_that_are_not_attributes_are_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"item_stats has|changes something|only custom"):
        parse_stats([entry])


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param(["custom:a=score", "custom:b=score"], id="two of one name"),
        pytest.param(["up.total", "skip.total=uploaded_bytes_total"], id="the name of a known one"),
        pytest.param(["custom:x=info"], id="the name of what is always there"),
    ],
)
def test_two_metrics_with_one_name_are_refused(entries: list[str]) -> None:
    with pytest.raises(ValueError, match=r"item_stats has two metrics named .*choose another with COMMAND=NAME"):
        parse_stats(entries)


@pytest.mark.parametrize("entries", [["name", "custom:Name"], ["custom:info_hash"], ["custom:a-b", "custom:a_b"]])
def test_two_labels_with_one_name_are_refused(entries: list[str]) -> None:
    with pytest.raises(ValueError, match=r"item_labels has two labels named"):
        parse_labels(entries)


def test_a_key_that_is_not_a_valid_label_name_gets_one() -> None:
    assert [label.name for label in parse_labels(["custom:1st", "custom:__name__"])] == ["custom_1st", "custom_name__"]


def test_equal_entries_are_one() -> None:
    assert len(parse_stats(["up.total", "up.total"])) == 1


def test_labels_have_valid_names_and_always_include_the_hash() -> None:
    assert parse_labels(["hash", "d.name", "tracker", "custom1", "custom:Target-Dir2"]) == [
        ItemLabel("name", "d.name="),
        ItemLabel("tracker", ""),
        ItemLabel("custom1", "d.custom1="),
        ItemLabel("target_dir2", "d.custom=Target-Dir2"),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        "base_path",
        "directory",
        "tied_to_file",
        "session_file",
        "loaded_file",
        "tracker_announce",
        "peer_id",
        "a b",
        "erase",
    ],
)
def test_labels_never_show_paths_or_keys(entry: str) -> None:
    with pytest.raises(ValueError, match=r"item_labels has|changes something"):
        parse_labels([entry])
