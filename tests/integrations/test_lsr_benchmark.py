"""lsr-benchmark: a tiny collection in its own format, indexed and searched as its scripts do it."""

from __future__ import annotations

import gzip
import json
import socket
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lsr_benchmark", reason="lsr-benchmark is not installed: splade-engine[lsr-benchmark]")

from click.testing import CliRunner

from splade_engine.errors import InvalidInputError
from splade_engine.integrations import lsr_benchmark as adapter

N_DOCS, N_QUERIES, FIRST = 40, 5, 1000  # tokens are vocabulary ids as text, the first of them 1000


def write_embedding(
    folder: Path, kind: str, rows: list[tuple[list[int], list[float]]], dtype=np.float32
) -> None:
    (folder / kind).mkdir(parents=True)
    np.savez(
        folder / kind / f"{kind}-embeddings.npz",
        indices=np.concatenate([np.array(tokens, np.int64) for tokens, _ in rows]),
        data=np.concatenate([np.array(weights, dtype) for _, weights in rows]),
        indptr=np.cumsum([0, *(len(tokens) for tokens, _ in rows)]),
    )
    (folder / kind / f"{kind}-ids.txt").write_text("".join(f"{kind[0]}{i}\n" for i in range(len(rows))))


@pytest.fixture
def collection(tmp_path: Path) -> tuple[Path, Path, np.ndarray]:
    """A dataset, an embedding, and the true scores float64[query, document]."""
    data, embedding, rng = tmp_path / "data", tmp_path / "embedding", np.random.default_rng(0)
    data.mkdir()
    lines = [json.dumps({"qid": f"q{i}", "query": f"question {i}"}) + "\n" for i in range(N_QUERIES)]
    (data / "queries.jsonl").write_text("".join(lines))
    with gzip.open(data / "corpus.jsonl.gz", "wt") as corpus:
        for i in range(N_DOCS):
            segment = {"start": 0, "end": 4, "text": "text"}
            corpus.write(
                json.dumps({"doc_id": f"d{i}", "default_text": "text", "segments": [segment]}) + "\n"
            )
    (data / "qrels.txt").write_text("".join(f"q{i} 0 d{i} 1\n" for i in range(N_QUERIES)))
    dense = {"doc": np.zeros((N_DOCS, 80)), "query": np.zeros((N_QUERIES, 80))}
    # queries ask for tokens that no document has, too
    for kind, (low, high, n) in {"doc": (0, 60, 12), "query": (0, 80, 7)}.items():
        rows = []
        for i in range(len(dense[kind])):
            tokens = np.sort(rng.choice(np.arange(low, high), n, replace=False))
            weights = (rng.random(n) + 0.1).astype(np.float32)
            dense[kind][i, tokens] = weights
            rows.append(((tokens + FIRST).tolist(), weights.tolist()))
        write_embedding(embedding, kind, rows)
    return data, embedding, dense["query"] @ dense["doc"].T


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network is asked for something")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def read_run(folder: Path) -> list[list[str]]:
    with gzip.open(folder / "run.txt.gz", "rt") as run:
        return [line.split() for line in run]


@pytest.mark.parametrize("lists", ["auto", "impact", "blocks"])
def test_a_collection_in_the_benchmarks_format(collection, tmp_path: Path, lists: str) -> None:
    data, embedding, scores = collection
    out = tmp_path / "out"
    options = ["--dataset", data, "--embedding", embedding, "--output", out, "--k", 7, "--lists", lists]
    done = CliRunner().invoke(adapter.main, [str(part) for part in options], catch_exceptions=False)
    assert done.exit_code == 0
    run = read_run(out)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :7]
    expected = [
        [f"q{q}", "Q0", f"d{doc}", str(rank)]
        for q in range(N_QUERIES)
        for rank, doc in enumerate(best[q].tolist(), start=1)
    ]
    assert [row[:4] for row in run] == expected
    assert {row[5] for row in run} == {"splade-engine"}
    np.testing.assert_allclose(
        [float(row[4]) for row in run], np.sort(-scores)[:, :7].ravel() * -1, rtol=1e-6
    )
    for name in ("index", "retrieval"):
        told = (out / f"{name}-metadata.yml").read_text()
        assert "tag: splade-engine-" in told and "runtime" in told
    assert not (out / ".tirex-tracker").exists()


def test_the_same_run_as_a_join_of_postings_in_duckdb(collection, tmp_path: Path) -> None:
    """As DuckDB's engine of the benchmark does it: a table of postings, joined with each query's."""
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed: splade-engine[exports]")
    data, embedding, _ = collection
    adapter.retrieve(str(data), str(embedding), tmp_path / "out", 10)
    database = duckdb.connect(":memory:")
    for kind in ("doc", "query"):
        stored = np.load(embedding / kind / f"{kind}-embeddings.npz")
        names = (embedding / kind / f"{kind}-ids.txt").read_text().split()
        row = np.repeat(np.arange(len(names)), np.diff(stored["indptr"])).tolist()
        postings = zip(row, stored["indices"].tolist(), stored["data"].tolist(), strict=True)
        database.execute(f"CREATE TABLE {kind}s (id VARCHAR, term INTEGER, weight DOUBLE)")
        database.executemany(
            f"INSERT INTO {kind}s VALUES (?, ?, ?)", [(names[i], t, w) for i, t, w in postings]
        )
    joined = database.execute(
        "SELECT q.id, d.id, sum(q.weight * d.weight) AS score FROM querys q JOIN docs d USING (term)"
        " GROUP BY q.id, d.id ORDER BY q.id, score DESC"
    ).fetchall()
    run = read_run(tmp_path / "out")
    for query in {row[0] for row in run}:
        ours = [(row[2], float(row[4])) for row in run if row[0] == query]
        theirs = [(doc, score) for name, doc, score in joined if name == query][:10]
        assert [doc for doc, _ in ours] == [doc for doc, _ in theirs]
        np.testing.assert_allclose([s for _, s in ours], [s for _, s in theirs], rtol=1e-6)


def test_rows_of_odd_embeddings() -> None:
    numbers: dict[str, int] = {}
    ids, rows = adapter.numbered(
        [("a", ["x", "y", "x"], np.array([1, 2, 3], np.int8)), ("b", [], []), ("c", ["z"], [0.0])],
        numbers,
        grow=True,
    )
    assert (ids, rows) == (["a", "b", "c"], [{0: 4.0, 1: 2.0}, {}, {}])
    assert numbers == {"x": 0, "y": 1, "z": 2}
    assert adapter.numbered([("q", ["y", "nobody has it"], [0.5, 1.0])], numbers, grow=False) == (
        ["q"],
        [{1: 0.5}],
    )
    assert numbers == {"x": 0, "y": 1, "z": 2}


@pytest.mark.parametrize("weight", [-0.5, np.nan, np.inf])
def test_weights_that_no_learned_sparse_model_gives_are_refused(weight: float) -> None:
    with pytest.raises(InvalidInputError, match="d7: weights must be finite and not negative"):
        adapter.numbered([("d7", ["a", "b"], [1.0, weight])], {}, grow=True)
