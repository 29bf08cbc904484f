"""The parts of scripts/bench_search: engines side by side on the same vectors.

`engine.py` says what an engine is and names them all with their builds; `ours.py`, `exact.py`,
`seismic_lsr.py`, `sindi.py`, `block_max.py` and `hnsw.py` are the engines. `child.py` holds one built index
in a process and does what `measure.py` asks of it: the whole grid first, then the contenders in turns.
`documents.py` reads the documents, `truth.py` holds the exact answers, `table.py` prints what came out,
`floor.py` what the memory alone would cost.
"""
