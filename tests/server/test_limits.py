"""What is too much, slow, many or not JSON gets a clear 4xx in the one shape; errors tell no secrets."""

from __future__ import annotations

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")

from starlette.testclient import TestClient

from splade_engine.errors import IndexLockedError, StorageError
from splade_engine.server import create_app
from tests.server.conftest import BASE, ids, problem


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "query: field required"),
        ({"query": 5}, "query: input should be a valid string or input should be a valid list"),
        ([], "input should be an object"),
        ({"query": "a", "k": 0}, "k: input should be greater than or equal to 1"),
        ({"query": "a", "k": "3"}, "k: input should be a valid integer"),
        ({"query": "a", "k": True}, "k: input should be a valid integer"),
        ({"query": "a", "k": 1001}, "k: at most 1000, got 1001"),
        ({"query": "a", "accuracy": 1.5}, "accuracy: input should be less than or equal to 1"),
        ({"query": "a", "limit": 3}, "limit: extra inputs are not permitted"),
        (
            {"query": "a", "where": "nope = 1"},
            "where: no column 'nope'; the index has: lang, text, title, year",
        ),
        ({"query": "a", "snippet": 5}, "snippet: input should be greater than or equal to 20"),
    ],
    ids=str,
)
def test_values_that_cannot_be_accepted(client, body, told):
    assert problem(client.post("/search", json=body), 422) == told


@pytest.mark.parametrize(
    ("method", "address", "told"),
    [
        ("POST", "/search?k=3", "k: no such parameter, this route has none; fields of the body are not read"),
        (
            "GET",
            "/documents/tides?neighbors=1",
            "neighbors: no such parameter, there are neighbours, similar",
        ),
        ("GET", "/documents/tides?similar=1&similar=2", "similar: given twice"),
        ("DELETE", "/documents?id=tides&ids=bread", "ids: no such parameter, there are id"),
        ("GET", "/indexes/ix/info?index=ix", "index: no such parameter, this route has none"),
    ],
)
def test_parameters_that_no_route_reads_are_refused(writer, method, address, told):
    body = {"json": {"query": "sea"}} if method == "POST" else {}
    assert problem(writer.request(method, address, **body), 422).startswith(told)
    assert writer.get("/health?probe=1").status_code == 200
    assert writer.get("/documents?id=tides&id=bread").json()["missing"] == []  # nothing was deleted


@pytest.mark.parametrize(
    ("method", "address", "use"),
    [
        ("POST", "/documents", "DELETE, GET, HEAD, PUT"),
        ("PUT", "/documents/tides", "DELETE, GET, HEAD"),
        ("GET", "/indexes/ix/search", "POST"),
    ],
)
def test_another_method_names_all_that_are_answered(writer, method, address, use):
    answer = writer.request(method, address)
    assert problem(answer, 405) == f"{method} is not answered here; use {use}"
    assert answer.headers["allow"] == use


@pytest.mark.parametrize(
    ("method", "address"),
    [("GET", "/documents/%ff"), ("DELETE", "/documents/%e9"), ("DELETE", "/documents?id=%ed%a0%80")],
)
def test_an_address_that_is_no_text_names_no_document(writer, method, address):
    """Read loosely, all of these are the id of this document."""
    odd = {"_id": "\ufffd", "text": "sea"}
    assert writer.put("/documents", json={"documents": [odd]}).status_code == 200
    told = "the address is not percent-encoded as UTF-8"
    assert problem(writer.request(method, address), 400) == told
    assert writer.get("/documents/%EF%BF%BD").json()["id"] == "\ufffd"


def test_a_server_that_does_not_hand_on_the_path_as_it_was_sent(served):
    """`raw_path` is optional in ASGI."""
    made = create_app([served])

    async def behind_it(scope, receive, send):
        scope.pop("raw_path", None)
        await made(scope, receive, send)

    with TestClient(behind_it, base_url=BASE) as client:
        assert client.get("/documents/tides").json()["id"] == "tides"


def test_a_compressed_body_is_refused_in_words(client):
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = client.post("/search", content=gzip.compress(b'{"query": "sea"}'), headers=packed)
    assert problem(answer, 415) == "the body is sent as 'gzip'; send it as it is"


@pytest.mark.parametrize(
    ("codings", "told"),
    [(["gzip, chunked"], "gzip"), (["gzip", "chunked"], "gzip"), (["Deflate,chunked"], "deflate")],
)
@pytest.mark.parametrize("address", ["/search", "/mcp"])
def test_a_body_that_is_compressed_on_its_way_is_refused_in_words(client, address, codings, told):
    """Parsers look at the last coding alone; the body was called no UTF-8, or read as it was."""
    headers = [("content-type", "application/json"), *(("transfer-encoding", coding) for coding in codings)]
    answer = client.post(address, content=b'{"query": "sea"}', headers=headers)
    assert problem(answer, 501) == f"the body is sent with Transfer-Encoding '{told}'; send it as it is"


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "identity, chunked", ",chunked"])
def test_a_body_in_chunks_is_read(client, coding):
    headers = {"content-type": "application/json", "transfer-encoding": coding}
    assert ids(client.post("/search", content=b'{"query": "sea"}', headers=headers))


@pytest.mark.parametrize("charset", ["", "; charset=latin-1", "; charset=windows-1252"])
def test_a_body_that_is_not_utf_8_is_told_so(client, charset):
    headers = {"content-type": f"application/json{charset}"}
    body = '{"query": "s\xfcd"}'
    told = "the body is not UTF-8 (the byte 0xfc at 12), which JSON is sent in whatever Content-Type says"
    answer = client.post("/search", content=body.encode("latin-1"), headers=headers)
    assert problem(answer, 400) == told
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):  # which JSON's first bytes tell apart
        read = client.post("/search", content=body.encode(encoding), headers=headers)
        assert read.status_code == 200, read.text


def test_a_line_break_behind_an_address_is_part_of_it(client):
    for address in ("/%0a", "/health%0a", "/info%0a", "/indexes/ix/info%0a"):
        problem(client.get(address), 404, "NotFound")


def test_a_message_steers_no_terminal(client):
    told = [
        problem(client.get("/x%1b[2J%00%e2%80%ae%0ay"), 404, "NotFound"),
        problem(client.get("/info?%1b[2J%0a=1"), 422),
    ]
    assert [ascii(message) for message in told] == [
        "'no route /x [2J y'",
        "' [2J : no such parameter, this route has none'",
    ]


def test_fewer_hits_than_the_usual_are_what_a_request_gets_that_names_no_number(serving):
    with serving(limits={"k": 1}) as client:
        assert len(ids(client.post("/search", json={"query": "sea"}))) == 1
        assert client.post("/explain", json={"query": "sea", "id": "tides"}).status_code == 200
        assert client.get("/indexes").json()["indexes"][0]["max_k"] == 1
        assert problem(client.post("/search", json={"query": "sea", "k": 2}), 422) == "k: at most 1, got 2"


def test_contradicting_and_unparsable_options_are_422(client):
    problem(client.post("/search", json={"query": "a", "exact": True, "accuracy": 0.5}), 422)
    problem(client.post("/search", json={"query": "a", "where": "year >"}), 422)
    problem(client.post("/search", json={"query": "a", "where": {"year": {"~": 1}}}), 422)


def test_sizes(client):
    assert problem(client.post("/search", json={"query": ["a"] * 33}), 413) == (
        "query: 33 queries, at most 32 per request"
    )
    assert "8193 characters" in problem(client.post("/search", json={"query": "a" * 8193}), 413)
    assert client.post("/search", json={"query": "a" * 8192}).status_code == 200
    assert "bytes" in problem(client.post("/search", json={"query": "a" * (1 << 20)}), 413)
    problem(client.post("/search", json={"query": []}), 400, "Empty")


def test_a_body_without_a_length_is_cut_off_at_the_limit(client):
    def endless():
        sent = 0
        while sent < 3 << 20:
            yield b"x" * 65536
            sent += 65536

    answer = client.post("/search", content=endless(), headers={"content-type": "application/json"})
    assert "more than" in problem(answer, 413)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"\xff\xfe", b'{"query": NaN}', b"[" * 100_000, b'{"query": "a"} x'),
        *(b'{"query": "a", "query": "b"}', b'{"query": "a", "where": {"year": 1, "year": 2}}'),
        b'{"query": "a", "k": ' + b"9" * 5000 + b"}",
    ],
    ids=["empty", "cut", "no text", "NaN", "nested", "more", "twice", "twice within", "digits"],
)
def test_what_is_not_json(client, content):
    problem(client.post("/search", content=content, headers={"content-type": "application/json"}), 400)


@pytest.mark.parametrize("value", [b"null", b"[]", b'"a"', b"5"])
def test_json_that_is_no_object(client, value):
    problem(client.post("/search", content=value, headers={"content-type": "application/json"}), 422)


def test_what_the_client_sent_is_not_sent_back_at_length(client):
    assert len(problem(client.get(f"/documents/{'x' * 9000}"), 404, "NotFound")) <= 1000
    assert len(problem(client.post("/search", json={"query": "a", "k": 10**3000}), 422)) <= 1000


def test_other_content_types_are_refused(client):
    problem(client.post("/search", content=b'{"query": "a"}', headers={"content-type": "text/plain"}), 415)
    problem(client.post("/search", content=b'{"query": "a"}'), 415)


def test_lone_surrogates_are_an_error_not_a_crash(client):
    answer = client.post(
        "/search", content=b'{"query": "\\ud800"}', headers={"content-type": "application/json"}
    )
    assert problem(answer, 422) == "query: holds half a surrogate pair"


def test_routes_and_methods(client):
    assert problem(client.get("/nothing"), 404, "NotFound") == "no route /nothing"
    answer = client.put("/search")
    assert problem(answer, 405) == "PUT is not answered here; use POST"
    assert answer.headers["allow"] == "POST"


def test_full_is_429_and_passes(serving, served, monkeypatch):
    go_on, begun = threading.Event(), threading.Semaphore(0)
    real = type(served.current).search_many

    def slow(self, *args, **options):
        begun.release()
        go_on.wait(10)
        return real(self, *args, **options)

    monkeypatch.setattr(type(served.current), "search_many", slow)
    with serving(limits={"threads": 1, "waiting": 1}) as client, ThreadPoolExecutor(4) as pool:
        ask = [pool.submit(client.post, "/search", json={"query": "sea"})]
        assert begun.acquire(timeout=10)
        ask.append(pool.submit(client.post, "/search", json={"query": "sea"}))
        deadline = time.monotonic() + 10
        while client.get("/ready").status_code == 200 and time.monotonic() < deadline:
            time.sleep(0.01)
        refused = client.post("/search", json={"query": "sea"})
        assert refused.headers["retry-after"] == "1"
        problem(refused, 429, "Overloaded")
        problem(client.get("/ready"), 429, "Overloaded")
        assert client.get("/health").status_code == 200
        go_on.set()
        assert all(ids(f.result()) for f in ask)
        assert ids(client.post("/search", json={"query": "sea"}))
        assert client.get("/ready").json() == {"ready": True}


def test_too_slow_is_408(serving, served, monkeypatch):
    real = type(served.current).search_many

    def slow(self, *args, **options):
        time.sleep(0.5)
        return real(self, *args, **options)

    monkeypatch.setattr(type(served.current), "search_many", slow)
    with serving(limits={"seconds": 0.1}) as client:
        message = problem(client.post("/search", json={"query": "sea"}), 408, "Timeout")
        assert message == "took more than 0.1 seconds"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (RuntimeError("secret /home/x"), 500, "Backend"),
        (StorageError(5, "secret disk"), 500, "Backend"),
        (IndexLockedError("secret lock"), 409, "Overloaded"),
    ],
    ids=["bug", "disk", "locked"],
)
def test_our_faults_say_nothing_of_the_inside(client, served, monkeypatch, caplog, error, status, kind):
    def broken(self, *args, **options):
        raise error

    monkeypatch.setattr(type(served.current), "search_many", broken)
    answer = client.post("/search", json={"query": "sea"})
    assert "secret" not in problem(answer, status, kind)
    if status == 500:
        assert answer.headers["x-request-id"] in caplog.text  # the log names the request


def test_messages_name_the_index_and_not_its_folder(writer, served, monkeypatch):
    from splade_engine.errors import InvalidInputError

    def refuse(self, *args, **options):
        raise InvalidInputError(f"{served.path}: no")

    monkeypatch.setattr(type(served.current), "search_many", refuse)
    assert problem(writer.post("/search", json={"query": "sea"}), 422) == "ix: no"
