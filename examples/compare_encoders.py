"""Compare encoders on one collection: python compare_encoders.py [FOLDER-OR-HUB-ID ...]."""

import json
import sys
from pathlib import Path

from splade_engine.eval import Settings, Workbench, evaluate, load_dataset

corpus = {
    "d1": "A heart attack needs help at once.",
    "d2": "The bank raised its interest rate.",
    "d3": "The river bank was flooded.",
}
queries = {"q1": "myocardial infarction", "q2": "cost of borrowing money", "q3": "high water"}
answers = {"q1": "d1", "q2": "d2", "q3": "d3"}

folder = Path("tiny-collection")
(folder / "qrels").mkdir(parents=True, exist_ok=True)
for name, texts in (("corpus", corpus), ("queries", queries)):
    lines = [json.dumps({"_id": id, "text": text}) for id, text in texts.items()]
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
rows = [f"{query}\t{document}\t1" for query, document in answers.items()]
(folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(rows) + "\n")

systems = ["bm25", "sparse-exact", *(f"sparse(encoder={name}, exact=true)" for name in sys.argv[1:])]
with Workbench(load_dataset(folder), Settings()) as bench:
    for system in systems:
        result = evaluate(system, "", ["nDCG@10"], workbench=bench)
        terms = result.sparsity.terms_per_document if result.sparsity else None
        print(
            f"{system}: nDCG@10 {result.effectiveness.mean['nDCG@10']:.3f}",
            f"terms {terms:.1f}" if terms else "",
        )

# prints:
# bm25: nDCG@10 0.000
# sparse-exact: nDCG@10 1.000 terms 82.0
