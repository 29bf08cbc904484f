"""Write the files that load an index into PostgreSQL with pgvector; psql runs them."""

from pathlib import Path

from splade_engine import SearchEngine
from splade_engine.exchange import export_index

texts = ["The moon pulls the sea.", "Yeast makes the dough rise.", "A virus trains the immune system."]
engine = SearchEngine.build("notes-index", texts, overwrite=True)
record = export_index(
    engine.index,
    "pgvector",
    "for-pgvector",
    queries=engine.encode_queries(["ocean tides"]),
    vocabulary=engine.encoder.vocabulary,
    overwrite=True,
)
print(record.documents, "documents,", record.n_terms, "terms")
print(sorted(path.name for path in Path("for-pgvector").iterdir()))

# prints:
# 3 documents, 30522 terms
# ['README.md', 'documents.tsv', 'index.sql', 'queries.sql', 'record.json', 'schema.sql']
