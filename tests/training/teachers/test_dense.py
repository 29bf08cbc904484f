"""Teachers by name, and the dense one against sentence-transformers' folder layout."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import BertModel

from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.training.teachers.dense import DenseTeacher
from splade_engine.training.teachers.opening import load_teacher
from tests.tiny_bert import write_bert
from tests.training.teachers.test_lexical import DOCUMENTS, TOKENS


@pytest.mark.parametrize("name", ["bm25:folder", "dense:", "sparse", "cross-encoder:x", ""])
def test_unknown_teachers(name):
    with pytest.raises(InvalidInputError, match="none of bm25"):
        load_teacher(name, documents=DOCUMENTS)


@pytest.fixture(scope="module")
def dense_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dense")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "max_position_embeddings": 300}
    write_bert(folder, TOKENS, add_pooling_layer=False, **sizes)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return folder


def test_dense_teacher_is_the_cosine_of_mean_states(dense_folder):
    teacher = load_teacher(f"dense:{dense_folder}")
    texts = ["flow river", "the sea the sea the sea", "flows"]
    scores = teacher(texts[:2], texts)
    model = BertModel.from_pretrained(dense_folder, add_pooling_layer=False).eval()
    rows = []
    for text in texts:
        ids = torch.tensor([[2, *(TOKENS.index(w) for w in text.split()), 3]])
        with torch.no_grad():
            rows.append(torch.nn.functional.normalize(model(input_ids=ids).last_hidden_state.mean(1), dim=1))
    vectors = torch.cat(rows)
    # the teacher computes in bfloat16: 8 bits of mantissa
    torch.testing.assert_close(scores, vectors[:2] @ vectors.T, atol=0.02, rtol=0)
    assert scores.dtype is torch.float32


def test_dense_teacher_keeps_the_order_of_texts(dense_folder):
    teacher = DenseTeacher(dense_folder)
    texts = ["the sea the sea", "flow", "river river river", "sea"]
    together = teacher.embed(texts)
    alone = torch.cat([teacher.embed([text]) for text in texts])
    torch.testing.assert_close(together, alone, atol=0.02, rtol=0)
    assert teacher.embed([]).shape == (0, 16)


def test_dense_teacher_of_another_pooling_is_left_to_sentence_transformers(dense_folder, tmp_path):
    import shutil

    with pytest.raises(CheckpointError, match="no dense encoder"):
        DenseTeacher(tmp_path)
    folder = tmp_path / "max"
    shutil.copytree(dense_folder, folder)
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 16, "pooling_mode_max_tokens": True})
    )
    modules = [("", "models.Transformer"), ("1_Pooling", "models.Pooling")]
    (folder / "modules.json").write_text(
        json.dumps(
            [
                {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.{kind}"}
                for i, (path, kind) in enumerate(modules)
            ]
        )
    )
    teacher = DenseTeacher(folder)
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    with torch.no_grad():
        ids = torch.tensor([[2, TOKENS.index("flow"), TOKENS.index("river"), 3]])
        expected = torch.nn.functional.normalize(model(input_ids=ids).last_hidden_state.amax(1), dim=1)
    torch.testing.assert_close(teacher.embed(["flow river"]), expected, atol=0.02, rtol=0)
