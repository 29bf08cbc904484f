"""Load an index into Qdrant (in this process), and compare the hits: pip install 'splade-engine[exports]'."""

import json
from pathlib import Path

from qdrant_client import QdrantClient, models

from splade_engine import SearchEngine
from splade_engine.exchange import export_index

texts = ["The moon pulls the sea.", "Yeast makes the dough rise.", "A virus trains the immune system."]
engine = SearchEngine.build("notes-index", texts, overwrite=True)
questions = ["ocean tides", "baking bread", "vaccines"]
vectors = engine.encode_queries(questions)
export_index(
    engine.index,
    "qdrant",
    "for-qdrant",
    queries=vectors,
    vocabulary=engine.encoder.vocabulary,
    overwrite=True,
)

client = QdrantClient(":memory:")
schema = json.loads(Path("for-qdrant/collection.json").read_text())
sparse = {name: models.SparseVectorParams(**given) for name, given in schema["sparse_vectors"].items()}
client.create_collection("notes", vectors_config={}, sparse_vectors_config=sparse)
points = [json.loads(line) for line in Path("for-qdrant/points.jsonl").read_text().splitlines()]
client.upsert(
    "notes",
    [
        models.PointStruct(
            id=p["id"],
            vector={name: models.SparseVector(**vector) for name, vector in p["vector"].items()},
            payload=p["payload"],
        )
        for p in points
    ],
)
for question, line in zip(questions, Path("for-qdrant/queries.jsonl").read_text().splitlines(), strict=True):
    body = json.loads(line)["body"]
    found = client.query_points(
        "notes", query=models.SparseVector(**body["query"]), using=body["using"], limit=1, with_payload=True
    )
    ours = engine.search(question, k=1)[0]
    print(f"{question}: {found.points[0].score:.2f} in Qdrant, {ours.score:.2f} here, {ours.text}")

# prints:
# ocean tides: 20.32 in Qdrant, 20.32 here, The moon pulls the sea.
# baking bread: 17.91 in Qdrant, 17.91 here, Yeast makes the dough rise.
# vaccines: 5.12 in Qdrant, 5.12 here, A virus trains the immune system.
