"""`splade-engine phrases`: an encoder whose terms include pairs of words, or whole words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from splade_engine.cli import options, output
from splade_engine.cli.numbers import real, whole
from splade_engine.cli.targets import refuse_existing

Terms = Literal["pairs", "words"]


def run(
    folder: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.")],
    encoder: options.Encoder = None,
    terms: Annotated[
        Terms,
        typer.Option(
            "--kind", help="pairs of neighbouring words; or whole words in place of pieces (DeepImpact)."
        ),
    ] = "pairs",
    buckets: Annotated[
        int, whole("--buckets", most=1 << 20, help="Phrase terms; a hash chooses one for a phrase.")
    ] = 1 << 16,
    factor: Annotated[
        float, real("--factor", most=10.0, help="Weight of a pair, as a share of its lighter word's.")
    ] = 0.75,
    as_json: options.Json = False,
) -> None:
    """Write an encoder with phrase terms: words that must stand together are found together.

    Pairs of neighbouring words become terms beside the single ones, in documents and in queries, which
    stay a look-up. It helps with names, part numbers and fixed expressions; questions gain nothing. A
    document gets some 20 to 25 % more terms. Wherever an encoder can be named, the folder can; an index has
    to be built with it.

    \b
    Examples:
      splade-engine phrases -o with-pairs
      splade-engine index parts.jsonl -o my-index --encoder with-pairs
      splade-engine phrases -o sharper --factor 1
      splade-engine phrases -o whole-words --kind words --encoder runs/deepimpact/model
    """
    refuse_existing(folder, False)
    loaded = options.load_encoder(encoder, device="cpu")
    made = loaded.save_with_phrases(folder, terms, buckets=buckets, factor=factor)
    facts = {"path": str(folder), "terms": terms, "n_terms": made.n_terms, "encoder": loaded.name}
    if as_json:
        output.write_json(facts)
    else:
        output.write(f"{folder}: {loaded.name} with {terms} as terms ({made.n_terms:,} terms)")
