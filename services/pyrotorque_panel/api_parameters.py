"""Parameters and bodies of the API, checked against the types that its document shows."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pyrotorque.errors import UserError
from pyrotorque_panel.exchange import NotFound, PanelRequest, QueryParameter

_POINTS_MAX: Final = 360


def thinned(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most a few hundred of them, evenly."""
    step = max(1, -(-len(points) // _POINTS_MAX))
    return list(points[::step])


def named(found: Sequence[dict[str, Any]], name: str, what: str) -> dict[str, Any]:
    for each in found:
        if each["job"] == name:
            return each
    raise NotFound(f"there is no {what} {name!r}")


def hash_of(request: PanelRequest) -> str:
    return request.params["info_hash"]


def decoded(request: PanelRequest, kind: Any) -> Any:
    try:
        return msgspec.convert(request.body, kind)
    except msgspec.ValidationError as error:
        raise UserError(f"the body is not as documented: {error}") from error


def require_query(request: PanelRequest, parameter: QueryParameter) -> None:
    """Raises UserError unless it is as documented."""
    text = request.query.get(parameter.name)
    if text is None:
        if parameter.required:
            raise UserError(f"{parameter.name} is missing: {parameter.text}")
        return
    try:
        msgspec.convert(text, parameter.kind, strict=False)
    except msgspec.ValidationError as error:
        raise UserError(f"{parameter.name} is not as documented: {error}") from error
