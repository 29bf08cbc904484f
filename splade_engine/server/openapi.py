"""The OpenAPI document, made from the table of routes and the models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from splade_engine import __version__
from splade_engine.server import models, requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from splade_engine.server.routes import Parameter, Route

_ALWAYS = (400, 401, 408, 421, 429, 500)
_WORDS = {
    400: "Not JSON, empty, or a header or address that cannot be read",
    401: "No key, or a wrong one",
    403: "The server only reads",
    404: "No such document or index",
    408: "Took too long",
    409: "Another process is changing the index",
    413: "Above a limit",
    415: "Not sent as JSON",
    421: "Sent to a host name that is not the server's",
    422: "Cannot be accepted; the message says why",
    429: "Full; come again",
    500: "The server's fault; its log says more",
    501: "Compressed on its way (Transfer-Encoding)",
    503: "Not ready",
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """OpenAPI 3.1."""
    used: set[type[BaseModel]] = {
        m for route in routes for m in (route.answer, route.request) if m is not None
    }
    used.update((models.ProblemModel, models.Embedded))
    ordered = sorted(used, key=lambda model: model.__name__)
    references, definitions = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    schema = {model: references[model, "validation"] for model in ordered}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        variants = [route.path, f"/indexes/{{index}}{route.path}"] if route.indexed else [route.path]
        for path in variants:
            shown = path.replace(":path", "")
            paths.setdefault(shown, {})[route.method.lower()] = _operation(route, path, schema)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "splade-engine",
            "version": __version__,
            "description": "Learned sparse retrieval over HTTP.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _operation(route: Route, path: str, schema: dict[Any, Any]) -> dict[str, Any]:
    named = path.startswith("/indexes/{index}")
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__ + ("_in" if named else ""),
        "summary": route.help,
        "responses": {"200": _answer(route, schema)},
    }
    parameters = [_parameter(parameter) for parameter in route.parameters]
    if named:
        index = {"name": "index", "in": "path", "required": True, "schema": {"type": "string"}}
        parameters.insert(0, index)
    if parameters:
        operation["parameters"] = parameters
    if route.request is not None:
        content = {"application/json": {"schema": schema[route.request]}}
        operation["requestBody"] = {"required": True, "content": content}
    if route.public:
        operation["security"] = []
    of_index = (422, 404) if named else (422,) if route.indexed else ()  # a parameter, the index
    of_body = (501,) if route.request is not None else ()
    for status in sorted({*_ALWAYS, *route.problems, *of_index, *of_body}):
        content = {"application/json": {"schema": schema[models.ProblemModel]}}
        operation["responses"][str(status)] = {"description": _WORDS[status], "content": content}
    return operation


def _answer(route: Route, schema: dict[Any, Any]) -> dict[str, Any]:
    if route.answer is not None:
        return {"description": "OK", "content": {"application/json": {"schema": schema[route.answer]}}}
    if route.request is requests.EmbedSparseRequest:  # a list of lists, not an object
        rows = {"type": "array", "items": {"type": "array", "items": schema[models.Embedded]}}
        return {"description": "OK", "content": {"application/json": {"schema": rows}}}
    return {"description": "OK"}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.help,
        "required": parameter.required,
        "schema": parameter.schema,
    }
