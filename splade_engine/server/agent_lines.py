"""MCP over standard input and output, where every line that asks something gets an answer.

The package `mcp` drops a line that it cannot read, so that a client would wait for its answer for ever. Such
lines (half a surrogate pair, JSON that was cut short, no JSON-RPC) are answered here with an error, under the
id that they were sent with as far as it can be made out.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import anyio
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData
from mcp_types.jsonrpc import JSONRPCError, JSONRPCNotification, jsonrpc_message_adapter
from pydantic import ValidationError

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s"{}\[\]:,]+')
_MISSING = object()


async def serve_lines(server: Server[Any]) -> None:
    """Answer what standard input asks on standard output, until it ends."""
    lines = _Lines()
    # all that is done with what is called `stdin` is to loop over its lines
    async with stdio_server(stdin=cast("anyio.AsyncFile[str]", lines)) as (read, write):
        lines.send = write.send
        await server.run(read, write, server.create_initialization_options())


class _Lines:
    """The lines of standard input that can be read; the others are answered."""

    send: Callable[[SessionMessage], Awaitable[None]]

    async def __aiter__(self) -> AsyncIterator[str]:
        async for read in anyio.wrap_file(sys.stdin.buffer):
            line = read.strip()
            if not line:
                continue
            error = refusal(line)
            if error is None:
                yield line.decode()
            else:
                await self.send(SessionMessage(error))


def refusal(line: bytes) -> JSONRPCError | None:
    """What is answered to a line that cannot be read; None: it can."""
    given = _id_of(line.decode(errors="replace"))
    known = given if isinstance(given, str | int) and not isinstance(given, bool) else None
    try:
        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            told = first["msg"].replace("Invalid JSON", "Parse error", 1)
            if "hex escape" in told:
                told += " (half a surrogate pair is no Unicode)"
            data = ErrorData(code=PARSE_ERROR, message=told)
        else:
            data = ErrorData(code=INVALID_REQUEST, message="Invalid request: not a message of JSON-RPC 2.0")
        return JSONRPCError(jsonrpc="2.0", id=known, error=data)
    # read as a notification, which has no id and gets no answer
    if isinstance(message, JSONRPCNotification) and given is not _MISSING:
        data = ErrorData(
            code=INVALID_REQUEST, message="Invalid request: id: a string or an integer is expected"
        )
        return JSONRPCError(jsonrpc="2.0", id=None, error=data)
    return None


def _id_of(text: str) -> Any:
    """The value of "id" in the outermost object of a text that need not be JSON; None for an unusable one."""
    depth, before, found = 0, ("", ""), _MISSING
    for match in _TOKEN.finditer(text):
        token = match[0]
        if depth == 1 and before == ('"id"', ":"):
            found = _value(token)
        if token in "{[":
            depth += 1
        elif token in "}]":
            depth -= 1
        before = (before[1], token)
    return found


def _value(token: str) -> Any:
    try:
        value = json.loads(token)
        str(value).encode()
    except ValueError:  # half a surrogate pair too, which cannot be sent back
        return None
    return value
