"""Writes the golden indexes of the current format version: run once, when a version is released, never again.

    python -m tests.golden.generate plain
    python -m tests.golden.generate uint8-split
    python -m tests.golden.generate words
    python -m tests.golden.generate blocks
    python -m tests.golden.generate blocks-pruned

The documents are invented; what they should answer is computed from them by brute force when the test runs.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from splade_engine.index import BlockLists, BuildConfig, SparseIndex
from tests.index import made

KINDS = {
    "plain": BuildConfig(),
    "uint8-split": BuildConfig("uint8", "split"),
    "words": BuildConfig(words=True),
    "blocks": BuildConfig(lists="blocks"),
    "blocks-pruned": BuildConfig("uint8", "split", BlockLists(cap=4), words=True),
}
FOLDERS = {
    "plain": "format-1",
    "uint8-split": "format-1-uint8-split",
    "words": "format-2",
    "blocks": "format-3",
    "blocks-pruned": "format-3-uint8-split-pruned",
}
N_TERMS = 60


def main(kind: str) -> None:
    """Two segments, tombstones, payload with every column type, encoder record, tuned settings."""
    folder = Path(__file__).parent / FOLDERS[kind]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    first, second = made.vectors(41, 24, N_TERMS), made.vectors(42, 7, N_TERMS)
    tables = made.payload(24), made.payload(7, 24)
    ids = [f"doc-{i}" for i in range(24)], ["é", "日本", "a b", "x\ty", "n4", "n5", "n6"]
    encoder = {"name": "golden", "max_length": 128}
    path = folder / "index"
    ix = SparseIndex.build(
        path, first, ids[0], payload=tables[0], encoder=encoder, config=KINDS[kind], threads=1
    )
    ix.add(second, ids[1], payload=tables[1], threads=1)
    ix.delete(["doc-5", "n5"])
    ix.tune(made.vectors(43, 5, N_TERMS), k=3, targets=(0.9,))
    (path / "write.lock").unlink()
    expected = {
        "vectors": first.to_dicts() + second.to_dicts(),
        "ids": [*ids[0], *ids[1]],
        "payload": tables[0].to_pylist() + tables[1].to_pylist(),
        "deleted": ["doc-5", "n5"],
        "encoder": encoder,
        "queries": made.vectors(43, 5, N_TERMS).to_dicts(),
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
