"""The student: what is trained is what the saved folder encodes; LoRA, pre-flight, idf, clusters."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.training.data.collate import Collator, pad
from splade_engine.training.data.examples import Example
from splade_engine.training.data.idf import bm25_idf, document_frequencies
from splade_engine.training.data.sources import open_source
from splade_engine.training.mining.clusters import cluster_order, sketch
from splade_engine.training.recipe.sections import ModelConfig, SourceConfig
from splade_engine.training.run.probe import ndcg
from splade_engine.training.student.build import build_student
from splade_engine.training.student.encode import encode
from splade_engine.training.student.lora import LoraLinear, add_lora, merge_lora
from splade_engine.training.student.saving import save_student
from splade_engine.training.student.tower import length_groups
from tests.tiny_bert import write_tokenizer
from tests.training import made

TEXTS = [" ".join(made.topic_words(t)[: 2 + 2 * t]) for t in range(5)]

KINDS = {
    "shared": {},
    "double": {"activation": "log1p_log1p_relu"},
    "sum": {"pooling": "sum", "special_tokens": "keep"},
    "table": {"query": "table", "idf": "uniform"},
    "separate": {"query": "separate"},
    "scalar": {"kind": "scalar", "activation": "relu"},
    "scalar pair": {"kind": "scalar", "activation": "relu", "query": "separate"},
    "deepimpact": {"kind": "deepimpact", "activation": "relu", "query": "table", "idf": "uniform"},
    "pairs": {"phrase_terms": "pairs", "learn_phrases": True},
    "pairs, table": {
        "phrase_terms": "pairs",
        "learn_phrases": True,
        "query": "table",
        "idf": "uniform",
        "query_top_k": 4,
    },
    "pairs, separate": {"phrase_terms": "pairs", "learn_phrases": True, "query": "separate"},
    "pairs, scalar": {"phrase_terms": "pairs", "learn_phrases": True, "kind": "scalar", "activation": "relu"},
    "relu_gelu": {"activation": "relu_gelu"},
    "sparsemax": {"activation": "sparsemax", "sparsemax_mass": 2.5},
    "top_k": {"document_top_k": 3, "query_top_k": 3},
    "few of a query": {"query_top_k": 2},
    "more of a query": {"document_top_k": 2, "query_top_k": 4},
    "all of a query": {"document_top_k": 2, "query_top_k": 0},
    "few of a query, separate": {"query": "separate", "query_top_k": 2, "min_weight": 0.2},
    "more of a query, separate": {"query": "separate", "document_top_k": 2, "query_top_k": 4},
    "all of a query, separate": {"query": "separate", "document_top_k": 2, "query_top_k": 0},
    "as many as of a document, table": {
        "query": "table",
        "idf": "uniform",
        "learn_idf": True,
        "document_top_k": 2,
    },
    "all of a query, table": {"query": "table", "idf": "uniform", "document_top_k": 2, "query_top_k": 0},
    "few of a query, scalar": {"kind": "scalar", "activation": "relu", "query_top_k": 2},
    "few of a query, pairs": {"phrase_terms": "pairs", "learn_phrases": True, "query_top_k": 2},
    "echo": {"kind": "echo", "lora_rank": 2},
}


@pytest.mark.parametrize("name", KINDS)
def test_saved_folder_encodes_what_was_trained(name, tmp_path, bert_folder, mistral_folder):
    base = mistral_folder if name == "echo" else bert_folder
    lengths = {"document_length": 32, "query_length": 32}
    config = ModelConfig(base=str(base), **(lengths | {"preflight": False} | KINDS[name]))
    start = build_student(config, [], tmp_path / "cache")
    student, collator = start.student, start.collator(1)
    with torch.no_grad():
        for parameter in student.parameters():
            if parameter.requires_grad:
                parameter.add_(
                    0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
                )
    student.eval()
    expected = encode(student, collator, TEXTS, "document").toarray()
    queries = encode(student, collator, TEXTS, "query").toarray()
    assert expected.any() and queries.any()
    save_student(student, tmp_path / "model", start.documents, start.queries)
    encoder = SparseEncoder.load(tmp_path / "model", dtype="float32")
    np.testing.assert_allclose(encoder.encode_documents(TEXTS).to_scipy().toarray(), expected, atol=2e-5)
    np.testing.assert_allclose(encoder.encode_queries(TEXTS).to_scipy().toarray(), queries, atol=2e-5)
    assert encoder.inference_free == (name == "deepimpact" or name.endswith("table"))
    if "query_top_k" in KINDS[name]:
        few = KINDS[name]["query_top_k"]
        assert (np.count_nonzero(queries, axis=1).max() <= few) if few else (queries > 0).sum(1).max() > 2
    again = ("relu_gelu", "sparsemax", "deepimpact", "scalar", "few", "more", "all", "as many")
    if name.startswith(again):  # as whoever has loaded it saves it
        encoder.save(tmp_path / "again")
        again = SparseEncoder.load(tmp_path / "again", dtype="float32")
        np.testing.assert_allclose(again.encode_documents(TEXTS).to_scipy().toarray(), expected, atol=2e-5)
        np.testing.assert_allclose(again.encode_queries(TEXTS).to_scipy().toarray(), queries, atol=2e-5)


@pytest.mark.parametrize("query", ["shared", "separate"])
def test_a_repeated_token_adds_up_in_a_unicoil_query_only(query, tmp_path, bert_folder):
    """Lin and Ma's queries; two tokens of one text have different weights, as they stand in other places."""
    lengths = {"document_length": 32, "query_length": 32, "preflight": False}
    config = ModelConfig(base=str(bert_folder), kind="scalar", activation="relu", query=query, **lengths)
    start = build_student(config, [], tmp_path / "cache")
    student, word = start.student.eval(), made.WORDS[0]
    ids, mask = pad(start.documents.encode([f"{word} {made.WORDS[1]} {word}"])[0])
    tower = student.queries or student.documents
    scores = torch.relu(tower.tok_proj(tower.backbone.hidden(ids, mask.long())).squeeze(-1))[0]
    term = int(ids[0, 1])
    assert int(ids[0, 3]) == term and scores[1] != scores[3]
    queries = student.query_vectors(ids, mask, mask)
    assert queries[0, term].item() == pytest.approx((scores[1] + scores[3]).item(), rel=1e-5)
    if query == "shared":
        documents = student.document_vectors(ids, mask, mask)
        assert documents[0, term].item() == pytest.approx(max(scores[1], scores[3]).item(), rel=1e-5)


def test_a_mass_needs_its_activation(tmp_path, bert_folder):
    config = ModelConfig(base=str(bert_folder), document_length=32, preflight=False, sparsemax_mass=9.0)
    with pytest.raises(InvalidInputError, match="sparsemax_mass = 9 means nothing with the activation log1p"):
        build_student(config, [], tmp_path)


def test_a_word_weighs_what_its_first_piece_says(tmp_path):
    """DeepImpact: by the first piece of its first occurrence, shared evenly by its pieces."""
    base = made.lexical_bert(tmp_path / "bert", words=[*made.WORDS, "##lu", "##mi"])
    lengths = {"document_length": 32, "query_length": 32, "preflight": False}
    kind = {"kind": "deepimpact", "activation": "relu", "query": "table", "idf": "uniform"}
    start = build_student(ModelConfig(base=str(base), **lengths, **kind), [], tmp_path / "cache")
    text = "bara baralumi bera baralumi"
    student, collator = start.student.eval(), start.collator(1)
    ids, mask, pool = collator.encoded("document", [text, "bera"])
    bara, lu, mi, bera = (start.documents.token_id(t) for t in ("bara", "##lu", "##mi", "bera"))
    assert ids[0, 1:9].tolist() == [bara, bara, lu, mi, bera, bara, lu, mi]
    head, hidden = student.documents.tok_proj, student.documents.backbone.hidden(ids, mask.long())
    impact = torch.relu(head[2](torch.relu(head[0](hidden)))).squeeze(-1)[0]
    document = student.document_vectors(ids, mask, pool)[0]
    want = {bara: max(impact[1], impact[2] / 3), lu: impact[2] / 3, mi: impact[2] / 3, bera: impact[5]}
    for term, weight in want.items():
        assert document[term].item() == pytest.approx(weight.item(), rel=1e-5)
    assert (document != 0).sum() == len(want)
    save_student(student, tmp_path / "model", start.documents, start.queries)
    encoder = SparseEncoder.load(tmp_path / "model", dtype="float32")
    found = encoder.encode_documents([text]).to_scipy().toarray()[0]
    np.testing.assert_allclose(found, document.detach(), atol=1e-5)
    query = encoder.encode_queries(["baralumi baralumi"]).to_scipy().toarray()[0]
    assert query @ found == pytest.approx((want[bara] + want[lu] + want[mi]).item(), rel=1e-5)


def test_whole_words_are_trained(tmp_path):
    """`phrase_terms = words`: a word is one term while it is trained, as in the encoder that is saved."""
    base = made.lexical_bert(tmp_path / "bert", words=[*made.WORDS, "##lu", "##mi"])
    lengths = {"document_length": 32, "query_length": 32, "preflight": False}
    kind = {"kind": "deepimpact", "activation": "relu", "query": "table", "idf": "uniform"}
    start = build_student(
        ModelConfig(base=str(base), phrase_terms="words", **lengths, **kind), [], tmp_path / "cache"
    )
    student, collator = start.student.eval(), start.collator(1)
    texts = ["bera baralumi bera", "bara baralumi bera baralumi", "baralu bera", ""]
    queries = ["baralumi", "bera baralu baralu", "bara", "belumi", "lumi zzqq", ""]
    ids, mask, _ = collator.encoded("document", texts)
    head, hidden = student.documents.tok_proj, student.documents.backbone.hidden(ids, mask.long())
    impact = torch.relu(head[2](torch.relu(head[0](hidden)))).squeeze(-1)
    q = encode(student, collator, queries, "query")
    d = encode(student, collator, texts, "document")
    assert d.shape[1] == student.n_terms == len(made.VOCABULARY) + 2 + (1 << 16)
    assert np.diff(d.indptr).tolist() == [2, 3, 2, 0] and np.diff(q.indptr).tolist() == [1, 2, 1, 1, 0, 0]
    scores = (q @ d.T).toarray()
    want = np.zeros((6, 4))  # of the first piece of the word's first occurrence, nothing shared, nothing lent
    want[0, :2] = impact[0, 2].item(), impact[1, 2].item()
    want[1, :3] = impact[0, 1].item(), impact[1, 5].item(), impact[2, 1].item() + impact[2, 3].item()
    want[2, 1] = impact[1, 1].item()
    assert want.any(1).tolist() == [True, True, True, False, False, False]
    np.testing.assert_allclose(scores, want, rtol=1e-5, atol=1e-6)
    save_student(student, tmp_path / "model", start.documents, start.queries)
    encoder = SparseEncoder.load(tmp_path / "model", dtype="float32")
    np.testing.assert_allclose(encoder.encode_documents(texts).to_scipy().toarray(), d.toarray(), atol=1e-5)
    np.testing.assert_array_equal(encoder.encode_queries(queries).to_scipy().toarray(), q.toarray())
    again = student.average_copy()
    assert (encode(again, collator, texts, "document") != d).nnz == 0


def test_pairs_are_learned(tmp_path, bert_folder):
    """The loss sees what the finished encoder has, and its gradient reaches factor and tokens."""
    config = ModelConfig(
        base=str(bert_folder), preflight=False, phrase_terms="pairs", learn_phrases=True, document_length=32
    )
    start = build_student(config, [], tmp_path / "cache")
    student, collator = start.student.double().eval(), start.collator(1)
    a, b, c = made.WORDS[:3]
    batch = collator.encoded("document", [f"{a} {b} {c}", f"{b} {a}"])
    ids = [start.documents.token_id(w) for w in (a, b, c)]
    vectors = student.document_vectors(*batch)
    size = len(made.VOCABULARY)
    assert vectors.shape[1] == student.n_terms == size + (1 << 16)
    single = vectors[:, :size].detach()
    term = [int(student.pairs.terms.terms(*(np.array([ids[i]]) for i in ij))[0]) for ij in ((0, 1), (1, 0))]
    for row, column, other in ((0, term[0], ids[:2]), (1, term[1], ids[:2])):
        assert vectors[row, column].item() == pytest.approx(0.75 * single[row, other].min().item())
    assert vectors[0, term[1]] == vectors[1, term[0]] == 0  # their order counts
    score = vectors[0, term[0]] * vectors[0, term[0]]
    score.backward()
    least = single[0, ids[:2]].min().item()
    assert student.pairs.log_factor.grad.item() == pytest.approx(2 * (0.75 * least) ** 2)
    assert student.documents.backbone.decoder_weight.grad.any()
    with torch.no_grad():
        student.pairs.log_factor.fill_(9.0)
    assert student.pairs.factor == 10 == (student.document_vectors(*batch)[0, term[0]] / least).item()


def test_pairs_to_learn_have_to_be_there(tmp_path, bert_folder):
    config = ModelConfig(base=str(bert_folder), preflight=False, learn_phrases=True, document_length=32)
    with pytest.raises(InvalidInputError, match=r"learn_phrases needs .* = pairs; that of .* is none"):
        build_student(config, [], tmp_path)


def test_batches_of_mixed_lengths_equal_single_texts(tmp_path, bert_folder, monkeypatch):
    monkeypatch.setattr("splade_engine.training.student.tower.PADDING_WORTH", 2)
    start = build_student(
        ModelConfig(base=str(bert_folder), document_length=32, preflight=False), [], tmp_path
    )
    tower = start.student.documents.eval()
    ids, mask = pad(start.documents.encode(TEXTS)[0])
    assert len(length_groups(sorted(mask.sum(1).tolist()))) > 1
    together = tower(ids, mask, mask)
    for row, text in enumerate(TEXTS):
        one, its_mask = pad(start.documents.encode([text])[0])
        torch.testing.assert_close(
            together[row : row + 1], tower(one, its_mask, its_mask), atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("rate", [-1.0, 0.0, 0.3])
def test_dropout_of_the_recipe(rate, tmp_path, bert_folder):
    config = ModelConfig(base=str(bert_folder), document_length=32, preflight=False, dropout=rate)
    tower = build_student(config, [], tmp_path).student.documents
    found = {m.p for m in tower.modules() if isinstance(m, torch.nn.Dropout)}
    assert found == {0.1 if rate < 0 else rate}  # the base's own is 0.1
    ids, mask = pad(build_student(config, [], tmp_path).documents.encode(TEXTS)[0])
    twice = [tower.train()(ids, mask, mask) for _ in range(2)]
    assert torch.equal(*twice) == (rate == 0)
    assert torch.equal(*[tower.eval()(ids, mask, mask) for _ in range(2)])


def test_length_groups_save_padding_where_it_pays():
    assert length_groups([128] * 64) == [(0, 64)]
    assert length_groups([10] * 60 + [500] * 4) == [(0, 60), (60, 64)]
    groups = length_groups(sorted(int(x) for x in np.random.default_rng(0).integers(5, 500, 64)))
    assert [g[0] for g in groups[1:]] == [g[1] for g in groups[:-1]] and groups[-1][1] == 64


def test_copy_is_independent_even_of_closures(tmp_path):
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    config = DistilBertConfig(vocab_size=len(made.VOCABULARY), dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    DistilBertForMaskedLM(config).save_pretrained(tmp_path / "m")
    write_tokenizer(tmp_path / "m", made.VOCABULARY)
    start = build_student(ModelConfig(base=str(tmp_path / "m"), preflight=False), [], tmp_path)
    student, collator = start.student.eval(), start.collator(1)
    twin = student.average_copy()
    before = encode(twin, collator, TEXTS, "document").toarray()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
    np.testing.assert_array_equal(encode(twin, collator, TEXTS, "document").toarray(), before)


def test_lora_starts_as_the_base_and_merges_exactly():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
    x = torch.randn(5, 4)
    base = model(x)
    assert add_lora(model, model, 2, 8.0, 0.0) == 2
    torch.testing.assert_close(model(x), base)
    assert {n.rpartition(".")[2] for n, p in model.named_parameters() if p.requires_grad} == {"up", "down"}
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, LoraLinear):
                module.up.normal_()
    adapted = model(x)
    merge_lora(model)
    assert not any(isinstance(m, LoraLinear) for m in model.modules())
    torch.testing.assert_close(model(x), adapted)
    with pytest.raises(InvalidInputError, match="no linear layer"):
        add_lora(torch.nn.ReLU(), torch.nn.ReLU(), 2, 8.0, 0.0)


def test_preflight_names_what_cannot_work(tmp_path, rows_file):
    sources = [open_source(SourceConfig(str(rows_file)), tmp_path)]

    def build(folder, **settings):
        config = ModelConfig(base=str(folder), document_length=32, query_length=16, **settings)
        return build_student(config, sources, tmp_path)

    without = made.lexical_bert(tmp_path / "headless", head=False)
    with pytest.raises(
        CheckpointError, match=r"BertModel has no masked-LM head.*model.align=true.*before training$"
    ):
        build(without)
    silent = made.lexical_bert(tmp_path / "silent", bias=-1e4)
    with pytest.raises(CheckpointError, match=r"silent: no logit of the base model is above zero.*align"):
        build(silent)
    constant = made.lexical_bert(tmp_path / "constant", bias=1e4)
    with pytest.raises(CheckpointError, match=r"constant: near-constant logits .*cosine 1.000"):
        build(constant)
    build(constant, preflight=False)
    (without / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"headless.*: no model.safetensors"):
        build(without, kind="scalar")
    with pytest.raises(InvalidInputError, match=r"model.base is empty"):
        build_student(ModelConfig(), [], tmp_path)


def test_idf_is_bm25s(bert_folder):
    tokenizer = TextTokenizer(bert_folder, 32)
    words = made.WORDS
    texts = [f"{words[0]} {words[1]}", f"{words[0]} {words[0]}", words[0], words[2]]
    counts, total = document_frequencies(tokenizer, texts, len(made.VOCABULARY))
    assert total == 4 and counts[5:8].tolist() == [3, 1, 1]
    idf = bm25_idf(counts, total, 1.0)
    np.testing.assert_allclose(idf[5:7], [np.log1p(1.5 / 3.5), np.log1p(3.5 / 1.5)], rtol=1e-6)
    assert idf[50] == 1.0  # never seen


def test_collator_pads_numbers_and_finds_copies(bert_folder):
    tokenizer = TextTokenizer(bert_folder, 32)
    a, b, c = made.WORDS[:3]
    examples = [
        Example(a, (f"{a} {b}",), (c,), (5.0, 1.0)),
        Example(b, (c,)),  # no negative; its positive is the other's negative
    ]
    batch = Collator(tokenizer, tokenizer, group=2)(examples)
    assert batch["slots"].tolist() == [0, 1, 2]
    assert batch["document_mask"].sum(1).tolist() == [4, 3, 3]
    assert batch["same"].tolist() == [[False] * 4, [False, True, False, False]]
    assert batch["scores"][0].tolist() == [5.0, 1.0] and batch["scores"][1].isnan().all()


def test_near_duplicates_and_answers_of_the_same_query_are_no_negatives(bert_folder):
    tokenizer = TextTokenizer(bert_folder, 32)
    words = made.WORDS[:12]
    text = " ".join(words[:10])
    examples = [
        Example(words[0], (text,), (" ".join(words[1:10]),)),  # a word is missing: 9 of 10 and [CLS], [SEP]
        Example(words[1], (" ".join(words[:9] + words[10:]),)),  # 9 in common of 12, with the two 11 of 14
        Example(words[2], (words[11],)),
        Example(words[0], (words[10],)),  # another answer to the first query
    ]
    same = Collator(tokenizer, tokenizer, group=2, near_duplicates=0.9)(examples)["same"]
    assert same.int().tolist() == [
        [0, 1, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
    ]
    wide = Collator(tokenizer, tokenizer, group=2, near_duplicates=0.78)(examples)["same"]
    assert wide[0].int().tolist() == [0, 1, 1, 0, 0, 0, 1, 0] and wide[1, :2].int().tolist() == [1, 0]
    exact = Collator(tokenizer, tokenizer, group=2)(examples)["same"]
    assert exact[0].int().tolist() == [0, 0, 0, 0, 0, 0, 1, 0]


def test_clusters_put_neighbours_into_batches():
    rng = np.random.default_rng(0)
    centres = np.eye(16, dtype=np.float32)[:8] * 10
    labels = np.repeat(np.arange(8), 32)
    rng.shuffle(labels)
    vectors = centres[labels] + rng.normal(0, 0.1, (256, 16)).astype(np.float32)
    order = cluster_order(vectors.astype(np.float32), 16, seed=1)
    assert sorted(order.tolist()) == list(range(256))
    kinds = [len(set(labels[order[b : b + 16]])) for b in range(0, 256, 16)]
    assert np.mean(kinds) < 2.5  # random batches would hold 7 of the 8
    assert np.array_equal(order, cluster_order(vectors.astype(np.float32), 16, seed=1))
    assert sorted(cluster_order(vectors[:20], 16, seed=1).tolist()) == list(range(20))


def test_sketch_keeps_angles():
    from scipy.sparse import csr_array

    rng = np.random.default_rng(0)
    dense = rng.random((20, 3000)) * (rng.random((20, 3000)) < 0.02)
    unit = dense / np.linalg.norm(dense, axis=1, keepdims=True)
    small = sketch(csr_array(dense.astype(np.float32)), 0)
    assert np.abs(small @ small.T - unit @ unit.T).max() < 0.4


def test_ndcg():
    scores = np.array([0.0, 3.0, 2.0, 1.0], np.float32)
    assert ndcg(scores, {1: 1}) == 1.0
    assert ndcg(scores, {2: 1}) == pytest.approx(1 / np.log2(3))
    assert ndcg(scores, {0: 1}) == 0.0  # a score of zero is no hit
    assert ndcg(scores, {}) == 0.0


def test_light_terms_of_queries_after_a_prompt(tmp_path, bert_folder):
    """They are dropped as those of documents are, since the same model encodes both."""
    config = ModelConfig(base=str(bert_folder), document_length=32, preflight=False, min_weight=0.3)
    start = build_student(config, [], tmp_path / "cache")
    save_student(start.student, tmp_path / "model", start.documents, start.queries)
    file, word = tmp_path / "model" / "config.json", made.WORDS[0]
    section = json.loads(file.read_text())
    section["splade_engine"]["query_prompt"] = f"{word} "
    file.write_text(json.dumps(section))
    encoder = SparseEncoder.load(tmp_path / "model", dtype="float32")
    found = encoder.encode_queries(TEXTS).to_scipy().toarray()
    wanted = encoder.encode_documents([f"{word} {text}" for text in TEXTS]).to_scipy().toarray()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert found[found > 0].min() >= 0.3
