from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.vectors import SparseVectors
from tests.encoder.made import VOCABULARY, random_texts


@pytest.fixture(scope="module")
def encoder(mlm_folder: Path) -> SparseEncoder:
    return SparseEncoder.load(mlm_folder, dtype="float32", device="cpu")


def matrix(vectors: SparseVectors) -> np.ndarray:
    return vectors.to_scipy().toarray()


def plain_splade(folder: Path, text: str) -> np.ndarray:
    """SPLADE-max as its paper writes it, one text at a time through transformers."""
    import torch
    from tokenizers import Tokenizer
    from transformers import BertForMaskedLM

    model = BertForMaskedLM.from_pretrained(folder).eval()
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    return torch.log1p(torch.relu(logits)).amax(0).numpy()


def test_against_the_formula(encoder: SparseEncoder, mlm_folder: Path, texts: list[str]) -> None:
    found = matrix(encoder.encode_documents(texts[:5]))
    expected = np.stack([plain_splade(mlm_folder, text) for text in texts[:5]])
    assert 0.02 < (expected > 0).mean() < 0.98
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(matrix(encoder.encode_queries(texts[:5])), expected, atol=1e-5)


def test_bfloat16_is_close(encoder: SparseEncoder, mlm_folder: Path, texts: list[str]) -> None:
    exact = matrix(encoder.encode_documents(texts))
    rough = matrix(SparseEncoder.load(mlm_folder, dtype="bfloat16").encode_documents(texts))
    cosine = (exact * rough).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    assert cosine.min() > 0.998
    assert not np.array_equal(exact, rough)


@pytest.mark.parametrize("without", ["states.load_packed", "vocabulary.bounds_for"])
def test_slower_paths_give_the_same(
    encoder: SparseEncoder, mlm_folder: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    """A padded model (other architectures, GPUs), and models of whose logits there are no cheap bounds."""
    monkeypatch.setattr(f"splade_engine.encoder.fast.{without}", lambda *_, **__: None)
    slower = SparseEncoder.load(mlm_folder, dtype="float32", device="cpu")
    np.testing.assert_allclose(
        matrix(slower.encode_documents(texts)), matrix(encoder.encode_documents(texts)), atol=1e-5
    )
    assert slower.encode_documents(texts, top_k=4) == slower.encode_documents(texts).top_k(4)


@pytest.mark.parametrize("batch_tokens", [1, 64, 100_000])
def test_order_and_batches_do_not_matter(encoder: SparseEncoder, texts: list[str], batch_tokens: int) -> None:
    together = matrix(encoder.encode_documents(texts, batch_tokens=batch_tokens))
    for text, row in zip(texts[:5], together, strict=False):
        np.testing.assert_allclose(matrix(encoder.encode_documents([text]))[0], row, atol=1e-5)
    backwards = matrix(encoder.encode_documents(texts[::-1], batch_tokens=batch_tokens))
    np.testing.assert_allclose(backwards[::-1], together, atol=1e-5)


def test_many_batches_on_several_threads(encoder: SparseEncoder) -> None:
    import torch

    many = random_texts(300, seed=3)
    before = torch.get_num_threads()
    together = encoder.encode_documents(many)
    assert torch.get_num_threads() == before
    assert encoder.encode_documents(many) == together
    some = [0, 17, 150, 299]
    np.testing.assert_allclose(
        matrix(together[some]), matrix(encoder.encode_documents([many[i] for i in some])), atol=1e-5
    )


def test_blank_texts_are_empty_rows(encoder: SparseEncoder, texts: list[str]) -> None:
    vectors = encoder.encode_documents(["", texts[0], "  \n\t ", "\u200b\x00", texts[1]])
    assert (vectors.row_nnz > 0).tolist() == [False, True, False, False, True]
    assert len(encoder.encode_documents([])) == 0
    assert encoder.encode_documents([]).n_terms == encoder.n_terms
    assert encoder.encode_documents(["", ""]).nnz == 0


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["bado", 7], "row 1 is int 7"),
        ([None], "row 0 is NoneType"),
        (["bado", b"kime"], "row 1 is bytes"),
        ("bado", "one string"),
        (["bado", "ki\ud800me"], "row 1 holds a lone surrogate at character 2"),
    ],
)
def test_non_text_is_refused(encoder: SparseEncoder, texts: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        encoder.encode_documents(texts)


def test_truncation_is_counted_in_one_line(
    mlm_folder: Path, texts: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    encoder = SparseEncoder.load(mlm_folder, max_length=8)
    long = ["bado kime lulu mero nono papa riri", "bado kime lulu mero nono papa riri soso", "bado"]
    with caplog.at_level(logging.WARNING):
        vectors = encoder.encode_documents(long)
    assert [r.getMessage() for r in caplog.records] == ["2 of 3 texts were cut to 8 tokens (max_length)"]
    assert encoder.truncated == 2
    cut = encoder.encode_documents(["bado kime lulu mero nono papa"])
    np.testing.assert_allclose(matrix(vectors)[0], matrix(cut)[0], atol=1e-5)
    caplog.clear()
    encoder.encode_documents(["bado kime lulu mero nono papa"])
    counted = encoder.encode_counted(long)
    assert counted.truncated == 2
    assert counted.vectors == vectors
    assert not caplog.records


def test_texts_of_which_the_tokenizer_knows_nothing_are_counted(mlm_folder: Path) -> None:
    encoder = SparseEncoder.load(mlm_folder)
    texts = ["bado kime", "\u6e2f\u53e3", "", "bado \u6e2f", "\U0001f6a2 \u2693"]
    assert encoder.encode_counted(texts).unknown.tolist() == [1, 2, 4]
    assert encoder.encode_counted([]).unknown.tolist() == []


def test_top_k(encoder: SparseEncoder, texts: list[str]) -> None:
    everything = encoder.encode_documents(texts)
    assert everything.row_nnz.min() > 5
    assert encoder.encode_documents(texts, top_k=5) == everything.top_k(5)
    for bad in (0, -1, 2.5, True):
        with pytest.raises(InvalidInputError, match="top_k"):
            encoder.encode_documents(texts, top_k=bad)  # type: ignore[arg-type]


def test_progress_only_when_asked(
    encoder: SparseEncoder, texts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    encoder.encode_documents(texts)
    encoder.encode_documents(texts, progress=None)  # stderr is not a terminal here
    assert capsys.readouterr() == ("", "")
    encoder.encode_documents(texts, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{len(texts)}/{len(texts)}" in captured.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int3"}, "int3"),
        ({"max_length": 2}, "max_length"),
        ({"max_length": 65}, "takes 64 tokens"),
        ({"max_length": "long"}, "max_length"),
    ],
)
def test_bad_options(mlm_folder: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        SparseEncoder.load(mlm_folder, **options)  # type: ignore[arg-type]


def test_bad_device_and_batch(encoder: SparseEncoder, mlm_folder: Path) -> None:
    with pytest.raises(InvalidInputError, match="toaster"):
        SparseEncoder.load(mlm_folder, device="toaster").encode_documents(["bado"])
    with pytest.raises(InvalidInputError, match="batch_tokens"):
        encoder.encode_documents(["bado"], batch_tokens=0)


def test_weights_that_do_not_fit_their_config(mlm_folder: Path, tmp_path: Path) -> None:
    import json
    import shutil

    shutil.copytree(mlm_folder, tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocab_size": 300}))
    with pytest.raises(CheckpointError, match="vocab_size 300"):
        SparseEncoder.load(tmp_path / "m").encode_documents(["bado"])


def test_fingerprint(mlm_folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(mlm_folder, tmp_path / "elsewhere")
    first, second = (
        SparseEncoder.load(mlm_folder),
        SparseEncoder.load(tmp_path / "elsewhere", dtype="float32"),
    )
    assert all(isinstance(v, str | int) for v in first.fingerprint().values())
    assert {**first.fingerprint(), "name": ""} == {**second.fingerprint(), "name": ""}
    assert SparseEncoder.load(mlm_folder, max_length=20).fingerprint()["max_length"] == 20
    tokenizer = tmp_path / "elsewhere" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("bado", "dabo"))
    assert SparseEncoder.load(tmp_path / "elsewhere").fingerprint()["hash"] != first.fingerprint()["hash"]


def test_vocabulary_names_every_term(encoder: SparseEncoder) -> None:
    assert encoder.vocabulary == tuple(VOCABULARY)
    assert "200 terms" in repr(encoder)


@pytest.mark.parametrize("name", ["max_length", "name", "n_terms", "checkpoint"])
def test_what_load_decided_cannot_be_set(encoder: SparseEncoder, name: str) -> None:
    """A length that is set would be shown, and the texts cut at the old one."""
    with pytest.raises(AttributeError, match=f"{name} of a loaded encoder cannot be set"):
        setattr(encoder, name, getattr(encoder, name))
    encoder.truncated = 0


def test_windows_of_a_long_text(mlm_folder: Path, texts: list[str]) -> None:
    """A long text's vector is the largest weight of each term over the windows that the tokenizer makes."""
    whole = SparseEncoder.load(mlm_folder, dtype="float32", max_length=24, long_texts="windows")
    cut = SparseEncoder.load(mlm_folder, dtype="float32", max_length=24)
    long = " ".join(texts)
    first, second = " ".join(texts[0].split()[:4]), " ".join(texts[1].split()[:3])
    mixed = [first, "", long, second]
    found = whole.encode_documents(mixed)
    assert whole.truncated == 0
    assert len(found[1:2].terms) == 0
    # to rounding: the batches differ, and matrix products of another shape add up in another order
    np.testing.assert_allclose(
        matrix(found[[0, 3]]), matrix(cut.encode_documents([first, second])), atol=1e-6
    )
    tokenizer = whole._documents.tokenizer
    windows, owners = tokenizer.encode_windows(mixed)
    assert owners.count(2) == len(owners) - 3 > 5
    rows = [whole._documents.runner.run([w], None)[0] for w, o in zip(windows, owners, strict=True) if o == 2]
    expected = np.zeros(whole.n_terms, np.float32)
    for terms, weights in rows:
        expected[terms] = np.maximum(expected[terms], weights)
    np.testing.assert_allclose(matrix(found)[2], expected, atol=1e-6)
    assert whole.fingerprint() != cut.fingerprint()
    # every token of the text is seen: the ids of the windows, without what they share, are those of the text
    every = SparseEncoder.load(mlm_folder)._documents.tokenizer
    every._tokenizer.no_truncation()
    assert set(np.concatenate(windows)) == set(every.encode(mixed)[0][2]) | set(every.encode(mixed)[0][0])
    spans = whole.word_spans(long)
    assert max(end for _, _, end in spans) == len(long)
    assert max(end for _, _, end in cut.word_spans(long)) < len(long)


def test_windows_need_max_pooling(mlm_folder: Path) -> None:
    with pytest.raises(CheckpointError, match="'sliding'"):
        SparseEncoder.load(mlm_folder, long_texts="sliding")  # type: ignore[arg-type]


def test_texts_without_a_known_token_are_told(mlm_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A tokenizer that was damaged, or is of another language, made empty vectors without a word."""
    encoder = SparseEncoder.load(mlm_folder, device="cpu", dtype="float32")
    encoder.encode_documents(["bado \u6771", "\u6771\u4eac", " ", ""])
    assert caplog.messages == ["1 of 4 texts hold no token that the encoder knows"]
