"""Packed rows: the command, and the treatment of rows that differ from the request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque.rtorrent.packed_rows import Form, packed_command, separator, split_altered, split_row


def test_each_command_is_one_quoted_argument_that_rtorrent_runs() -> None:
    assert packed_command(["d.hash=", "d.custom=key"], "SEP") == 'cat="$d.hash=","SEP","$d.custom=key"'


def test_commas_quotes_and_backslashes_of_a_command_stay_within_its_argument() -> None:
    command = r'cat="a,\"b",$d.name='
    assert packed_command([command], "SEP") == r'cat="$cat=\"a,\\\"b\",$d.name="'


def test_one_command_needs_no_separator() -> None:
    assert packed_command(["d.hash="], "SEP") == 'cat="$d.hash="'


def test_separators_differ_from_request_to_request() -> None:
    assert len({separator() for _ in range(1000)}) == 1000


def test_a_separator_is_short_and_contains_nothing_special_in_xml_and_commands() -> None:
    for _ in range(100):
        mark, *letters = list(separator())
        assert mark == "é"
        assert len(letters) == 8
        assert all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in letters)


@pytest.mark.parametrize(("mark", "form"), [("%C3%A9", Form.ESCAPED), ("??", Form.REPLACED)])
def test_a_separator_shows_how_rtorrent_altered_a_row(mark: str, form: Form) -> None:
    assert split_altered(f"one{mark}Zq3two", "éZq3", 2) == (("one", "two"), form)
    assert split_altered("oneéZq3two", "éZq3", 2) is None
    assert split_altered(f"one{mark}Zq3two", "éZq3", 3) is None


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_a_row_is_split_into_the_fields_it_was_made_of(fields: list[str]) -> None:
    assert split_row("éq3-_x9A".join(fields), "éq3-_x9A", len(fields)) == tuple(fields)


@pytest.mark.parametrize("row", ["", "a", "aSEPb", "aSEPbSEPcSEPd"])
def test_a_row_with_another_number_of_fields_is_no_row(row: str) -> None:
    assert split_row(row, "SEP", 3) is None
