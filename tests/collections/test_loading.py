from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace as Invented

import pytest

from splade_engine.collections.distractors import with_distractors
from splade_engine.collections.loading import load_dataset, read_queries
from splade_engine.collections.qrels import read_qrels
from splade_engine.errors import DatasetError, InvalidInputError


def test_a_folder(collection: Path, invented: Invented):
    data = load_dataset(collection)
    assert data.name == "invented"
    assert data.test.name == "test"
    assert data.qrels == invented.qrels
    assert data.test.unjudged == ["q6"]
    assert [d.id for d in data.corpus][:2] == ["tea", "coffee"]
    assert data.dev is None
    assert not data.drop_own_id


def test_other_splits_and_compressed_files(tmp_path: Path, invented: Invented):
    dev = {"q6": {"coffee": 1}}
    folder = invented.write(tmp_path / "c", qrels={"test": invented.qrels, "dev": dev})
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        file = folder / name
        (folder / f"{name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    data = load_dataset(folder)
    assert data.qrels == invented.qrels
    assert data.test.unjudged == []  # q6 is judged elsewhere: not of this split
    assert data.dev is not None
    assert dict(data.dev.queries) == {"q6": "roasted beans"}
    assert load_dataset(folder, "dev").qrels == dev


def test_two_files_of_one_kind_are_told(tmp_path: Path, invented: Invented, caplog):
    """Which one is read was decided without a word."""
    folder = invented.write(tmp_path / "c")
    for name in ("corpus.jsonl", "queries.jsonl"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
    (folder / "qrels" / "test.qrels").write_text("q1 0 tea 2\n")
    for _ in range(2):
        assert load_dataset(folder).qrels == {"q1": {"tea": 2}}
    assert sorted(record.message for record in caplog.records) == [
        f"{folder}/corpus.jsonl is read, and corpus.jsonl.gz beside it is not",
        f"{folder}/qrels/test.qrels is read, and test.tsv beside it is not",
        f"{folder}/queries.jsonl is read, and queries.jsonl.gz beside it is not",
    ]


def test_trec_qrels(tmp_path: Path, invented: Invented):
    folder = invented.write(tmp_path / "c")
    (folder / "qrels" / "test.tsv").unlink()
    (folder / "qrels" / "test.qrels").write_text("q1 0 tea 2\nq1 0 coffee 0\n")
    assert load_dataset(folder).qrels == {"q1": {"tea": 2, "coffee": 0}}


def test_ids_with_spaces_in_tab_separated_qrels(tmp_path: Path):
    (tmp_path / "x.tsv").write_text("query-id\tcorpus-id\tscore\n1\tGlobal warming:3\t1\n")
    assert read_qrels(tmp_path / "x.tsv") == {"1": {"Global warming:3": 1}}


@pytest.mark.parametrize("name", ["arguana", "quora", "quora-answers", "scifact"])
def test_the_name_of_a_folder_does_not_drop_own_ids(tmp_path: Path, invented: Invented, name: str):
    assert not load_dataset(invented.write(tmp_path / name)).drop_own_id
    assert load_dataset(tmp_path / name, drop_own_id=True).drop_own_id


def test_own_ids_are_dropped_where_the_folder_says_so(collection: Path):
    (collection / "collection.toml").write_text("drop_own_id = true\n")
    assert load_dataset(collection).drop_own_id
    assert not load_dataset(collection, drop_own_id=False).drop_own_id
    (collection / "collection.toml").write_text("drop_own_id = false\n")
    assert not load_dataset(collection).drop_own_id


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('drop_own_id = "yes"', "drop_own_id must be true or false, got 'yes'"),
        ("drop_own = true", "'drop_own' is not known"),
        ("drop_own_id", "collection.toml: "),
        ("x = " + "[" * 5000, "collection.toml: "),
    ],
)
def test_bad_settings_of_a_folder_are_one_line(collection: Path, text: str, message: str):
    (collection / "collection.toml").write_text(text)
    with pytest.raises(DatasetError, match=message):
        load_dataset(collection)


def test_a_file_beside_the_qrels_that_is_none_is_left_alone(collection: Path, invented: Invented):
    (collection / "qrels" / "codes.tsv").write_text("query-id\tcorpus-id\tcode\nq1\ttea\tx\n")
    assert load_dataset(collection).qrels == invented.qrels
    with pytest.raises(DatasetError, match=r"codes\.tsv:2: grade 'x' is not an integer"):
        load_dataset(collection, "codes")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query-id\tcorpus-id\tscore\nq1\ttea\n", r"test\.tsv:2: a judgment has 3 columns"),
        ("query-id\tcorpus-id\tscore\nq1\ttea\t0.5\n", r"test\.tsv:2: grade '0\.5' is not an integer"),
        (
            "q1\ttea\t1\nq1\ttea\t2\n",
            r"test\.tsv:2: query 'q1', document 'tea' is judged 2 here and 1 above",
        ),
        ("query-id\tcorpus-id\tscore\n", r"test\.tsv: no judgments"),
        (
            "query-id\tcorpus-id\tscore\nq1\ttea\t1\nq77\ttea\t1\n",
            r"test\.tsv:3: query 'q77' is not in queries\.jsonl \(1 of 2 judged queries are not\)",
        ),
        (
            "query-id\tcorpus-id\tscore\nq1\tnone\t1\nq2\tnone\t1\n",
            r"test\.tsv:2: document 'none' is not in the corpus, nor is any other judged document",
        ),
    ],
)
def test_bad_qrels_name_the_line(collection: Path, text: str, message: str):
    (collection / "qrels" / "test.tsv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        load_dataset(collection).check_documents_join()


def test_missing_files_are_named(tmp_path: Path, invented: Invented):
    folder = invented.write(tmp_path / "c")
    with pytest.raises(DatasetError, match=r"qrels.dev\.tsv: no such file; splits: test"):
        load_dataset(folder, "dev")
    (folder / "qrels" / "test.tsv").unlink()
    with pytest.raises(DatasetError, match=r"c: no judgments: qrels/test\.tsv is missing"):
        load_dataset(folder)
    (folder / "queries.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"c: no queries\.jsonl"):
        load_dataset(folder)


def test_an_unknown_dataset():
    with pytest.raises(DatasetError, match="unknown dataset 'no/such/thing'"):
        load_dataset("no/such/thing")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"queries\.jsonl:2: not JSON"),
        ("[1]", r"queries\.jsonl:2: an object with _id and text"),
        ('{"_id": "x"}', r"queries\.jsonl:2: the field text is missing"),
        ('{"_id": "x", "text": null}', r"queries\.jsonl:2: the field text is null"),
        ('{"id": null, "text": "x"}', r"queries\.jsonl:2: the field id is null"),
        ('{"_id": 7.5, "text": "x"}', r"queries\.jsonl:2: the field _id must be a string, got 7.5"),
        ('{"_id": "q1", "text": "x"}', r"queries\.jsonl:2: duplicate query id 'q1'"),
    ],
)
def test_bad_queries_name_the_line(tmp_path: Path, line: str, message: str):
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "a"}\n' + line + "\n")
    with pytest.raises(DatasetError, match=message):
        read_queries(tmp_path / "queries.jsonl")


def test_duplicate_documents_are_refused(collection: Path):
    with (collection / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "tea", "text": "again"}\n')
    with pytest.raises(DatasetError, match=r"corpus\.jsonl:9: duplicate id 'tea'"):
        load_dataset(collection).hashes()


def test_distractors(collection: Path, tmp_path: Path):
    lines = [json.dumps({"id": str(i), "text": f"more {i}"}) for i in range(5)]
    (tmp_path / "more.jsonl").write_text("\n".join(lines))
    data = with_distractors(load_dataset(collection), tmp_path / "more.jsonl", 3)
    ids = [d.id for d in data.corpus]
    assert ids[-3:] == ["distractor/0", "distractor/1", "distractor/2"]
    assert len(ids) == 11
    assert data.n_distractors == 3
    assert [len(list(part)) for part in data.parts] == [8, 3]
    assert data.hashes()["documents"] == 11
    assert data.name == "invented"
    plain = load_dataset(collection)
    assert data.hashes()["corpus"] != plain.hashes()["corpus"]
    assert data.hashes()["corpus"] != with_distractors(plain, tmp_path / "more.jsonl", 2).hashes()["corpus"]
    with pytest.raises(InvalidInputError, match="at least 1"):
        with_distractors(plain, tmp_path / "more.jsonl", 0)
    with pytest.raises(DatasetError, match=r"more\.jsonl: 6 distractors are asked for, it holds 5 documents"):
        with_distractors(plain, tmp_path / "more.jsonl", 6)
    with pytest.raises(DatasetError, match="document 'distractor/0' has the prefix of distractors"):
        with_distractors(data, tmp_path / "more.jsonl")


def test_distractors_that_are_relevant(collection: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Each is a wrong answer beside the right one: with the collection's own documents nDCG was .64 for 1."""
    with pytest.raises(
        DatasetError, match=r"^invented: \d of \d relevant documents are among the distractors, "
    ):
        with_distractors(load_dataset(collection), collection / "corpus.jsonl")
    own = [json.loads(line) for line in (collection / "corpus.jsonl").read_text().splitlines()]
    data = load_dataset(collection)
    relevant = {id for judged in data.qrels.values() for id, grade in judged.items() if grade > 0}
    (one,) = [record for record in own if record["_id"] in relevant][:1]
    (tmp_path / "one.jsonl").write_text(json.dumps({**one, "_id": "other"}))
    assert with_distractors(data, tmp_path / "one.jsonl").n_distractors == 1
    assert f"invented: 1 of {len(relevant)} relevant documents are among the distractors too" in caplog.text


def test_hashes_change_with_the_content(collection: Path):
    before = load_dataset(collection).hashes()
    (collection / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ttea\t1\n")
    after = load_dataset(collection).hashes()
    assert before["corpus"] == after["corpus"]
    assert before["qrels"] != after["qrels"]
