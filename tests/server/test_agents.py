"""The tools, called by the real client of package mcp: in this process, over HTTP, and over stdio."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("mcp", reason="the extra serve is not installed")

from mcp import StdioServerParameters
from mcp.client import Client

from splade_engine.engine import SearchEngine
from splade_engine.server import Access, Limits, Settings, create_app
from splade_engine.server.agents import agent_server
from tests.fake_encoder import FakeEncoder
from tests.server.conftest import RECORDS, problem
from tests.server.running import Running

COMMAND = """
from tests.fake_encoder import FakeEncoder
import splade_engine.encoder as encoder
from splade_engine.cli import main
encoder.SparseEncoder.load = lambda *a, **o: FakeEncoder()
main()
"""


@pytest.fixture(params=["memory", "http", "stdio"])
def connect(request, served, folder):
    """A function that opens a client; the same tests hold for every way to the server."""

    @asynccontextmanager
    async def open_client():
        if request.param == "memory":
            async with Client(agent_server({"ix": served}, Limits(), _at_once)) as client:
                yield client
        elif request.param == "http":
            running = Running(create_app([served], Settings(Limits(threads=2))))
            try:
                async with Client(f"{running.url}mcp") as client:
                    yield client
            finally:
                await asyncio.to_thread(running.stop)
        else:
            command = StdioServerParameters(command=sys.executable, args=["-c", COMMAND, "mcp", str(folder)])
            async with Client(command) as client:
                yield client

    return open_client


async def _at_once(call):
    return call()


def run(connect, *calls):
    async def all_of_them():
        async with connect() as client:
            return [await call(client) for call in calls]

    return asyncio.run(asyncio.wait_for(all_of_them(), 90))


def call(name, **arguments):
    return lambda client: client.call_tool(name, arguments)


def test_every_tool(connect, served):
    tools, found, one, why, about = run(
        connect,
        lambda client: client.list_tools(),
        call("search", query="sea wind", k=2),
        call("get", id="bread"),
        call("explain", query="sea", id="bread"),
        call("info"),
    )
    assert [tool.name for tool in tools.tools] == ["search", "get", "explain", "info"]
    assert all(tool.annotations.read_only_hint and tool.description for tool in tools.tools)
    hits = found.structured_content["hits"]
    assert [(h["id"], h["score"]) for h in hits] == [
        (h.id, h.score) for h in served.current.search("sea wind", 2)
    ]
    assert hits[0]["text"] == RECORDS[3]["text"]
    assert found.structured_content["generation"] == 1
    assert one.structured_content["text"] == "Bread needs yeast and flour."
    assert one.structured_content["before"] == [{"id": "tides", "title": "Tides"}]
    assert why.structured_content["reason"] == "no shared term"
    assert about.structured_content["documents"] == 4
    assert about.structured_content["indexes"] == ["ix"]
    assert {field["name"] for field in about.structured_content["fields"]} == {"year", "lang"}


def test_half_a_surrogate_pair_in_a_field(connect, folder, served):
    """Every tool that told of such a document ended in an error without a reason."""
    odd = {"_id": "odd", "text": "cold sea", "f": {"g": ["x\ud800"]}, "h": "\udc00"}
    SearchEngine.open(folder, FakeEncoder()).add([odd])
    served.refresh()
    found, one = run(connect, call("search", query="cold sea", k=2), call("get", id="odd"))
    [metadata] = [h["metadata"] for h in found.structured_content["hits"] if h["id"] == "odd"]
    assert metadata == one.structured_content["metadata"] == {"f": {"g": ["x\ufffd"]}, "h": "\ufffd"}


def test_groups_pages_and_filters(connect):
    grouped, second, untitled, wrong = run(
        connect,
        call("search", query="sea wind", group_by="lang"),
        call("search", query="sea wind", group_by="lang", k=1, offset=1),
        call("search", query="sea wind", where="title is null"),
        call("search", query="sea wind", group_by="titel"),
    )
    found = [[hit["id"] for hit in a.structured_content["hits"]] for a in (grouped, second, untitled)]
    assert found == [["a/b#1?x=1 ü", "tides"], ["tides"], ["ship"]]  # tides and ship are of one language
    assert wrong.is_error and "group_by: no column 'titel'" in wrong.content[0].text


def test_agents_get_related_terms_where_hits_are_weak_and_are_told(connect):
    [found] = run(connect, call("search", query="yeast rise salt star sky water warm"))
    answer = found.structured_content
    assert answer["weak"] is True and answer["notes"]
    assert answer["covered"] == 0.0


def test_what_cannot_be_answered_says_why(connect):
    missing, where, large, index, kind = run(
        connect,
        call("get", id="nobody"),
        call("search", query="sea", where="nope = 1"),
        call("search", query="sea", k=5000),
        call("search", query="sea", index="other"),
        call("search", query=5),
    )
    for answer, told in (
        (missing, "no document with id 'nobody'"),
        (where, "no column 'nope'"),
        (large, "k: at most 1000, got 5000"),
        (index, "no index 'other'; there are ix"),
        (kind, "query"),
    ):
        assert answer.is_error
        assert told in answer.content[0].text
        assert "Traceback" not in answer.content[0].text


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("search", {"query": 5}, "search: query: input should be a valid string"),
        ("search", {}, "search: query: field required"),
        ("search", {"query": "a", "k": True}, "search: k: input should be a valid integer"),
        ("search", {"query": "a", "k": "5"}, "search: k: input should be a valid integer"),
        ("search", {"query": "a", "exact": "yes"}, "search: exact: input should be a valid boolean"),
        ("search", {"query": "a", "limit": 3}, "search: no argument 'limit'; there are query, k, where"),
        ("search", {"query": "a", "": 3}, "search: no argument ''; there are query, k, where"),
        ("search", {"query": "a", "must": "sea"}, "search: must: input should be a valid list"),
        ("search", {"query": "a", "must": {"0": "b"}}, "must: input should be a valid list"),
        ("search", {"query": "a", "where": '{"year": 1999}'}, "where: "),
        ("search", {"query": "a", "must": ["b"] * 40}, "must: list should have at most 32 items"),
        ("search", {"query": "a", "offset": 2**31}, "offset: input should be less than or equal"),
        ("search", {"query": "a", "where": "x" * 100_000}, "where: "),
        ("search", {"query": "a", "where": "null"}, "search: where: the text 'null'; leave the argument out"),
        ("search", {"query": "a", "must": " null"}, "search: must: the text 'null'; leave the argument out"),
        ("get", {"id": "x" * 100_000}, "no document with id 'xxx"),
        ("info", {"more": 1}, "info: no argument 'more'; there are index"),
    ],
)
def test_arguments_that_cannot_be_meant_are_one_line(connect, caplog, tool, arguments, told):
    (answer,) = run(connect, call(tool, **arguments))
    text = answer.content[0].text
    assert answer.is_error and told in text, text
    assert "\n" not in text and len(text) < 1100
    assert "raised an unexpected exception" not in caplog.text


def test_filters_and_new_generations(served):
    async def ask():
        async with Client(agent_server({"ix": served}, Limits(), _at_once)) as client:
            first = await client.call_tool("search", {"query": "sea wind", "where": "lang = 'en'"})
            served.delete(["ship"])
            return first, await client.call_tool("search", {"query": "sea wind", "where": "lang = 'en'"})

    first, then = asyncio.run(ask())
    assert {hit["id"] for hit in first.structured_content["hits"]} == {"ship", "tides"}
    assert [hit["id"] for hit in then.structured_content["hits"]] == ["tides"]
    assert then.structured_content["generation"] == 2


def test_over_http_a_key_and_the_host_are_asked_for_as_everywhere(serving):
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {"accept": "application/json, text/event-stream"}
    with serving(keys=("a-key-of-sixteen-chars",)) as client:
        assert client.post("/mcp", json=ping, headers=headers).status_code == 401
        allowed = {**headers, "authorization": "Bearer a-key-of-sixteen-chars"}
        assert client.post("/mcp", json=ping, headers=allowed).status_code == 200
        text = client.get("/metrics", headers=allowed).text
        assert 'splade_engine_requests_total{method="POST",route="/mcp",status="200"} 1.0' in text
    with serving() as client:
        assert client.post("/mcp", json=ping, headers={**headers, "host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    ("sent", "number", "code"),
    [
        (b"{", None, -32700),
        (b'{"jsonrpc": "2.0", "id": 7, "method": "\\ud800"}', 7, -32700),
        (b"[]", None, -32600),
        (b'{"id": 7, "method": "ping"}', 7, -32600),
        (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', None, -32600),
    ],
)
def test_over_http_a_message_that_cannot_be_read_is_answered(client, sent, number, code):
    headers = {"accept": "application/json", "content-type": "application/json"}
    answer = client.post("/mcp", content=sent, headers=headers)
    told = answer.json()
    assert (answer.status_code, told["id"], told["error"]["code"]) == (400, number, code)
    assert "\n" not in told["error"]["message"]


def test_over_http_only_messages_are_answered(client):
    for method in ("GET", "DELETE"):  # of a stream nobody would see the end
        answer = client.request(method, "/mcp", headers={"accept": "text/event-stream"})
        assert problem(answer, 405) == f"{method} is not answered here; use POST"
        assert answer.headers["allow"] == "POST"
    problem(client.post("/mcp", content=b"{}", headers={"content-type": "text/plain"}), 415)


def test_over_http_no_stream_stays_open(client):
    """Until the server had waited for its end in vain, for half a minute."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    asked = {"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen"}
    asked["params"] = {"_meta": meta, "notifications": {"toolsListChanged": True}}
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "subscriptions/listen",
    }
    told = client.post("/mcp", json=asked, headers=headers).json()
    assert (told["id"], told["error"]["code"]) == (7, -32601)


def test_over_http_a_byte_order_mark_is_passed_over(client):
    headers = {"accept": "application/json", "content-type": "application/json"}
    ping = b'\xef\xbb\xbf{"jsonrpc": "2.0", "id": 7, "method": "ping"}'
    assert client.post("/mcp", content=ping, headers=headers).json()["result"] == {}


def test_it_can_be_left_out(served):
    from starlette.testclient import TestClient

    app = create_app([served], Settings(Limits(), Access(), mcp=False))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert client.post("/mcp", json={}).status_code == 404


def test_the_package_for_agents_is_imported_when_one_asks():
    code = (
        "import sys, splade_engine.server.app, splade_engine.server.run; "
        "print([name for name in ('mcp', 'mcp_types') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
