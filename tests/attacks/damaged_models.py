"""Model folders damaged at random: each is refused with one line, or encodes what it says.

A trial copies a tiny model of a random kind and layout (`tests/encoder/zoo.py`), damages one file, loads it
and encodes. Lost is: an error that was not raised on purpose, a message of several lines or of a thousand
characters, a death, thirty seconds without an end, a weight that is not finite, other vectors under the same
fingerprint, and texts that came out empty without a word in the log.
"""

from __future__ import annotations

import atexit
import functools
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.attacks.trials import MEMORY, Tally, Trial, forked

PATIENCE = 30.0  # seconds for one trial
LONGEST = 1000  # characters of a message, the path of the folder included
TEXTS = ["bado kime lume", "nolu pame bado bado", "Riso zuwe xiyo " * 30]

_NUMBERS = (0, -1, 1, 2, 3, 7, 1e9, 10**9, 10**8, 2**31, 2**63, 1.5, 1e308, -0.5)
_VALUES = (
    None, True, False, "", "x", "../../outside", "/etc/passwd", "\x1b[31mred", "a" * 200_000, [], {}, [[]],
    {"a": 1}, "NaN", float("nan"), float("inf"), "left", "relu", "gelu", "bert", "float16",
)  # fmt: skip


def damaged(count: int, seed: int) -> Tally:
    """`count` trials, from a seed on."""
    models = _models()
    first = seed * 1_000_003
    return forked(
        lambda: _trial(models), range(first, first + count), workers=2, batch=500, patience=PATIENCE
    )


@functools.cache
def _models() -> Path:
    """The undamaged models, made once by a process of their own.

    This one forks, and torch's threads do not.
    """
    folder = Path(tempfile.mkdtemp(prefix="splade-engine-models-", dir=MEMORY))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program = f"from tests.attacks.damaged_models import write; write({str(folder)!r})"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root, capture_output=True, timeout=600)
    return folder


def write(folder: str) -> None:
    """All models of the zoo."""
    from tests.encoder.zoo import ZOO, make

    for name in ZOO:
        make(name, Path(folder) / name)


def _trial(models: Path) -> Trial:
    import torch

    torch.set_num_threads(1)
    names = sorted(p.name for p in models.iterdir())
    # what every model gives; and whatever is imported on the way is there before a trial's clock runs
    before = {name: _look(models / name)[:2] for name in names}

    def trial(seed: int) -> str:
        rng = random.Random(seed)
        name = rng.choice(names)
        expected = before[name]
        with tempfile.TemporaryDirectory(prefix="splade-engine-trial-", dir=MEMORY) as place:
            folder = Path(place) / "m"
            shutil.copytree(models / name, folder)
            how = damage(folder, rng)
            return f"{how}: {_outcome(folder, expected)}"

    return trial


def _outcome(folder: Path, expected: tuple[str, list[Any]]) -> str:
    from splade_engine.errors import SpladeEngineError

    try:
        found, vectors, said = _look(folder)
    except SpladeEngineError as error:
        message = str(error)
        assert "\n" not in message and "\x1b" not in message, f"not one line: {message[:300]!r}"
        assert len(message) < LONGEST, f"{len(message)} characters: {message[:300]}"
        return "refused"
    assert all(np.isfinite(v.weights).all() for v in vectors), "weights that are not finite"
    if vectors == expected[1]:
        return "the same"
    assert found != expected[0], "other vectors under the same fingerprint"
    if not vectors[0].nnz:
        assert said, "empty without a word"
        return "empty, and said so"
    return "other vectors"


def _look(folder: Path) -> tuple[str, list[Any], list[str]]:
    """Hash, vectors of documents and queries, and what the log says."""
    from splade_engine.encoder import SparseEncoder

    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("splade_engine")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        encoder = SparseEncoder.load(folder, device="cpu", dtype="float32")
        vectors = [encoder.encode_documents(TEXTS), encoder.encode_queries(TEXTS)]
        return str(encoder.fingerprint()["hash"]), vectors, [text for text in said if "were cut" not in text]
    finally:
        logger.removeHandler(handler)


def damage(folder: Path, rng: random.Random) -> str:
    """Damage one file of a folder; in a word, how."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    path = rng.choice(files)
    ways: list[Callable[[Path, random.Random], None]] = [_bytes, _kind_of_file]
    if path.suffix == ".json":
        ways += [_json] * 6
    if path.suffix == ".safetensors":
        ways += [_tensors] * 6
    way = rng.choice(ways)
    way(path, rng)
    return way.__name__.strip("_").replace("_", " ")


def _bytes(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    match rng.randrange(6):
        case 0:
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 1:
            del data[rng.randrange(len(data)) :]
        case 2:
            data += rng.randbytes(rng.randint(1, 100))
        case 3:
            start = rng.randrange(len(data))
            data[start : start + 64] = bytes(len(data[start : start + 64]))
        case 4:
            data = bytearray(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 17671552\n")
        case _:
            data = bytearray(rng.randbytes(rng.randint(0, 300)))
    path.write_bytes(data)


def _kind_of_file(path: Path, rng: random.Random) -> None:
    path.unlink()
    match rng.randrange(6):
        case 0:
            os.mkfifo(path)
        case 1:
            path.symlink_to("/dev/zero")
        case 2:
            path.symlink_to("nowhere")
        case 3:
            path.symlink_to(path.name)  # to itself
        case 4:
            path.mkdir()
        case _:
            pass  # gone


def _json(path: Path, rng: random.Random) -> None:
    """One value somewhere in a JSON file."""
    value = json.loads(path.read_text())
    if rng.random() < 0.03:
        depth = 100_000
        path.write_text(rng.choice("[{").replace("{", '{"a":') * depth)
        return
    owner, key = value, None
    while isinstance(owner, dict | list) and owner:
        key = rng.choice(list(owner) if isinstance(owner, dict) else range(len(owner)))
        if not isinstance(owner[key], dict | list) or not owner[key] or rng.random() < 0.25:
            break
        owner = owner[key]
    if key is None:
        owner["added"] = 1
    elif rng.random() < 0.2:
        del owner[key]
    elif isinstance(owner[key], int | float) and rng.random() < 0.7:
        owner[key] = rng.choice(_NUMBERS)
    else:
        owner[key] = rng.choice(_VALUES)
    path.write_text(json.dumps(value))


def _tensors(path: Path, rng: random.Random) -> None:
    """One tensor of a safetensors file."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    name = rng.choice(sorted(tensors))
    tensor = tensors[name].clone()
    match rng.randrange(9):
        case 0 | 1 | 2 if tensor.is_floating_point() and tensor.numel():
            bad = rng.choice([float("nan"), float("inf"), -float("inf"), 1e30, -1e30])
            tensor.view(-1)[rng.randrange(tensor.numel())] = bad
        case 3:
            del tensors[name]
            tensor = torch.ones(1)
            name = "another"
        case 4:
            tensor = tensor.to(
                rng.choice([torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int64])
            )
        case 5:
            tensor = tensor[: max(1, len(tensor) // 2)] if tensor.dim() else tensor
        case 6:
            tensor = tensor.reshape(-1)
        case 7:
            tensor = tensor.T.contiguous() if tensor.dim() == 2 else tensor * 0
        case _:
            tensor = torch.zeros((0, *tensor.shape[1:]))
    tensors[name] = tensor
    save_file(tensors, path, metadata={"format": "pt"})
