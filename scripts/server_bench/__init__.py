"""The parts of `scripts/bench_server`: a server process, load on it, and changes under load."""
