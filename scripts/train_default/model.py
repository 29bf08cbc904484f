"""The bundled encoder, from a folder of collections to the compact folder in the package.

WORK/data/            one JSONL file per source and `idf.json`, the query table (`plan.json`: they are whole)
WORK/run/             a run of the recipe `default`, as `splade-engine train` makes it; continued if cut short
WORK/further/, bank/, head/  further ones, each from the encoder before it, with the changes of `STAGES`
OUTPUT/               the result in int8, see `encoder/folders/compact.py`; its README.md is kept

`python -m scripts.train_default` is the command.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.train_default.data import documents_for_idf, write_sources
from splade_engine.encoder.backbone import load_backbone
from splade_engine.encoder.checkpoint import QueryTable
from splade_engine.encoder.fast.dense_head import load_dense_head
from splade_engine.encoder.folders.compact import save_quantized
from splade_engine.encoder.folders.reading import read_checkpoint
from splade_engine.encoder.kinds import MaskedLm
from splade_engine.encoder.query_table import read_table
from splade_engine.encoder.settings import EncoderSettings
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.files import atomic_file
from splade_engine.training.data.idf import bm25_idf, document_frequencies
from splade_engine.training.recipe.recipe import Recipe, load_recipe
from splade_engine.training.run.run import TrainingResult, train

logger = logging.getLogger(__name__)

# sources of the third and fourth runs and their shares: more questions, and single sentences as documents.
# The first one gives the held-out queries of the quick nDCG@10
SHARES = {
    "arxiv-abstracts": 10_000.0,
    "medquad": 13_000.0,
    "acl-anthology": 16_000.0,
    "squad-sentences": 18_000.0,
    "qamr": 4_000.0,
    "wordnet-glosses": 3_000.0,
    "openstax": 8_000.0,
    "wikipedia": 40_000.0,
    "wikipedia-sentences": 10_000.0,
}
# and of the first two, mixed by their numbers of pairs
ORDER = tuple(name for name in SHARES if name != "wikipedia-sentences")
UNSEEN = 8.0  # idf of tokens that none of the counted documents holds
COMMON = 2.0  # idf below which a token decides nothing ("about"): no weight in queries
QUERY_TERMS = 32  # only questions of a hundred words have more; the lightest of theirs cost time alone
MIN_WEIGHT = 0.35  # smaller document weights are not stored: most of the terms, free (docs/training.md)
DOCUMENT_TERMS = 320  # only texts of 400 words have more that are heavier
MAX_LENGTH = 512

# The second run: less pull towards BM25's weights and a milder penalty leave room for expansion
_FURTHER: dict[str, Any] = {
    "model.align": False,
    "loss.term": 0.02,
    "loss.term_surplus": 0.05,
    "regularizer.document_lambda": 0.005,
    "regularizer.document_threshold": 220,
}
# What each run changes of the recipe `default`; each begins with the encoder of the one before
STAGES: dict[str, dict[str, Any]] = {
    "run": {},
    "further": {**_FURTHER, "train.steps": 1000, "train.lr": 1.2e-4, "train.seed": 11, "loss.kl": 2.0},
    "bank": {**_FURTHER, "train.steps": 2200, "train.lr": 1.8e-4, "train.seed": 23, "loss.bank": 2.0},
    # the second head learns where the dense teacher puts a document; the first one stays as it is
    "head": {
        "model.align": False,
        "model.dense_head": 2.5,
        "loss.embed": 6.0,
        "loss.term": 0.05,
        "loss.term_start": 1.0,
        "loss.term_surplus": 1.0,
        "loss.kl": 0.0,
        "loss.contrastive": 0.0,
        "regularizer.document_lambda": 0.0,
        "train.steps": 1700,
        "train.lr": 1.8e-4,
        "train.seed": 51,
    },
}


def prepare(data: str | Path, base: str | Path, output: str | Path, apart: Sequence[str | Path] = ()) -> None:
    """Write the sources and the query table of the run; done already, nothing happens.

    Args:
        data: the collections, laid out as `data.py` says.
        base: the encoder to start from, whose tokens are counted.
        output: a folder, made if it is not there.
        apart: BEIR folders whose texts must not be trained on.

    Raises:
        InvalidInputError: if the folder was made from other data.
        DatasetError: naming the file that is missing or not readable.
    """
    target, plan = Path(output), Path(output) / "plan.json"
    asked = {"data": str(Path(data).resolve()), "apart": sorted(str(Path(p).resolve()) for p in apart)}
    if plan.is_file():
        made = json.loads(plan.read_text(encoding="utf-8"))
        if made != asked:
            different = next(name for name in asked if made.get(name) != asked[name])
            raise InvalidInputError(
                f"{target}: made with {different} = {made.get(different)}, now {asked[different]}; "
                "remove it to begin anew"
            )
        return
    files = write_sources(data, target, apart)
    logger.info("%s: %d sources", target, len(files))
    tokenizer = TextTokenizer(Path(base), MAX_LENGTH)
    idf = query_table(data, tokenizer)
    weights = dict(zip(tokenizer.vocabulary(len(idf)), idf.tolist(), strict=True))
    for path, value in ((target / "idf.json", weights), (plan, asked)):
        with atomic_file(path) as file:
            file.write(json.dumps(value, ensure_ascii=False).encode("utf-8"))


def query_table(data: str | Path, tokenizer: TextTokenizer) -> NDArray[np.float32]:
    """float32[V]: BM25's idf of every token; 0 for special and unused ones and for those below `COMMON`."""
    counts, total = document_frequencies(tokenizer, documents_for_idf(data), tokenizer.size, limit=10**9)
    idf = bm25_idf(counts, total, UNSEEN)
    vocabulary = tokenizer.vocabulary(len(idf))
    unused = [i for i, token in enumerate(vocabulary) if token.startswith("[unused")]
    idf[[*tokenizer.special_ids, *unused]] = 0
    idf[idf < COMMON] = 0
    logger.info("idf counted on %d documents, %d tokens have a weight", total, np.count_nonzero(idf))
    return idf


def recipes(sources: Path, base: Path, work: Path, steps: int | None = None) -> dict[Path, Recipe]:
    """The folders of the runs and their recipes, `default` on the prepared sources with the stage's changes.

    Args:
        sources: what `prepare` wrote.
        base: the encoder to start from, and the dense teacher.
        work: where the runs go.
        steps: of the first run; those of the others follow in proportion.
    """
    default = load_recipe("default").override(
        {"model.idf": str(sources / "idf.json"), "loss.teachers": [f"dense:{base}", "bm25"]}
    )
    share = 1.0 if steps is None else steps / default.train.steps
    stages: dict[Path, Recipe] = {}
    start = base
    for name, changes in STAGES.items():
        shares = SHARES if name in ("bank", "head") else dict.fromkeys(ORDER, 0.0)
        there = {path: w for s, w in shares.items() if (path := sources / f"{s}.jsonl").is_file()}
        mixture = [{"path": str(path), "weight": weight} for path, weight in there.items()]
        recipe = default.override({**changes, "model.base": str(start), "data.sources": mixture})
        stages[work / name] = recipe.override({"train.steps": max(round(recipe.train.steps * share), 1)})
        start = work / name / "model"
    return stages


def run(recipe: Recipe, folder: Path, *, progress: bool = False) -> Path:
    """Train, or continue what was begun; returns the folder of the encoder.

    Raises:
        InvalidInputError: if another number of steps was begun.
        TrainingError, DatasetError, CheckpointError: from the run.
    """
    if (folder / "recipe.toml").is_file():
        begun = load_recipe(folder / "recipe.toml")
        if begun.train.steps != recipe.train.steps:
            raise InvalidInputError(
                f"{folder}: begun with {begun.train.steps} steps, now {recipe.train.steps}; "
                "remove it to begin anew"
            )
    if (folder / "model").is_dir():
        return folder / "model"
    result: TrainingResult = train(
        recipe, folder, resume=(folder / "recipe.toml").is_file(), progress=progress
    )
    return result.model


def export(model: str | Path, output: str | Path) -> None:
    """Write a run's encoder as the compact folder, atomically; the README.md that is there stays.

    Args:
        model: `run/model` of an inference-free run: a transformers folder as `saving.py` writes it.
        output: the folder to make or to replace.

    Raises:
        CheckpointError: if it is not such a folder.
    """
    source, target = Path(model), Path(output)
    checkpoint = read_checkpoint(source, str(source))
    query = checkpoint.query
    if (
        not isinstance(checkpoint.kind, MaskedLm)
        or not isinstance(query, QueryTable)
        or query.weights is None
    ):
        raise CheckpointError(f"{source}: the bundled encoder is an inference-free one, with a query table")
    tokenizer = TextTokenizer(checkpoint.model_folder, MAX_LENGTH, lowercase=checkpoint.settings.lowercase)
    backbone = load_backbone(checkpoint, "cpu", torch.float32)
    idf = read_table(query.weights, tokenizer, backbone.n_terms, query.missing)
    card = target / "README.md"
    save_quantized(
        target,
        state=backbone.model.state_dict(),
        config=backbone.model.config.to_dict(),
        tokenizer=checkpoint.model_folder / "tokenizer.json",
        query_weights=idf,
        dense_head=None if checkpoint.dense_head is None else load_dense_head(checkpoint.dense_head),
        name="splade-engine-default",
        settings=EncoderSettings(
            activation=checkpoint.settings.activation,
            special_tokens="zero",
            max_length=min(MAX_LENGTH, checkpoint.positions or MAX_LENGTH),
            min_weight=MIN_WEIGHT,
            query_counts=True,
            query_top_k=QUERY_TERMS,
            top_k=DOCUMENT_TERMS,
        ),
        readme=card.read_text(encoding="utf-8") if card.is_file() else "",
        overwrite=True,
    )
    logger.info("%s: %d query terms", target, np.count_nonzero(idf))
