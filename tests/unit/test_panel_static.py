"""The vendored scripts of the panel are the published ones, and no page needs anything from elsewhere."""

import re
from hashlib import sha256
from importlib.resources import files

import pytest

VENDORED = {
    "htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "hx-sse.min.js": "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103",
}
FORBIDDEN = re.compile(r"\bstyle=|\bon[a-z]+=|hx-on|js:|<style|<script>|(?:src|href|action)=\"https?:")
PACKAGE = files("pyrotorque_panel")


@pytest.mark.parametrize("name", VENDORED)
def test_vendored_scripts_are_unchanged(name: str) -> None:
    """htmx.org 4.0.1, files dist/htmx.min.js and dist/ext/hx-sse.min.js."""
    assert sha256(PACKAGE.joinpath("static", name).read_bytes()).hexdigest() == VENDORED[name]


def test_no_template_has_style_script_or_an_address_elsewhere() -> None:
    """The policy would forbid them, silently."""
    for template in PACKAGE.joinpath("templates").iterdir():
        text = template.read_text()
        assert not re.search(r"\bstyle=|\bon[a-z]+=|hx-on|js:|<style|(?:src|href|action)=\"https?:", text), (
            template.name
        )
        assert "<script>" not in text
