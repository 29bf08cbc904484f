"""The suites of the papers, end to end: the command that makes published rows where there is a network.

ir_datasets' own loading code reads files in the layout that it downloads (zip archives of BEIR, tar archives
and TSV files of MS MARCO and TREC), made here and laid where it keeps downloads: nothing is fetched.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.small_collection import DOCUMENTS, QRELS, QUERIES

BEIR = {
    "arguana": "test",
    "fiqa": "test",
    "nfcorpus": "test",
    "quora": "test",
    "scidocs": "test",
    "scifact": "test",
    "trec-covid": "test",
    "webis-touche2020/v2": "test",
    "climate-fever": "test",
    "dbpedia-entity": "test",
    "fever": "test",
    "hotpotqa": "test",
    "nq": "test",
}
# what some of its records have beside id, title and text
EXTRA = {
    "scidocs": {"authors": [], "year": 2020, "cited_by": [], "references": []},
    "trec-covid": {"url": "", "pubmed_id": ""},
    "webis-touche2020/v2": {"stance": "PRO", "url": ""},
    "nfcorpus": {"url": ""},
    "dbpedia-entity": {"url": ""},
    "hotpotqa": {"url": ""},
}
QUERY_EXTRA = {
    "scidocs": {"authors": [], "year": 2020, "cited_by": [], "references": []},
    "trec-covid": {"query": "", "narrative": ""},
    "webis-touche2020/v2": {"description": "", "narrative": ""},
    "nfcorpus": {"url": ""},
}
NUMBERS = {doc_id: str(number) for number, doc_id in enumerate(DOCUMENTS)}  # MS MARCO's ids are numbers


def beir(home: Path, name: str) -> None:
    """`beir/NAME/source.zip`, as BEIR publishes it."""
    inside = name.partition("/")[0]
    documents = [
        {"_id": i, "title": title, "text": text, "metadata": EXTRA.get(name, {})}
        for i, (title, text) in DOCUMENTS.items()
    ]
    queries = [{"_id": q, "text": text, "metadata": QUERY_EXTRA.get(name, {})} for q, text in QUERIES.items()]
    judged = [f"{q}\t{d}\t{grade}" for q, found in QRELS.items() for d, grade in found.items()]
    path = home / "beir" / name / "source.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{inside}/corpus.jsonl", lines(json.dumps(d) for d in documents))
        archive.writestr(f"{inside}/queries.jsonl", lines(json.dumps(q) for q in queries))
        for split in ("train", "dev", "test"):
            table = lines(["query-id\tcorpus-id\tscore", *judged])
            archive.writestr(f"{inside}/qrels/{split}.tsv", table)


def msmarco(home: Path) -> None:
    """`collectionandqueries.tar.gz` and the topics and judgments of TREC, as they are published."""
    folder = home / "msmarco-passage"
    folder.mkdir(parents=True)
    passages = lines(f"{NUMBERS[i]}\t{title} {text}".strip() for i, (title, text) in DOCUMENTS.items())
    topics = lines(f"{q[1:]}\t{text}" for q, text in QUERIES.items())
    judged = [(q[1:], NUMBERS[d], grade) for q, found in QRELS.items() for d, grade in found.items()]
    relevant = [f"{q}\t0\t{d}\t1" for q, d, grade in judged if grade > 0]
    members = {
        "collection.tsv": passages,
        "queries.dev.small.tsv": topics,
        "qrels.dev.small.tsv": lines(relevant),
    }
    with tarfile.open(folder / "collectionandqueries.tar.gz", "w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    for year in ("2019", "2020"):
        (folder / f"trec-dl-{year}").mkdir()
        rows = lines(f"{q} 0 {d} {grade}" for q, d, grade in judged)
        (folder / f"trec-dl-{year}" / "qrels").write_text(rows)
    (folder / "trec-dl-2019" / "queries.tsv").write_text(topics)
    (folder / "trec-dl-2020" / "queries.tsv.gz").write_bytes(gzip.compress(topics.encode()))


def lines(rows) -> str:
    return "".join(f"{row}\n" for row in rows)


@pytest.mark.slow
def test_beir_and_ms_marco_in_one_command(tmp_path: Path) -> None:
    home = tmp_path / "ir_datasets"
    for name in BEIR:
        beir(home, name)
    msmarco(home)
    command = [
        sys.executable,
        "-m",
        "splade_engine",
        "-q",
        "eval",
        "beir-13",
        "msmarco",
        "--json",
        "-o",
        "out",
    ]
    environment = os.environ | {"IR_DATASETS_HOME": str(home), "IR_DATASETS_TMP": str(tmp_path / "tmp")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    records = json.loads(done.stdout)["results"]
    assert {r["dataset"] for r in records} >= {"ArguAna", "NQ", "Touche-2020", "MS MARCO dev", "TREC DL 2020"}
    assert len({r["dataset"] for r in records}) == 16 and len(records) == 32
    for record in records:
        # both find every relevant document but the one of the query without words
        mean = record["effectiveness"]["mean"]
        assert mean["RR@10" if "R@1000" in mean else "nDCG@10"] > 0.6, record["dataset"]
