from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from splade_engine.errors import InvalidInputError, StorageError
from splade_engine.vectors import SparseVectors
from splade_engine.vectors.files import json_lines, read_vectors, tables, write_vectors

TOKENS = ["apple", "pear", "plüm", "fig", "##s"]


@pytest.fixture
def vectors() -> SparseVectors:
    return SparseVectors.from_dicts([{0: 1.25, 2: 0.1}, {}, {4: 3.0, 1: 2.5e-3}], len(TOKENS))


IDS = ["a", "b ü", "c\tc"]


def test_a_parquet_file_with_a_footer_of_nothing_is_one_line(tmp_path: Path, vectors: SparseVectors) -> None:
    path = tmp_path / "v.parquet"
    write_vectors(path, vectors, IDS, TOKENS)
    data = path.read_bytes()
    size = int.from_bytes(data[-8:-4], "little")
    path.write_bytes(data[: -8 - size] + bytes(size) + data[-8:])
    with pytest.raises(InvalidInputError, match=r"v\.parquet: not a vector file") as error:
        read_vectors(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["v.arrow", "v.parquet", "v.jsonl", "v.jsonl.gz"])
def test_own_and_seismic_files_come_back_exactly(tmp_path: Path, vectors: SparseVectors, name: str) -> None:
    write_vectors(tmp_path / name, vectors, IDS, TOKENS)
    back = read_vectors(tmp_path / name, TOKENS)
    assert back.vectors == vectors
    assert back.ids == IDS
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_bigann_files_come_back_without_ids(tmp_path: Path, vectors: SparseVectors) -> None:
    write_vectors(tmp_path / "v.csr", vectors)
    raw = (tmp_path / "v.csr").read_bytes()
    assert np.frombuffer(raw, "<i8", 3).tolist() == [3, 5, 4]
    assert np.frombuffer(raw, "<i8", 4, offset=24).tolist() == [0, 2, 2, 4]
    assert np.frombuffer(raw, "<i4", 4, offset=56).tolist() == [0, 2, 1, 4]
    back = read_vectors(tmp_path / "v.csr")
    assert back.vectors == vectors
    assert back.ids is None


def test_anserini_files_hold_whole_numbers(tmp_path: Path, vectors: SparseVectors) -> None:
    path = tmp_path / "v.jsonl"
    write_vectors(path, vectors, IDS, TOKENS, format="anserini")
    first, _, third = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    assert first == {"id": "a", "content": "", "vector": {"apple": 125, "plüm": 10}}
    assert third["vector"] == {"##s": 300}  # 0.0025 x 100 rounds to nothing
    back = read_vectors(path, TOKENS, format="anserini")
    assert back.vectors.to_dicts()[0] == pytest.approx({0: 1.25, 2: 0.1})


def test_a_file_without_vocabulary_makes_its_own(tmp_path: Path, vectors: SparseVectors) -> None:
    write_vectors(tmp_path / "v.jsonl", vectors, IDS, TOKENS)
    back = read_vectors(tmp_path / "v.jsonl")
    assert back.vocabulary == ["##s", "apple", "pear", "plüm"]
    assert back.vectors.to_token_dicts(back.vocabulary) == vectors.to_token_dicts(TOKENS)


def test_the_same_vectors_give_the_same_bytes(tmp_path: Path, vectors: SparseVectors) -> None:
    for name in ("v.arrow", "v.parquet", "v.jsonl.gz", "v.csr"):
        write_vectors(tmp_path / name, vectors, IDS, TOKENS)
        once = (tmp_path / name).read_bytes()
        write_vectors(tmp_path / name, vectors, IDS, TOKENS)
        assert (tmp_path / name).read_bytes() == once


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": "x", "vector": {"a": NaN}}', "line 2: token 'a' has the weight nan"),
        (b'{"id": "x", "vector": {"a": 1e999}}', "line 2: token 'a' has the weight inf"),
        (b'{"id": "x", "vector": {"a": -1}}', "line 2: token 'a' has the weight -1"),
        (b'{"id": "x", "vector": {"a": true}}', "line 2: token 'a' has the weight True"),
        (b'{"id": "x", "vector": {"a": "1"}}', "line 2: token 'a' has the weight '1'"),
        (b'{"id": "x", "vector": {"a": 1, "a": 2}}', "line 2: 'a' occurs twice"),
        (b'{"id": "x"}', 'line 2: expected an object with "id" and "vector"'),
        (b'{"id": null, "vector": {}}', "line 2: id None is not a string"),
        (b'{"id": "x", "vector": {', "line 2: not JSON"),
        (b'{"id": "\xff", "vector": {}}', "line 2: not UTF-8"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "v.jsonl"
    path.write_bytes(b'{"id": "ok", "vector": {"a": 1}}\n' + line + b"\n")
    with pytest.raises(InvalidInputError) as caught:
        read_vectors(path)
    assert str(caught.value).startswith(f"{path}, {message}")


def test_a_byte_order_mark_of_an_editor_is_passed_over(tmp_path: Path) -> None:
    line = b'\xef\xbb\xbf{"id": "%d", "vector": {"sea": 1.5}}\n'
    (tmp_path / "v.jsonl").write_bytes(line % 1 + line % 2)  # of files that were joined, too
    found = read_vectors(tmp_path / "v.jsonl")
    assert found.ids == ["1", "2"]
    assert found.vectors.to_token_dicts(["sea"]) == [{"sea": 1.5}] * 2


@pytest.mark.parametrize(
    ("text", "message"), [('{"id": "' + "a" * 999, "than 500 bytes"), ("\n" * 99, "21 blank")]
)
def test_a_small_gzip_of_something_endless_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    """A megabyte that unpacks to one line took 2.7 GB and 50 s before it was refused."""
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 500)
    monkeypatch.setattr(json_lines, "MOST_BLANK", 20)
    path = tmp_path / "v.jsonl.gz"
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(InvalidInputError, match=rf"v\.jsonl\.gz, line \d+: .*{message}"):
        read_vectors(path, TOKENS)
    path.write_bytes(gzip.compress(b"\n" * 20 + b'{"id": "a", "vector": {"fig": 1}}' + b"\n" * 20))
    assert read_vectors(path, TOKENS).ids == ["a"]


def test_a_cut_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl.gz"
    lines = [f'{{"id": "{i}", "vector": {{"a": 1}}}}\n' for i in range(1000)]
    path.write_bytes(gzip.compress("".join(lines).encode())[:-20])
    with pytest.raises(InvalidInputError, match=r"v\.jsonl\.gz: the gzip stream is damaged"):
        read_vectors(path)


@pytest.mark.parametrize("name", ["v.arrow", "v.parquet", "v.csr"])
def test_every_truncation_of_a_binary_file_is_refused(
    tmp_path: Path, vectors: SparseVectors, name: str
) -> None:
    path = tmp_path / name
    write_vectors(path, vectors, IDS, TOKENS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidInputError, match=name):
            read_vectors(path)


def test_values_inside_a_binary_file_are_checked(tmp_path: Path, vectors: SparseVectors) -> None:
    path = tmp_path / "v.csr"
    write_vectors(path, vectors)
    raw = bytearray(path.read_bytes())
    raw[-4:] = np.float32("nan").tobytes()
    path.write_bytes(raw)
    with pytest.raises(InvalidInputError, match=r"v\.csr: row 2, term 4, weight nan"):
        read_vectors(path)


def test_a_foreign_arrow_file_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table({"x": [1]})
    with pa.ipc.new_file(str(tmp_path / "v.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(InvalidInputError, match=r"v\.arrow: not a vector file"):
        read_vectors(tmp_path / "v.arrow")


def test_wrong_calls_are_refused(tmp_path: Path, vectors: SparseVectors) -> None:
    with pytest.raises(InvalidInputError, match="2 ids for 3 vectors"):
        write_vectors(tmp_path / "v.csr", vectors, ["a", "b"])
    with pytest.raises(InvalidInputError, match="needs the vocabulary"):
        write_vectors(tmp_path / "v.jsonl", vectors)
    for name in ("v.npz", "v.csr.gz", "v"):
        with pytest.raises(InvalidInputError, match="unknown vector file type"):
            write_vectors(tmp_path / name, vectors)
    with pytest.raises(StorageError, match="cannot read"):
        read_vectors(tmp_path / "absent.csr")
    with pytest.raises(StorageError, match="cannot write"):
        write_vectors(tmp_path / "absent" / "v.csr", vectors)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", 5, "c"], "row 1: the id 5 is not a string"),
        (["a", "b", b"c"], "row 2: the id b'c' is not a string"),
        (["\ud800", "b", "c"], r"row 0: the id '.ud800' holds half a surrogate pair"),
        (["a", "b", "a"], "the id 'a' is given twice"),
    ],
)
@pytest.mark.parametrize("name", ["v.arrow", "v.parquet", "v.jsonl", "v.csr"])
def test_ids_that_no_file_holds(
    tmp_path: Path, vectors: SparseVectors, name: str, ids: list[Any], message: str
) -> None:
    """They were tracebacks of Arrow or of JSON; one that was given twice could not be read back."""
    with pytest.raises(InvalidInputError, match=message):
        write_vectors(tmp_path / name, vectors, ids, TOKENS)
    assert list(tmp_path.iterdir()) == []


def test_an_id_twice_in_a_foreign_table(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table({"id": ["a", "a"], "terms": [[1], [2]], "weights": [[1.0], [2.0]]})
    table = table.replace_schema_metadata({b"splade_engine.n_terms": b"3"})
    with pa.ipc.new_file(str(tmp_path / "v.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(InvalidInputError, match=r"v\.arrow: the id 'a' is given twice"):
        read_vectors(tmp_path / "v.arrow")


@pytest.mark.parametrize(
    ("vocabulary", "message"), [(["x", "x"], "the token 'x' is given twice"), ([None, "x"], "got None")]
)
def test_a_vocabulary_that_names_no_terms(tmp_path: Path, vocabulary: list[Any], message: str) -> None:
    """Weights went to the last of two tokens of one name."""
    (tmp_path / "v.jsonl").write_text('{"id": "a", "vector": {"x": 1}}\n')
    for call in (
        lambda: read_vectors(tmp_path / "v.jsonl", vocabulary),
        lambda: SparseVectors.from_token_dicts([{"x": 1.0}], vocabulary),
        lambda: SparseVectors.empty(2).to_token_dicts(vocabulary),
    ):
        with pytest.raises(InvalidInputError, match=f"vocabulary: .*{message}"):
            call()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, vectors: SparseVectors) -> None:
    path = tmp_path / "v.jsonl"
    write_vectors(path, vectors, IDS, TOKENS)
    before = path.read_bytes()
    with pytest.raises(InvalidInputError):
        write_vectors(path, vectors, IDS, TOKENS[:-1])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["v.jsonl"]


@pytest.mark.parametrize("name", ["v.arrow", "v.parquet"])
def test_our_own_files_carry_a_checksum_and_their_encoder(
    tmp_path: Path, vectors: SparseVectors, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    encoder = {"name": "caf\udce9", "hash": "0" * 32, "max_length": 64}
    write_vectors(tmp_path / name, vectors, encoder=encoder)
    assert read_vectors(tmp_path / name).encoder == encoder
    write_vectors(tmp_path / name, vectors)
    assert read_vectors(tmp_path / name).encoder is None
    assert caplog.messages == []


def test_a_changed_number_under_an_old_checksum_is_refused(
    tmp_path: Path, vectors: SparseVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SparseVectors(vectors.indptr, vectors.terms, vectors.weights * 2, vectors.n_terms)
    changes: list[tuple[SparseVectors, list[str], dict[str, str | int]]] = [
        (other, ["a", "b", "c"], {"name": "one"}),
        (vectors, ["a", "c", "b"], {"name": "one"}),
        (vectors, ["a", "b", "c"], {"name": "two"}),
    ]
    checksum = tables._checksum
    monkeypatch.setattr(tables, "_checksum", lambda *_: checksum(vectors, ["a", "b", "c"], {"name": "one"}))
    for number, (changed, ids, encoder) in enumerate(changes):
        write_vectors(tmp_path / f"{number}.arrow", changed, ids, encoder=encoder)
    monkeypatch.undo()
    for number in range(len(changes)):
        with pytest.raises(InvalidInputError, match=f"{number}.arrow: damaged"):
            read_vectors(tmp_path / f"{number}.arrow")


@pytest.mark.parametrize(
    "record",
    [
        "[" * 3000,
        "7",
        "{}",
        '{"n_terms": 1, "encoder": null}',
        '{"n_terms": 9',
        '{"n_terms": 9, "n_terms": 9, "encoder": null, "checksum": ""}',
    ],
)
def test_a_record_that_is_none_is_refused(tmp_path: Path, vectors: SparseVectors, record: str) -> None:
    write_vectors(tmp_path / "v.arrow", vectors)
    table = pa.ipc.open_file(str(tmp_path / "v.arrow")).read_all()
    table = table.replace_schema_metadata({b"splade_engine": record.encode()})
    with pa.OSFile(str(tmp_path / "v.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(InvalidInputError, match="not a vector file of splade-engine") as error:
        read_vectors(tmp_path / "v.arrow")
    assert len(str(error.value)) < 500


def test_formats_without_a_checksum_say_so(
    tmp_path: Path, vectors: SparseVectors, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    vocabulary = [f"t{i}" for i in range(vectors.n_terms)]
    for name in ("v.csr", "v.jsonl", "v.jsonl.gz"):
        write_vectors(tmp_path / name, vectors, None, vocabulary)
        caplog.clear()
        read_vectors(tmp_path / name)
        assert len(caplog.messages) == (0 if name.endswith("gz") else 1)
    table = pa.table({"id": ["a"], "terms": [[1]], "weights": [[1.0]]})
    table = table.replace_schema_metadata({b"splade_engine.n_terms": b"3"})
    pq.write_table(table, tmp_path / "foreign.parquet")
    caplog.clear()
    assert read_vectors(tmp_path / "foreign.parquet").ids == ["a"]
    assert "foreign.parquet: carries no checksum" in caplog.text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a", "vector": {"x": ' + "9" * 5000 + "}}", "a number is too large"),
        ('{"id": "a", "vector": {"x": ' + "9" * 400 + "}}", "has the weight 9999"),
        ('{"id": ' + "[" * 20_000, "nested too deeply"),
        ('{"id": "b", "vector": {}}\n{"id": "b", "vector": {}}', "line 2: duplicate id 'b', first on line 1"),
        ('{"id": "a", "vector": {"' + "x" * 9000 + '": -1}}', "has the weight -1"),
    ],
)
@pytest.mark.parametrize("format", ["seismic", "anserini"])
def test_odd_lines_are_one_short_line(tmp_path: Path, line: str, message: str, format: Any) -> None:
    (tmp_path / "v.jsonl").write_text(line + "\n")
    with pytest.raises(InvalidInputError, match=message) as error:
        read_vectors(tmp_path / "v.jsonl", format=format)
    assert len(str(error.value)) < 500


def test_a_pipe_and_an_empty_gzip_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.jsonl")
    with pytest.raises(InvalidInputError, match="not a regular file"):
        read_vectors(tmp_path / "v.jsonl")
    (tmp_path / "v.jsonl.gz").touch()
    with pytest.raises(InvalidInputError, match="damaged or cut short"):
        read_vectors(tmp_path / "v.jsonl.gz", ["x"])


FOREIGN = {
    "id": pa.array(["a", "b"]),
    "terms": pa.array([[0, 2], [1]], pa.list_(pa.int32())),
    "weights": pa.array([[1.0, 2.0], [3.0]], pa.list_(pa.float32())),
}


def foreign(folder: Path, **columns: pa.Array) -> Path:
    """A file that another program wrote."""
    table = pa.table({**FOREIGN, **columns}).replace_schema_metadata({"splade_engine.n_terms": "5"})
    with pa.ipc.new_file(folder / "v.arrow", table.schema) as writer:
        writer.write_table(table)
    return folder / "v.arrow"


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"id": pa.array(["a", "b"], pa.large_string())},
        {"id": pa.array(["a", "b"]).dictionary_encode()},
        {"terms": pa.array([[0, 2], [1]], pa.large_list(pa.uint64()))},
        {"weights": pa.array([[1.0, 2.0], [3.0]], pa.list_(pa.float64()))},
        {"weights": pa.array([[1, 2], [3]], pa.large_list(pa.uint8()))},
    ],
)
def test_columns_of_other_widths_are_read(tmp_path: Path, columns: dict[str, pa.Array]) -> None:
    found = read_vectors(foreign(tmp_path, **columns))
    assert found.vectors.to_dicts() == [{0: 1.0, 2: 2.0}, {1: 3.0}]
    assert found.ids == ["a", "b"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": pa.array([b"a", b"b"])}, "column id must hold text, it holds binary"),
        ({"id": pa.array([1, 2])}, "column id must hold text, it holds int64"),
        ({"id": pa.array([["a"], ["b"]])}, "column id must hold text, it holds list"),
        ({"id": pa.array(["a", None])}, "column id has an empty cell"),
        ({"terms": pa.array(["a", "b"])}, "column terms must hold lists of whole numbers, it holds string"),
        ({"terms": pa.array([[0.0, 2.0], [1.0]])}, "column terms must hold lists of whole numbers"),
        ({"terms": pa.array([[0], [1]], pa.list_(pa.int32(), 1))}, "column terms must hold lists of whole"),
        ({"terms": pa.array([[0, None], [1]])}, "column terms has an empty cell"),
        ({"weights": pa.array([{"a": 1.0}, {"a": 2.0}])}, "column weights must hold lists of numbers"),
        ({"weights": pa.array([[True, False], [True]])}, "column weights must hold lists of numbers"),
    ],
)
def test_columns_of_other_types_are_one_line(
    tmp_path: Path, columns: dict[str, pa.Array], message: str
) -> None:
    file = foreign(tmp_path, **columns)
    with pytest.raises(InvalidInputError, match=f"{re.escape(str(file))}: {message}"):
        read_vectors(file)
