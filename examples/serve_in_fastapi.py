"""One address for the search server and a FastAPI application: pip install 'splade-engine[serve]' fastapi."""

from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from splade_engine import SearchEngine
from splade_engine.server import Access, ServedIndex, Settings, create_app

engine = SearchEngine.build("notes-index", ["The moon pulls the sea.", "The dough rises."], overwrite=True)
search = create_app([ServedIndex("notes", engine)], Settings(access=Access(hosts=("testserver",))))
own = FastAPI()


@own.get("/api/answer")
def answer(question: str) -> dict[str, Any]:
    """Your own route: it can use the engine itself."""
    return {"texts": [hit.text for hit in engine.search(question, k=1)]}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Paths below /api are FastAPI's; everything else, start and stop included, is the server's."""
    mine = scope["type"] == "http" and scope["path"].startswith("/api/")
    await (own if mine else search)(scope, receive, send)


# `uvicorn serve_in_fastapi:app` would serve it; here a test client asks
with TestClient(app) as client:
    print(client.get("/api/answer", params={"question": "baking bread"}).json())
    found = client.post("/search", json={"query": "tides of the ocean", "k": 1}).json()
    print(found["index"], [hit["text"] for hit in found["hits"]])

# prints:
# {'texts': ['The dough rises.']}
# notes ['The moon pulls the sea.']
