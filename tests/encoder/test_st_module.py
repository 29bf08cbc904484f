"""Our folders inside sentence-transformers: the same vectors, or an error; never other vectors."""

from __future__ import annotations

import numpy as np
import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.errors import CheckpointError
from splade_engine.files import read_json, write_json
from splade_engine.training.recipe.sections import ModelConfig
from splade_engine.training.student.build import build_student
from splade_engine.training.student.saving import save_student
from tests.training import made

sentence_transformers = pytest.importorskip("sentence_transformers")

TEXTS = [" ".join(made.topic_words(t)[: 2 + t]) for t in range(5)] + ["bara bara bulu gemi"]

EXPRESSIBLE = {
    "splade": {"special_tokens": "keep"},
}
OTHERS = {
    "special tokens": {"special_tokens": "zero"},
    "sum": {"special_tokens": "keep", "pooling": "sum"},
    "double log": {"special_tokens": "keep", "activation": "log1p_log1p_relu"},
    "light terms": {"special_tokens": "keep", "min_weight": 0.5},
    "few terms": {"special_tokens": "keep", "document_top_k": 4},
    "few terms of a query": {"special_tokens": "keep", "query_top_k": 2},
    "table": {"query": "table", "idf": "uniform", "query_counts": "counts", "query_top_k": 2},
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return made.lexical_bert(tmp_path_factory.mktemp("models") / "bert")


def saved(bert, folder, said):
    config = ModelConfig(**({"base": str(bert), "document_length": 32, "preflight": False} | said))
    start = build_student(config, [], folder / "cache")
    save_student(start.student, folder / "model", start.documents, start.queries)
    return folder / "model"


def vectors(model):
    documents = model.encode_document(TEXTS, convert_to_sparse_tensor=False).numpy()
    return documents, model.encode_query(TEXTS, convert_to_sparse_tensor=False).numpy()


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_what_it_can_express_it_loads_as_it_is(name, bert, tmp_path):
    folder = saved(bert, tmp_path, EXPRESSIBLE[name])
    assert not (folder / "modules.json").exists()
    ours = SparseEncoder.load(folder, dtype="float32")
    documents, queries = vectors(sentence_transformers.SparseEncoder(str(folder), device="cpu"))
    np.testing.assert_allclose(documents, ours.encode_documents(TEXTS).to_scipy().toarray(), atol=1e-5)
    np.testing.assert_allclose(queries, ours.encode_queries(TEXTS).to_scipy().toarray(), atol=1e-5)


@pytest.mark.parametrize("name", OTHERS)
def test_what_it_cannot_express_it_refuses_or_leaves_to_us(name, bert, tmp_path):
    folder = saved(bert, tmp_path, OTHERS[name])
    with pytest.raises(ValueError, match="not part of Sentence Transformers"):
        sentence_transformers.SparseEncoder(str(folder), device="cpu")
    ours = SparseEncoder.load(folder)
    theirs = sentence_transformers.SparseEncoder(str(folder), device="cpu", trust_remote_code=True)
    documents, queries = vectors(theirs)
    assert np.array_equal(documents, ours.encode_documents(TEXTS).to_scipy().toarray())
    assert np.array_equal(queries, ours.encode_queries(TEXTS).to_scipy().toarray())
    assert documents.any() and theirs.get_embedding_dimension() == ours.n_terms


def test_what_it_saves_again_is_ours(bert, tmp_path):
    folder = saved(bert, tmp_path, OTHERS["table"])
    model = sentence_transformers.SparseEncoder(str(folder), device="cpu", trust_remote_code=True)
    model.save_pretrained(str(tmp_path / "again"))
    ours, again = (SparseEncoder.load(f) for f in (folder, tmp_path / "again"))
    assert ours.fingerprint()["hash"] == again.fingerprint()["hash"]


def test_a_section_decides_and_not_modules_json(bert, tmp_path):
    folder = saved(bert, tmp_path, OTHERS["light terms"])
    assert SparseEncoder.load(folder).checkpoint.settings.min_weight == 0.5
    config = read_json(folder / "config.json")
    del config["splade_engine"]
    write_json(folder / "config.json", config)
    with pytest.raises(CheckpointError, match="WholeEncoder"):
        SparseEncoder.load(folder)
