"""The routes: one table, from which the application and its OpenAPI document are made.

A route under an index stands twice: `/search` asks the first index, `/indexes/NAME/search` the one of that
name. So a client of text-embeddings-inference can be pointed at either.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from splade_engine.server import handlers, models, requests

if TYPE_CHECKING:
    from pydantic import BaseModel

    from splade_engine.server.app import State

Handler = Callable[["State", Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in a path or a query string."""

    name: str
    place: str
    help: str
    schema: dict[str, Any]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table."""

    method: str
    path: str
    handler: Handler
    help: str
    answer: type[BaseModel] | None = None
    request: type[requests.Request] | None = None
    parameters: tuple[Parameter, ...] = ()
    # whether it is about an index, and stands under /indexes/NAME too
    indexed: bool = True
    # whether it asks for no key
    public: bool = False
    # statuses of the problems it may answer with, besides 400, 401, 408, 421, 429 and 500
    problems: tuple[int, ...] = ()


_ID = Parameter("id", "path", "Of the document; slashes may stand as they are.", {"type": "string"}, True)
_SOME_IDS = Parameter(
    "id", "query", "Of a document; once per document.", {"type": "array", "items": {"type": "string"}}, True
)
_NUMBER = {"type": "integer", "minimum": 0, "maximum": handlers.MAX_NEAR, "default": 0}
_NEAR = (
    Parameter("neighbours", "query", "Documents before and after it in the index, so many each.", _NUMBER),
    Parameter("similar", "query", "Documents whose vectors are most like its own.", _NUMBER),
)
ROUTES = (
    Route(
        "POST", "/search", handlers.search, "Search", models.SearchAnswer, requests.SearchRequest,
        problems=(413, 415, 422),
    ),
    Route(
        "POST", "/explain", handlers.explain, "Why a document is, or is not, a hit", models.ExplainAnswer,
        requests.ExplainRequest, problems=(404, 413, 415, 422),
    ),
    Route("GET", "/fields", handlers.fields, "Metadata fields and their values", models.FieldsAnswer),
    Route(
        "GET", "/documents/{id:path}", handlers.document, "A document", models.DocumentAnswer,
        parameters=(_ID, *_NEAR), problems=(404, 422),
    ),
    Route(
        "GET", "/documents", handlers.documents, "Several documents", models.DocumentsAnswer,
        parameters=(_SOME_IDS,), problems=(413,),
    ),
    Route(
        "PUT", "/documents", handlers.put, "Add documents, or replace those with the same ids",
        models.WriteAnswer, requests.DocumentsRequest, problems=(403, 409, 413, 415, 422),
    ),
    Route(
        "DELETE", "/documents/{id:path}", handlers.delete, "Delete a document", models.WriteAnswer,
        parameters=(_ID,), problems=(403, 404, 409),
    ),
    Route(
        "DELETE", "/documents", handlers.delete_many, "Delete several documents", models.WriteAnswer,
        parameters=(_SOME_IDS,), problems=(403, 409, 413),
    ),
    Route(
        "POST", "/embed_sparse", handlers.embed_sparse, "Sparse vectors of texts (text-embeddings-inference)",
        None, requests.EmbedSparseRequest, problems=(413, 415, 422),
    ),
    Route("GET", "/info", handlers.info, "Model and limits (text-embeddings-inference)", models.InfoAnswer),
    Route("GET", "/indexes", handlers.indexes, "The indexes served", models.IndexesAnswer, indexed=False),
    Route("GET", "/health", handlers.health, "Whether the process answers", indexed=False, public=True),
    Route(
        "GET", "/ready", handlers.ready, "Whether it takes searches", indexed=False, public=True,
        problems=(503,),
    ),
    Route("GET", "/metrics", handlers.metrics, "Measurements for Prometheus", indexed=False),
    Route("GET", "/openapi.json", handlers.openapi, "This document", indexed=False, public=True),
    Route("GET", "/", handlers.page, "A page to search from", indexed=False, public=True),
)  # fmt: skip
