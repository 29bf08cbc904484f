"""Fine-tune the bundled encoder on a few pairs (use hundreds): pip install 'splade-engine[train]'."""

import json
from pathlib import Path

from splade_engine import SparseEncoder
from splade_engine.training import load_recipe, train

pairs = [
    ("can I get my money back", "Refunds are paid within 14 days of the return."),
    ("where is my parcel", "The tracking number is in the dispatch mail."),
    ("the thing is broken", "Defective goods are replaced within two years."),
    ("how do I log in", "Your account opens with the address you ordered with."),
]
with Path("pairs.jsonl").open("w") as file:
    for query, answer in pairs:
        file.write(json.dumps({"query": query, "positive": answer}) + "\n")

recipe = load_recipe("tune").override(
    {
        "model.base": "bundled",
        "model.document_length": 32,
        "data.sources": [{"path": "pairs.jsonl"}],
        "data.held_out": 0,
        "train.steps": 2,
        "train.batch_size": 4,
        "train.save_steps": 0,
    }
)
result = train(recipe, "tuned")
encoder = SparseEncoder.load(result.model)
print(f"{result.steps} steps, {encoder.n_terms:,} terms")

# prints:
# 2 steps, 30,522 terms
