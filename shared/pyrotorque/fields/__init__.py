"""The fields of an item: the fixed table, families such as `custom_KEY`, and fields that depend on settings."""

import re
from collections.abc import Mapping
from typing import Final

from pyrotorque import trackers, traits
from pyrotorque.errors import ConditionError
from pyrotorque.fields import converters
from pyrotorque.fields.field import DETAILS, Detail, Field, Rows
from pyrotorque.fields.kinds import KINDS, Kind, Tags, Value
from pyrotorque.fields.table import FIELDS, room_field
from pyrotorque.text import printable

__all__ = [
    "DETAILS",
    "FAMILIES",
    "FIELDS",
    "GROUP_KINDS",
    "KINDS",
    "Detail",
    "Field",
    "Kind",
    "Rows",
    "Tags",
    "Value",
    "check_group_field",
    "configured",
    "field",
    "room_field",
]

FAMILIES: Final[tuple[tuple[str, Kind, str], ...]] = (
    ("kind_N", "tags", "extensions of files that make up at least N percent of the size, N from 0 to 100"),
    (
        "custom_KEY",
        "any",
        "rTorrent's custom value KEY, with letters, digits, `_` and `-`: `custom_chk-state`; "
        "`custom_1` to `custom_5` are the numbered ones",
    ),
    (
        "d_NAME",
        "any",
        "the answer of rTorrent's command `d.NAME`, which must only read; write `_` for each dot: `d_up_rate`",
    ),
)
"""Name, kind and meaning of fields whose name has a part of your own."""

_CUSTOM: Final = re.compile(r"custom_([A-Za-z0-9_-]+)", re.ASCII)
_KIND: Final = re.compile(r"kind_(\d{1,3})", re.ASCII)
_COMMAND: Final = re.compile(r"d_([a-z0-9_]+)", re.ASCII)


def field(name: str) -> Field | None:
    """The field of this name, including the families `custom_KEY`, `kind_N` and `d_NAME`; None if there is none."""
    if name in FIELDS:
        return FIELDS[name]
    if found := _CUSTOM.fullmatch(name):
        key = found[1]
        command = f"d.custom{key}=" if key in "12345" else f"d.custom={key}"
        return Field(name, "any", (command,), str, f"the custom value `{key}`")
    if (found := _KIND.fullmatch(name)) and int(found[1]) <= 100:
        share = int(found[1])
        return Field(name, "tags", (), converters.kind(share), f"extensions with {share} % of the size", ("files",))
    if found := _COMMAND.fullmatch(name):
        return Field(name, "any", (f"d.{found[1]}=",), str, f"the answer of rTorrent's `d.{found[1]}`")
    return None


def configured(
    aliases: Mapping[str, str] | None = None,
    traits_by_alias: Mapping[str, str] | None = None,
    min_free: int = 0,
) -> dict[str, Field]:
    """The fields that depend on settings, for `conditions.parse(…, custom=…)`.

    `aliases` maps a host or domain of trackers to an alias (section `[ANNOUNCE]`), `traits_by_alias` maps an alias to
    the theme of its items, and `min_free` is the number of bytes that `has_room` keeps free.
    """
    names = {host.lower(): alias for host, alias in (aliases or {}).items()}
    themes = {alias.lower(): theme for alias, theme in (traits_by_alias or {}).items()}

    def alias_of(rows: Rows) -> str:
        return trackers.alias(converters.tracker(rows), names)

    def traits_of(name: str, files: Rows, rows: Rows) -> Tags:
        return Tags(converters.traits_list(name, files, themes.get(alias_of(rows).lower(), "")))

    def label_of(name: str, files: Rows, rows: Rows) -> str:
        return traits.label(converters.traits_list(name, files, themes.get(alias_of(rows).lower(), "")))

    changed = {"has_room": room_field(min_free), "alias": _like("alias", alias_of, ("trackers",))}
    if themes:
        changed["traits"] = _like("traits", traits_of, ("files", "trackers"))
        changed["label"] = _like("label", label_of, ("files", "trackers"))
    return changed


# A group needs few values that many items share.
GROUP_KINDS: Final[frozenset[Kind]] = frozenset(("text", "any", "tags", "bool", "number"))


def check_group_field(name: str, table: Mapping[str, Field]) -> None:
    """Raises ConditionError unless `name` is a field by which items can be grouped."""
    found = table.get(name) or field(name)
    if found is None:
        raise ConditionError(f"there is no field `{printable(name)}`; all fields are listed in docs/conditions.md")
    if found.kind not in GROUP_KINDS:
        raise ConditionError(f"`{name}` is no field to group by: its values are of the kind {found.kind}")


def _like(name: str, convert: "object", details: tuple[Detail, ...]) -> Field:
    base = FIELDS[name]
    return Field(name, base.kind, base.commands, convert, base.doc, details)  # type: ignore[arg-type]
