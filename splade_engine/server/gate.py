"""`Gate`: what every request passes before and behind its handler.

It gets an id, its Host header and key are checked, its answer gets the headers that keep browsers from
guessing, and it is counted, timed and logged.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from splade_engine.server.logs import FIELDS, REQUESTS
from splade_engine.server.problems import Problem, broken, stopping
from splade_engine.server.settings import Access

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from splade_engine.server.metrics import Metrics

logger = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
# headers that decide who is asked, who asks and how the body is read
_ONCE = ("host", "authorization", "x-api-key", "content-type", "content-encoding")
_UNMATCHED = "unmatched"  # the route in metrics and log of what no route stands for


class Gate:
    """ASGI middleware around the whole application.

    Args:
        app: what is behind.
        access: keys and hosts.
        metrics: where requests are counted.
        public: paths that need no key: the page holds no data, and probes have none.
    """

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics, public: Iterable[str]) -> None:
        self._app = app
        self._access = access
        self._metrics = metrics
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        status = 0

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                out["x-request-id"] = request_id
                for name, value in _HEADERS.items():
                    out.setdefault(name, value)
                out.setdefault("cache-control", "no-store")
            await send(message)

        try:
            self._check(route_path(scope), headers)
            await self._app(scope, receive, answered)
        except Problem as problem:
            await problem_response(problem, request_id)(scope, receive, answered)
        except Exception:
            logger.exception("request %s failed", request_id)
            if status:  # the answer has begun: all that is left is to break it off
                raise
            await problem_response(broken(), request_id)(scope, receive, answered)
        except asyncio.CancelledError:  # the server stops, and has waited as long as it does
            if not status:
                await problem_response(stopping(), request_id)(scope, receive, answered)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _check(self, path: str, headers: Headers) -> None:
        for name in _ONCE:
            if len(headers.getlist(name)) > 1:  # a proxy before us may have gone by the other one
                raise Problem(400, "Validation", f"the header {name} is given twice")
        host = headers.get("host", "")
        if not self._access.knows_host(host):
            named = f"is not called {host[:100]!r}" if host else "has to be named in the header Host"
            raise Problem(421, "Validation", f"this server {named}; --allow-host names it")
        if path in self._public or self._access.opens(_key(headers)):
            return
        message = "give a key: Authorization: Bearer KEY"
        raise Problem(401, "Unauthorized", message, {"www-authenticate": "Bearer"})

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        state = scope["state"]
        route = state.get("route", _UNMATCHED)
        self._metrics.requests.labels(route, _method(scope), str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if not REQUESTS.isEnabledFor(logging.INFO):
            return
        client = scope.get("client")
        fields = {
            "request_id": state["request_id"],
            "method": scope["method"],
            "path": scope["path"],
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
            "client": client[0] if client else None,
        }
        fields |= {name: state[name] for name in ("index", "generation") if name in state}
        REQUESTS.info("request", extra={FIELDS: fields})


def route_path(scope: Scope) -> str:
    """The path of a request below the one that a proxy has cut off, or that the application is mounted at."""
    root, path = scope.get("root_path", ""), str(scope["path"])
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def problem_response(problem: Problem, request_id: str) -> Response:
    """A problem as the client gets it."""
    return Response(problem.json(request_id), problem.status, problem.headers, "application/json")


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _key(headers: Headers) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key:
        return key.strip()
    return headers.get("x-api-key")


def _method(scope: Scope) -> str:
    known = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
    return scope["method"] if scope["method"] in known else "other"
