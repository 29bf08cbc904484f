"""scripts/bench_search through its command, on invented vectors, with the engines that every install has."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from splade_engine.vectors import SparseVectors
from splade_engine.vectors.files import read_vectors, write_vectors

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "bench_search"
EXPERIMENTS = SCRIPT.parents[1] / "experiments"
ENGINES = ("splade-engine", "taat", "scipy")
N_DOCS, N_QUERIES, K = 400, 8, 5


def random_vectors(n: int, rng: np.random.Generator) -> SparseVectors:
    """Rows of 20 of 200 terms, weights that never tie."""
    rows = [
        dict(zip(rng.choice(200, 20, False).tolist(), rng.random(20) + 0.1, strict=True)) for _ in range(n)
    ]
    return SparseVectors.from_dicts(rows, 200)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("vectors"), np.random.default_rng(0)
    for name, n in (("documents.csr", N_DOCS), ("queries.csr", N_QUERIES)):
        write_vectors(folder / name, random_vectors(n, rng))
    return folder


def bench(vectors, *options, engines=ENGINES, **environment):
    command = [sys.executable, SCRIPT, vectors / "documents.csr", vectors / "queries.csr", "-k", str(K)]
    command += ["--engines", ",".join(engines), *options]
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    return done.returncode, done.stdout, done.stderr


def test_table_and_json(vectors, tmp_path):
    (tmp_path / "bmp.py").write_text("raise ImportError('this peer is not installed')")
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    options = ("--json", tmp_path / "result.json", "--work", tmp_path / "work", "--floor", "--memory", "64")
    code, out, errors = bench(vectors, *options, engines=("bmp", *ENGINES), PYTHONPATH=path)
    assert code == 0 and "bmp (16): left out (exit code 1)" in errors
    head, building, by_recall = out.split("\n\n")[:3]
    assert head.startswith(f"{N_QUERIES} queries, k = {K}, {N_DOCS} documents, {20 * N_DOCS:,} postings")
    assert [line.split()[0] for line in building.splitlines()[1:]] == list(ENGINES)
    rows = [line.split() for line in by_recall.splitlines()[1:]]
    assert [row[0] for row in rows] == [
        t for t in ("0.900", "0.950", "0.980", "0.990", "0.998") for _ in ENGINES
    ]
    assert all(row[1] == name and float(row[2]) > 0 for row, name in zip(rows, ENGINES * 5, strict=True))
    assert "GB/s in sequence" in out

    results = json.loads((tmp_path / "result.json").read_text())
    assert [result["engine"] for result in results] == list(ENGINES)
    for result in results:
        (build,) = result["builds"]
        assert build["bytes"] > 0 and build["seconds"] > 0 and build["cpu"] > 0 and build["peak"] > 2**20
        exact = next(run for run in result["runs"] if run["settings"] == "exact")
        assert exact["recall"] == 1.0 and exact["us"] > 0
        assert [run["p50"] <= run["p99"] for run in result["runs"] if "p50" in run][:1] == [True]
    ours = results[0]["runs"]
    assert len(ours) > 50 and all(K <= run["scored"] <= N_DOCS for run in ours)
    assert any(run.get("all_cores", 0) > 0 for run in ours)

    rng = np.random.default_rng(0)
    documents, queries = (random_vectors(n, rng).to_scipy() for n in (N_DOCS, N_QUERIES))
    best = np.argsort(-(queries @ documents.T).toarray(), axis=1, kind="stable")[:, :K]
    (truth,) = (tmp_path / "work").glob(f"truth-{N_DOCS}-*-{N_QUERIES}-*-{K}.npy")
    np.testing.assert_array_equal(np.load(truth), best)


def test_both_kinds_of_lists_beside_each_other_by_a_configuration(vectors, tmp_path):
    config = tmp_path / "search-x.toml"
    config.write_text(
        f'documents = "documents.csr"\nqueries = "queries.csr"\nk = {K}\n'
        'engines = ["splade-engine", "splade-engine-blocks"]\n'
    )
    command = [sys.executable, SCRIPT, "--config", config, "--data", vectors]
    command += ["--json", tmp_path / "result.json", "--queries", "4"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"4 queries, k = {K}, ")
    results = json.loads((tmp_path / "result.json").read_text())
    assert [result["engine"] for result in results] == ["splade-engine", "splade-engine-blocks"]
    for result in results:
        assert next(run for run in result["runs"] if run["settings"] == "exact")["recall"] == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k = 10", "documents is missing"),
        ("engine = 5", "engine must be one of documents, queries, k"),
        ('documents = "a"\nqueries = "b"\nk = "ten"', "k must be one of"),
        ("k = ", "Invalid value"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(text, message, tmp_path):
    (tmp_path / "c.toml").write_text(text)
    command = [sys.executable, str(SCRIPT), "--config", str(tmp_path / "c.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and message in done.stderr


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("search-*.toml")), ids=lambda path: path.stem)
def test_committed_configurations_are_read(path, tmp_path):
    """Up to where the vectors would be: they are made by an encoder and not kept here."""
    command = [sys.executable, str(SCRIPT), "--config", str(path), "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert str(tmp_path / tomllib.loads(path.read_text())["documents"]) in done.stderr


def test_growth(vectors, tmp_path):
    sizes = ("--growth", "100,300", "--json", tmp_path / "growth.json")
    code, out, errors = bench(vectors, *sizes, engines=("scipy",))
    assert code == 0, errors
    at_100, at_300, slope = out.splitlines()[-3:]
    assert at_100.split()[:3] == ["scipy", "100", "documents"] and at_300.split()[1] == "300"
    assert "time at recall .95 grows as n^" in slope
    (small,), (large,) = json.loads((tmp_path / "growth.json").read_text())
    assert small["builds"][0]["bytes"] < large["builds"][0]["bytes"]


def test_an_unknown_engine_is_refused(vectors):
    code, _, errors = bench(vectors, engines=("lucene",))
    assert code == 2 and "no engine lucene: there are splade-engine, " in errors


def test_a_peer_is_built_in_several_ways_and_kept(vectors, tmp_path):
    pytest.importorskip("seismic")
    builds = ["5-0.3-0.7-1.5", "50-0.1-0.4-3.0"]
    options = ["--json", tmp_path / "result.json", "--work", tmp_path / "work", "--rounds", "2"]
    options += ["--builds", ",".join(f"seismic:{build}" for build in builds)]
    for _ in range(2):  # the second run opens what the first has kept
        code, _, errors = bench(vectors, *options, engines=("seismic",))
        assert code == 0, errors
        (result,) = json.loads((tmp_path / "result.json").read_text())
    assert [build["build"] for build in result["builds"]] == builds
    assert len(result["runs"]) == 2 * 7 * 7 * 2
    assert max(run["recall"] for run in result["runs"] if run["build"] == builds[1]) > 0.9


def test_what_is_kept_is_not_measured_again_unless_asked_for(vectors, tmp_path):
    """A run that was interrupted goes on: the documents' file may even be gone for an index that is kept."""
    options = ("--work", tmp_path / "work", "--rounds", "1", "--prepare")
    code, out, errors = bench(vectors, *options, engines=("splade-engine",))
    assert code == 0 and out == "", errors
    (grid,) = (tmp_path / "work" / "grids").iterdir()
    kept = json.loads(grid.read_text())
    assert max(run["recall"] for run in kept["runs"]) == 1.0
    kept["runs"] = [run for run in kept["runs"] if run["settings"] == "exact"]
    grid.write_text(json.dumps(kept))
    options = ("--work", tmp_path / "work", "--rounds", "1", "--json", tmp_path / "result.json")
    for again, runs in ((), 1), (("--again", "splade-engine"), 127):
        code, _, errors = bench(vectors, *options, *again, engines=("splade-engine",))
        assert code == 0, errors
        (result,) = json.loads((tmp_path / "result.json").read_text())
        assert len(result["runs"]) == runs
        assert all("grid_us" in run for run in result["runs"] if run.get("contends"))


@pytest.mark.parametrize("first", [None, 130])
def test_documents_are_the_same_read_mapped_and_as_a_stream(vectors, monkeypatch, first):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    documents = importlib.import_module("search_bench.documents")
    monkeypatch.setattr(documents, "ROWS", 60)
    given = documents.Documents(vectors / "documents.csr", first)
    batches = list(given.stream())
    assert max(map(len, batches)) == 60
    for found in (given.mapped(), SparseVectors.concat(batches), given()):
        assert len(found) == (first or N_DOCS)
        for field in ("indptr", "terms", "weights"):
            np.testing.assert_array_equal(getattr(found, field), getattr(given(), field))


def test_contenders_are_the_cheapest_for_each_recall_and_only_they_count():
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        from search_bench.measure import chosen, contenders_of
    finally:
        sys.path.pop(0)
    runs = [
        {"settings": str(us), "recall": share, "us": us}
        for us, share in ((5.0, 0.91), (6.0, 0.92), (7.0, 0.94), (8.0, 0.93), (9.0, 0.96), (20.0, 1.0))
    ]
    found = contenders_of(runs)
    assert [run["us"] for run in found] == [5.0, 6.0, 7.0, 9.0, 20.0]
    for run in found:
        run["contends"] = True
    found[0]["us"] = 9.5  # it was lucky in the grid
    assert [run and run["settings"] for run in chosen(runs)] == ["6.0", "9.0", "20.0", "20.0", "20.0"]


def test_a_grown_collection_begins_with_the_real_vectors_and_is_like_them(vectors, tmp_path):
    command = [sys.executable, SCRIPT.with_name("make_splade_like"), "900", tmp_path, "--grow"]
    command = [str(part) for part in [*command, vectors / "documents.csr"]]
    written = []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        written.append((tmp_path / "documents.csr").read_bytes())
    assert written[0] == written[1]  # by its seed
    assert [path.name for path in tmp_path.iterdir()] == ["documents.csr"]
    real, grown = (read_vectors(folder / "documents.csr").vectors for folder in (vectors, tmp_path))
    assert (len(grown), grown.n_terms) == (900, real.n_terms)
    np.testing.assert_array_equal(grown[: len(real)].terms, real.terms)
    np.testing.assert_array_equal(grown[: len(real)].weights, real.weights)
    children = grown[len(real) :]
    assert 0.8 < children.nnz / len(children) / 20 < 1.2 and children.row_nnz.min() > 0
    assert children.weights.min() > 0.0 and abs(children.weights.mean() / real.weights.mean() - 1) < 0.1
    check = [*command, "--check", str(vectors / "queries.csr")]
    told = subprocess.run(check, capture_output=True, text=True, check=False)
    assert [line.split()[0] for line in told.stdout.splitlines()] == ["real", "grown"] * 3, told.stderr


def test_pictures_are_drawn_from_results(tmp_path):
    pytest.importorskip("matplotlib")

    def result(engine, n, factor):
        runs = [
            {"build": "b", "settings": str(us), "recall": share, "us": us * factor, "contends": True}
            for us, share in ((50.0, 0.91), (80.0, 0.96), (90.0, 0.95), (200.0, 1.0))
        ]
        return {"engine": engine, "documents": n, "runs": runs}

    sizes = [
        [result("splade-engine", n, f), result("seismic", n, 2 * f)] for n, f in ((1000, 1.0), (4000, 2.0))
    ]
    (tmp_path / "result.json").write_text(json.dumps(sizes))
    command = [sys.executable, "-m", "search_bench.plot", str(tmp_path / "result.json"), str(tmp_path)]
    for _ in range(2):
        done = subprocess.run(command, cwd=SCRIPT.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    recall, growth = ((tmp_path / f"{name}-and-time.svg").read_text() for name in ("recall", "documents"))
    for picture in (recall, growth):
        assert "splade-engine, impact" in picture and "Seismic" in picture
    assert growth.count("n^0.50") == 2  # twice the time for four times the documents
