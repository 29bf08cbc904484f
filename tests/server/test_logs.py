"""Lines of the server's log: one per event, whatever the names and paths in it hold."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")

from splade_engine.server.logs import FIELDS, JsonLines, PlainLines

HOSTILE = "/documents/\x1b]0;owned\x07\n12:00:00  200 \x9b31m\u202egnp.exe \ud800 k\u00e4se"


def record(message="request", **fields):
    made = logging.LogRecord("splade_engine.server", logging.INFO, __file__, 1, message, (), None)
    setattr(made, FIELDS, fields)
    return made


def request(path):
    return record(status=404, milliseconds=1.25, method="GET", path=path)


@pytest.mark.parametrize("made", [request(HOSTILE), record(f"{HOSTILE}: cannot be opened")])
def test_a_plain_line_steers_no_terminal_and_is_one_line(made):
    line = PlainLines().format(made)
    assert line.isprintable() and "12:00:00  200  31mgnp.exe \ufffd k\u00e4se" in line


def test_a_json_line_is_json_wherever_it_is_written():
    line = JsonLines().format(request(HOSTILE))
    assert line.isascii() and line.isprintable()
    assert json.loads(line)["path"] == HOSTILE


def test_a_traceback_keeps_its_lines():
    made = record("request failed")
    try:
        raise ValueError("\x1b[2Jbad")
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    lines = PlainLines().format(made).splitlines()
    assert lines[1].startswith("Traceback") and lines[-1] == "ValueError:  [2Jbad"


def test_lines_of_libraries_are_like_all_others():
    """The package `mcp` adds a handler that draws for a terminal, unless the root logger has one."""
    code = (
        "import logging; from splade_engine.server.logs import configure; configure('json')\n"
        "from mcp.server.mcpserver import MCPServer; MCPServer('x')\n"
        "logging.getLogger('concurrent.futures').error('a callback failed')"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    assert json.loads(told)["message"] == "a callback failed"
