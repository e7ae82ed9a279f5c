"""A field only reads: `d_NAME` of a command that changes items is refused, wherever the field is named."""

from pyrotorque.errors import ConditionError
from pyrotorque.fields.field import Field
from pyrotorque.rtorrent.effects import changes_something
from pyrotorque.text import printable

HINT = "a field only reads; the fields are listed in docs/conditions.md"


def effect_of(field: Field) -> str:
    """What is wrong with a field whose command changes something in rTorrent; empty for all others.

    Of a name with underscores, only the rTorrent that is read shows which of them are dots: see `refuse_effects`.
    """
    acting = next((command for command in field.commands if _acts(command)), "")
    return _problem(acting) if acting else ""


def refuse_effects(command: str) -> None:
    """Raise ConditionError if this command of rTorrent, such as `d.stop=`, changes something."""
    if _acts(command):
        raise ConditionError(f"{_problem(command)}: {HINT}")


def _acts(command: str) -> bool:
    return changes_something(command.partition("=")[0])


def _problem(command: str) -> str:
    name = command.partition("=")[0]
    return f"`{printable(name.replace('.', '_'))}` would run {printable(name)} for each item, which changes something"
