"""Anserini and Pyserini: a JsonVectorCollection of whole numbers, and topics that repeat each token."""

from __future__ import annotations

from splade_engine.collections.trec_ids import escape_id
from splade_engine.exchange.rounding import Rounding, whole
from splade_engine.exchange.target import Export, Largest, Target, safe_names

README = """
`collection/documents.jsonl` is a JsonVectorCollection, `topics.tsv` holds each token of a query as often as its weight says.
White space in a query's id is written as `%20` and so on; `splade-engine compare` knows such ids again.

```sh
python -m pyserini.index.lucene --collection JsonVectorCollection --input collection --index <NAME> --generator DefaultLuceneDocumentGenerator --threads 8 --impact --pretokenized
python -m pyserini.search.lucene --index <NAME> --topics topics.tsv --output run.txt --impact --pretokenized --hits <TOP_K>
bin/run.sh io.anserini.index.IndexCollection -collection JsonVectorCollection -input collection -index <NAME> -generator DefaultLuceneDocumentGenerator -threads 8 -impact -pretokenized
bin/run.sh io.anserini.search.SearchCollection -index <NAME> -topics topics.tsv -topicReader TsvString -output run.txt -impact -pretokenized -hits <TOP_K>
head -3 run.txt
```
"""


def roundings(largest: Largest) -> tuple[Rounding, Rounding]:
    """Whole numbers on both sides."""
    return whole(largest.scale), whole(largest.scale)


def write(export: Export) -> None:
    """Write the collection and the topics."""
    with export.lines("collection/documents.jsonl") as line:
        for batch in export.batches():
            for id, terms, weights, fields in batch:
                vector = export.whole(terms, weights, export.documents)
                export.lost["ids that are no column of a run"] += escape_id(id) != id
                line({"id": id, "contents": fields.get("text", ""), "vector": vector})
    if export.query_ids:
        plain = safe_names(export.names, export.n_terms, " \t")  # topics are split at spaces
        with (export.folder / "topics.tsv").open("w", encoding="utf-8", newline="\n") as file:
            for id, terms, weights in export.asked():
                counts = export.queries.kept(weights).astype(int).tolist()
                pairs = zip(terms.tolist(), counts, strict=True)
                words = " ".join(word for t, n in pairs for word in [plain[t]] * n)
                file.write(f"{escape_id(id)}\t{words}\n")


ANSERINI = Target("anserini", "Anserini and Pyserini", write, README, roundings=roundings, tokens=True)
