"""A loaded model, copied, pickled and forked."""

from __future__ import annotations

import copy
import multiprocessing
import pickle  # noqa: TID251 - of our own making
import sys
from pathlib import Path

import pytest
import torch

from splade_engine import SearchEngine, SparseEncoder
from splade_engine.errors import SpladeEngineError

TEXTS = ["bado kime lulu", "mero nono"]


def pickled(value):
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickled])
def test_an_encoder_that_has_encoded_can_be_copied_and_pickled(mlm_folder: Path, again) -> None:
    encoder = SparseEncoder.load(mlm_folder)
    documents, queries = encoder.encode_documents(TEXTS), encoder.encode_queries(TEXTS)
    other = again(encoder)
    assert other.encode_documents(TEXTS) == documents
    assert other.encode_queries(TEXTS) == queries
    assert other.fingerprint() == encoder.fingerprint()


def test_an_engine_that_has_encoded_can_be_pickled(tmp_path: Path) -> None:
    engine = SearchEngine.build(tmp_path / "ix", ["the moon pulls the sea", "bread needs yeast"])
    other = pickled(engine)
    assert [hit.id for hit in other.search("lunar")] == [hit.id for hit in engine.search("lunar")] == ["0"]
    other.add([{"id": "new", "text": "a ship in the wind"}])
    assert len(other) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("again", [lambda encoder: encoder, pickled, lambda _: SparseEncoder.load()])
def test_a_forked_process_is_told_instead_of_waiting_for_ever(mlm_folder: Path, again) -> None:
    """Of the encoder itself, of a copy as a pool of processes makes it, and of another one."""
    encoder = SparseEncoder.load(mlm_folder)
    context = multiprocessing.get_context("fork")

    def encode(answers) -> None:
        try:
            answers.put(len(again(encoder).encode_documents(TEXTS)))
        except SpladeEngineError as error:
            answers.put(str(error))

    def forked() -> object:
        answers = context.SimpleQueue()
        child = context.Process(target=encode, args=(answers,))
        child.start()
        child.join(60)
        if child.exitcode is None:
            child.kill()
            return "it hangs"
        return answers.get()

    encoder.encode_documents(TEXTS)
    torch.set_num_threads(2)  # with one thread nothing hangs
    assert "was forked after its parent had encoded" in str(forked())
    assert len(encoder.encode_documents(TEXTS)) == 2
