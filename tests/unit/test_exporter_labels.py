"""Label values are valid for any name of a torrent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque_exporter.labels import MAX_LENGTH, escaped, label_value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("Debian 12", "Debian 12", id="plain text stays"),
        pytest.param("Zürich ☃", "Zürich ☃", id="other scripts stay"),
        pytest.param("two\nlines\t\x1b[31m", "twolines[31m", id="control characters go"),
        pytest.param("bad \udcff byte", "bad � byte", id="a byte that is not UTF-8 is replaced"),
        pytest.param("lone \ud800 half", "lone � half", id="a lone surrogate is replaced"),
        pytest.param("", "", id="nothing stays nothing"),
    ],
)
def test_a_label_value_is_one_line_of_valid_text(text: str, shown: str) -> None:
    assert label_value(text) == shown


def test_a_long_name_is_cut_at_two_hundred_characters() -> None:
    cut = label_value("é" * 500)
    assert len(cut) == MAX_LENGTH
    assert cut.endswith("…")


@given(st.text())
def test_every_text_becomes_a_value_that_prometheus_accepts(text: str) -> None:
    value = label_value(text)
    assert len(value) <= MAX_LENGTH
    assert value.encode("utf-8").decode("utf-8") == value
    assert not any(ord(char) < 0x20 for char in value)


def test_quotes_and_backslashes_are_escaped() -> None:
    assert escaped('a "quoted" back\\slash') == 'a \\"quoted\\" back\\\\slash'
