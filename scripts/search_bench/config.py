"""A published measurement as a file: `experiments/search-*.toml`, run by `scripts/bench_search --config`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from splade_engine.errors import SpladeEngineError
from splade_engine.files import read_toml

# of the command line, with the type that the file gives them
FIELDS: dict[str, type] = {
    "documents": str,
    "queries": str,
    "k": int,
    "n_queries": int,
    "engines": list,
    "first": int,
    "growth": list,
    "builds": list,
    "rounds": int,
    "memory": int,
}


def defaults_of(parser: argparse.ArgumentParser, path: Path, data: Path) -> dict[str, Any]:
    """What a file says, as defaults of the command line; its vectors lie in the folder `data`."""
    try:
        found = read_toml(path)
    except SpladeEngineError as error:
        parser.error(f"--config: {error}")
    for name, value in found.items():
        if name not in FIELDS or type(value) is not FIELDS[name]:
            parser.error(f"--config: {path}: {name} must be one of {', '.join(FIELDS)}, of its type")
    for name in ("documents", "queries"):
        if name not in found:
            parser.error(f"--config: {path}: {name} is missing")
    given = {"documents": data / found["documents"], "asked": data / found["queries"]}
    given |= {name: found[name] for name in ("k", "first", "rounds", "memory") if name in found}
    given |= {"queries": found["n_queries"]} if "n_queries" in found else {}
    lists = [name for name in ("engines", "growth", "builds") if name in found]
    return given | {name: ",".join(map(str, found[name])) for name in lists}
