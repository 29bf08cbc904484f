"""What each route does: a request read within its limits, an answer made of one generation of an index."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from splade_engine.collections import Document, document_from_record
from splade_engine.server import answers, bodies, requests
from splade_engine.server.metrics import CONTENT_TYPE
from splade_engine.server.problems import Problem, invalid, not_found, overloaded, too_large
from splade_engine.server.work import Written

if TYPE_CHECKING:
    from splade_engine.engine import SearchEngine
    from splade_engine.server.app import State
    from splade_engine.server.served import ServedIndex

MAX_NEAR = 50  # neighbours and similar documents of one document


# ---- searching ------------------------------------------------------------------------------------------


async def search(state: State, request: Request) -> Response:
    """POST /search."""
    limits = state.settings.limits
    asked = await bodies.read(request, requests.SearchRequest, limits.body, limits.seconds)
    asked = asked.within(limits.k)
    answers.check_queries(limits, asked.queries, asked.k)
    served = _index(state, request)

    def call() -> Response:
        engine = state.take(served)
        _note(request, served, engine)
        found = answers.search(served.name, engine, asked, state.settings.rerank)
        state.metrics.search_seconds.labels(served.name).observe(found["took_us"] / 1e6)
        return bodies.answer(found)

    return await state.threads.run(
        call, served.pace if asked.is_plain and not state.must_open(served) else None
    )


async def explain(state: State, request: Request) -> Response:
    """POST /explain."""
    limits = state.settings.limits
    asked = await bodies.read(request, requests.ExplainRequest, limits.body, limits.seconds)
    asked = asked.within(limits.k)
    answers.check_queries(limits, [asked.query], asked.k)
    return await _answered(state, request, lambda name, engine: answers.explain(name, engine, asked))


async def fields(state: State, request: Request) -> Response:
    """GET /fields."""

    def counted(name: str, engine: SearchEngine) -> dict[str, Any]:
        known = state.fields.get(engine)
        if known is None:
            known = state.fields[engine] = answers.fields(name, engine)
        return known

    return await _answered(state, request, counted)


# ---- documents ------------------------------------------------------------------------------------------


async def document(state: State, request: Request) -> Response:
    """GET /documents/{id}."""
    neighbours, similar = _number(request, "neighbours"), _number(request, "similar")
    wanted = request.path_params["id"]
    read = partial(answers.document, id=wanted, neighbours=neighbours, similar=similar)
    return await _answered(state, request, read)


async def documents(state: State, request: Request) -> Response:
    """GET /documents?id=A&id=B."""
    return await _answered(state, request, partial(answers.documents, ids=_ids(state, request)))


async def put(state: State, request: Request) -> Response:
    """PUT /documents."""
    _check_write(state)
    limits = state.settings.limits
    asked = await bodies.read(request, requests.DocumentsRequest, limits.document_body, limits.seconds)
    served = _index(state, request)
    if not asked.documents:
        raise Problem(400, "Empty", "documents: the list is empty")
    if len(asked.documents) > limits.documents:
        raise too_large(f"documents: {len(asked.documents)}, at most {limits.documents} per request")
    put: dict[str, Document] = {}
    for number, record in enumerate(asked.documents):
        made = document_from_record(record, f"documents.{number}")
        if not made.indexed_text:
            raise invalid(f"documents.{number}: {made.id!r} has neither title nor text")
        if made.id in put:
            raise invalid(f"documents.{number}: the id {made.id!r} stands there twice")
        put[made.id] = made
    written = await state.documents.put(served, list(put.values()))
    return _written(request, served, written, written=written.count)


async def delete(state: State, request: Request) -> Response:
    """DELETE /documents/{id}."""
    _check_write(state)
    served = _index(state, request)
    wanted = request.path_params["id"]
    written = await state.documents.delete(served, [wanted])
    if written.missing:
        raise not_found(f"no document with id {wanted!r}")
    return _written(request, served, written, deleted=written.count)


async def delete_many(state: State, request: Request) -> Response:
    """DELETE /documents?id=A&id=B."""
    _check_write(state)
    served = _index(state, request)
    written = await state.documents.delete(served, _ids(state, request))
    return _written(request, served, written, deleted=written.count)


# ---- as text-embeddings-inference ------------------------------------------------------------------------


async def embed_sparse(state: State, request: Request) -> Response:
    """POST /embed_sparse."""
    limits = state.settings.limits
    asked = await bodies.read(request, requests.EmbedSparseRequest, limits.document_body, limits.seconds)
    texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
    if not texts:
        raise Problem(400, "Empty", "inputs: the list is empty")
    if len(texts) > limits.batch:
        raise too_large(f"inputs: {len(texts)} texts, at most {limits.batch} per request")
    if asked.truncation_direction in ("left", "Left"):
        raise invalid("truncation_direction: only right")
    served = _index(state, request)
    if asked.prompt_name == "query":
        answers.check_queries(limits, texts, 1)

        def call() -> Response:
            return bodies.answer(answers.embedded(state.take(served).encode_queries(texts)))

        return await state.threads.run(call)
    vectors = await state.documents.encode(served, texts)
    return await state.threads.run(lambda: bodies.answer(answers.embedded(vectors)))


async def info(state: State, request: Request) -> Response:
    """GET /info."""
    return await _answered(state, request, partial(answers.info, limits=state.settings.limits))


# ---- the server -----------------------------------------------------------------------------------------


async def indexes(state: State, request: Request) -> Response:
    """GET /indexes."""
    settings = state.settings

    def call() -> Response:
        generations = [(served.name, state.take(served)) for served in state.indexes.values()]
        listed = [
            {
                "name": name,
                "documents": len(engine),
                "generation": engine.index.generation,
                "encoder": engine.encoder.name,
                "write": settings.access.write,
                "max_k": settings.limits.k,
                "words": engine.index.reader.has_words,
            }
            for name, engine in generations
        ]
        return bodies.answer({"indexes": listed})

    return await state.threads.run(call)


async def health(state: State, request: Request) -> Response:
    """GET /health."""
    return Response(status_code=200)


async def ready(state: State, request: Request) -> Response:
    """GET /ready."""
    if state.closing:
        raise Problem(503, "Overloaded", "the server is shutting down")
    if state.threads.full:
        raise overloaded("no room for another search")
    return bodies.answer({"ready": True})


async def metrics(state: State, request: Request) -> Response:
    """GET /metrics."""
    return Response(state.metrics.text(), headers={"content-type": CONTENT_TYPE})


async def openapi(state: State, request: Request) -> Response:
    """GET /openapi.json."""
    return bodies.answer(state.openapi)


async def page(state: State, request: Request) -> Response:
    """GET /."""
    return state.page.response(request)


# ---- what handlers share --------------------------------------------------------------------------------


async def _answered(
    state: State, request: Request, read: Callable[[str, SearchEngine], dict[str, Any]]
) -> Response:
    """What one of the `answers` says of the generation that is current when its turn comes."""
    served = _index(state, request)

    def call() -> Response:
        engine = state.take(served)
        _note(request, served, engine)
        return bodies.answer(read(served.name, engine))

    return await state.threads.run(call)


def _index(state: State, request: Request) -> ServedIndex:
    name = request.path_params.get("index")
    if name is None:
        return next(iter(state.indexes.values()))
    served = state.indexes.get(name)
    if served is None:
        raise not_found(f"no index {name!r}; there are {', '.join(state.indexes)}")
    return served


def _note(request: Request, served: ServedIndex, engine: SearchEngine) -> None:
    """For the log."""
    request.scope["state"] |= {"index": served.name, "generation": engine.index.generation}


def _check_write(state: State) -> None:
    if not state.settings.access.write:
        raise Problem(
            403, "Unauthorized", "this server only reads; start it with --write to change documents"
        )


def _ids(state: State, request: Request) -> list[str]:
    ids = request.query_params.getlist("id")
    if not ids:
        raise Problem(400, "Empty", "id: give at least one, as in ?id=A&id=B")
    if len(ids) > state.settings.limits.documents:
        raise too_large(f"id: {len(ids)}, at most {state.settings.limits.documents} per request")
    return ids


def _number(request: Request, name: str) -> int:
    given = request.query_params.get(name, "0")
    if not (given.isdecimal() and given.isascii() and len(given) < 4 and int(given) <= MAX_NEAR):
        raise invalid(f"{name}: a number from 0 to {MAX_NEAR}")
    return int(given)


def _written(
    request: Request, served: ServedIndex, change: Written, *, written: int = 0, deleted: int = 0
) -> Response:
    engine = change.engine
    _note(request, served, engine)
    counts = {"written": written, "deleted": deleted, "missing": list(change.missing)}
    if change.unfindable:
        counts["unfindable"] = list(change.unfindable)
    return bodies.answer({**answers.stamp(served.name, engine), **counts, "documents": len(engine)})
