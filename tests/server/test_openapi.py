"""The OpenAPI document is true: every route is in it, and answers fit the schemas that it names."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from splade_engine.server.routes import ROUTES


@pytest.fixture
def document(client):
    return client.get("/openapi.json").json()


def check(document, path, method, answer):
    responses = document["paths"][path][method]["responses"]
    assert str(answer.status_code) in responses, (path, answer.status_code)
    schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())


def test_every_route_is_described(document):
    for route in ROUTES:
        path = route.path.replace(":path", "")
        for variant in (path, f"/indexes/{{index}}{path}") if route.indexed else (path,):
            assert route.method.lower() in document["paths"][variant]
    names = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert len(set(names)) == len(names)


def test_answers_fit_their_schemas(serving):
    with serving(write=True) as client:
        document = client.get("/openapi.json").json()
        body = {"query": "sea tide", "explain": True, "snippet": 30}
        check(document, "/search", "post", client.post("/search", json=body))
        check(document, "/search", "post", client.post("/search", json={"query": ["sea", "tide"]}))
        check(document, "/search", "post", client.post("/search", json={"query": 5}))
        check(document, "/explain", "post", client.post("/explain", json={"query": "sea", "id": "tides"}))
        check(document, "/explain", "post", client.post("/explain", json={"query": "sea", "id": "no"}))
        check(document, "/fields", "get", client.get("/fields"))
        near = client.get("/documents/tides?neighbours=1&similar=1")
        check(document, "/documents/{id}", "get", near)
        check(document, "/documents", "get", client.get("/documents?id=tides&id=no"))
        put = client.put("/documents", json={"documents": [{"id": "x", "text": "salt"}]})
        check(document, "/documents", "put", put)
        check(document, "/documents", "delete", client.delete("/documents?id=x"))
        check(document, "/documents/{id}", "delete", client.delete("/documents/x"))
        check(document, "/embed_sparse", "post", client.post("/embed_sparse", json={"inputs": "sea"}))
        check(document, "/info", "get", client.get("/info"))
        check(document, "/indexes", "get", client.get("/indexes"))
