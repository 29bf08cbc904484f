"""Who may ask: keys, host names, other origins; request ids, logs, metrics, headers."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from splade_engine.errors import InvalidInputError, StorageError
from splade_engine.server import Access, Limits, Settings, create_app
from splade_engine.server.logs import JsonLines, PlainLines
from splade_engine.server.settings import check_exposure, is_loopback, read_keys
from tests.server.conftest import ids, problem

KEY = "k3y-of-sixteen-chars"


def test_a_key_opens_and_nothing_else_does(serving):
    with serving(keys=("other-key-of-sixteen", KEY)) as client:
        ask = {"json": {"query": "sea"}}
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {KEY}"}):
            answer = client.post("/search", **ask, headers=headers)
            problem(answer, 401, "Unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        problem(client.post("/search", **ask, headers={"x-api-key": KEY[:-1]}), 401, "Unauthorized")
        problem(client.post("/search", **ask, headers={"x-api-key": b"\xfc"}), 401, "Unauthorized")
        for headers in ({"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}):
            assert ids(client.post("/search", **ask, headers=headers))
        problem(client.get("/metrics"), 401, "Unauthorized")
        problem(client.get("/nothing"), 401, "Unauthorized")  # routes are not told to strangers
        for path in ("/", "/health", "/ready", "/openapi.json"):
            assert client.get(path).status_code == 200


def test_what_needs_no_key_needs_none_below_a_path(served):
    """As uvicorn and a mount give it: the path with what the proxy has cut off."""
    app = create_app([served], Settings(access=Access(keys=(KEY,))))
    with TestClient(app, base_url="http://127.0.0.1", root_path="/search") as client:
        for path in ("/", "/health", "/ready", "/openapi.json"):
            assert client.get(f"/search{path}").status_code == 200
        problem(client.get("/search/metrics"), 401, "Unauthorized")
        problem(client.get("/search/search/health"), 401, "Unauthorized")
        key = {"authorization": f"Bearer {KEY}"}
        assert ids(client.post("/search/search", json={"query": "sea"}, headers=key))


def test_keys_are_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    access = Access(keys=("first-key-of-sixteen", "second-key-of-sixteen"))
    assert access.opens("first-key-of-sixteen")
    assert len(compared) == 2  # every key, found or not
    assert not access.opens("nothing")
    assert not access.opens(None)
    assert KEY not in repr(Access(keys=(KEY,)))


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "", "[::2]"])
def test_foreign_host_names_are_refused_without_a_key(client, host):
    problem(client.post("/search", json={"query": "sea"}, headers={"host": host}), 421)
    problem(client.get("/", headers={"host": host}), 421)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("host", ("127.0.0.1", "evil.example")),
        ("host", ("127.0.0.1", "127.0.0.1")),
        ("content-type", ("application/json", "text/plain")),
        ("content-encoding", ("identity", "gzip")),
        ("authorization", ("Bearer one", "Bearer two")),
        ("x-api-key", ("one", "two")),
    ],
)
def test_a_header_that_decides_and_is_given_twice_is_refused(client, name, values):
    """A proxy in front may have gone by the other one."""
    headers = [("content-type", "application/json")] if name != "content-type" else []
    sent = [*headers, *((name, value) for value in values)]
    answer = client.post("/search", content=b'{"query": "sea"}', headers=sent)
    assert problem(answer, 400) == f"the header {name} is given twice"
    problem(client.post("/mcp", content=b"{}", headers=sent), 400)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "127.3.2.1"])
def test_loopback_by_any_name(client, host):
    assert ids(client.post("/search", json={"query": "sea"}, headers={"host": host}))


def test_named_hosts_and_keys_make_host_names_fine(serving):
    with serving(hosts=("search.example",)) as client:
        assert client.get("/health", headers={"host": "search.example:443"}).status_code == 200
    with serving(keys=(KEY,)) as client:
        assert client.get("/health", headers={"host": "any.example"}).status_code == 200


def test_cors_is_off_unless_asked(serving):
    origin = {"origin": "https://app.example"}
    with serving() as client:
        answer = client.post("/search", json={"query": "sea"}, headers=origin)
        assert "access-control-allow-origin" not in answer.headers
    with serving(cors=("https://app.example",), keys=(KEY,)) as client:
        asked = {**origin, "access-control-request-method": "POST"}
        allowed = client.options("/search", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        wanted = "mcp-protocol-version, content-type, authorization"  # of an agent in a page
        agent = client.options("/mcp", headers={**asked, "access-control-request-headers": wanted})
        assert agent.status_code == 200, agent.text
        foreign = client.options("/search", headers={**asked, "origin": "https://evil.example"})
        assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.4", "search.example"])
def test_other_hosts_than_loopback_demand_a_key(host):
    with pytest.raises(InvalidInputError, match="--api-key-file"):
        check_exposure(host, Access())
    check_exposure(host, Access(keys=(KEY,)))
    assert not is_loopback(host)


def test_key_files(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# ours\n{KEY}\n\n  {KEY}-2  \n")
    assert read_keys(path) == (KEY, f"{KEY}-2")
    for content, told in (("short\n", "keys:1: a key is at least 16"), ("# none\n", "holds no key")):
        path.write_text(content)
        with pytest.raises(InvalidInputError, match=told):
            read_keys(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        read_keys(path)
    with pytest.raises(StorageError, match="No such file"):
        read_keys(tmp_path / "absent")
    with pytest.raises(InvalidInputError, match="not a regular file"):
        read_keys(Path("/dev/zero"))


def test_limits_are_above_zero():
    with pytest.raises(InvalidInputError, match="limit k: must be above 0, got 0"):
        Limits(k=0)


def test_request_ids(client):
    answer = client.get("/health", headers={"x-request-id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    for bad in ("a b", "x" * 65, "<script>"):
        made = client.get("/health", headers={"x-request-id": bad}).headers["x-request-id"]
        assert made != bad and len(made) == 16


def test_log_lines_name_the_request_and_not_the_query(client, caplog):
    caplog.set_level(logging.INFO, "splade_engine.server.requests")
    client.post("/search", json={"query": "secret sea"}, headers={"x-request-id": "r-1"})
    record = next(r for r in caplog.records if r.name == "splade_engine.server.requests")
    line = json.loads(JsonLines().format(record))
    assert line["request_id"] == "r-1"
    assert (line["route"], line["status"], line["index"], line["generation"]) == ("/search", 200, "ix", 1)
    assert line["milliseconds"] > 0
    assert "secret" not in json.dumps(line)
    assert "/search" in PlainLines().format(record)


def test_metrics(client):
    client.post("/search", json={"query": "sea"})
    client.get("/nothing/at/all")
    text = client.get("/metrics").text
    assert 'splade_engine_requests_total{method="POST",route="/search",status="200"} 1.0' in text
    assert 'route="unmatched",status="404"' in text
    assert "/nothing/at/all" not in text  # a label per path that somebody thinks of would fill the memory
    assert 'splade_engine_index_documents{index="ix"} 4.0' in text
    assert 'splade_engine_search_seconds_count{index="ix"} 1.0' in text


def test_answers_carry_headers_against_guessing(client):
    for answer in (client.get("/health"), client.get("/nothing"), client.post("/search", json={})):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_the_page_can_run_only_its_own_script(client):
    answer = client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"].startswith("'sha256-")
    assert "unsafe" not in answer.headers["content-security-policy"]
    again = client.get("/", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "given",
    [{"cors": (v,)} for v in ("x y", "example.org", "https://a/", "https://a/b", "", "https://", "null\n")]
    + [{"hosts": (v,)} for v in ("a b", "", "a/b", "a\n", "http://a")],
    ids=str,
)
def test_origins_and_hosts_that_no_browser_sends_are_refused(given):
    with pytest.raises(InvalidInputError, match=r"^(cors|hosts): .* is expected, got '"):
        Access(**given)


def test_origins_and_hosts_that_browsers_send():
    cors = ("*", "https://a.example", "http://localhost:3000", "http://[::1]:80", "chrome-extension://abc")
    assert (
        Access(cors=cors, hosts=("search.example", "[::1]", "xn--bcher-kva.example", "my_host")).cors == cors
    )


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: Access(keys=KEY), "keys: a list of strings is expected, got str"),
        (lambda: Access(keys=KEY.encode()), "keys: a list of strings is expected, got bytes"),
        (lambda: Access(keys={KEY: 1}), "keys: a list of strings is expected, got dict"),
        (lambda: Access(keys=("",)), "keys: strings of at least 16 characters are expected"),
        (lambda: Access(keys=(KEY.encode(),)), "keys: strings of at least 16 characters are expected"),
        (lambda: Access(cors="*"), "cors: a list of strings is expected, got one string"),
        (lambda: Access(cors=("*", 5)), "cors: an origin like https://example.org is expected, got 5"),
        (lambda: Access(hosts="localhost"), "hosts: a list of strings is expected, got one string"),
        (lambda: Access(write="no"), "write: True or False is expected, got 'no'"),
        (lambda: Limits(threads="2"), "limit threads: must be above 0, got '2'"),
        (lambda: Limits(k=1.5), "limit k: must be above 0, got 1.5"),
        (lambda: Limits(seconds=float("inf")), "limit seconds: must be above 0, got inf"),
        (lambda: Settings(poll=float("nan")), "poll: a number from 0.001 to 86400 is expected, got nan"),
        (lambda: Settings(workers=0), "workers: a whole number of at least 1 is expected, got 0"),
        (lambda: Settings(mcp="no"), "mcp: True or False is expected, got 'no'"),
        (lambda: Settings(3), "limits: Limits is expected, got 3"),
        (lambda: Settings(access="open"), "access: Access is expected, got 'open'"),
    ],
)
def test_settings_mean_what_they_say(made, told):
    """A key that was given as a string opened the server to each of its letters; write="no" let write."""
    with pytest.raises(InvalidInputError) as refused:
        made()
    assert str(refused.value).startswith(told)
    assert KEY not in str(refused.value), "a key is never shown"


def test_a_list_of_keys_is_kept_as_it_was():
    keys = [KEY]
    access = Access(keys=keys)
    keys.append("another-key-of-sixteen")
    assert access.opens(KEY) and not access.opens("another-key-of-sixteen") and not access.opens(KEY[0])
