"""Encoders in other processes: copied, pickled, and after a fork."""

from __future__ import annotations

import copy
import multiprocessing
import pickle  # noqa: TID251  what multiprocessing does with arguments
from pathlib import Path

import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.errors import InvalidInputError
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
