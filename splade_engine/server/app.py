"""`create_app`: the ASGI application, put together."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes
from weakref import WeakKeyDictionary

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.routing import Route as StarletteRoute

from splade_engine.errors import InvalidInputError, SpladeEngineError
from splade_engine.server import openapi
from splade_engine.server.agent_route import AgentRoute, Made
from splade_engine.server.gate import Gate, problem_response
from splade_engine.server.metrics import Metrics
from splade_engine.server.page import Page
from splade_engine.server.problems import ErrorType, Problem, broken, invalid, of_error
from splade_engine.server.routes import ROUTES, Route
from splade_engine.server.served import watched
from splade_engine.server.settings import Access, Settings
from splade_engine.server.threads import SearchThreads
from splade_engine.server.work import DocumentQueue

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from splade_engine.engine import SearchEngine
    from splade_engine.server.served import ServedIndex

logger = logging.getLogger(__name__)
# what agents in a page send to /mcp, sessions or not
_OF_AGENTS = ("Mcp-Protocol-Version", "Mcp-Session-Id", "Mcp-Method", "Mcp-Name", "Last-Event-ID")


@dataclass(eq=False)
class State:
    """What the handlers of one application share."""

    indexes: Mapping[str, ServedIndex]
    settings: Settings
    threads: SearchThreads
    documents: DocumentQueue
    metrics: Metrics
    page: Page
    # what serves agents at /mcp
    agents: AgentRoute | None = None
    closing: bool = False
    # what /fields says of each generation, as long as that is searched
    fields: WeakKeyDictionary[SearchEngine, dict[str, Any]] = field(default_factory=WeakKeyDictionary)

    @cached_property
    def openapi(self) -> dict[str, Any]:
        """Made when somebody asks: a tenth of a second that no start waits for."""
        return openapi.document(ROUTES)

    def take(self, served: ServedIndex) -> SearchEngine:
        """The generation of an index for one request; called in a thread where it has to be opened."""
        return served.take(newest=self.settings.workers > 1)

    def must_open(self, served: ServedIndex) -> bool:
        """Whether `take` has to open a generation first, which takes a while."""
        return self.settings.workers > 1 and served.is_stale()


def create_app(indexes: Sequence[ServedIndex], settings: Settings | None = None) -> ASGIApp:
    """An ASGI application that serves these indexes; the first answers where a request names none.

    It needs its lifespan run (every ASGI server does): new generations are looked for from there, and at the
    end what has begun is finished.

    Raises:
        InvalidInputError: no index, or two of one name.
    """
    settings = settings or Settings()
    named = {served.name: served for served in indexes}
    if not named or len(named) != len(indexes):
        raise InvalidInputError("serve: at least one index, and no two of one name")
    threads, documents = SearchThreads(settings.limits), DocumentQueue(settings.limits)
    metrics = Metrics(list(indexes), threads, documents, shared=settings.workers > 1)
    documents.on_batch = metrics.batches.observe
    state = State(named, settings, threads, documents, metrics, Page())
    routes: list[BaseRoute] = [_mounted(state, route, path) for route in ROUTES for path in _paths(route)]
    if settings.mcp:
        state.agents = AgentRoute(partial(_agents, state), settings.limits)
        routes.append(state.agents.route())
    app = Starlette(
        routes=routes,
        exception_handlers={HTTPException: _unrouted},
        lifespan=lambda _: _lifespan(state),
    )
    app.router.redirect_slashes = False
    public = [route.path for route in ROUTES if route.public]
    return _with_cors(Gate(app, settings.access, metrics, public), settings.access)


def _paths(route: Route) -> list[str]:
    return [route.path, f"/indexes/{{index}}{route.path}"] if route.indexed else [route.path]


def _mounted(state: State, route: Route, path: str) -> StarletteRoute:
    methods = [route.method]
    made = StarletteRoute(path, _endpoint(state, route), methods=methods, name=route.handler.__name__)
    # an id may hold line breaks: without DOTALL `/documents/a%0Ab` has no route, and `$` fits before the last
    made.path_regex = re.compile(made.path_regex.pattern.removesuffix("$") + r"\Z", re.DOTALL)
    return made


def _endpoint(state: State, route: Route) -> Callable[[Request], Awaitable[Response]]:
    """The handler of a route, with every error turned into an answer."""
    label = route.path.replace(":path", "")

    async def endpoint(request: Request) -> Response:
        request.scope["state"]["route"] = label
        request_id = request.scope["state"]["request_id"]
        try:
            _check_address(request)
            _check_parameters(route, request)
            return await route.handler(state, request)
        except Problem as error:
            problem = error
        except SpladeEngineError as error:
            served = state.indexes.get(request.path_params.get("index", ""))
            served = served or next(iter(state.indexes.values()))
            problem = of_error(error, str(served.path), served.name)
            if problem.status >= 500:
                logger.error("request %s: %s", request_id, error)
        except Exception:
            logger.exception("request %s failed", request_id)
            problem = broken()
        return problem_response(problem, request_id)

    return endpoint


def _check_address(request: Request) -> None:
    """Refuse percent signs that spell no UTF-8, which would be read as the id "\ufffd".

    Raises:
        Problem: 400.
    """
    # not every ASGI server gives the path as it was sent
    address = (request.scope.get("raw_path") or b"") + b"?" + request.scope["query_string"]
    if b"%" in address:
        try:
            unquote_to_bytes(address).decode()
        except UnicodeDecodeError:
            raise Problem(400, "Validation", "the address is not percent-encoded as UTF-8") from None


def _check_parameters(route: Route, request: Request) -> None:
    """Refuse a parameter that the route does not have: `?k=3` behind /search would be passed over.

    Probes and browsers may add what they like to the routes that are about no index.

    Raises:
        Problem: 422, naming it.
    """
    if not route.indexed:
        return
    known = {p.name: p.schema["type"] for p in route.parameters if p.place == "query"}
    for name in request.query_params:
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "this route has none"
            more = "; fields of the body are not read from the address" if route.request else ""
            raise invalid(f"{name}: no such parameter, {there}{more}")
        if known[name] != "array" and len(request.query_params.getlist(name)) > 1:
            raise invalid(f"{name}: given twice")


async def _unrouted(request: Request, error: Exception) -> Response:
    """Starlette's own 404 and 405, in our shape."""
    assert isinstance(error, HTTPException)
    kind: ErrorType = "NotFound" if error.status_code == 404 else "Validation"
    allowed = ", ".join(_methods(request)) if error.status_code == 405 else ""
    use = f"; use {allowed}" if allowed else ""
    words = {404: f"no route {request.url.path}", 405: f"{request.method} is not answered here{use}"}
    message = words.get(error.status_code, str(error.detail))
    headers = {**(error.headers or {}), **({"Allow": allowed} if allowed else {})}
    return problem_response(
        Problem(error.status_code, kind, message, headers), request.scope["state"]["request_id"]
    )


def _methods(request: Request) -> list[str]:
    """What all routes of an address answer together; Starlette tells those of the first alone."""
    routes = [r for r in request.app.routes if isinstance(r, StarletteRoute) and r.methods]
    fits = (r for r in routes if r.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in fits for method in route.methods or ()})


@asynccontextmanager
async def _lifespan(state: State) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        if state.agents is not None:
            await stack.enter_async_context(state.agents.running())
        await stack.enter_async_context(watched(list(state.indexes.values()), state.settings.poll))
        stack.callback(state.threads.close)
        stack.push_async_callback(state.documents.close)
        try:
            yield
        finally:
            state.closing = True


def _agents(state: State) -> Made:
    from splade_engine.server.agents import agent_server, agents_over_http  # half a second

    server = agent_server(state.indexes, state.settings.limits, state.threads.run, state.take)
    return agents_over_http(server, state.settings.limits)


def _with_cors(app: ASGIApp, access: Access) -> ASGIApp:
    if not access.cors:
        return app
    return CORSMiddleware(
        app,
        allow_origins=access.cors,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "X-Api-Key", "X-Request-Id", *_OF_AGENTS],
        expose_headers=["X-Request-Id"],
    )
