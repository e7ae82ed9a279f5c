"""The decorator of `config.py`: it marks a function as a field and leaves the function unchanged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pyrotorque.fields.kinds import KINDS, Kind

FieldFunction = TypeVar("FieldFunction", bound=Callable[[Any], Any])
MARK: Final = "__pyrotorque_field__"


@dataclass(frozen=True, slots=True)
class Declaration:
    """The field that a decorated function computes."""

    name: str
    kind: Kind
    needs: tuple[str, ...]
    doc: str


def field(
    name: str, *, kind: Kind = "text", needs: Sequence[str] = (), doc: str = ""
) -> Callable[[FieldFunction], FieldFunction]:
    """Declare the decorated function as the field `name`.

    `kind` is one of text, files, tags, bool, number, size, time, "time or never", duration, any; it determines what the
    field can be compared with. `needs` names the fields of the item that the function reads.
    """
    if not name.isidentifier() or not name.isascii():
        raise ValueError(f"{name!r} is not a valid field name: use letters, digits and _")
    if kind not in KINDS:
        raise ValueError(f"the field {name} has the unknown kind {kind!r}; the kinds are {', '.join(KINDS)}")

    def mark(compute: FieldFunction) -> FieldFunction:
        text = doc or (compute.__doc__ or "").strip().partition("\n")[0]
        setattr(compute, MARK, Declaration(name, kind, tuple(needs), text))
        return compute

    return mark
