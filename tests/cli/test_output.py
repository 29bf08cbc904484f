"""What commands write: JSON that is valid, styles, and streams that are closed, full or not UTF-8."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splade_engine.cli import output

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def written(value, encoding="utf-8"):
    """What `write_json` sends to a standard output of that encoding."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    before, sys.stdout = sys.stdout, stream
    try:
        output.write_json(value)
        stream.flush()
        return stream.buffer.getvalue()
    finally:
        sys.stdout = before


def strict(data):
    """The value of a JSON document that is strictly that."""

    def refused(constant):
        raise AssertionError(f"{constant} is no JSON")

    value = json.loads(data.decode(), parse_constant=refused)
    json.dumps(value, ensure_ascii=False).encode()  # no half of a surrogate pair, also not as an escape
    return value


def expected(value):
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [expected(inner) for inner in value]
    if isinstance(value, dict):
        return {expected(key): expected(inner) for key, inner in value.items()}
    return value


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252", "utf-16-le"])
@given(value=JSON)
def test_json_is_valid_whatever_is_in_it(encoding, value):
    data = written(value, encoding).decode(encoding).encode()
    assert strict(data) == expected(value)


def test_json_hides_nothing_and_moves_no_cursor():
    value = {"title": "report \u202egnp.exe \x9b31m \x1b[2J \x7f\u2028 \U000e0041 caf\udce9"}
    text = written(value).decode()
    assert not set(text) & set("\u202e\x9b\x1b\x7f\u2028\U000e0041")
    assert strict(text.encode())["title"] == value["title"].replace("\udce9", "\ufffd")


def test_styles_are_for_terminals_and_cannot_be_forged(monkeypatch, capsys):
    forged = output._MARK["match"] + "\x1b[31mred" + output._END
    assert output.styled("text", "match") == "text"
    output.write(f"{output.styled('text', 'id')} {forged}\x1b[2J")
    assert capsys.readouterr().out == "text \ufdd3 [31mred\ufdd0 [2J\n".replace("\ufdd3", "").replace(
        "\ufdd0", ""
    )
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    sent = []
    monkeypatch.setattr("typer.echo", sent.append)
    output.write(output.styled("a\x1b[2Jb", "match"))
    assert sent == ["\x1b[32m\x1b[1ma [2Jb\x1b[0m"]


def test_columns_of_a_table_are_columns_of_the_terminal():
    lines = output.table_lines(("name", "n"), [("港口", "1"), ("a\nb", "22")])
    assert lines == ["name   n", "港口   1", "a b   22"]


def search(index_folder, *options, shell="", **environment):
    """`search` in a process of its own, behind a shell's redirection."""
    command = f'exec "$0" -W error -c "from splade_engine.cli import main; main()" "$@" {shell}'
    return subprocess.run(
        ["bash", "-c", command, sys.executable, "search", str(index_folder), "sea moon", *options],
        capture_output=True,
        timeout=60,
        env=os.environ | environment,
    )


@pytest.fixture
def real_index(cli, corpus_file, tmp_path):
    """An index that the bundled encoder's query side can search."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "splade_engine",
            "-q",
            "index",
            str(corpus_file),
            "-o",
            str(tmp_path / "real"),
        ],
        check=True,
        capture_output=True,
    )
    return tmp_path / "real"


def test_outputs_of_other_encodings_and_streams_that_are_closed_or_full(real_index):
    for encoding in ("ascii", "latin-1", "cp1252"):
        for options in ((), ("--json",), ("--explain",)):
            result = search(real_index, *options, PYTHONIOENCODING=encoding)
            assert result.returncode == 0, result.stderr
            assert b"Traceback" not in result.stderr
        assert strict(search(real_index, "--json", PYTHONIOENCODING=encoding).stdout)["hits"]
    closed = search(real_index, shell=">&-")
    assert closed.returncode == 1
    assert closed.stderr.decode() == (
        "splade-engine: search: standard output is closed, and the result has no other place\n"
    )
    assert search(real_index, shell="2>&-").returncode == 0
    assert search(real_index, shell="<&-").returncode == 0
    whole = search(real_index)
    for shell in ("2>/dev/full", "2> >(exec true)"):  # the answer stands on standard output
        unheard = search(real_index, "--verbose", shell=shell)
        assert (unheard.returncode, unheard.stdout) == (0, whole.stdout)
    assert search(real_index, "--no-such-option", shell="2>/dev/full").returncode == 2
    full = search(real_index, shell=">/dev/full")
    assert full.returncode == 1
    assert full.stderr.splitlines()[-1].decode() == "splade-engine: No space left on device"
    assert b"Traceback" not in full.stderr


def test_a_terminal_that_wants_no_colours_gets_no_escape_sequence(index_folder):
    """The kernels' compiler made one at the end of every search."""
    command = [sys.executable, "-c", "from splade_engine.cli import main; main()", "tune", str(index_folder)]
    ours, theirs = os.openpty()
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"NO_COLOR": "1", "TERM": "dumb"},
    ) as running:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # how Linux says that the other end is closed
            while block := os.read(ours, 1 << 16):
                shown += block
    os.close(ours)
    assert running.returncode == 0, shown
    assert b"recall" in shown and b"\x1b" not in shown


def test_data_is_cleaned_on_a_terminal_only(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    text = "a\u200bb,\x1b[2J\ud800\n"
    for stream, expected in ((Terminal(), "ab, [2J\ufffd\n"), (io.StringIO(), "a\u200bb,\x1b[2J\ufffd\n")):
        monkeypatch.setattr(sys, "stdout", stream)
        output.write_data(text)
        assert stream.getvalue() == expected
