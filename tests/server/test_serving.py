"""`splade-engine serve` as a process: its arguments, its socket, its end."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import types
import urllib.request
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner

from splade_engine.cli import app
from splade_engine.engine import SearchEngine
from splade_engine.server import Access
from splade_engine.server import run as serving
from tests.fake_encoder import FakeEncoder

SERVE = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored
from tests.fake_encoder import FakeEncoder
from splade_engine.cli import main
import splade_engine.encoder as encoder
encoder.SparseEncoder.load = lambda *a, **o: FakeEncoder()
main()
"""


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def begun(command, log, started, announcement, own_group=False):
    """Start a server, and wait until its log says where it serves; returns the process and its address."""
    with log.open("w") as file:
        child = subprocess.Popen(command, stderr=file, start_new_session=own_group)
    started.append(child)
    deadline = time.monotonic() + 60
    while not (address := re.search(announcement, log.read_text())):
        assert child.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return child, address[1]


@pytest.fixture
def process(folder, log):
    """Start the command on a free port; returns the process and its address."""
    started = []

    def start(*options):
        command = [sys.executable, "-c", SERVE, "serve", str(folder), "--port", "0", *options]
        return begun(command, log, started, r"(http://\S+) serves .*\n")

    yield start
    for child in started:
        if child.poll() is None:
            child.kill()
        child.wait()


def ask(address, body, timeout=30):
    request = urllib.request.Request(
        f"{address}/search", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


def test_a_process_answers_and_ends_on_a_signal(process, log):
    child, address = process("--log-format", "json")
    assert ask(address, {"query": "tide"})["hits"][0]["id"] == "tides"
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    # before it stands what opening tells, such as a wait for another process that compiles
    [started] = [line["message"] for line in lines if " serves " in line["message"]]
    assert started == f"{address} serves ix (4 documents)"
    assert [line["route"] for line in lines if "route" in line] == ["/search"]


def test_what_opening_tells_is_json_as_well(folder, log):
    telling = "(logging.getLogger('splade_engine.x').warning('of opening'), FakeEncoder())[1]"
    code = "import logging\n" + SERVE.replace("FakeEncoder()", telling)
    command = [sys.executable, "-c", code, "serve", str(folder), "--port", "0", "--log-format", "json"]
    started = []
    try:
        begun(command, log, started, r"(http://\S+) serves ")
    finally:
        for child in started:
            child.kill()
            child.wait()
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    assert "of opening" in messages


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_stopping_finishes_what_has_begun(process, log, name):
    """A body whose second half comes after the signal is still answered; new connections are not.

    Where the terminal was closed, requests ended without an answer, and with a traceback each in the log.
    """
    child, address = process()
    host, port = address.removeprefix("http://").split(":")
    body = json.dumps({"query": "tide"}).encode()
    head = f"POST /search HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
        time.sleep(0.3)
        child.send_signal(getattr(signal, name))
        time.sleep(0.5)
        connection.sendall(body[5:])
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"id":"tides"' in answer
    assert child.wait(30) == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM"])
def test_ctrl_c_while_it_stops_ends_it_at_once(process, log, first):
    """Requests that run were broken off with a traceback each, and the exit code was 0."""
    child, address = process()
    with half_a_request(address):
        child.send_signal(getattr(signal, first))
        time.sleep(0.5)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        assert child.wait(5) == 130
    assert log.read_text().splitlines()[-1] == "splade-engine: interrupted"
    assert "Traceback" not in log.read_text()


def half_a_request(address):
    """A connection over which a search has begun to arrive."""
    host, port = address.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    head = f"POST /search HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    time.sleep(0.3)
    return connection


def test_killed_and_started_again_nothing_acknowledged_is_lost(process):
    child, address = process("--write")
    put = json.dumps({"documents": [{"id": "sky", "text": "the night sky"}]}).encode()
    request = urllib.request.Request(
        f"{address}/documents", put, {"content-type": "application/json"}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    os.kill(child.pid, signal.SIGKILL)
    child.wait(30)
    _, address = process()
    assert ask(address, {"query": "sky"})["hits"][0]["id"] == "sky"


@pytest.fixture
def workers(tmp_path, log):
    """Start several workers over an index of the bundled encoder, each of them a process of its own."""
    SearchEngine.build(
        tmp_path / "real", [{"_id": "tides", "text": "The moon pulls the sea and makes a tide."}]
    )
    started = []

    def start(*options):
        command = [sys.executable, "-m", "splade_engine", "serve", str(tmp_path / "real"), "--port", "0"]
        command += ["--workers", "2", *options]
        return begun(command, log, started, r"(http://\S+) serves real .*2 workers\b", own_group=True)

    yield start
    for child in started:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        child.wait(60)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes where Linux lists them")
def test_what_one_worker_has_written_the_others_find_at_once(workers):
    """Every request comes over a new connection, and so to either process."""
    child, address = workers("--write")
    for number in range(4):
        put = json.dumps(
            {"documents": [{"id": f"d{number}", "text": f"lighthouse number {number}"}]}
        ).encode()
        request = urllib.request.Request(
            f"{address}/documents", put, {"content-type": "application/json"}, method="PUT"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            generation = json.load(answer)["generation"]
        for _ in range(4):
            found = ask(address, {"query": "lighthouse", "k": 50})
            assert found["generation"] >= generation
            assert {hit["id"] for hit in found["hits"]} >= {f"d{n}" for n in range(number + 1)}
    pids = processes_of(child.pid)
    assert len(pids) == 2
    # over both; a request is counted when its answer has left, which is a moment after it came here
    deadline = time.monotonic() + 10
    while (searches := counted(text := metrics(address))) < 16 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert searches == 16
    assert len(set(re.findall(r"# TYPE (\w+)", text))) == text.count("# TYPE")

    os.kill(pids[0], signal.SIGKILL)  # a worker that dies is replaced, and nobody is turned away for long
    deadline = time.monotonic() + 60
    while len(now := processes_of(child.pid)) < 2 or pids[0] in now:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert ask(address, {"query": "lighthouse", "k": 50})["hits"]
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signals", "code"), [(["SIGHUP"], 0), (["SIGINT"], 0), (["SIGINT", "SIGINT"], 130), (["SIGQUIT"], -3)]
)
def test_what_a_terminal_sends_to_all_processes(workers, log, signals, code):
    """SIGHUP killed the workers, and the server began them anew; SIGQUIT ended them alone."""
    child, address = workers()
    ask(address, {"query": "tide"}, timeout=60)
    with half_a_request(address) if len(signals) > 1 else nullcontext():
        for name in signals:
            os.killpg(child.pid, getattr(signal, name))
            time.sleep(1)
        assert child.wait(20) == code
    told = log.read_text()
    assert "Traceback" not in told
    assert ("splade-engine: interrupted" in told) == (code == 130)


@pytest.mark.slow
def test_ctrl_c_before_the_workers_are_ready(workers, log):
    child, _ = workers()
    os.killpg(child.pid, signal.SIGINT)
    assert child.wait(60) == 0
    assert "Traceback" not in log.read_text()


def test_a_worker_stops_when_nobody_watches_it(monkeypatch):
    watched = []
    monkeypatch.setattr(serving, "end_with_parent", watched.append)
    before = {number: signal.getsignal(number) for number in serving._FOR_ALL}
    try:
        assert serving._Made(lambda: "app")() == "app"
        assert {signal.getsignal(number) for number in before} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    (end,) = watched
    assert (end.func, end.args) == (os.kill, (os.getpid(), signal.SIGTERM))


def test_a_worker_that_was_replaced_is_told(monkeypatch, caplog):
    gone, kept, new = (types.SimpleNamespace(pid=pid, exitcode=-9) for pid in (1, 2, 3))
    supervisor = serving._Supervisor.__new__(serving._Supervisor)
    supervisor.processes = [gone, kept]
    monkeypatch.setattr(
        serving.Multiprocess, "keep_subprocess_alive", lambda self: self.processes.__setitem__(0, new)
    )
    supervisor.keep_subprocess_alive()
    (told,) = caplog.messages
    assert told == "worker 1 ended or was silent for 30 seconds (exit code -9); worker 3 replaces it"


def metrics(address):
    """What the server counts, in Prometheus' text."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
        return answer.read().decode()


def counted(text):
    """How many searches that says."""
    return sum(map(float, re.findall(r'splade_engine_requests_total{.*route="/search".*} (\S+)', text)))


def processes_of(parent):
    """The numbers of the workers, without the resource tracker of multiprocessing."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return [pid for pid, command in commands.items() if b"spawn_main" in command]


@pytest.mark.slow
def test_a_worker_that_cannot_start_ends_the_server_in_one_line(tmp_path):
    SearchEngine.build(tmp_path / "ix", [{"_id": "a", "text": "tide"}], FakeEncoder())  # of no folder
    command = [sys.executable, "-m", "splade_engine", "serve", str(tmp_path / "ix"), "--workers", "2"]
    ran = subprocess.run([*command, "--port", "0"], capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert (
        ran.stderr.splitlines()[-1] == "splade-engine: a worker could not start; its line in the log says why"
    )


def test_a_body_that_does_not_come_is_408(process):
    _, address = process("--timeout", "0.3")
    host, port = address.removeprefix("http://").split(":")
    head = "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n".encode() + b"{")
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


def test_many_at_once(process):
    """64 threads, no answer lost or mixed up."""
    _, address = process()
    words = ["tide", "bread", "ship", "storm"]
    expected = {"tide": "tides", "bread": "bread", "ship": "ship", "storm": "a/b#1?x=1 ü"}
    wrong = []

    def client(number):
        for turn in range(10):
            word = words[(number + turn) % 4]
            if ask(address, {"query": word, "k": 1})["hits"][0]["id"] != expected[word]:
                wrong.append(word)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{folder}", "--host", "0.0.0.0"], "host 0.0.0.0: can be reached from other machines"),
        (["{folder}", "{folder}"], "another index is called 'ix' already; NAME=FOLDER"),
        (["{folder}/nothing"], "no index here"),
        (["notes="], "notes=: names no folder; NAME=FOLDER"),
        (["{folder}", "--host", "a..b", "--api-key-file", "{keys}"], "a..b: not the name of a host"),
        (["{folder}", "--verify", "some"], "--verify: full or offsets, got 'some'"),
        (["{folder}", "--log-format", "xml"], "--log-format: text or json, got 'xml'"),
        (["{folder}", "--host", "nowhere.invalid", "--api-key-file", "{keys}"], "nowhere.invalid:8000: "),
        (["{folder}", "--api-key-file", "{folder}/absent"], "absent: No such file"),
        (["{folder}", "--device", "cuda:99"], "device 'cuda:99': "),
        (["{folder}", "--root-path", "a b"], "--root-path: a path like /search is expected, got 'a b'"),
        (["{folder}", "--replicas", "2"], "--replicas needs --ray"),
        (["{folder}", "--ray", "local"], "ix: one index, not a collection"),
        (["{folder}", "--ray", "local", "--missing", "maybe"], "missing must be one of error, tell"),
        (["{folder}", "{folder}", "--ray", "local"], "--ray: serves one collection, at a port above 0"),
    ],
)
def test_bad_arguments_are_one_line(folder, tmp_path, monkeypatch, arguments, told):
    monkeypatch.setattr("splade_engine.encoder.SparseEncoder.load", lambda *a, **o: FakeEncoder())
    keys = tmp_path / "keys"
    keys.write_text("a-key-of-sixteen-chars\n")
    given = [a.format(folder=folder, keys=keys) for a in arguments]
    result = CliRunner().invoke(app, ["serve", *given])
    assert result.exit_code == 2, result.output
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_server_that_has_ended_leaves_the_log_as_it_was(folder, monkeypatch, log_format):
    """One that was started in a process that goes on, and cannot open its index."""
    loggers = [logging.getLogger(name) for name in ("splade_engine", "uvicorn", "mcp", None)]
    CliRunner().invoke(app, ["info", str(folder)])  # the command line's own handler is there
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    result = CliRunner().invoke(app, ["serve", str(folder / "nothing"), "--log-format", log_format])
    assert result.exit_code == 2
    assert [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers] == before


def test_what_another_program_is_told_of_processes_is_not_read(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "auto")  # uvicorn would read it as a number
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: [s.close() for s in sockets])
    started = []
    serving.serve(None, Access(), port=0, on_start=started.append)
    assert len(started) == 1


def test_a_device_that_is_not_there_is_told_before_an_agent_asks(folder, monkeypatch):
    monkeypatch.setattr("splade_engine.encoder.SparseEncoder.load", lambda *a, **o: FakeEncoder())
    result = CliRunner().invoke(app, ["mcp", str(folder), "--device", "cuda:99"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert "device 'cuda:99': " in result.stderr


@pytest.mark.parametrize(("command", "module"), [("serve", "uvicorn"), ("mcp", "mcp.server.mcpserver")])
def test_the_extra_is_named_where_it_is_missing(folder, command, module):
    """In a process of its own, since this one has imported everything already."""
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        f"sys.argv = ['splade-engine', {command!r}, {str(folder)!r}]\n"
        "from splade_engine.cli import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    package = module.partition(".")[0]
    assert ran.stderr.startswith("splade-engine: serving an ")
    assert f"needs {package}: pip install 'splade-engine[serve]'" in ran.stderr
    assert ran.stderr.count("\n") == 1
