"""Measure BM25 and the bundled encoder on a collection of your own: documents, queries, judgments."""

import json
from pathlib import Path

from splade_engine.eval import Settings, Workbench, evaluate, load_dataset

folder = Path("my-collection")
(folder / "qrels").mkdir(parents=True, exist_ok=True)
corpus = [
    {"_id": "d1", "title": "Refunds", "text": "Send it back within 14 days and we return what you paid."},
    {"_id": "d2", "title": "Parcels", "text": "The tracking number is in the dispatch mail."},
    {"_id": "d3", "title": "Account", "text": "Open it with the address that you ordered with."},
]
queries = [
    {"_id": "q1", "text": "can I get my money back"},
    {"_id": "q2", "text": "where is my shipment"},
    {"_id": "q3", "text": "how do I log in"},
]
(folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
(folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
(folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\nq3\td3\t1\n")

with Workbench(load_dataset(folder), Settings()) as bench:
    for system in ("bm25", "sparse"):
        result = evaluate(system, "", ["nDCG@10", "R@100"], workbench=bench)
        print(system, {str(name): round(value, 3) for name, value in result.effectiveness.mean.items()})
        print(
            "   per query:",
            {str(q): round(v, 2) for q, v in result.effectiveness.per_query["nDCG@10"].items()},
        )

# prints:
# bm25 {'nDCG@10': 0.333, 'R@100': 0.333}
#    per query: {'q1': 1.0, 'q2': 0.0, 'q3': 0.0}
# sparse {'nDCG@10': 0.667, 'R@100': 0.667}
#    per query: {'q1': 1.0, 'q2': 1.0, 'q3': 0.0}
