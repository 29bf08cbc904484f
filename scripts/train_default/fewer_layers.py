"""The smaller size of the bundled encoder: some of its layers, fitted to what all of them say.

Leaving out the third and the fourth of six layers keeps a cosine of 0.95 between the vectors; a short
training brings the last hidden states closer to those of the whole model (hidden-state distillation, as in
MiniLM's and TinyBERT's second stage, arXiv 1909.10351). Embeddings, both heads and the query table stay.
"""

from __future__ import annotations

import copy
import json
import logging
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from splade_engine.encoder.backbone import load_backbone
from splade_engine.encoder.checkpoint import DENSE_HEAD
from splade_engine.encoder.folders.compact import save_quantized
from splade_engine.encoder.folders.files import read_json
from splade_engine.encoder.folders.hub import DEFAULT, MODELS
from splade_engine.encoder.folders.ours import QUERY_WEIGHTS, SECTION
from splade_engine.encoder.folders.reading import read_checkpoint
from splade_engine.encoder.folders.weights import is_of_a_layer
from splade_engine.files import write_json
from splade_engine.training.data.collate import pad

KEPT = (0, 1, 4, 5)  # of all choices of four the best or second best by cosine, on two sets of texts
LENGTH = 256  # tokens of a text
BATCH = 16
AT_A_TIME = 256  # texts that are sorted by their length, so that batches need little padding
RATE = 1.2e-4
WARM_UP = 40

logger = logging.getLogger(__name__)


def texts_of(folder: Path, seed: int) -> list[str]:
    """The documents of the sources that `prepare` wrote, shuffled."""
    texts = [
        json.loads(line)["positive"]
        for file in sorted(folder.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    random.Random(seed).shuffle(texts)
    return texts


def batches(texts: Sequence[str], tokenizer: Tokenizer, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Token ids int64[BATCH, tokens] and their masks, without end; see `pad`."""
    rng = random.Random(seed)
    while True:
        for first in range(0, len(texts) - AT_A_TIME + 1, AT_A_TIME):
            found = sorted(tokenizer.encode_batch(texts[first : first + AT_A_TIME]), key=len)
            groups = [found[i : i + BATCH] for i in range(0, AT_A_TIME, BATCH)]
            rng.shuffle(groups)
            yield from (pad([np.array(each.ids) for each in group]) for group in groups)


def with_layers(body: Any, kept: Sequence[int]) -> Any:
    """A copy of a BERT body with these layers; embeddings are held where they are."""
    student = copy.deepcopy(body)
    student.encoder.layer = torch.nn.ModuleList([student.encoder.layer[i] for i in kept])
    student.config.num_hidden_layers = len(kept)
    for parameter in student.embeddings.parameters():
        parameter.requires_grad = False
    return student


def fit(student: Any, teacher: Any, source: Iterator[tuple[Tensor, Tensor]], steps: int) -> None:
    """Bring the last hidden states of `student` closer to those of `teacher`, both in evaluation mode."""
    learned = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, betas=(0.9, 0.98), weight_decay=0.01)
    for step, (ids, mask) in enumerate(islice(source, steps)):
        rate = RATE * min(1.0, step / WARM_UP) * (1 - step / steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.no_grad():
                wanted = teacher(input_ids=ids, attention_mask=mask).last_hidden_state
            found = student(input_ids=ids, attention_mask=mask).last_hidden_state
        real = mask.bool()
        wanted, found = wanted[real].float(), found[real].float()
        loss = (found - wanted).square().mean() / wanted.var(correction=0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0:
            logger.info("step %d of %d: error %.4f of the variance", step, steps, loss.item())


def make(sources: Path, out: Path, steps: int, seed: int = 5) -> None:
    """Train on the documents of `sources`, and write the compact folder; a README.md that is there stays."""
    whole = read_checkpoint(MODELS / DEFAULT)
    model: Any = load_backbone(whole, "cpu", torch.float32).model
    tokenizer = Tokenizer.from_file(str(whole.model_folder / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH)
    student = with_layers(model.bert, KEPT).eval()
    fit(student, model.bert, batches(texts_of(sources, seed), tokenizer, seed), steps)
    model.bert = student
    model.config.num_hidden_layers = len(KEPT)
    card = out / "README.md"
    save_quantized(
        out,
        state=model.state_dict(),
        config=model.config.to_dict(),
        tokenizer=whole.model_folder / "tokenizer.json",
        name="splade-engine-tiny",
        settings=whole.settings,
        readme=card.read_text(encoding="utf-8") if card.is_file() else "",
        overwrite=True,
    )
    lean(out, whole.model_folder)


def lean(folder: Path, base: Path) -> None:
    """Let a compact folder borrow from its base what they have in common, see `folders/compact.py`."""
    from safetensors.numpy import load_file, save_file

    path = folder / "model.safetensors"
    lent = load_file(base / path.name)
    own = {
        name: tensor
        for name, tensor in load_file(path).items()
        if is_of_a_layer(name) or name not in lent or not np.array_equal(tensor, lent[name])
    }
    save_file(own, path, metadata={"format": "pt"})
    config = read_json(folder / "config.json")
    config[SECTION] |= {"base": DEFAULT, "query_weights": QUERY_WEIGHTS, "dense_head": DENSE_HEAD}
    write_json(folder / "config.json", config)
