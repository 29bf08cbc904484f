"""Files of lines: found without reading them whole, unpacked once, looked up by id."""

from __future__ import annotations

import copy
import gzip
import os
import pickle  # noqa: TID251 - of our own making

import pytest

from splade_engine.errors import DatasetError, StorageError
from splade_engine.training.data.line_file import LineFile, TextsById
from tests.training.made import write_jsonl


def test_line_file_finds_lines_across_buffers(tmp_path, monkeypatch):
    monkeypatch.setattr("splade_engine.training.data.line_file._SCAN", 7)
    lines = ['{"a": 1}', "", '{"b": "' + "x" * 50 + '"}', '{"c": 3}']
    (tmp_path / "f.jsonl").write_text("\n".join(lines))  # no final newline
    file = LineFile(tmp_path / "f.jsonl", tmp_path)
    assert [file[i].decode() for i in range(len(file))] == [line for line in lines if line]
    assert file.place(2) == f"{tmp_path / 'f.jsonl'}:4"


def test_blank_lines_are_those_of_every_other_reader(tmp_path):
    """A line of spaces was no JSON here, and nothing to an evaluation of the same file."""
    (tmp_path / "f.jsonl").write_bytes(b'  \n\t\r\n{"a": 1}\n \n\n{"a": 2}\n   ')
    file = LineFile(tmp_path / "f.jsonl", tmp_path)
    assert [file.record(i)["a"] for i in range(len(file))] == [1, 2]
    assert file.place(1) == f"{tmp_path / 'f.jsonl'}:6"


ROWS = '{"query": "q", "positive": "p"}\n{"query": "r", "positive": "p"}\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            ROWS.encode("utf-16"),
            r"rows.jsonl:1: invalid UTF-8 \(byte 0xff .*; it is UTF-16, save it as UTF-8\)",
        ),
        (ROWS.encode("utf-16-le"), "rows.jsonl:1: zero bytes: UTF-16 or UTF-32 without its mark"),
        (ROWS.encode("utf-16-be"), "rows.jsonl:1: zero bytes: UTF-16 or UTF-32 without its mark"),
        (gzip.compress(ROWS.encode(), mtime=0), r"rows.jsonl:1: .* its name has to end in .gz"),
        (ROWS.replace("\n", "\r").encode(), "rows.jsonl: lines end in CR alone, save it with LF"),
    ],
)
def test_what_is_no_utf8_is_called_what_it_is(tmp_path, content, message):
    """Of UTF-16 the second row was "not JSON", since a line ended between the bytes of its end."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        LineFile(path, tmp_path)
    path.write_bytes(ROWS.replace("\n", "\r\n").encode("utf-8-sig"))
    assert [row["query"] for row in map(LineFile(path, tmp_path).record, (0, 1))] == ["q", "r"]


def test_compressed_files_are_unpacked_once(tmp_path):
    path = tmp_path / "f.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n\n{"a": 2}\n'))
    cache = tmp_path / "cache"
    assert [LineFile(path, cache).record(i)["a"] for i in range(2)] == [1, 2]
    assert LineFile(path, cache).place(1) == f"{path}:3"
    (unpacked,) = cache.glob("*.lines")
    stamp = unpacked.stat().st_mtime_ns
    LineFile(path, cache)
    assert unpacked.stat().st_mtime_ns == stamp
    unpacked.write_bytes(b'{"a": 1}\n')  # cut short, or of other lines: unpacked again
    assert [LineFile(path, cache).record(i)["a"] for i in range(2)] == [1, 2]
    before = path.stat()
    path.write_bytes(gzip.compress(b'{"a": 3}\n\n{"a": 4}\n'))  # of the same size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert [LineFile(path, cache).record(i)["a"] for i in range(2)] == [3, 4]
    with pytest.raises(DatasetError, match="no such file"):
        LineFile(tmp_path / "none.jsonl", cache)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b'{"a": 2}\n{"a": 1}\n'),  # in another order, of the same size
        lambda path: path.write_bytes(path.read_bytes() + b'{"a": 3}\n'),
        lambda path: os.truncate(path, 9),
    ],
    ids=["reordered", "grown", "cut"],
)
def test_a_file_that_is_written_to_while_it_is_in_use_is_refused(change, tmp_path):
    """Its rows would be others than those that were checked, and a resumed run would compare."""
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n')
    file = LineFile(path, tmp_path)
    assert file.record(0) == {"a": 1}
    os.utime(path, ns=(0, 0))  # a date says nothing of the content
    assert file.record(1) == {"a": 2}
    change(path)
    for row in range(2):
        with pytest.raises(DatasetError, match=r"f.jsonl: changed while it is in use"):
            file.record(row)


def test_a_file_that_takes_its_place_is_another(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n')
    file = LineFile(path, tmp_path)
    (tmp_path / "new").write_bytes(b'{"a": 7}\n{"a": 8}\n')
    (tmp_path / "new").replace(path)
    assert [file.record(row)["a"] for row in range(2)] == [1, 2]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda file: pickle.loads(pickle.dumps(file))])
def test_a_copy_opens_the_file_itself(again, tmp_path):
    """With the handle of the first one it would read whatever has this number after that one is closed."""
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n')
    file = LineFile(path, tmp_path)
    other = again(file)
    file.close()
    (tmp_path / "g.jsonl").write_bytes(b'{"a": 3}\n{"a": 4}\n')
    third = LineFile(tmp_path / "g.jsonl", tmp_path)
    assert [other.record(row)["a"] for row in range(2)] == [1, 2]
    other.close()
    assert [third.record(row)["a"] for row in range(2)] == [3, 4]


def test_a_copy_of_a_file_that_was_replaced_is_refused(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n')
    sent = pickle.dumps(LineFile(path, tmp_path))
    (tmp_path / "new").write_bytes(b'{"a": 7}\n{"a": 8}\n')
    (tmp_path / "new").replace(path)
    with pytest.raises(DatasetError, match=r"f.jsonl: changed while it is in use"):
        pickle.loads(sent).record(0)
    path.unlink()
    with pytest.raises(StorageError, match=r"cannot read .*f.jsonl: No such file"):
        pickle.loads(sent)


def test_texts_by_id(tmp_path, monkeypatch):
    texts = TextsById(
        write_jsonl(tmp_path / "c.jsonl", [{"_id": f"d{i}", "text": f"t{i}"} for i in range(50)]), tmp_path
    )
    assert all(texts.text(texts.row(f"d{i}")) == f"t{i}" for i in range(50))
    assert texts.row("d50") is None
    monkeypatch.setattr("splade_engine.training.data.line_file.digest_64", lambda _: 5)  # every id collides
    same = TextsById(tmp_path / "c.jsonl", tmp_path)
    assert same.row("d33") == 33 and same.row("d99") is None
    monkeypatch.undo()
    rows = [{"_id": "a", "text": "1"}, {"_id": "b", "text": "2"}, {"_id": "a", "text": "3"}]
    with pytest.raises(DatasetError, match=r"twice.jsonl:3: duplicate id 'a', first on line 1"):
        TextsById(write_jsonl(tmp_path / "twice.jsonl", rows), tmp_path)
    with pytest.raises(DatasetError, match=r"e.jsonl:1: the field _id \(or id\) is missing"):
        TextsById(write_jsonl(tmp_path / "e.jsonl", [{"text": "x"}]), tmp_path)


def test_texts_by_id_have_the_names_that_a_corpus_may_have(tmp_path, caplog):
    rows = [{"docid": "a", "contents": "tea"}, {"docid": 7, "contents": "owl", "title": float("nan")}]
    with caplog.at_level("WARNING"):
        texts = TextsById(write_jsonl(tmp_path / "c.jsonl", rows), tmp_path)
    assert list(texts) == [("a", "tea"), ("7", "owl")]
    assert f"{tmp_path / 'c.jsonl'}: docid is read as the id, contents as the text" in caplog.text
    rows = [{"_id": "a", "text": "x"}, {"docid": "a", "pid": "b", "text": "x"}]
    with pytest.raises(DatasetError, match=r"t.jsonl:2: the field id is missing, and it could be docid or p"):
        TextsById(write_jsonl(tmp_path / "t.jsonl", rows), tmp_path)
