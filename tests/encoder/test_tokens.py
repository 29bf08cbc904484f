from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from splade_engine.encoder.batching import length_sorted_batches
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError
from tests.encoder.made import VOCABULARY


def test_vocab_txt_alone_gives_the_same_ids(mlm_folder: Path, texts: list[str], tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    old, new = TextTokenizer(tmp_path, 48), TextTokenizer(mlm_folder, 48)
    for a, b in zip(old.encode(texts)[0], new.encode(texts)[0], strict=True):
        assert a.tolist() == b.tolist()
    assert old.special_ids.tolist() == new.special_ids.tolist() == [0, 1, 2, 3, 4]
    assert old.vocabulary(203)[-4:] == [VOCABULARY[-1], "[unused-200]", "[unused-201]", "[unused-202]"]


def test_truncation_side(mlm_folder: Path, tmp_path: Path) -> None:
    import json
    import shutil

    shutil.copy(mlm_folder / "tokenizer.json", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"truncation_side": "left"}))
    text = "bado kime lulu nono"
    (right,), cut = TextTokenizer(mlm_folder, 4).encode([text])
    (left,), _ = TextTokenizer(tmp_path, 4).encode([text])
    (whole,), none = TextTokenizer(mlm_folder, 6).encode([text])
    assert (cut, none) == (1, 0)
    assert right.tolist() == [2, *whole[1:3], 3]
    assert left.tolist() == [2, *whole[3:5], 3]


def test_lowercase_first(mlm_folder: Path) -> None:
    lower = TextTokenizer(mlm_folder, 48, lowercase=True)
    assert lower.encode_one("BADO")[0] == lower.encode_one("bado")[0]


def test_saved_tokenizer_has_no_limit(mlm_folder: Path, tmp_path: Path) -> None:
    TextTokenizer(mlm_folder, 4).save(tmp_path / "tokenizer.json")
    (ids,), cut = TextTokenizer(tmp_path, 48).encode(["bado kime lulu nono"])
    assert (len(ids), cut) == (6, 0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", "{}", "not a tokenizer file"),
        ("vocab.txt", "bado\nkime\n", r"no \[UNK\]"),
        ("other.txt", "", "no tokenizer"),
    ],
)
def test_no_tokenizer(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        TextTokenizer(tmp_path, 48)


def test_batches_hold_every_row_once_within_the_budget() -> None:
    rng = np.random.default_rng(0)
    for tokens in (1, 50, 300, 10_000):
        lengths = rng.integers(1, 200, 77)
        batches = list(length_sorted_batches(lengths, tokens))
        assert sorted(np.concatenate(batches).tolist()) == list(range(77))
        for batch in batches:
            assert len(batch) == 1 or len(batch) * lengths[batch].max() <= tokens
        assert (np.diff([lengths[b].max() for b in batches]) <= 0).all()
    assert list(length_sorted_batches([], 10)) == []
