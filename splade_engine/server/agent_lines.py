"""MCP over standard input and output, where every line that asks something gets an answer.

The package `mcp` drops a line that it cannot read, so that a client would wait for its answer for ever. Such
lines (half a surrogate pair, JSON that was cut short, no JSON-RPC) are answered here with an error, under the
id that they were sent with as far as it can be made out.
"""

from __future__ import annotations

import json
import re
import sys
from codecs import BOM_UTF8
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import anyio
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData
from mcp_types.jsonrpc import (
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from splade_engine.server.bodies import parsed
from splade_engine.server.problems import Problem

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server
    from mcp.shared._stream_protocols import WriteStream

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s"{}\[\]:,]+')
_MISSING = object()
PATIENCE = (
    60.0  # seconds, after the last line, for what is still worked on; searches have a limit of their own
)


async def serve_lines(server: Server[Any]) -> None:
    """Answer what standard input asks on standard output, until it ends."""
    lines = _Lines()
    # all that is done with what is called `stdin` is to loop over its lines
    async with stdio_server(stdin=cast("anyio.AsyncFile[str]", lines)) as (read, write):
        lines.answers = _Answers(write)
        await server.run(read, lines.answers, server.create_initialization_options())


class _Answers:
    """What is written, and which requests still have no answer."""

    def __init__(self, write: WriteStream[SessionMessage]) -> None:
        self._write = write
        self._waiting: set[str | int] = set()
        self._all_given = anyio.Event()

    def expect(self, request: str | int) -> None:
        """A request of this id has been read."""
        self._waiting.add(request)
        self._all_given = anyio.Event()

    def forget(self, request: object) -> None:
        """A request has been answered, or its client wants no answer any more.

        Whatever a client calls off need not be an id.
        """
        known = _usable(request)
        if known is not None:
            self._waiting.discard(known)
        if not self._waiting:
            self._all_given.set()

    async def finish(self) -> None:
        """Wait until every request has its answer, or for `PATIENCE`."""
        if self._waiting:
            with anyio.move_on_after(PATIENCE):
                await self._all_given.wait()

    async def send(self, item: SessionMessage, /) -> None:
        await self._write.send(item)
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self.forget(item.message.id)

    async def aclose(self) -> None:
        await self._write.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


class _Lines:
    """The lines of standard input that can be read; the others are answered.

    They end when what was asked in them is answered: the package `mcp` drops what it works on when they end.
    """

    answers: _Answers

    async def __aiter__(self) -> AsyncIterator[str]:
        async for read in anyio.wrap_file(sys.stdin.buffer):
            line = read.strip().removeprefix(BOM_UTF8)  # PowerShell writes one before what it pipes
            if not line:
                continue
            message = read_line(line)
            if isinstance(message, Refusal):
                await self.answers.send(SessionMessage(message.error))
                continue
            if isinstance(message, JSONRPCRequest):
                self.answers.expect(message.id)
            elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
                self.answers.forget((message.params or {}).get("requestId"))
            yield line.decode()
        await self.answers.finish()


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is answered to a line that cannot be read."""

    error: JSONRPCError


def read_line(line: bytes) -> JSONRPCMessage | Refusal:
    """The message that a line holds, or what is answered where it holds none."""
    try:
        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError as error:
        known = _usable(_id_of(line))
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            told = first["msg"].replace("Invalid JSON", "Parse error", 1)
            if "hex escape" in told:
                told += " (half a surrogate pair is no Unicode)"
            data = ErrorData(code=PARSE_ERROR, message=told)
        else:
            told = "Invalid request: not a message of JSON-RPC 2.0"
            if line.startswith(b"["):  # the protocol had lists in 2025-03-26 alone
                told += ", but a list; send one message at a time"
            data = ErrorData(code=INVALID_REQUEST, message=told)
        return Refusal(JSONRPCError(jsonrpc="2.0", id=known, error=data))
    try:
        parsed(line, "the message")
    except Problem as problem:  # what pydantic reads all the same: of a key that stands twice the last value
        data = ErrorData(code=PARSE_ERROR, message=f"Parse error: {problem.message}")
        return Refusal(JSONRPCError(jsonrpc="2.0", id=_usable(_id_of(line)), error=data))
    # read as a notification, which has no id and gets no answer
    if isinstance(message, JSONRPCNotification) and _id_of(line) is not _MISSING:
        data = ErrorData(
            code=INVALID_REQUEST, message="Invalid request: id: a string or an integer is expected"
        )
        return Refusal(JSONRPCError(jsonrpc="2.0", id=None, error=data))
    return message


def _id_of(line: bytes) -> Any:
    """The value of "id" in the outermost object of a line that need not be JSON; None for an unusable one."""
    depth, before, found = 0, ("", ""), _MISSING
    for match in _TOKEN.finditer(line.decode(errors="replace")):
        token = match[0]
        if depth == 1 and before == ('"id"', ":"):
            found = _value(token)
        if token in "{[":
            depth += 1
        elif token in "}]":
            depth -= 1
        before = (before[1], token)
    return found


def _usable(given: Any) -> str | int | None:
    """What may stand as the id of an answer; None where a request has another one, or none."""
    return given if isinstance(given, str | int) and not isinstance(given, bool) else None


def _value(token: str) -> Any:
    try:
        value = json.loads(token)
        str(value).encode()
    except ValueError:  # half a surrogate pair too, which cannot be sent back
        return None
    return value
