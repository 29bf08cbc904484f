"""The route of agents, `/mcp`: what answers there is made when the first of them asks.

The package `mcp` takes as long to import as all else that a server needs to start, and most servers never
meet an agent.
"""

from __future__ import annotations

import asyncio
from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from splade_engine.server.bodies import check_kind, received
from splade_engine.server.gate import problem_response
from splade_engine.server.problems import Problem
from splade_engine.server.settings import Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH = "/mcp"
# what answers, and what has to run meanwhile
Made = tuple["ASGIApp", AbstractAsyncContextManager[None]]


class AgentRoute:
    """An ASGI application that is made in a thread when it is first called.

    Args:
        make: makes it.
        limits: a body has to arrive within; the package `mcp` would wait for it for ever.
    """

    def __init__(self, make: Callable[[], Made], limits: Limits) -> None:
        self._make, self._limits = make, limits
        self._asked, self._ended = asyncio.Event(), asyncio.Event()
        self._ready: asyncio.Future[ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["state"]["route"] = PATH  # for metrics and log
        try:
            _check_method(scope["method"])
            request = Request(scope, receive)
            check_kind(request)
            body = (await received(request, self._limits.body, self._limits.seconds)).removeprefix(BOM_UTF8)
        except Problem as problem:
            await problem_response(problem, scope["state"]["request_id"])(scope, receive, send)
            return
        assert self._ready is not None, "outside the application's lifespan"
        self._asked.set()
        app = await asyncio.shield(self._ready)
        refusal = _refusal(body)
        if refusal is not None:
            await Response(refusal, 400, media_type="application/json")(scope, receive, send)
            return
        await app(scope, _again(body, receive), send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The lifespan: what was made until its end runs in one task, as `mcp` demands."""
        self._ready = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(self._ready))
        try:
            yield
        finally:
            self._asked.set()
            self._ended.set()
            await task

    async def _run(self, ready: asyncio.Future[ASGIApp]) -> None:
        await self._asked.wait()
        if self._ended.is_set():
            return
        try:
            app, running = await asyncio.to_thread(self._make)
        except Exception as error:
            ready.set_exception(error)
            return
        async with running:
            ready.set_result(app)
            await self._ended.wait()

    def route(self) -> BaseRoute:
        """Where it is reached, whatever the method."""
        return Route(PATH, endpoint=self)


def _check_method(method: str) -> None:
    """Refuse all but messages: without sessions a stream (GET) would stay open for ever with nothing to say.

    Raises:
        Problem: 405, as the protocol has it for servers without streams.
    """
    if method != "POST":
        message = f"{method} is not answered here; use POST"
        raise Problem(405, "Validation", message, {"Allow": "POST"})


def _refusal(body: bytes) -> bytes | None:
    """What is answered to a message that cannot be read: the same as over standard input."""
    from splade_engine.server.agent_lines import Refusal, read_line

    message = read_line(body)
    if isinstance(message, Refusal):
        return message.error.model_dump_json(by_alias=True, exclude_unset=True).encode()
    return None


def _again(body: bytes, receive: Receive) -> Receive:
    """What a request says whose body has been read; then whatever comes after it."""
    said = False

    async def heard() -> Message:
        nonlocal said
        if said:
            return await receive()
        said = True
        return {"type": "http.request", "body": body, "more_body": False}

    return heard
