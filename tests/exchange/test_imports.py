"""Imports: what other systems wrote, and what is no such file."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from splade_engine.errors import EncoderMismatchError, InvalidInputError, SpladeEngineError
from splade_engine.exchange import SOURCES, ciff_file, export_index, import_vectors
from splade_engine.exchange.ciff_file import varint, write_ciff
from splade_engine.index import SparseIndex
from splade_engine.vectors import SparseVectors, write_vectors

ROWS = [{0: 1.5, 3: 0.25}, {}, {1: 2.0, 2: 0.5, 4: 1.0}]
VECTORS = SparseVectors.from_dicts(ROWS, 5)
TOKENS = ["alpha", "beta", "gamma", "delta", "eps"]
IDS = ["a", "b", "c é"]


@pytest.mark.parametrize("name", ["v.arrow", "v.parquet", "v.csr", "v.jsonl", "v.jsonl.gz"])
def test_our_own_files_are_told_by_their_name(tmp_path: Path, name: str) -> None:
    write_vectors(tmp_path / name, VECTORS, IDS, TOKENS)
    found = import_vectors(tmp_path / name, vocabulary=TOKENS)
    assert found.vectors == VECTORS
    assert found.ids == (None if name.endswith(".csr") else IDS)


def test_anserini_is_divided_by_its_scale(tmp_path: Path) -> None:
    write_vectors(tmp_path / "a.jsonl", VECTORS, IDS, TOKENS, format="anserini")
    assert import_vectors(tmp_path / "a.jsonl", format="anserini", vocabulary=TOKENS).vectors == VECTORS
    by_ten = import_vectors(tmp_path / "a.jsonl", format="anserini", vocabulary=TOKENS, scale=10)
    assert by_ten.vectors.weights.tolist() == (VECTORS.weights * 10).tolist()


def test_whole_numbers_are_divided_once(tmp_path: Path) -> None:
    """As whole numbers of 1/100 that are read as such and multiplied again, 120 would be 120.000008."""
    line = {"id": "d", "vector": {TOKENS[i]: 10 * i + 10 for i in range(5)}}
    file = write_lines(tmp_path / "a.jsonl", line)
    for scale in (1, 3, 255):
        found = import_vectors(file, format="anserini", vocabulary=TOKENS, scale=scale)
        assert found.vectors.weights.tolist() == [np.float32((10 * i + 10) / scale) for i in range(5)]


def test_a_folder_of_another_export_is_not_taken_whole(tmp_path: Path) -> None:
    (tmp_path / "points").mkdir()
    with pytest.raises(
        InvalidInputError, match=r"doc-embeddings\.npz: no such file; name a file of the folder"
    ):
        import_vectors(tmp_path / "points")
    with pytest.raises(InvalidInputError, match=r"none\.npz: no such file$"):
        import_vectors(tmp_path / "none.npz")
    (tmp_path / "zero.npz").symlink_to("/dev/zero")
    with pytest.raises(
        InvalidInputError, match=r"zero\.npz: a pipe or a device, expected a file or a folder"
    ):
        import_vectors(tmp_path / "zero.npz")


def test_scipy_matrices_and_lsr_benchmark_folders(tmp_path: Path) -> None:
    scipy.sparse.save_npz(tmp_path / "m.npz", VECTORS.to_scipy())
    found = import_vectors(tmp_path / "m.npz")
    assert (found.vectors, found.ids) == (VECTORS, None)
    (tmp_path / "ids").write_text("\n".join(IDS))
    assert import_vectors(tmp_path / "m.npz", ids=tmp_path / "ids").ids == IDS
    folder = tmp_path / "embedding" / "doc"
    folder.mkdir(parents=True)
    # terms in any order, and of any width
    np.savez(
        folder / "doc-embeddings.npz",
        data=np.array([0.25, 1.5, 1.0, 2.0, 0.5]),
        indices=np.array([3, 0, 4, 1, 2], np.int16),
        indptr=np.array([0, 2, 2, 5], np.int32),
    )
    (folder / "doc-ids.txt").write_text("".join(f"{id}\n" for id in IDS))
    found = import_vectors(tmp_path / "embedding")
    assert (found.vectors, found.ids) == (VECTORS, IDS)
    assert import_vectors(tmp_path / "embedding", n_terms=9).vectors.n_terms == 9


def test_an_npz_file_with_something_else_in_place_of_an_array(tmp_path: Path) -> None:
    parts = {"data": np.ones(1), "indices": np.array([0]), "indptr": np.array([0, 1])}
    np.savez(tmp_path / "m.npz", **parts)
    with zipfile.ZipFile(tmp_path / "m.npz", "a") as file:
        file.writestr("shape.npy", b"no array")
    with pytest.raises(InvalidInputError, match="'shape' is no array"):
        import_vectors(tmp_path / "m.npz")


ROW = {"data": np.array([1.5, 0.1]), "indices": np.array([0, 1]), "indptr": np.array([0, 2])}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": np.ones(2), "indices": np.array([0, 1])}, "no array 'indptr'"),
        ({"data": np.ones(2), "indices": np.array([0, 0]), "indptr": np.array([0, 2])}, "row 0"),
        ({"data": np.ones(2), "indices": np.array([0, -1]), "indptr": np.array([0, 2])}, "number -1"),
        ({"data": np.ones(2), "indices": np.array([0, 2**40]), "indptr": np.array([0, 2])}, "a term"),
        ({"data": np.ones(2), "indices": np.array([0, 1]), "indptr": np.array([0, 3])}, "indptr"),
        ({"data": np.ones(2), "indices": np.array([0, 1]), "indptr": np.array([2, 0])}, "indptr"),
        ({"data": np.array([1.0, np.nan]), "indices": np.array([0, 1]), "indptr": np.array([0, 2])}, "row 0"),
        ({"data": np.array([1.0, -1.0]), "indices": np.array([0, 1]), "indptr": np.array([0, 2])}, "row 0"),
        ({"data": np.array(["a", "b"]), "indices": np.array([0, 1]), "indptr": np.array([0, 2])}, "numbers"),
        ({"data": np.ones((1, 2)), "indices": np.array([0, 1]), "indptr": np.array([0, 2])}, "dimension"),
        ({"data": np.ones(2), "indices": np.array([0.5, 1]), "indptr": np.array([0, 2])}, "whole numbers"),
        (
            {
                "data": np.ones(1),
                "indices": np.array([0]),
                "indptr": np.array([0, 1]),
                "format": np.array(b"csc"),
            },
            "not a CSR matrix",
        ),
        (
            {"data": np.ones(1), "indices": np.array([0]), "indptr": np.array([0, 1]), "hape": np.ones(2)},
            "an array 'hape', and none that is called 'shape'",
        ),
        ({**ROW, "shape": np.array([3, 4])}, "its shape says 3 rows, its indptr 1"),
        ({**ROW, "shape": np.array([1])}, r"shape: two whole numbers are expected, got \[1\]"),
        ({**ROW, "shape": np.array([1, np.nan])}, "shape: two whole numbers are expected"),
        ({**ROW, "shape": np.array([1, 0])}, "n_terms must be between 1"),
        ({**ROW, "data": np.array([1.0, 1e39])}, r"row 0, term 1, weight 1e\+39: weights are finite"),
    ],
)
def test_npz_files_that_are_no_vectors(tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(InvalidInputError, match=message):
        import_vectors(tmp_path / "m.npz")


@pytest.mark.parametrize("dtype", ["float16", "float64", "int64", "uint8", ">f4"])
def test_weights_of_every_kind_are_divided_in_double_precision(tmp_path: Path, dtype: str) -> None:
    weights = np.array([1, 3, 7, 200], dtype)
    np.savez(tmp_path / "m.npz", data=weights, indices=np.arange(4), indptr=np.array([0, 4]))
    found = import_vectors(tmp_path / "m.npz", scale=3000)
    assert found.vectors.weights.tolist() == [np.float32(w / 3000) for w in (1, 3, 7, 200)]


@pytest.mark.parametrize("scale", [None, 10.0])
def test_true_is_no_weight_of_an_npz_file(tmp_path: Path, scale: float | None) -> None:
    np.savez(tmp_path / "m.npz", **{**ROW, "data": np.array([True, False])})
    with pytest.raises(InvalidInputError, match="data: numbers are expected, got bool"):
        import_vectors(tmp_path / "m.npz", scale=scale)


def test_an_npz_file_that_ends_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object, **__: object) -> None:
        raise EOFError

    (tmp_path / "m.npz").touch()
    monkeypatch.setattr(np, "load", cut)
    with pytest.raises(InvalidInputError, match=r"m\.npz: not an npz file \(EOFError\)"):
        import_vectors(tmp_path / "m.npz")


def test_npz_files_that_would_run_code_or_are_damaged(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", data=np.array([object()]), indices=np.zeros(1), indptr=np.zeros(2))
    with pytest.raises(InvalidInputError, match="not an npz file"):
        import_vectors(tmp_path / "m.npz")
    scipy.sparse.save_npz(tmp_path / "m.npz", VECTORS.to_scipy())
    whole = (tmp_path / "m.npz").read_bytes()
    for content in (b"", whole[:100], whole[:-30]):
        (tmp_path / "m.npz").write_bytes(content)
        with pytest.raises(InvalidInputError, match=r"m\.npz"):
            import_vectors(tmp_path / "m.npz")
    (tmp_path / "m.npz").write_bytes(whole)
    (tmp_path / "ids").write_text("a\nb\n")
    with pytest.raises(InvalidInputError, match="2 ids for 3 rows"):
        import_vectors(tmp_path / "m.npz", ids=tmp_path / "ids")


# ---- CIFF -------------------------------------------------------------------------------------------------


def ciff(path: Path, about: str = "splade-engine, weights times 100") -> bytes:
    impacts = np.rint(VECTORS.weights * 100).astype(np.int64)
    write_ciff(path, VECTORS, impacts, IDS, TOKENS, about)
    return path.read_bytes()


def test_ciff(tmp_path: Path) -> None:
    whole = ciff(tmp_path / "i.ciff")
    found = import_vectors(tmp_path / "i.ciff", vocabulary=TOKENS)
    assert (found.vectors, found.ids) == (VECTORS, IDS)
    (tmp_path / "i.ciff.gz").write_bytes(gzip.compress(whole))
    assert import_vectors(tmp_path / "i.ciff.gz", vocabulary=TOKENS).vectors == VECTORS
    alone = import_vectors(tmp_path / "i.ciff")
    assert alone.vocabulary == sorted(TOKENS)
    ciff(tmp_path / "other.ciff", "of another tool")
    as_they_are = import_vectors(tmp_path / "other.ciff", vocabulary=TOKENS).vectors
    assert as_they_are.weights.tolist() == (VECTORS.weights * 100).tolist()
    with pytest.raises(InvalidInputError, match="'eps'"):
        import_vectors(tmp_path / "i.ciff", vocabulary=TOKENS[:4])


@pytest.mark.parametrize(
    ("number", "data"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")]
)
def test_varints(number: int, data: bytes) -> None:
    """300 is the example of the documentation of protocol buffers."""
    assert varint(number) == data


def test_ciff_of_earlier_releases_and_of_others_carries_no_checksum(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    earlier = "splade-engine, weights times 100"  # as long as a checksum, which is written over it
    monkeypatch.setattr(ciff_file, "_NO_CHECKSUM_YET", "")
    monkeypatch.setattr(ciff_file.Digest, "text", lambda self: earlier)
    whole = ciff(tmp_path / "i.ciff", earlier)
    assert import_vectors(tmp_path / "i.ciff", vocabulary=TOKENS).vectors == VECTORS
    assert "carries no checksum" in caplog.text
    (tmp_path / "i.ciff").write_bytes(whole.replace(b"weights times", b"weighTs times"))
    with pytest.raises(InvalidInputError, match="its description is none of ours"):
        import_vectors(tmp_path / "i.ciff", vocabulary=TOKENS)


def test_damaged_ciff_files_are_one_line_or_the_file(tmp_path: Path) -> None:
    whole = ciff(tmp_path / "i.ciff")
    pristine = import_vectors(tmp_path / "i.ciff")
    rng = np.random.default_rng(5)
    for trial in range(600):
        data = bytearray(whole)
        if trial % 3 == 0:
            del data[int(rng.integers(len(data))) :]
        else:
            for _ in range(trial % 4 + 1):
                data[int(rng.integers(len(data)))] = int(rng.integers(256))
        (tmp_path / "i.ciff").write_bytes(data)
        try:
            found = import_vectors(tmp_path / "i.ciff")
        except SpladeEngineError as error:
            assert str(error).startswith(str(tmp_path)), error
            assert "\n" not in str(error)
        else:
            assert (found.vectors, found.ids) == (pristine.vectors, pristine.ids)


# ---- Qdrant -----------------------------------------------------------------------------------------------

POINTS = [
    {
        "id": 7,
        "vector": {"text": {"indices": [3, 0], "values": [0.25, 1.5]}, "dense": [0.1, 0.2]},
        "payload": {"title": "T", "text": "words", "year": 1999, "lang": "en"},
    },
    {"id": "5c56c793-69f3-4fbf-87e6-c4bf54c28c26", "vector": {"indices": [], "values": []}},
    {"id": 9, "vector": {"s": {"indices": [1, 2, 4], "values": [2, 0.5, 1]}}, "payload": {"doc_id": "c é"}},
]


def write_lines(path: Path, *values: object) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def test_points_of_qdrant(tmp_path: Path) -> None:
    found = import_vectors(write_lines(tmp_path / "p.jsonl", *POINTS))
    assert found.vectors == VECTORS
    assert found.ids == ["7", "5c56c793-69f3-4fbf-87e6-c4bf54c28c26", "c é"]
    index = SparseIndex.build(tmp_path / "ix", found.vectors, found.ids, payload=found.payload)
    assert index.info().columns == {"title": "text", "text": "text", "year": "int", "lang": "text"}
    assert index.payload([0])[0] == {"title": "T", "text": "words", "year": 1999, "lang": "en"}
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress((tmp_path / "p.jsonl").read_bytes()))
    assert import_vectors(tmp_path / "p.jsonl.gz").vectors == VECTORS
    answer = {"result": {"points": POINTS, "next_page_offset": None}, "status": "ok"}
    assert import_vectors(write_lines(tmp_path / "scroll.jsonl", answer)).ids == found.ids


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ([], "an object with id and vector"),
        ({"id": 1}, "no sparse vector"),
        ({"id": 1, "vector": [0.5]}, "no sparse vector"),
        ({"id": 1, "vector": {"indices": [1], "values": []}}, "one length"),
        ({"id": 1, "vector": {"indices": [1.5], "values": [1]}}, "whole numbers"),
        ({"id": 1, "vector": {"indices": [True], "values": [1]}}, "whole numbers"),
        ({"id": 1, "vector": {"indices": [2**31], "values": [1]}}, "whole numbers"),
        ({"id": 1, "vector": {"indices": [1], "values": [-1]}}, "finite numbers"),
        ({"id": 1, "vector": {"indices": [1, 1], "values": [1, 1]}}, "stands there twice"),
        ({"id": None, "vector": {"indices": [1], "values": [1]}}, "an id is needed"),
        ({"id": 7, "vector": {"indices": [1], "values": [1]}}, "'7' is also that of"),
        ({"id": 1, "vector": {"indices": [1], "values": [1]}, "payload": []}, "payload must be an object"),
        (
            {"id": 1, "vector": {"a": {"indices": [1], "values": [1]}, "b": {"indices": [1], "values": [1]}}},
            "several sparse vectors: a, b",
        ),
    ],
)
def test_what_is_no_point_is_named_by_its_line(tmp_path: Path, point: object, message: str) -> None:
    path = write_lines(tmp_path / "p.jsonl", POINTS[0], point)
    with pytest.raises(InvalidInputError, match=message) as raised:
        import_vectors(path, format="qdrant")
    assert str(raised.value).startswith(f"{path}:2: ")


def test_an_empty_payload_is_none(tmp_path: Path) -> None:
    found = import_vectors(write_lines(tmp_path / "p.jsonl", {**POINTS[1], "payload": {}}), n_terms=5)
    assert found.payload is None


def test_what_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "v.dat").write_bytes(b"x")
    with pytest.raises(InvalidInputError, match="of which format"):
        import_vectors(tmp_path / "v.dat")
    with pytest.raises(InvalidInputError, match="no format 'faiss'"):
        import_vectors(tmp_path / "v.dat", format="faiss")
    with pytest.raises(InvalidInputError, match="scale"):
        import_vectors(tmp_path / "v.dat", format="csr", scale=-1)
    with pytest.raises(InvalidInputError, match="n_terms"):
        import_vectors(tmp_path / "v.dat", format="csr", n_terms=0)
    for name in SOURCES:
        with pytest.raises(SpladeEngineError, match="gone"):
            import_vectors(tmp_path / "gone", format=name)


ODD_IDS = ["a\u2028b", '"quoted"', "line\nbreak", "tab\tcr\r", "\x85", '"', " a ", '{"x": 1}']


def test_ids_survive_the_way_out_and_back(tmp_path: Path) -> None:
    vectors = SparseVectors.from_dicts([{i % 5: 1.0} for i in range(len(ODD_IDS))], 5)
    index = SparseIndex.build(tmp_path / "ix", vectors, ODD_IDS)
    export_index(index, "lsr-benchmark", tmp_path / "out", measure=False)
    assert import_vectors(tmp_path / "out").ids == ODD_IDS
    assert len((tmp_path / "out" / "doc" / "doc-ids.txt").read_bytes().splitlines()) == len(ODD_IDS)


def test_ids_of_other_programs_stay_as_they_are(tmp_path: Path) -> None:
    scipy.sparse.save_npz(tmp_path / "m.npz", VECTORS.to_scipy())
    (tmp_path / "ids").write_bytes('\ufeff"x"\r\nb\u2028c\r\n"\r\n'.encode())
    assert import_vectors(tmp_path / "m.npz", ids=tmp_path / "ids").ids == ['"x"', "b\u2028c", '"']


def test_ids_are_for_formats_without(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("\n".join(IDS))
    write_vectors(tmp_path / "v.csr", VECTORS)
    assert import_vectors(tmp_path / "v.csr", ids=tmp_path / "ids").ids == IDS
    write_vectors(tmp_path / "v.arrow", VECTORS, IDS)
    with pytest.raises(InvalidInputError, match=r"v\.arrow are in the file itself"):
        import_vectors(tmp_path / "v.arrow", ids=tmp_path / "ids")
    with pytest.raises(InvalidInputError, match="over 5 terms, not 9"):
        import_vectors(tmp_path / "v.arrow", n_terms=9)


@pytest.mark.parametrize("name", ["v.arrow", "v.csr", "v.jsonl"])
def test_a_scale_that_leaves_no_weight_is_refused(tmp_path: Path, name: str) -> None:
    write_vectors(tmp_path / name, VECTORS, IDS, TOKENS)
    with pytest.raises(InvalidInputError, match=rf"{name}: divided by 1e-300: row 0"):
        import_vectors(tmp_path / name, vocabulary=TOKENS, scale=1e-300)
    for scale in (1e60, 0, -1, float("nan"), float("inf"), "x", True):
        with pytest.raises(InvalidInputError, match=r"scale: a number (from 0 to 1e|above 0)"):
            import_vectors(tmp_path / name, vocabulary=TOKENS, scale=scale)


# ---- an export of ours that was damaged ------------------------------------------------------------------

OF_AN_EXPORT = {
    "seismic": "documents.jsonl",
    "anserini": "collection/documents.jsonl",
    "ciff": "index.ciff",
    "qdrant": "points.jsonl",
    "lsr-benchmark": "doc/doc-ids.txt",
}


@pytest.mark.parametrize("target", OF_AN_EXPORT)
def test_an_export_that_was_changed_is_refused(tmp_path: Path, target: str) -> None:
    """Two ids swapped, or a weight of another size, would be read as whole by every one of these formats."""
    index = SparseIndex.build(tmp_path / "ix", VECTORS, ["aa", "bb", "cc"])
    record = export_index(index, target, tmp_path / "out", vocabulary=TOKENS, measure=False)
    name = OF_AN_EXPORT[target]
    assert name in record.files and "record.json" not in record.files
    file = tmp_path / "out" / name
    source = tmp_path / "out" if target == "lsr-benchmark" else file
    form = target if target in ("qdrant", "anserini") else None
    found = import_vectors(source, format=form, vocabulary=TOKENS)
    whole = file.read_bytes()
    assert whole.count(b"aa") and whole.count(b"cc")
    swapped = whole.replace(b"aa", b"??").replace(b"cc", b"aa").replace(b"??", b"cc")
    file.write_bytes(swapped)
    with pytest.raises(InvalidInputError, match="damaged, or changed since it was exported") as error:
        import_vectors(source, format=form, vocabulary=TOKENS)
    assert str(file) in str(error.value) and "\n" not in str(error.value)
    (tmp_path / "out/record.json").unlink()
    if target == "ciff":  # has a checksum of its own
        with pytest.raises(InvalidInputError, match="does not match its checksum"):
            import_vectors(source, vocabulary=TOKENS)
        return
    other = import_vectors(source, format=form, vocabulary=TOKENS)
    assert other.vectors == found.vectors and other.ids != found.ids


MADE_BY = {"name": "tides", "hash": "1f", "source": "org/tides"}


@pytest.mark.parametrize("target", OF_AN_EXPORT)
def test_the_encoder_of_an_export_comes_back(tmp_path: Path, target: str) -> None:
    """Without it, the index was searched with whatever encoder was named."""
    index = SparseIndex.build(tmp_path / "ix", VECTORS, IDS, encoder=MADE_BY)
    export_index(index, target, tmp_path / "out", vocabulary=TOKENS, measure=False)
    source = tmp_path / "out" / (OF_AN_EXPORT[target] if target != "lsr-benchmark" else "")
    form = target if target in ("qdrant", "anserini") else None
    found = import_vectors(source, format=form, vocabulary=TOKENS)
    assert found.encoder == MADE_BY
    if (free := import_vectors(source, format=form)).vocabulary is None:
        assert (free.encoder, free.vectors) == (MADE_BY, found.vectors)
    else:  # numbered as its tokens come, not as the encoder numbers them
        assert free.encoder is None
    with pytest.raises(
        EncoderMismatchError, match=r"vectors of tides over 5 terms, .*record.json.*, not over 6"
    ):
        import_vectors(source, format=form, vocabulary=[*TOKENS, "zeta"], n_terms=6)
    write_vectors(tmp_path / "mine.csr", VECTORS)
    beside = (tmp_path / "mine.csr").rename(tmp_path / "out" / "mine.csr")  # none of the files of the export
    assert import_vectors(beside).encoder is None


def test_terms_that_no_exported_document_holds_count(tmp_path: Path) -> None:
    vectors = SparseVectors.from_dicts(ROWS, 9)
    index = SparseIndex.build(tmp_path / "ix", vectors, IDS, encoder=MADE_BY)
    export_index(index, "qdrant", tmp_path / "out", measure=False)
    found = import_vectors(tmp_path / "out" / "points.jsonl", format="qdrant")
    assert (found.vectors.n_terms, found.encoder) == (9, MADE_BY)
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    for encoder in (None, {}, [], {"name": None}, "tides"):
        (tmp_path / "out" / "record.json").write_text(json.dumps({**record, "encoder": encoder}))
        assert import_vectors(tmp_path / "out" / "points.jsonl", format="qdrant").encoder is None


@pytest.mark.parametrize(
    "record", ["", "{", "[]", '{"files": {"v.csr": "x"}}', '{"target": "x", "files": {"v.csr": 1}}']
)
def test_a_record_of_somebody_else_says_nothing(tmp_path: Path, record: str) -> None:
    write_vectors(tmp_path / "v.csr", VECTORS)
    (tmp_path / "record.json").write_text(record)
    assert import_vectors(tmp_path / "v.csr").vectors == VECTORS


@pytest.mark.parametrize("target", ["ciff", "anserini", "seismic"])
def test_tokens_that_an_export_renames_come_back(tmp_path: Path, target: str) -> None:
    """The "." of every BERT vocabulary among them."""
    tokens = ["alpha", ".", "", "_3", "a.b"]
    index = SparseIndex.build(tmp_path / "ix", VECTORS, IDS)
    export_index(index, target, tmp_path / "out", vocabulary=tokens)
    (file,) = (f for f in (tmp_path / "out").rglob("*") if f.stem in ("index", "documents"))
    found = import_vectors(file, format=target, vocabulary=tokens)
    kept = dict(zip(found.ids or [], found.vectors, strict=True))
    for id, (terms, weights) in zip(IDS, VECTORS, strict=True):
        assert kept[id][0].tolist() == terms.tolist()
        assert kept[id][1].tolist() == weights.tolist()


def test_an_id_that_begins_like_a_byte_order_mark_comes_back(tmp_path: Path) -> None:
    ids = ["\ufeffa", "b", "c"]
    export_index(SparseIndex.build(tmp_path / "ix", VECTORS, ids), "lsr-benchmark", tmp_path / "out")
    assert import_vectors(tmp_path / "out").ids == ids


@pytest.mark.parametrize("target", ["seismic", "anserini"])
def test_numbers_of_an_export_without_a_vocabulary_stay_numbers(tmp_path: Path, target: str) -> None:
    """The tokens of this vocabulary are numbers too, other ones."""
    vectors = SparseVectors.from_dicts([{2: 1.0, 0: 2.0}, {1: 3.0}], n_terms=4)
    index = SparseIndex.build(tmp_path / "ix", vectors, ["a", "b"])
    export_index(index, target, tmp_path / "out")
    file = next(path for path in (tmp_path / "out").rglob("*.jsonl*") if "quer" not in path.name)
    vocabulary = ["2", "1", "0", "3"]
    for given in (vocabulary, None):
        found = import_vectors(file, format=target, vocabulary=given)
        assert found.vocabulary == given and found.vectors.n_terms == 4
        assert [sorted(found.vectors[i].terms.tolist()) for i in range(2)] == [[0, 2], [1]]
    with pytest.raises(EncoderMismatchError, match=r"a vocabulary of 3 tokens, but vectors over 4 terms"):
        import_vectors(file, format=target, vocabulary=vocabulary[:3])
    export_index(index, target, tmp_path / "named", vocabulary=vocabulary)
    found = import_vectors(
        tmp_path / "named" / file.relative_to(tmp_path / "out"), format=target, vocabulary=vocabulary
    )
    assert [sorted(found.vectors[i].terms.tolist()) for i in range(2)] == [[0, 2], [1]]
