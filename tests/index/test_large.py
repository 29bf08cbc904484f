"""Beyond what fits: more than 2^31 entries in a segment, and streams larger than the memory allowed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from splade_engine.index import SearchConfig, SparseIndex
from splade_engine.index.disk.ids import IdColumn
from splade_engine.index.disk.publish import IndexWriter
from splade_engine.index.disk.records import Manifest, SegmentRecord
from splade_engine.index.disk.storage import FileRecord, SectionRecord, offsets_of
from splade_engine.index.segment.layout import file_arrays
from splade_engine.index.segment.segment import POSTING_DTYPES
from splade_engine.index.segment.windows import N_LEVELS
from splade_engine.vectors import SparseVectors

FAR = 2**31 + 12_345  # entries of a first document that takes all the room


def sparse_postings(folder: Path, counts: dict[str, int], values: dict[str, dict[int, list]]) -> FileRecord:
    """A postings file of these lengths, holes but for the `values` at their places."""
    dtypes = {name: np.dtype(POSTING_DTYPES[name]) for name in file_arrays(counts)}
    starts = offsets_of([dtypes[n].itemsize * counts.get(n, 0) for n in dtypes])
    record = FileRecord("0" * 32, {n: SectionRecord(counts.get(n, 0), "0" * 32) for n in dtypes})
    with (folder / f"{record.id}.postings").open("wb") as file:
        file.truncate(starts[-1])
        for name, start in zip(dtypes, starts, strict=False):
            for place, items in values.get(name, {}).items():
                file.seek(start + place * dtypes[name].itemsize)
                file.write(np.array(items, dtypes[name]).tobytes())
    return record


def test_entries_beyond_2_31_are_reached(tmp_path: Path) -> None:
    """Two documents: one of 2^31 entries (holes in the file), and one behind it, found by its own term."""
    nnz = FAR + 2
    counts = {"term_ids": 2, "doc_offsets": 3, "doc_terms_16": nnz, "doc_weights_16": nnz, "list_offsets": 3}
    counts |= {"list_scales": 2, "list_levels": 2 * N_LEVELS, "list_docs": nnz, "list_codes": nnz}
    values: dict[str, dict[int, list]] = {
        "term_ids": {0: [5, 9]},
        "doc_offsets": {0: [0, FAR, nnz]},
        "doc_terms_16": {FAR: [0, 1]},
        "doc_weights_16": {FAR: [0.5, 2.0]},
        "list_offsets": {0: [0, FAR + 1, nnz]},
        "list_scales": {0: [0.01, 0.01]},
        "list_docs": {FAR + 1: [1]},
        "list_codes": {FAR + 1: [200]},
    }
    with IndexWriter(tmp_path) as writer:
        ids = writer.add_file("ids", IdColumn.build(["first", "second"]).arrays())
        postings = sparse_postings(tmp_path, counts, values)
        segment = SegmentRecord(n_docs=2, nnz=nnz, postings=postings, ids=ids)
        writer.commit(Manifest(1, 30, (segment,), config={"weights": "auto"}))
    (file,) = tmp_path.glob("*.postings")
    assert file.stat().st_size > 7 * 2**31
    assert file.stat().st_blocks * 512 < 1 << 20
    ix = SparseIndex.open(tmp_path, verify="offsets")
    query = SparseVectors([0, 1], [9], [3.0], 30)
    for options in ({"exact": True}, {"config": SearchConfig()}):
        found = ix.search(query, 2, **options)
        assert found.ids == [["second"]]
        assert found.scores[0, 0] == 6.0
    assert ix.vectors([1]).to_dicts() == [{5: 0.5, 9: 2.0}]


STREAM = """
import resource, sys, threading
import numpy as np
from splade_engine.index import BuildConfig, SparseIndex
from splade_engine.vectors import SparseVectors

folder, memory = sys.argv[1], int(sys.argv[2]) if sys.argv[2] != "none" else None

def batch(seed, n=5000, n_terms=20000, row=100):
    rng = np.random.default_rng(seed)
    terms = np.cumsum(rng.integers(1, 2 * n_terms // (row + 2), (n, row), np.int32), axis=1, dtype=np.int32)
    terms %= n_terms  # the last few of a row may wrap round: sorted again
    terms.sort(axis=1)
    keep = np.diff(terms, axis=1, prepend=-1) > 0
    weights = rng.random(int(keep.sum()), np.float32) + np.float32(0.01)
    return SparseVectors(np.concatenate(([0], np.cumsum(keep.sum(axis=1)))), terms[keep], weights, n_terms)

def warm():
    config = BuildConfig(lists=sys.argv[3])
    ix = SparseIndex.build(folder + "/warm", batch(0, 50), config=config, threads=1)
    ix.search(batch(1, 2, row=5))

warm()
held = int(next(l for l in open("/proc/self/status") if l.startswith("VmData")).split()[1]) << 10
limit = held + (64 << 20) + (16 << 20)  # the budget, and one batch of the stream in the making
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
BATCHES = 64
config = BuildConfig(lists=sys.argv[3])
stream = (batch(i) for i in range(BATCHES))
ix = SparseIndex.build(folder + "/ix", stream, config=config, threads=1, memory=memory)
info = ix.info()
assert info.n_docs == 5000 * BATCHES, info
query = batch(BATCHES - 1)[4999]
assert ix.search(query, 1, exact=True).ordinals[0, 0] == info.n_docs - 1
print(info.nnz * 8 >> 20, info.n_segments)
"""


def run(tmp_path: Path, memory: str, lists: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "MALLOC_ARENA_MAX": "1"}
    command = [sys.executable, "-c", STREAM, str(tmp_path), memory, lists]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("lists", ["impact", "blocks"])
def test_a_stream_four_times_the_budget_is_built_within_it(tmp_path: Path, lists: str) -> None:
    done = run(tmp_path, "64", lists)
    assert done.returncode == 0, done.stderr[-2000:]
    mebibytes, segments = map(int, done.stdout.split())
    assert mebibytes > 3.5 * 64
    assert segments == 1  # written as several, and joined within the same budget


def test_without_a_budget_the_same_stream_does_not_fit(tmp_path: Path) -> None:
    done = run(tmp_path, "none", "impact")
    assert done.returncode != 0
    assert "MemoryError" in done.stderr or "Unable to allocate" in done.stderr
