"""The OpenAPI document, made from the table of routes and the structs of requests and answers."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pyrotorque_panel.api_types import ApiProblem, InfoHash
from pyrotorque_panel.exchange import PanelRoute

_TEMPLATE: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_CODES: Final = {
    "400": "The request is invalid",
    "401": "No valid token",
    "403": "The token may only read, or actions are off",
    "404": "There is no such thing",
    "409": "The service refused; `error` is its sentence",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "421": "The host is not a name of this panel",
    "429": "Too many streams, or other uploads are not complete yet",
    "503": "A service is away; try again after `Retry-After` seconds",
}


def document(routes: Sequence[PanelRoute], version: str, base_path: str) -> bytes:
    """Of all routes of the API."""
    api = [route for route in routes if route.kind == "api"]
    types = [each for route in api for each in (route.answer, route.body) if each is not None]
    schemas, components = msgspec.json.schema_components([*types, ApiProblem], ref_template=_TEMPLATE)
    problem, found = schemas[-1], iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for route in api:
        answer = next(found) if route.answer is not None else {}
        body = next(found) if route.body is not None else None
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, answer, body, problem)
    made = {
        "openapi": "3.1.0",
        "info": {"title": "pyrotorque panel", "version": version},
        "servers": [{"url": base_path.rstrip("/") or "/"}],
        "security": [{"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}, "schemas": components},
        "paths": paths,
    }
    return msgspec.json.encode(made)


def _operation(route: PanelRoute, answer: Any, body: Any, problem: Any) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", route.path.replace("/api/v1", "")).strip("_")
    made: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{name}",
        "summary": route.summary,
        "description": f"Needs a token with the scope `{route.scope}`.",
        "parameters": [
            *(_path_parameter(each) for each in _PARAMETER.findall(route.path)),
            *(
                {
                    "name": each.name,
                    "in": "query",
                    "required": each.required,
                    "description": each.text,
                    "schema": msgspec.json.schema(each.kind),
                }
                for each in route.query
            ),
        ],
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": answer}}},
            **{
                code: {"description": text, "content": {"application/json": {"schema": problem}}}
                for code, text in _CODES.items()
            },
        },
    }
    if body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return made


def _path_parameter(name: str) -> dict[str, Any]:
    schema = msgspec.json.schema(InfoHash) if name == "info_hash" else {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}
