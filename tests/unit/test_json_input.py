"""Whatever is wrong with JSON from outside is one error, and no module decodes JSON in another way."""

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pyrotorque.json_input import JsonDecoder, decode_json

ROOT = Path(__file__).resolve().parents[2]
HOME = "shared/pyrotorque/json_input.py"


class Named(msgspec.Struct):
    name: str = ""


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"7", b'{"name": 7}', b'{"name": "\xff\xfe"}', b"[" * 200_000, b'{"z":' * 200_000],
)
def test_what_is_wrong_is_one_error(data: bytes) -> None:
    for kind in (Named, Named | None):
        with pytest.raises(msgspec.DecodeError):
            decode_json(data, type=kind)
        with pytest.raises(msgspec.DecodeError):
            JsonDecoder(kind).decode(data)


def test_what_is_right_is_decoded() -> None:
    assert decode_json(b'{"name": "a", "newer": [1]}', type=Named) == Named("a")
    assert JsonDecoder(list[int]).decode("[1]") == [1]
    assert decode_json(b'{"a": [1]}') == {"a": [1]}


def test_no_other_module_uses_the_decoders_of_msgspec() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder in ("shared", "services")
        for path in (ROOT / folder).rglob("*.py")
        if any(_decoders(path))
    }
    assert found == {HOME}


def _decoders(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("msgspec.json.decode", "msgspec.json.Decoder"):
            yield node.attr
