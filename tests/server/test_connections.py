"""Clients that stop in the middle or send no requests are cut off; those that are only slow are served."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from unittest.mock import MagicMock

import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")

from uvicorn.protocols.http.h11_impl import H11Protocol

from splade_engine.server import Limits, Settings, connections, create_app
from splade_engine.server.connections import BoundedConnections
from tests.server.running import Running

SECONDS = 0.2
HOST = b"Host: 127.0.0.1\r\n"
WHOLE = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b" HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(params=["httptools", "h11"])
def port(request, served, monkeypatch):
    """Of a server that waits 0.2 seconds, over either of uvicorn's protocols."""
    if request.param == "h11":
        monkeypatch.setattr(connections, "AutoHTTPProtocol", H11Protocol)
    else:
        pytest.importorskip("httptools")
    app = create_app([served], Settings(Limits(threads=1, seconds=1)))  # for bodies
    running = Running(app, BoundedConnections(SECONDS))
    yield running.socket.getsockname()[1]
    running.stop()


@pytest.fixture
def patient(served):
    """The port of a server that waits long for a head, and so for a test on a busy machine."""
    pytest.importorskip("httptools")
    running = Running(create_app([served], Settings(Limits(threads=1))), BoundedConnections(60))
    yield running.socket.getsockname()[1]
    running.stop()


def heard(port, *parts, pause=0.0):
    """What comes back until the server closes the connection, and after how many seconds it does."""
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=3) as talking:
        for part in parts:
            talking.sendall(part)
            time.sleep(pause)
        answer = b""
        while data := talking.recv(1 << 16):
            answer += data
    return answer, time.monotonic() - start


@pytest.mark.parametrize("sent", [b"", b"GE", b"GET /health HTTP/1.1\r\nHo"])
def test_a_head_that_does_not_arrive(port, sent):
    answer, seconds = heard(port, sent)
    assert answer == b""
    assert SECONDS * 0.9 < seconds < 3


def test_a_second_head_that_does_not_arrive(port):
    answer, seconds = heard(port, WHOLE, b"GET /hea", pause=0.1)
    assert answer.startswith(b"HTTP/1.1 200 OK") and answer.count(b"HTTP/1.1") == 1
    assert SECONDS * 0.9 < seconds < 3


def test_a_head_that_comes_byte_by_byte(port):
    def dribbled():
        for byte in WHOLE * 10:
            talking.sendall(bytes([byte]))
            time.sleep(0.02)

    with socket.create_connection(("127.0.0.1", port), timeout=3) as talking, pytest.raises(ConnectionError):
        dribbled()


@pytest.mark.parametrize("port", ["httptools"], indirect=True)
def test_half_a_body_for_agents(port):
    accept = b"POST /mcp HTTP/1.1\r\nAccept: application/json, text/event-stream" + POST[9:] % 100
    with socket.create_connection(("127.0.0.1", port), timeout=3) as talking:
        talking.sendall(accept + b'{"json')
        answer = talking.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not arrive within 1 seconds" in answer


@pytest.mark.parametrize("port", ["httptools"], indirect=True)
def test_a_slow_client_is_served(port):
    body = json.dumps({"query": "sea wind"}).encode()
    parts = [b"POST /search" + POST % len(body) + body[:5], body[5:]]
    with socket.create_connection(("127.0.0.1", port), timeout=3) as talking:
        for _ in range(2):  # longer than the bound in all
            for part in parts:
                talking.sendall(part)
                time.sleep(0.1)
            assert talking.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")


def problems(answer):
    """Status and message of each answer."""
    parts = answer.split(b"HTTP/1.1 ")[1:]
    return [(int(part[:3]), json.loads(part.partition(b"\r\n\r\n")[2])) for part in parts]


def search(**body):
    body = json.dumps({"query": "sea wind", "fields": [], **body}).encode()
    return b"POST /search" + POST % len(body) + body


@pytest.mark.parametrize(
    "head", [b"GET /documents?id=" + b"x&id=" * 20_000, WHOLE[:-2] + b"X: 1\r\n" * 20_000]
)
def test_a_head_that_is_too_long(patient, head):
    ((status, told),) = problems(heard(patient, head[:40_000], head[40_000:65_537])[0])
    assert status == 431
    assert told["error"].startswith("the address and headers of a request may have 65536 bytes together")


def test_a_head_just_within_the_bound_and_a_body_behind_it(patient):
    head = (POST % 100_000).replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 65_000 + b"\r\n\r\n")
    body = b'{"query": "' + b"x" * 99_987 + b'"}'
    with socket.create_connection(("127.0.0.1", patient), timeout=3) as talking:
        talking.sendall(b"POST /search" + head + body)
        assert talking.recv(1 << 16).startswith(b"HTTP/1.1 413 ")  # of a query, which was read


def test_a_long_head_behind_a_request_takes_no_answer_away(patient):
    head = b"GET /health HTTP/1.1\r\nX: " + b"x" * (1 << 17)  # what arrives with the request is not counted
    answer, _ = heard(patient, search() + head)
    assert problems(answer)[0][0] == 200


def test_a_long_body_behind_a_request_is_no_long_head(port):
    body = b'{"query": ["sea", "' + b"x" * 8000 + b'"]' + b" " * 90_000 + b"}"
    second = b"POST /search" + POST % len(body) + body
    with socket.create_connection(("127.0.0.1", port), timeout=3) as talking:
        for part in (search(), second[:200], second[200:50_000], second[50_000:]):
            talking.sendall(part)
        answer = b""
        while answer.count(b"HTTP/1.1 ") < 2 or not answer.endswith(b"}"):
            answer += talking.recv(1 << 16)
    assert [status for status, told in problems(answer)] == [200, 200]


@pytest.mark.parametrize(
    "sent", [b"hello\r\n\r\n", "GET /documents?id=\xfc HTTP/1.1\r\n\r\n".encode(), bytes(100)]
)
def test_what_is_no_request_is_told_like_every_error(port, sent):
    ((status, told),) = problems(heard(port, sent)[0])
    assert status == 400 and set(told) == {"error", "error_type", "request_id"}
    assert told["error"].startswith("this is no request of HTTP/1.1")


@pytest.mark.parametrize(
    ("port", "sent", "told"),
    [
        ("httptools", b"GET /a b HTTP/1.1\r\n\r\n", "Expected HTTP/, RTSP/ or ICE/; spaces and letters"),
        ("httptools", WHOLE[:-2] + b"A B: c\r\n\r\n", "Invalid header token"),
        ("httptools", WHOLE[:-2] + b"Content-Length: -1\r\n\r\n", "Invalid character in Content-Length"),
        (
            "httptools",
            WHOLE[:-2] + b"Transfer-Encoding: gzip\r\n\r\n",
            "Request has invalid `Transfer-Encoding`",
        ),
        ("h11", b"GET /a b HTTP/1.1\r\n\r\n", "illegal request line; spaces and letters"),
        ("h11", WHOLE[:-2] + b"A B: c\r\n\r\n", "illegal header line"),
        ("h11", WHOLE[:-2] + b"Transfer-Encoding: gzip\r\n\r\n", "Only Transfer-Encoding: chunked is"),
    ],
    indirect=["port"],
)
def test_what_is_no_request_is_told_with_the_reason(port, sent, told):
    ((status, answer),) = problems(heard(port, sent)[0])
    assert status == 400
    assert answer["error"].startswith(f"this is no request of HTTP/1.1: {told}")
    assert "\r" not in answer["error"] and "bytearray" not in answer["error"]


@pytest.mark.parametrize(
    ("port", "sent"),
    [("httptools", search()), ("h11", search()), ("httptools", search(snippet=50) + search())],
    indirect=["port"],
)
def test_a_client_that_has_said_all_is_answered(port, sent):
    """As `nc -N` does: it closes its side, and reads on."""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as talking:
        talking.sendall(sent)
        talking.shutdown(socket.SHUT_WR)
        answer = b""
        while data := talking.recv(1 << 16):
            answer += data
    answers = problems(answer)
    assert len(answers) == sent.count(b"POST /search")
    assert all(status == 200 and told["hits"] for status, told in answers)


OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


@pytest.mark.parametrize("pieces", ["one", "head, body", "bytes"])
def test_an_offer_of_http_2_is_passed_over(port, pieces):
    """Java's HttpClient and `curl --http2` send it with a request; httptools would lose the body."""
    head, body = search().replace(HOST, HOST + OFFER).split(b"\r\n\r\n")
    head += b"\r\n\r\n"
    parts = {"one": [head + body], "head, body": [head, body]}.get(pieces)
    parts = parts or [bytes([byte]) for byte in head + body]
    answers = b""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as talking:
        for count in (1, 2):  # the second request of a connection too
            for part in parts:
                talking.sendall(part)
            while answers.count(b"HTTP/1.1 ") < count or not answers.endswith(b"}"):
                answers += talking.recv(1 << 16)
    assert [status for status, told in problems(answers) if told["hits"]] == [200, 200]


@pytest.mark.parametrize("sent", [search()[:-5], search()[:20]])
def test_half_a_request_of_a_client_that_has_said_all_is_closed(port, sent):
    with socket.create_connection(("127.0.0.1", port), timeout=3) as talking:
        talking.sendall(sent)
        talking.shutdown(socket.SHUT_WR)
        assert talking.recv(1 << 16) == b""


async def long_answer(scope, receive, send):
    """An application that answers with 64 MB at once, more than the system keeps for a client."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(1 << 26)})


def test_an_answer_that_nobody_reads_is_broken_off():
    running = Running(long_answer, BoundedConnections(SECONDS))
    with socket.create_connection(running.socket.getsockname(), timeout=3) as talking:
        talking.sendall(WHOLE)
        until(lambda: running.server.server_state.total_requests or running.server.server_state.connections)
        until(lambda: not running.server.server_state.connections)
    running.stop()


def until(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Transport(asyncio.Transport):
    """Holds ever less of an answer, until nothing more is read."""

    def __init__(self, *waiting):
        super().__init__()
        self.waiting, self.aborted = list(waiting), asyncio.Event()

    def get_write_buffer_size(self):
        return self.waiting.pop(0)

    def abort(self):
        self.aborted.set()


def test_slow_reading_is_reading():
    async def read(*waiting, resumed=False):
        transport = Transport(*waiting)
        connection = connections._Connection(MagicMock(), 0.01)
        connection.connection_made(transport)
        connection._head.cancel()
        connection.pause_writing()
        if resumed:
            connection.resume_writing()
            await asyncio.sleep(0.05)
        else:
            await asyncio.wait_for(transport.aborted.wait(), 20)
        return transport

    assert asyncio.run(read(10, 8, 5, 5)).waiting == []
    assert not asyncio.run(read(10, 10, resumed=True)).aborted.is_set()


def test_a_request_that_outlasts_the_server_s_patience_is_told(served):
    """It was broken off without an answer, and left a traceback in the log."""
    running = Running(create_app([served], Settings(Limits(threads=1, seconds=60))), BoundedConnections(60))
    port = running.socket.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as talking:
        talking.sendall(b"POST /search" + POST % 100 + b"{")
        time.sleep(0.3)
        running.stop()  # which waits for two seconds
        answer = talking.recv(1 << 16)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503")
    assert json.loads(body)["error"].startswith("the server stops")
