"""Encoders in other processes: copied, pickled, and after a fork."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle  # noqa: TID251  what multiprocessing does with arguments
import threading
from pathlib import Path

import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.processes import encode_on
from splade_engine.encoder.side import EncodedTexts, NeuralSide
from splade_engine.errors import CheckpointError, InvalidInputError, SpladeEngineError
from tests.encoder import zoo


@pytest.mark.parametrize("name", ["mlm", "opensearch", "unicoil", "st-csr", "bge-m3", "echo"])
def test_an_encoder_that_has_encoded_is_copied_and_pickled(
    name: str, texts: list[str], tmp_path: Path
) -> None:
    encoder = SparseEncoder.load(zoo.make(name, tmp_path / "m"), device="cpu", dtype="float32")
    documents, queries = encoder.encode_documents(texts[:5]), encoder.encode_queries(texts[:5])
    for other in (pickle.loads(pickle.dumps(encoder)), copy.copy(encoder), copy.deepcopy(encoder)):
        assert other.encode_documents(texts[:5]) == documents
        assert other.encode_queries(texts[:5]) == queries
        assert other.fingerprint() == encoder.fingerprint()
        if (table := other.query_table) is not None:
            assert not table.flags.writeable


def _nnz(encoder: SparseEncoder, texts: list[str]) -> int:
    return encoder.encode_documents(texts).nnz


def test_a_spawned_worker(mlm_folder: Path, texts: list[str]) -> None:
    encoder = SparseEncoder.load(mlm_folder, device="cpu", dtype="float32")
    expected = encoder.encode_documents(texts)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_nnz, (encoder, texts)) == expected.nnz


@pytest.mark.parametrize("device", ["cuda:99", "meta", "xla", "vulkan", "tpu", "cuda:-1", "cpu:x"])
def test_devices_that_are_not_there(device: str, mlm_folder: Path) -> None:
    with pytest.raises(InvalidInputError, match="device"):
        SparseEncoder.load(mlm_folder, device=device).encode_documents(["bado"])


@pytest.mark.parametrize("texts", ["text", b"text", {"a": 1}, {"a"}, (t for t in "ab"), 7, None])
def test_what_is_no_sequence_of_texts(texts: object, mlm_folder: Path) -> None:
    encoder = SparseEncoder.load(mlm_folder, device="cpu")
    for encode in (encoder.encode_documents, encoder.encode_queries):
        with pytest.raises(InvalidInputError, match="texts: "):
            encode(texts)  # type: ignore[arg-type]


class Deadly(NeuralSide):
    """Ends its process, as the system does when memory is short."""

    def encode(self, *_: object, **__: object) -> EncodedTexts:
        os._exit(9)


class Telling(NeuralSide):
    """Names the threads of its process."""

    def encode(self, *_: object, **__: object) -> EncodedTexts:
        raise CheckpointError(" ".join(thread.name for thread in threading.enumerate()))


class Refusing(NeuralSide):
    def encode(self, *_: object, **__: object) -> EncodedTexts:
        raise CheckpointError("no such model")


@pytest.mark.parametrize("devices", [["cpu", "cpu"], ["cpu"], ("cpu", "auto")])
def test_several_devices_give_the_rows_of_one(devices: list[str], texts: list[str], tmp_path: Path) -> None:
    encoder = SparseEncoder.load(zoo.make("mlm", tmp_path / "m"), device="cpu", dtype="float32")
    many = [*texts * 3, "", "\u2603", *texts]
    one = encoder.encode_counted(many)
    calls: list[tuple[int, int | None]] = []
    found = encoder.encode_counted(
        many, device=devices, progress=lambda done, total: calls.append((done, total))
    )
    assert found.vectors == one.vectors
    assert found.truncated == one.truncated
    assert found.unknown.tolist() == one.unknown.tolist() != []
    assert calls[0] == (0, len(many)) and calls[-1] == (len(many), len(many))
    assert encoder.encode_documents(many, device=devices, top_k=3) == encoder.encode_documents(many, top_k=3)
    assert encoder.encode_documents([], device=devices) == encoder.encode_documents([])


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("cpu", "device: a list of devices is expected, got one string, 'cpu'"),
        ([], "device: a list of at least one device is expected"),
        (["cpu", "tpu"], "device 'tpu': expected auto, cpu, cuda"),
        (["cpu", 1], "device 1: expected auto, cpu, cuda"),
        ({"cpu"}, "device: a list of devices is expected, got a set"),
    ],
)
def test_devices_that_cannot_be_meant(devices: object, message: str, mlm_folder: Path) -> None:
    encoder = SparseEncoder.load(mlm_folder, device="cpu")
    with pytest.raises(InvalidInputError, match=message):
        encoder.encode_documents(["bado"], device=devices)  # type: ignore[arg-type]


def test_a_process_that_ends_too_early_is_an_error_and_not_a_gap(mlm_folder: Path, texts: list[str]) -> None:
    encoder = SparseEncoder.load(mlm_folder, device="cpu", dtype="float32")
    side = Deadly(encoder.checkpoint, "", "cpu", "float32")
    with pytest.raises(SpladeEngineError, match="device cpu: its process ended while it was encoding"):
        encode_on(side, ["cpu", "cpu"], texts, batch_tokens=99, top_k=None, progress=False)


def test_what_a_process_raises_arrives(mlm_folder: Path, texts: list[str]) -> None:
    encoder = SparseEncoder.load(mlm_folder, device="cpu", dtype="float32")
    side = Refusing(encoder.checkpoint, "", "cpu", "float32")
    with pytest.raises(CheckpointError, match="no such model"):
        encode_on(side, ["cpu", "cpu"], texts, batch_tokens=99, top_k=None, progress=False)


def test_a_process_watches_for_the_end_of_its_parent(mlm_folder: Path, texts: list[str]) -> None:
    encoder = SparseEncoder.load(mlm_folder, device="cpu", dtype="float32")
    side = Telling(encoder.checkpoint, "", "cpu", "float32")
    with pytest.raises(CheckpointError, match=r"\bparent\b"):  # the thread of `end_with_parent`
        encode_on(side, ["cpu"], texts, batch_tokens=99, top_k=None, progress=False)
