"""The OpenAPI document, generated from the routes and the structs they declare."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import msgspec

from muniment_server.api.problems import Problem
from muniment_server.api.routing import Incoming, Route

_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_BINARY = {"type": "string", "format": "binary"}
_TEMPLATE = "#/components/schemas/{name}"


@lru_cache(maxsize=2)
def document(routes: tuple[Route, ...]) -> bytes:
    """The document as JSON, in a stable order."""
    types = [
        kind for route in routes for kind in (route.body, route.answer, route.query)
        if kind not in (None, bytes, Incoming)
    ]  # fmt: skip
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template=_TEMPLATE)
    by_type: dict[str, Any] = dict(zip(map(repr, [*types, Problem]), schemas, strict=True))
    by_type[repr(bytes)] = _BINARY
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(_PARAMETER.sub(r"{\1}", route.path), {})[route.method.lower()] = _operation(
            route, by_type, components
        )
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Muniment",
            "version": version("muniment"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": {name: components[name] for name in sorted(components)}},
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def _operation(route: Route, by_type: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "summary": route.summary,
        "x-permission": str(route.permission),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PARAMETER.findall(route.path)
        ],
        "responses": {
            str(route.status): {
                "description": "The answer.",
                "content": {route.media: {"schema": by_type[repr(route.answer)]}},
            },
            "default": {
                "description": "An error, as RFC 9457 problem details.",
                "content": {"application/problem+json": {"schema": by_type[repr(Problem)]}},
            },
        },
    }
    if route.query is not None:
        made["parameters"] += _query(route.query, components)
    if route.method != "GET" and route.body is not Incoming:
        key = {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "maxLength": 200},
        }
        made["parameters"].append(key)
    if route.body is Incoming:
        made["requestBody"] = {"required": True, "content": {media: {"schema": _BINARY} for media in route.takes}}
    elif route.body is not None:
        schema = by_type[repr(route.body)]
        made["requestBody"] = {
            "required": True,
            "content": {media: {"schema": schema} for media in ("application/json", "application/msgpack")},
        }
    return made


def _query(kind: type[msgspec.Struct | list[Any]], components: dict[str, Any]) -> list[dict[str, Any]]:
    schema = components[kind.__name__]
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": given}
        for name, given in schema["properties"].items()
    ]
