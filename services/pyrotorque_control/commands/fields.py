"""`pyrotorque fields`: lists the fields of conditions and the names of templates."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import click

from pyrotorque.errors import UserError
from pyrotorque.suggestions import suggestion
from pyrotorque_control import terminal
from pyrotorque_control.exit_codes import EX_OK

_WIDTH: Final = 80
_GROUP_BY: Final = "group_by"
_OF_ITEMS: Final = ("condition", "sort", "job template")
_LOAD: Final = "load template"
_TITLES: Final = {
    "condition": "Fields of items, for conditions, sort orders, select --fields, and templates of\n"
    "jobs (value, target, command, text); those with * also for group_by of a queue:",
    _LOAD: "Names in templates of load commands (job.NAME.cmd.ANYTHING of a tree watch):",
}


@dataclass(frozen=True)
class ListedField:
    """A field or name: what it is, and where it may be used; `costly` needs more than a column of rTorrent's answer."""

    name: str
    kind: str
    meaning: str
    use: tuple[str, ...]
    costly: bool = False


def listed_fields() -> list[ListedField]:
    """All fields, in the order of docs/conditions.md, then all names of docs/templates.md."""
    from pyrotorque.fields import FAMILIES, FIELDS, GROUP_KINDS
    from pyrotorque.loadcommands.namespace import NAME_DOCS

    rows = [(each.name, each.kind, each.doc, each.costly) for each in FIELDS.values()]
    rows += [(name, kind, doc, name.startswith("kind")) for name, kind, doc in FAMILIES]
    items = [
        ListedField(name, kind, doc, (*_OF_ITEMS, _GROUP_BY) if kind in GROUP_KINDS else _OF_ITEMS, costly)
        for name, kind, doc, costly in rows
    ]
    return items + [ListedField(name, kind, doc, (_LOAD,)) for name, (kind, doc) in NAME_DOCS.items()]


@click.command(short_help="List the fields of conditions and templates.")
@click.argument("word", required=False, default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: name, kind, meaning, use, costly.")
def command(word: str, as_json: bool) -> int:
    """List the fields of conditions and the names in templates, with their kind and meaning; with WORD, those that
    contain it in their name, kind or meaning.

    \b
      pyrotorque fields            all
      pyrotorque fields tracker    what is about trackers
      pyrotorque fields bool       what is yes or no

    Fields of your own (config.py) are not listed. Runs without rTorrent and without a configuration. The exit code is
    64 if no field contains WORD.
    """
    fields = listed_fields()
    needle = word.casefold()
    found = [each for each in fields if needle in f"{each.name}\n{each.kind}\n{each.meaning}".casefold()]
    if not found:
        hint = suggestion(word, [each.name for each in fields])
        raise UserError(f"no field contains {word!r}{hint}; pyrotorque fields lists all")
    for line in map(terminal.json_line, map(asdict, found)) if as_json else _lines(found):
        click.echo(line)
    return EX_OK


def _lines(found: Sequence[ListedField]) -> Iterator[str]:
    before = ""
    for use, title in _TITLES.items():
        rows = [each for each in found if use in each.use]
        if not rows:
            continue
        yield before + title
        before = "\n"
        names = max(len(each.name) for each in rows) + 1
        kinds = max(len(each.kind) for each in rows)
        for each in rows:
            mark = "*" if _GROUP_BY in each.use else ""
            head = f"  {each.name + mark:{names}}  {each.kind:{kinds}}  "
            yield from textwrap.wrap(
                each.meaning.replace("`", ""), _WIDTH, initial_indent=head, subsequent_indent=" " * len(head)
            )
