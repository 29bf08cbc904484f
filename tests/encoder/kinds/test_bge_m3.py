"""BGE-M3's sparse head against FlagEmbedding's formula, written out here; and files that are no head."""

from __future__ import annotations

import os
import pickle  # noqa: TID251  what an attacker would write
import zipfile
from pathlib import Path

import numpy as np
import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.folders.torch_file import read_torch_file
from splade_engine.encoder.kinds.bge_m3 import BgeM3, read_head
from splade_engine.errors import CheckpointError
from tests.encoder import zoo
from tests.encoder.made import VOCABULARY, random_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo.make("bge-m3", tmp_path_factory.mktemp("models") / "bge-m3")


TEXTS = ["bado kime bado lume", "kime", "zzz bado [MASK] kime", *random_texts(6, seed=4, longest=30)]


def formula(folder: Path, text: str) -> np.ndarray:
    """`_process_token_weights` of FlagEmbedding's BGEM3FlagModel, on relu(sparse_linear(states))."""
    import torch
    import transformers
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(48)
    model = transformers.XLMRobertaModel.from_pretrained(folder, add_pooling_layer=False).eval()
    head = torch.nn.Linear(zoo.WIDTH, 1)
    head.load_state_dict(torch.load(folder / "sparse_linear.pt", weights_only=True))  # noqa: TID251
    ids = tokenizer.encode(text).ids
    with torch.no_grad():
        states = model(input_ids=torch.tensor([ids])).last_hidden_state
        weights = torch.relu(head(states)).squeeze(-1)[0].tolist()
    unused = {VOCABULARY.index(t) for t in ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")}
    result = np.zeros(len(VOCABULARY))
    for weight, idx in zip(weights, ids, strict=True):
        if idx not in unused and weight > 0 and weight > result[idx]:
            result[idx] = weight
    return result


@pytest.mark.parametrize("packed", [True, False])
def test_weights_are_those_of_the_formula(
    folder: Path, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not packed:  # as on a GPU
        monkeypatch.setattr("splade_engine.encoder.fast.states.load_packed_body", lambda *_: None)
    encoder = SparseEncoder.load(folder, device="cpu", dtype="float32")
    assert encoder.checkpoint.kind == BgeM3(folder / "sparse_linear.pt")
    assert not encoder.inference_free and encoder.n_terms == len(VOCABULARY)
    found = encoder.encode_documents(TEXTS).to_scipy().toarray()
    expected = np.stack([formula(folder, text) for text in TEXTS])
    assert (expected > 0).sum() > 20
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(encoder.encode_queries(TEXTS).to_scipy().toarray(), found)


def test_without_modules_and_saved(folder: Path, tmp_path: Path) -> None:
    import shutil

    plain = tmp_path / "plain"
    shutil.copytree(folder, plain)
    (plain / "modules.json").unlink()
    encoder = SparseEncoder.load(plain, device="cpu", dtype="float32")
    expected = SparseEncoder.load(folder, device="cpu", dtype="float32").encode_documents(TEXTS)
    assert encoder.encode_documents(TEXTS) == expected
    encoder.save(tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("*.pt")), "no pickle is written"
    saved = SparseEncoder.load(tmp_path / "saved", device="cpu", dtype="float32")
    assert saved.encode_documents(TEXTS) == expected


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_the_pickle_is_read_without_torch(dtype: str, tmp_path: Path) -> None:
    import torch

    layer = torch.nn.Linear(7, 1).to(getattr(torch, dtype))
    torch.save(layer.state_dict(), tmp_path / "sparse_linear.pt")
    weight, bias = read_head(tmp_path / "sparse_linear.pt")
    np.testing.assert_array_equal(weight, layer.weight.detach().float().numpy()[0])
    np.testing.assert_array_equal(bias, layer.bias.detach().float().numpy())


def test_a_number_beyond_single_precision_is_infinite(tmp_path: Path) -> None:
    """Without a word: whoever reads it refuses what is not finite."""
    import torch

    torch.save({"weight": torch.tensor([1e300, 2.0], dtype=torch.float64)}, tmp_path / "x.pt")
    assert read_torch_file(tmp_path / "x.pt")["weight"].tolist() == [np.inf, 2.0]


def zipped(path: Path, program: bytes, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        for name, data in entries.items():
            archive.writestr(f"archive/{name}", data)
    return path


class Attack:
    """What a pickle runs when it is read by `pickle.load`."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_run(protocol: int, tmp_path: Path) -> None:
    target = tmp_path / "made by the pickle"
    path = zipped(tmp_path / "x.pt", pickle.dumps({"weight": Attack(target)}, protocol))
    with pytest.raises(CheckpointError, match=r"x\.pt: it asks for .*mkdir.*refused"):
        read_torch_file(path)
    assert not target.exists()


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "builtins.eval", "builtins.getattr", "torch.load", "torch._utils._rebuild_parameter",
        "numpy.load", "collections.OrderedDict.fromkeys", "functools.partial",
    ],
)  # fmt: skip
def test_only_tensors_may_be_named(name: str, tmp_path: Path) -> None:
    module, _, attribute = name.rpartition(".")
    with pytest.raises(CheckpointError, match="refused"):
        read_torch_file(zipped(tmp_path / "x.pt", f"c{module}\n{attribute}\n.".encode()))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"", "not a file of tensors"),
        (b"garbage", "not a file of tensors"),
        (b"K\x01.", "not a dictionary"),
        (b"}K\x01K\x02s.", "not a dictionary"),
        (b"ctorch\nFloatStorage\n)R.", "not a file of tensors"),
    ],
)
def test_other_programs(program: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_torch_file(zipped(tmp_path / "x.pt", program))


def test_files_that_are_no_head(tmp_path: Path, folder: Path) -> None:
    import torch

    path = tmp_path / "sparse_linear.pt"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(CheckpointError, match="not a file of tensors"):
        read_head(path)
    for state, message in (
        ({"weight": torch.ones(1, 3)}, "expected weight"),
        ({"weight": torch.ones(2, 3), "bias": torch.ones(1)}, "expected weight"),
        ({"weight": torch.ones(1, 3), "bias": torch.ones(1), "more": torch.ones(1)}, "expected weight"),
        ({"weight": torch.full((1, 3), torch.nan), "bias": torch.ones(1)}, "not finite"),
        ({"weight": torch.ones(3, 2).T[:1], "bias": torch.ones(1)}, "strides"),
        ({"weight": 3, "bias": torch.ones(1)}, "not a dictionary of named tensors"),
    ):
        torch.save(state, path)
        with pytest.raises(CheckpointError, match=message):
            read_head(path)
    torch.save(torch.nn.Linear(3, 1).state_dict(), path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="not a file of tensors"):
        read_head(path)


def test_a_head_of_another_width(folder: Path, tmp_path: Path) -> None:
    import shutil

    import torch

    shutil.copytree(folder, tmp_path / "m")
    torch.save(torch.nn.Linear(8, 1).state_dict(), tmp_path / "m" / "sparse_linear.pt")
    with pytest.raises(CheckpointError, match="a weight of 8 for states of 32"):
        SparseEncoder.load(tmp_path / "m", device="cpu").encode_documents(["bado"])


def test_a_file_that_unpacks_to_much(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * (1 << 25))
    with pytest.raises(CheckpointError, match="unpacks to more"):
        read_torch_file(tmp_path / "x.pt")
