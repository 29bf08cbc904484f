from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.kinds import MaskedLm
from splade_engine.encoder.query_table import load_table
from splade_engine.encoder.settings import EncoderSettings
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError, InvalidInputError


def checkpoint(folder: Path, special_tokens: str = "keep", **settings: Any) -> Checkpoint:
    made = EncoderSettings(max_length=48, special_tokens=special_tokens, **settings)  # type: ignore[arg-type]
    return Checkpoint(folder, "m", MaskedLm(), folder, made)


def plain(
    texts: list[str], folder: Path, idf: dict[str, float], missing: float, special: bool
) -> list[dict[str, float]]:
    """The reference: a set of tokens, a dictionary look-up."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = []
    for text in texts:
        tokens = set(tokenizer.encode(text, add_special_tokens=False).tokens[:48])
        row = {t: max(idf.get(t, missing), 0.0) for t in tokens if special or not t.startswith("[")}
        rows.append({t: w for t, w in row.items() if w > 0})
    return rows


@pytest.mark.parametrize(("missing", "special"), [(1.0, False), (0.0, True)])
def test_presence_times_weight(
    mlm_folder: Path, idf: dict[str, float], texts: list[str], tmp_path: Path, missing: float, special: bool
) -> None:
    path = tmp_path / "idf.json"
    path.write_text(json.dumps(idf))
    policy = "keep" if special else "zero"
    table = load_table(checkpoint(mlm_folder, policy), QueryTable(mlm_folder, path, missing), 200)
    texts = [*texts, "bado bado BADO", "", "zzqq", " ".join(["kime"] * 100)]
    expected = plain(texts, mlm_folder, idf, missing, special)
    vocabulary = table.tokenizer.vocabulary(200)
    together, cut = table.encode(texts)
    assert cut == 1
    for text, expected_row, row in zip(texts, expected, together.to_token_dicts(vocabulary), strict=True):
        assert row == pytest.approx(expected_row)
        alone, _ = table.encode([text])  # the search path is another piece of code
        assert alone.to_token_dicts(vocabulary)[0] == row
    assert together.top_k(2) == table.encode(texts, 2)[0]


def test_a_short_table_is_padded_and_a_long_one_must_be_zero_beyond(mlm_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"weight": np.ones(150, np.float32)}, path)
    table = load_table(checkpoint(mlm_folder), QueryTable(mlm_folder, path), 200)
    assert table.table[:150].all() and not table.table[150:].any()
    save_file({"weight": np.ones(201, np.float32)}, path)
    with pytest.raises(CheckpointError, match="201 weights for a vocabulary of 200"):
        load_table(checkpoint(mlm_folder), QueryTable(mlm_folder, path), 200)


def test_bad_tables(mlm_folder: Path, tmp_path: Path) -> None:
    def load(path: Path) -> None:
        load_table(checkpoint(mlm_folder), QueryTable(mlm_folder, path), 200)

    path = tmp_path / "w.safetensors"
    values = np.ones(200, np.float32)
    values[17] = np.nan
    save_file({"weight": values}, path)
    with pytest.raises(CheckpointError, match="term 17 is nan"):
        load(path)
    save_file({"weight": np.ones((200, 2), np.float32)}, path)
    with pytest.raises(CheckpointError, match=r"shape \(200, 2\)"):
        load(path)
    path.write_bytes(b"\x00" * 20)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load(path)
    words = tmp_path / "query_token_weights.txt"
    words.write_text("bado\t1.5\nkime 2\n")
    with pytest.raises(CheckpointError, match="line 2"):
        load(words)
    words.write_text("bado\theavy\n")
    with pytest.raises(CheckpointError, match=r"line 1.*heavy"):
        load(words)
    words.write_text("bado\t1.5\nkime\t2\nbado\t2.5\n")
    with pytest.raises(CheckpointError, match="line 3: 'bado' has another weight than in line 1"):
        load(words)
    idf = tmp_path / "idf.json"
    idf.write_text('{"bado": 1.5, "bado": 2.5}')
    with pytest.raises(CheckpointError, match=r"idf.json: 'bado' occurs twice"):
        load(idf)
    idf.write_text('{"bado": "heavy"}')
    with pytest.raises(CheckpointError, match="'bado' is 'heavy'"):
        load(idf)
    idf.write_text('{"bado": 1e308}')  # a warning of numpy's stood before the message
    with pytest.raises(CheckpointError, match=r"idf.json: weight of 'bado' is 1e\+308, not a finite"):
        load(idf)
    with pytest.raises(CheckpointError, match="a tokenizer of 200 tokens for a model of 100"):
        load_table(checkpoint(mlm_folder), QueryTable(mlm_folder, None), 100)


@pytest.mark.parametrize(
    "table", [np.zeros(200, np.float32), np.full(200, -1, np.float32), np.zeros(0, np.float32)]
)
def test_a_table_that_would_empty_every_query(
    mlm_folder: Path, tmp_path: Path, table: NDArray[np.float32]
) -> None:
    save_file({"weight": table}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"w.safetensors: no token has a weight above 0: every query"):
        load_table(checkpoint(mlm_folder), QueryTable(mlm_folder, tmp_path / "w.safetensors"), 200)


def test_which_of_two_tensors_is_the_table(mlm_folder: Path, tmp_path: Path) -> None:
    """The first one was taken; only one called weight can be meant among several."""
    ones = np.ones(200, np.float32)
    for names, fits in ((("a",), True), (("weight", "bias"), True), (("a", "b"), False)):
        save_file({name: ones for name in names}, tmp_path / "w.safetensors")
        if fits:
            load_table(checkpoint(mlm_folder), QueryTable(mlm_folder, tmp_path / "w.safetensors"), 200)
        else:
            with pytest.raises(
                CheckpointError, match=r"w.safetensors: 2 tensors, none of them called weight"
            ):
                load_table(checkpoint(mlm_folder), QueryTable(mlm_folder, tmp_path / "w.safetensors"), 200)


def test_encoder_with_table_queries(opensearch_folder: Callable[[str], Path], idf: dict[str, float]) -> None:
    encoder = SparseEncoder.load(opensearch_folder("opensearch-doc-v1"))
    assert encoder.inference_free and encoder.fingerprint()["queries"] == "table"
    words = [t for t in encoder.vocabulary if t.isalpha()][:6]
    found = encoder.encode_queries([" ".join(words)]).to_token_dicts(encoder.vocabulary)[0]
    assert found == pytest.approx({w: max(idf.get(w, 1.0), 0) for w in words if idf.get(w, 1.0) > 0})
    assert list(found) == sorted(found, key=found.__getitem__, reverse=True)
    with pytest.raises(InvalidInputError, match="row 1 is NoneType"):
        encoder.encode_queries(["bado", None])  # type: ignore[list-item]


@pytest.mark.shared
def test_golden_query_of_the_model_cards(shared_data: Path, tmp_path: Path) -> None:
    """papers.md section 4.1: the query half of OpenSearch doc-v3's example, from the public idf table."""
    shutil.copy(shared_data / "vocab" / "bert-base-uncased-vocab.txt", tmp_path / "vocab.txt")
    with gzip.open(shared_data / "vocab" / "msmarco-bert-uncased-idf.json.gz") as packed:
        (tmp_path / "idf.json").write_bytes(packed.read())
    tokenizer_size = TextTokenizer(tmp_path, 48).size
    table = load_table(
        checkpoint(tmp_path, "zero"), QueryTable(tmp_path, tmp_path / "idf.json", 1.0), tokenizer_size
    )
    vectors, _ = table.encode(["What's the weather in ny now?"])
    found = vectors.to_token_dicts(table.tokenizer.vocabulary(tokenizer_size))[0]
    golden = {"ny": 5.7729, "weather": 4.5684, "now": 3.5895, "?": 3.3313, "what": 2.7699, "'": 1.5751}
    golden |= {"s": 1.4273, "in": 0.4989, "the": 0.1353}
    assert found == pytest.approx(golden, abs=5e-5)


def test_counts(mlm_folder: Path, idf: dict[str, float], texts: list[str], tmp_path: Path) -> None:
    """A token that stands in the query n times weighs n times as much."""
    path = tmp_path / "idf.json"
    path.write_text(json.dumps(idf))
    once, counted = (
        load_table(checkpoint(mlm_folder, query_counts=counts), QueryTable(mlm_folder, path, 1.0), 200)
        for counts in (False, True)
    )
    vocabulary = once.tokenizer.vocabulary(200)
    queries = [*texts, "bado kime bado BADO", "", "kime"]
    together = counted.encode(queries)[0].to_token_dicts(vocabulary)
    for query, row in zip(queries, together, strict=True):
        tokens = [vocabulary[i] for i in once.tokenizer.encode_one(query)[0]]
        presence = once.encode([query])[0].to_token_dicts(vocabulary)[0]
        assert row == pytest.approx({t: w * tokens.count(t) for t, w in presence.items()})
        assert counted.encode([query])[0].to_token_dicts(vocabulary)[0] == pytest.approx(row)
    assert together[-3]["bado"] == pytest.approx(3 * idf.get("bado", 1.0))


def test_the_query_prompt_of_a_table(mlm_folder: Path, tmp_path: Path) -> None:
    """It is put before every query, as sentence-transformers does with a static table; blank ones stay."""
    path = tmp_path / "idf.json"
    path.write_text(json.dumps({"bado": 2.0, "kime": 3.0, "lume": 5.0}))
    prompted = load_table(checkpoint(mlm_folder, query_prompt="bado "), QueryTable(mlm_folder, path), 200)
    plain_table = load_table(checkpoint(mlm_folder), QueryTable(mlm_folder, path), 200)
    queries = ["kime", "lume kime", " ", ""]
    expected, _ = plain_table.encode(["bado kime", "bado lume kime", "", ""])
    assert prompted.encode(queries)[0] == expected
    for row, query in enumerate(queries):
        assert prompted.encode([query])[0] == expected[row : row + 1]
