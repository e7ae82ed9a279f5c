"""Cookies of the panel among those of other programs on the same host."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque_panel.cookies import cookie_values

NAME = "pyrotorque_0123abcd"
FOREIGN = (
    "a/b=1", 'prefs={"a": 1}', "msg=hello world", "x=a", "b c=d", "=novalue", "novalue", "foo=[1, 2]", 'x="unclosed',
    "ü=1", "", " ", "=", "$Version=1", "expires=x", "a=b=c", f"{NAME}x=1", f"x{NAME}=1", f"x={NAME}", NAME,
)  # fmt: skip


@pytest.mark.parametrize("other", FOREIGN)
def test_no_other_cookie_hides_ours(other: str) -> None:
    for header in (f"{other}; {NAME}=secret", f"{NAME}=secret; {other}", f"{other};{NAME}=secret;{other}"):
        assert cookie_values(header, NAME) == ["secret"]


@given(
    st.lists(st.text(max_size=20).map(lambda text: text.replace(";", "")), max_size=5),
    st.text(string.ascii_letters + string.digits + "-_", min_size=1),
    st.lists(st.text(max_size=20).map(lambda text: text.replace(";", "")), max_size=5),
)
def test_ours_is_found_between_any_others(before: list[str], secret: str, after: list[str]) -> None:
    assert secret in cookie_values(";".join([*before, f" {NAME}={secret}", *after]), NAME)


def test_each_of_several_is_returned() -> None:
    assert cookie_values(f'{NAME}=one; a=b; {NAME}="two"; {NAME}=', NAME) == ["one", "two", ""]
