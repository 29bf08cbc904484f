"""MCP over standard input and output: every line that asks something is answered, under its own id."""

from __future__ import annotations

import asyncio
import io
import json
import time
import types
from contextlib import nullcontext

import pytest

pytest.importorskip("mcp", reason="the extra serve is not installed")

from splade_engine.server import Limits, answers
from splade_engine.server.agents import agent_server

HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
INVALID = "Invalid request: not a message of JSON-RPC 2.0"


def asking(arguments, **changes):
    """A line that calls `search`."""
    asked = {"jsonrpc": "2.0", "id": 7, "method": "tools/call"}
    asked |= {"params": {"name": "search", "arguments": arguments}}
    return json.dumps(asked | changes).encode()


async def _at_once(call):
    return call()


@pytest.fixture
def server_of(served, monkeypatch):
    """The answers to these lines, the first of them included, by the server that `splade-engine mcp` runs."""

    def speak(*lines, work=_at_once):
        heard = io.BytesIO()
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(b"\n".join(lines) + b"\n")))
        monkeypatch.setattr("sys.stdout", types.SimpleNamespace(buffer=heard))
        server = agent_server({"ix": served}, Limits(), work)
        asyncio.run(asyncio.wait_for(server.run_stdio_async(), 30))
        return [json.loads(line) for line in heard.getvalue().splitlines()]

    return speak


@pytest.fixture
def answered(server_of):
    """The answers to these lines, behind a beginning as of 2025."""

    def speak(*lines, work=_at_once):
        hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}
        begun = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        return server_of(json.dumps(hello).encode(), json.dumps(begun).encode(), *lines, work=work)[1:]

    return speak


@pytest.mark.parametrize(
    ("line", "number", "code", "told"),
    [
        (asking({"query": "sea \ud800"}), 7, -32700, "(half a surrogate pair is no Unicode)"),
        (asking({"query": "sea", "\udfff": 1}), 7, -32700, "Parse error: "),
        (asking({"query": "sea"}, method="\ud800"), 7, -32700, "Parse error: "),
        (asking({"query": "sea"}, id="\ud800"), None, -32700, "Parse error: "),
        (asking({"query": "sea"}).replace(b"sea", b"\xff"), 7, -32700, "Parse error: invalid unicode"),
        (asking({"query": "sea"})[:-40], 7, -32700, "Parse error: EOF while parsing"),
        (b'{"params": ' + b"[" * 5000 + b"]" * 5000 + b', "id": "a"}', "a", -32700, "recursion limit"),
        (b'{"params": {"id": 3, "k": 1' + b"0" * 5000 + b'}, "id": 4}', 4, -32700, "number out of range"),
        (b"hello", None, -32700, "Parse error: "),
        # pydantic reads all of these, and keeps the last of two values
        (
            asking({"query": "sea"}).replace(b'"query"', b'"k": 1, "k"'),
            7,
            -32700,
            "message cannot be read: 'k' oc",
        ),
        (asking({"k": float("nan")}), 7, -32700, "Parse error: the message cannot be read: NaN is no JSON"),
        (b"[" + asking({"query": "sea"}) + b"]", None, -32600, INVALID),
        (b"[" + asking({"query": "sea"}) + b"]", None, -32600, ", but a list; send one message at a time"),
        (b'{"jsonrpc": "2.0", "id": 5, "method": 5}', 5, -32600, INVALID),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "tools/list", "params": [1]}', 5, -32600, INVALID),
        (asking({"query": "sea"}, id=None), None, -32600, "Invalid request: id: a string or an integer"),
        (asking({"query": "sea"}, id=1.5), None, -32600, "Invalid request: id: a string or an integer"),
    ],
)
def test_a_line_that_cannot_be_read_is_answered(answered, line, number, code, told):
    refused, found = answered(line, asking({"query": "sea"}, id=8))
    assert (refused["id"], refused["error"]["code"]) == (number, code)
    assert told in refused["error"]["message"]
    assert found["id"] == 8 and found["result"]["structuredContent"]["hits"]  # and the next one is


def test_a_byte_order_mark_is_passed_over(answered):
    """PowerShell writes one before what it pipes into a command."""
    (found,) = answered(b"\xef\xbb\xbf" + asking({"query": "sea"}))
    assert found["result"]["structuredContent"]["hits"]


def test_nothing_that_could_be_waited_for_is_offered(server_of):
    """A subscription has no answer until the end, which waited a minute for it."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }

    def line(number, method, **params):
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": {"_meta": meta, **params}}
        return json.dumps(message).encode()

    told, refused = server_of(
        line(1, "server/discover"),
        line(2, "subscriptions/listen", notifications={"toolsListChanged": True}),
    )
    assert told["result"]["capabilities"]["tools"] == {"listChanged": False}
    assert (refused["id"], refused["error"]["code"]) == (2, -32601)


def test_what_asks_nothing_gets_no_answer(answered):
    assert answered(b"", b" \r", b'{"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}') == []


def test_what_is_asked_last_is_answered_though_the_input_ends(answered):
    """`printf ... | splade-engine mcp`: the end of the input comes while the search is still running."""

    async def later(call):
        await asyncio.sleep(0.3)
        return call()

    (found,) = answered(asking({"query": "sea"}), work=later)
    assert found["id"] == 7 and found["result"]["structuredContent"]["hits"]


@pytest.mark.parametrize("params", [{"requestId": []}, {"requestId": {}}, {"requestId": None}, {}, None])
def test_what_calls_off_no_request_ends_nothing(answered, params):
    off = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
    (found,) = answered(json.dumps(off).encode(), asking({"query": "sea"}))
    assert found["id"] == 7 and found["result"]["structuredContent"]["hits"]


def test_a_request_that_is_called_off_is_not_waited_for(answered):
    calls = []

    async def never_the_first(call):
        calls.append(call)
        await asyncio.sleep(0 if len(calls) > 1 else 25)
        return call()

    off = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    before = time.monotonic()
    lines = asking({"query": "sea"}), json.dumps(off).encode(), asking({"query": "sea"}, id=8)
    assert 8 in [answer["id"] for answer in answered(*lines, work=never_the_first)]
    assert time.monotonic() - before < 15


def test_a_search_that_outlasts_its_answer_ends_before_the_command(served, monkeypatch, caplog):
    """Else it would tell a loop that is closed, and log what becomes of that."""
    import splade_engine.cli.mcp as command
    from splade_engine.server import settings

    def slow(*given):
        time.sleep(0.5)
        return search(*given)

    search = answers.search
    monkeypatch.setattr(answers, "search", slow)
    monkeypatch.setattr(command, "open_indexes", lambda *given: [served])
    monkeypatch.setattr(settings, "Limits", lambda: Limits(seconds=0.1, threads=1))
    monkeypatch.setattr("splade_engine.server.logs.configured", lambda *given: nullcontext())
    hello = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}).encode()
    lines, heard = b"\n".join([hello, asking({"query": "sea"})]), io.BytesIO()
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(lines)))
    monkeypatch.setattr("sys.stdout", types.SimpleNamespace(buffer=heard))
    command.run(["ix"])
    time.sleep(0.6)
    assert b"took more than 0.1 seconds" in heard.getvalue()
    assert not caplog.records
