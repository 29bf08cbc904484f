"""Pipes, devices and sizes: no corpus is waited for or read without end."""

from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path

import pytest

from splade_engine.collections import Document, read_documents
from splade_engine.collections.corpus import Corpus
from splade_engine.errors import DatasetError, InvalidInputError
from tests.collections.corpora import refusal, write


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["c.jsonl", "c.tsv", "c.jsonl.gz", "c.parquet", "c.txt", "c.unknown"])
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / name)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(refusal(tmp_path / name)), daemon=True)
    reader.start()
    reader.join(10)
    assert found and "a named pipe, not a file" in found[0] and "give -" in found[0]


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices here")
@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(tmp_path: Path, name: str):
    assert "a device, not a file" in refusal(name)
    (tmp_path / "corpus.jsonl").symlink_to(name)
    assert "a device, not a file" in refusal(tmp_path / "corpus.jsonl")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_among_notes_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    os.mkfifo(tmp_path / "a.md")
    (tmp_path / "b.md").symlink_to("nowhere")
    write(tmp_path / "c.md", "some text")
    assert [d.id for d in read_documents(tmp_path)] == ["c.md"]
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "left out: a.md: a named pipe, not a file" in said
    assert "left out: b.md: cannot be read (No such file or directory)" in said


def test_a_bomb_of_empty_lines_ends_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b"\n" * 3_000_000))
    assert ":1000001: 1,000,001 blank lines in a row (SPLADE_ENGINE_MAX_BLANK_LINES sets another bound)" in (
        refusal(tmp_path / "c.jsonl.gz")
    )
    monkeypatch.setenv("SPLADE_ENGINE_MAX_BLANK_LINES", "4000000")
    assert "empty corpus" in refusal(tmp_path / "c.jsonl.gz")


def test_a_document_that_is_too_large_names_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lines = [json.dumps({"_id": "1", "text": "a"}), json.dumps({"_id": "2", "text": "b " * 6_000_000})]
    path = write(tmp_path / "c.jsonl", "\n".join(lines))
    assert refusal(path) == (
        f"{path}:2: a line of more than 10,000,000 bytes "
        "(SPLADE_ENGINE_MAX_DOCUMENT_BYTES sets another bound)"
    )
    monkeypatch.setenv("SPLADE_ENGINE_MAX_DOCUMENT_BYTES", "20000000")
    assert len(list(Corpus(path))) == 2


def test_a_text_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPLADE_ENGINE_MAX_FILE_BYTES", "1000")
    monkeypatch.setenv("SPLADE_ENGINE_MAX_DOCUMENT_BYTES", "100")
    path = write(tmp_path / "a.txt", "word " * 300)
    assert "1,500 bytes, more than 1,000 (SPLADE_ENGINE_MAX_FILE_BYTES sets another bound)" in refusal(path)
    assert "a passage of more than 100 characters" in refusal(write(tmp_path / "b.txt", "x" * 200))


@pytest.mark.parametrize("value", ["0", "-1", "many", "1e6", "9" * 30])
def test_a_bound_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("SPLADE_ENGINE_MAX_DOCUMENT_BYTES", value)
    with pytest.raises(InvalidInputError, match="SPLADE_ENGINE_MAX_DOCUMENT_BYTES must be a whole number"):
        list(Corpus(write(tmp_path / "c.jsonl", '{"_id": "1", "text": "a"}')))


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
def test_file_names_that_are_not_utf8(tmp_path: Path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.md")).write_text("green tea")
    (document,) = read_documents(tmp_path)
    assert (document.id, document.title, document.metadata["path"]) == (
        "caf\\xe9.md",
        "caf\\xe9",
        "caf\\xe9.md",
    )


def test_a_document_in_memory_has_the_bounds_of_files(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPLADE_ENGINE_MAX_DOCUMENT_BYTES", "100")
    monkeypatch.setenv("SPLADE_ENGINE_MAX_FILE_BYTES", "1000")
    small, large = Document("a", "tea"), Document("b", "tea " * 30)
    titled, fielded = Document("c", "tea", "x" * 100), {"_id": "d", "text": "tea", "note": "x" * 100}
    for corpus in ([small, large], [small, titled], [small, fielded]):
        with pytest.raises(DatasetError) as error:
            Corpus(corpus).survey()
        assert str(error.value) == (
            "document 1: a text of more than 100 characters "
            "(SPLADE_ENGINE_MAX_DOCUMENT_BYTES sets another bound)"
        )
    assert Corpus([small, large], passages=16).survey().n_docs > 2  # is cut, as a text file is
    with pytest.raises(DatasetError, match=r"document 0: .* more than 1,000 characters .*MAX_FILE_BYTES"):
        Corpus([Document("b", "tea " * 300)], passages=16).survey()
