"""A server for indexes: search, documents, explanations and embeddings over HTTP, a page to search from, MCP.

`create_app` makes an ASGI application of one or several indexes; `splade-engine serve` runs it. Needs the
extra `serve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from splade_engine.lazy import lazy

if TYPE_CHECKING:
    from splade_engine.server.app import create_app
    from splade_engine.server.run import serve, serve_in_processes
    from splade_engine.server.served import ServedIndex
    from splade_engine.server.settings import Access, Limits, Settings

__all__ = ["Access", "Limits", "ServedIndex", "Settings", "create_app", "serve", "serve_in_processes"]

_HOMES = {
    "Access": "settings",
    "Limits": "settings",
    "ServedIndex": "served",
    "Settings": "settings",
    "create_app": "app",
    "serve": "run",
    "serve_in_processes": "run",
}

# the settings need neither starlette nor an index
__getattr__ = lazy(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
