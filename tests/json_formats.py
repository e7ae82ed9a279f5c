"""The JSON of message types as plain data, which compares those of two versions.

`python -P tests/json_formats.py "MODULE NAME"...` prints the formats of types below `pyrotorque`, for another version.
"""

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

from msgspec import inspect

Format = dict[str, Any]


def format_of(kind: Any) -> Format:
    """Fields, tags, values and choices of a type that msgspec reads."""
    return _described(inspect.type_info(kind))


def _described(kind: inspect.Type) -> Format:
    match kind:
        case inspect.StructType():
            fields = {field.encode_name: _described(field.type) for field in kind.fields}
            return {
                "tag": kind.tag,
                "fields": fields,
                "required": sorted(field.encode_name for field in kind.fields if field.required),
                "strict": kind.forbid_unknown_fields,
            }
        case inspect.UnionType():
            return {"choices": {_key(each): _described(each) for each in kind.types}}
        case inspect.LiteralType():
            return {"values": sorted(map(str, kind.values))}
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            return {"list of": _described(kind.item_type)}
        case inspect.TupleType():
            return {f"member {number}": _described(each) for number, each in enumerate(kind.item_types)}
        case inspect.DictType():
            return {"values of": _described(kind.value_type)}
        case _:
            return {"type": type(kind).__name__}


def _key(kind: inspect.Type) -> str:
    """What distinguishes the members of a union."""
    return str(kind.tag) if isinstance(kind, inspect.StructType) else type(kind).__name__


def differences(old: Format, new: Format, at: str = "") -> Iterator[str]:
    """What keeps a reader of one version from JSON of the other."""
    for aspect in old.keys() | new.keys():
        before, now = old.get(aspect), new.get(aspect)
        match aspect:
            case "fields" | "choices" if isinstance(before, dict) and isinstance(now, dict):
                for name in before:
                    if name in now:
                        yield from differences(before[name], now[name], f"{at}.{name}")
                    else:
                        yield f"{at}.{name} is gone"
            case "required" if new_fields := set(now or ()) - set(old.get("fields", ())):
                yield f"{at} requires {sorted(new_fields)}"
            case "values" if gone := set(before or ()) - set(now or ()):
                yield f"{at} may no longer be {sorted(gone)}"
            case "fields" | "choices" | "tag" | "strict" | "type" if before != now:
                yield f"{at}: {aspect} was {before}, is {now}"
            case _ if isinstance(before, dict) and isinstance(now, dict) and aspect not in {"fields", "choices"}:
                yield from differences(before, now, f"{at}[]")
            case _:
                pass


def main(names: list[str]) -> None:
    found: dict[str, Format] = {}
    for name in names:
        module, _, kind = name.partition(" ")
        found[name] = format_of(getattr(importlib.import_module(f"pyrotorque.{module}"), kind))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
