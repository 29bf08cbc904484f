"""The parts of scripts/bench_search: engines side by side on the same vectors.

`engine.py` says what an engine is and names them all; `ours.py`, `exact.py`, `seismic_lsr.py`, `sindi.py`,
`block_max.py` and `hnsw.py` are the engines. `truth.py` holds the exact answers, `measure.py` runs one engine
over its grid, `table.py` prints what came out, `floor.py` what the memory alone would cost.
"""
