"""A corpus on standard input."""

from __future__ import annotations

import copy
import gzip
import io
import pickle  # noqa: TID251 - of our own making
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from splade_engine.collections.columns import ColumnTypes
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.standard_input import StandardInput
from splade_engine.errors import DatasetError
from tests.collections.corpora import EXPECTED, refusal


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b"1\ttea\n", mtime=0), "compressed; unpack it before the pipe: zcat FILE"),
        (b"PAR1....", "Parquet is read from a file only"),
        (b"PK\x03\x04...", "an archive or office document is read from a file only"),
    ],
)
def test_what_is_no_text_in_standard_input(data: bytes, message: str):
    with pytest.raises(DatasetError, match=message):
        list(StandardInput(io.BytesIO(data)).numbered(ColumnTypes()))


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
@pytest.mark.parametrize(
    "data",
    [
        b'\n{"_id": "d1", "text": "green tea", "title": "Tea"}\n{"_id": "d2", "text": "a coffee, black"}\n',
        b'\xef\xbb\xbf{"_id": "d1", "text": "green tea", "title": "Tea"}\n'
        b'{"_id": "d2", "text": "a coffee, black"}',
        b"d1\tTea\tgreen tea\nd2\t\ta coffee, black\n",
        b"id\ttitle\ttext\nd1\tTea\tgreen tea\nd2\t\ta coffee, black\n",
    ],
)
def test_standard_input_is_read_as_often_as_needed(monkeypatch: pytest.MonkeyPatch, data: bytes, name: str):
    monkeypatch.setattr("sys.stdin", Stdin(data))
    corpus = Corpus(name)
    assert corpus.survey().n_docs == 2
    assert list(corpus) == EXPECTED
    assert list(zip(corpus, corpus, strict=True)) == list(zip(EXPECTED, EXPECTED, strict=True))


def test_standard_input_names_its_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", Stdin(b'{"_id": "1", "text": "a"}\n{"_id": "1", "text": "b"}\n'))
    assert refusal("-") == "<standard input>:2: duplicate id '1', first on line 1"
    monkeypatch.setattr("sys.stdin", Stdin(b""))
    assert refusal(Path("-")) == "<standard input>: empty corpus, not one document"


def test_endless_input_is_not_copied_for_ever(monkeypatch: pytest.MonkeyPatch):
    class Endless(io.RawIOBase):
        def read(self, n: int = -1) -> bytes:
            return bytes(n)

    monkeypatch.setenv("SPLADE_ENGINE_MAX_DOCUMENT_BYTES", "5000000")
    with pytest.raises(DatasetError, match=r"<standard input>: a line of more than 5,000,000 bytes"):
        list(StandardInput(Endless()).numbered(ColumnTypes()))  # type: ignore[arg-type]


def test_threads_that_read_at_once_get_all_of_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("splade_engine.collections.standard_input._BLOCK", 16)
    lines = [f'{{"_id": "{i}", "text": "tea {i}"}}\n' for i in range(2000)]
    monkeypatch.setattr("sys.stdin", Stdin("".join(lines).encode()))
    corpus = Corpus("-")
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: [document.id for document in corpus], range(4)):
            assert found == [str(i) for i in range(2000)]


@pytest.mark.parametrize("again", [copy.deepcopy, pickle.dumps])
def test_what_was_piped_in_is_not_copied(monkeypatch: pytest.MonkeyPatch, again):
    monkeypatch.setattr("sys.stdin", Stdin(b"1\ttea\n"))
    corpus = Corpus("-")
    for _ in range(2):
        with pytest.raises(DatasetError, match="a corpus that was piped in cannot be copied"):
            again(corpus)
        assert [document.id for document in corpus] == ["1"]
