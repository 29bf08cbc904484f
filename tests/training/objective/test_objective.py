"""The tables of loss parts and regularisers, what they ask of the data, and how they add up."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from splade_engine.errors import InvalidInputError
from splade_engine.training.objective import losses, regularizers
from splade_engine.training.objective.batch import Batch, Helpers, combined, data_scores
from splade_engine.training.objective.objective import Objective
from splade_engine.training.objective.parts import PARTS, LossConfig
from splade_engine.training.objective.penalties import PENALTIES, REGULARIZERS, RegularizerConfig
from splade_engine.training.objective.vectors import Vectors
from splade_engine.training.recipe import Recipe
from tests.training import oracle_training as oracle

N, G, V = 3, 2, 7
NONE = Helpers(encode_queries=lambda texts: torch.zeros(len(texts), V), table=lambda: None)


def made(learned=True, group=G):
    g = torch.Generator().manual_seed(0)
    q, d = torch.rand(N, V, generator=g), torch.rand(N, group, V, generator=g)
    valid = torch.ones(N, group, dtype=torch.bool)
    same = torch.zeros(N, N * group, dtype=torch.bool)
    extra = {"reconstruction": torch.tensor(0.25)}
    vectors = Vectors(q, d, valid, same, learned, extra=extra)
    return vectors, {"scores": torch.rand(N, group, generator=g) * 9}


def off(**weights):
    return LossConfig(**({"contrastive": 0.0} | weights))


def test_names_and_weights_are_fields():
    names = [part.name for part in PARTS]
    assert len(set(names)) == len(names)
    given = {f.name: 0.5 for f in fields(LossConfig) if f.name in {*names, "self_weight"}}
    assert [part.weight(LossConfig(**given)) for part in PARTS] == [0.5] * len(PARTS)
    assert not any(part.weight(off()) for part in PARTS)
    assert not any(each.weight(RegularizerConfig()) for each in REGULARIZERS)


@pytest.mark.parametrize(
    ("config", "needs"),
    [
        (off(contrastive=1.0), set()),
        (off(contrastive=1.0, candidates="own"), {"own_documents"}),
        (off(contrastive=1.0, candidates="negatives"), {"own_documents"}),
        (off(contrastive=1.0, candidates="own_and_positives"), set()),
        (off(pairwise=1.0), {"own_documents"}),
        (off(margin_mse=1.0), {"own_documents", "teacher_scores"}),
        (off(kl=1.0), {"own_documents", "teacher_scores"}),
        (off(kl=1.0, kl_candidates="all"), {"teacher_scores", "batch_scores"}),
        (off(sparsemax=1.0), {"own_documents", "teacher_scores"}),
        (off(sparsemax=1.0, kl_candidates="all"), {"teacher_scores", "batch_scores"}),
        (off(term=1.0, bank=1.0, embed=1.0, self_weight=1.0), set()),
    ],
)
def test_what_the_data_must_give(config, needs):
    found = set().union(*(part.needs(config) for part in PARTS if part.weight(config)))
    assert found == needs


def test_the_total_is_the_weighted_sum():
    vectors, inputs = made()
    loss = off(contrastive=0.5, pairwise=2.0, margin_mse=0.1, kl=3.0)
    fines = RegularizerConfig(
        document_lambda=0.2, query="l1", query_lambda=0.3, joint_lambda=0.4, anti_collapse=0.01
    )
    objective = Objective(loss, fines, ramp_steps=10)
    total, parts = objective.total(vectors, inputs, NONE, step=5)
    weights = {"contrastive": 0.5, "pairwise": 2.0, "margin_mse": 0.1, "kl": 3.0, "reconstruction": 1.0}
    # halfway up a quadratic ramp; the anti-collapse term is whole from the start
    weights |= {"penalty_document": 0.05, "penalty_query": 0.075, "penalty_joint": 0.1}
    weights["penalty_collapse"] = 0.01
    assert list(parts) == list(weights)
    assert float(total) == pytest.approx(sum(weights[k] * float(v) for k, v in parts.items()), rel=1e-5)
    lambdas = {"document": 0.05, "query": 0.075, "joint": 0.1, "collapse": 0.01}
    assert objective.lambdas(5) == pytest.approx(lambdas)

    q, d, t = vectors.queries.numpy(), vectors.documents.numpy(), inputs["scores"].numpy()
    own = np.einsum("nv,ngv->ng", q, d)
    np.testing.assert_allclose(parts["pairwise"], np.log1p(np.exp(own[:, 1] - own[:, 0])).mean(), 1e-5)
    margins = (own[:, :1] - own[:, 1:]) - (t[:, :1] - t[:, 1:])
    np.testing.assert_allclose(parts["margin_mse"], (margins**2).mean(), 1e-5)
    np.testing.assert_allclose(parts["kl"], oracle.kl(own, t, 1.0, np.ones((N, G), bool)), 1e-4)
    np.testing.assert_allclose(parts["penalty_document"], oracle.flops(d.reshape(N * G, V), "flat"), 1e-5)
    np.testing.assert_allclose(parts["penalty_query"], np.abs(q).sum(1).mean(), 1e-5)


def test_a_table_has_no_query_penalty():
    vectors, inputs = made(learned=False)
    fines = RegularizerConfig(query="flops", query_lambda=1.0, document="none", document_lambda=1.0)
    total, parts = Objective(off(contrastive=1.0), fines, 1).total(vectors, inputs, NONE, 1)
    assert set(parts) == {"contrastive", "reconstruction"}
    assert float(total) == pytest.approx(float(parts["contrastive"]) + 0.25)


def test_idf_divides_the_means_where_asked():
    vectors, inputs = made(learned=False)
    idf = torch.rand(V) * 5
    helpers = replace(NONE, table=lambda: idf)
    fines = RegularizerConfig(document_lambda=1.0, idf_in_flops=True, reduction="per_slot")
    _, parts = Objective(off(contrastive=1.0), fines, 1).total(vectors, inputs, helpers, 1)
    factors = 5 / np.maximum(idf.numpy(), 1)
    want = oracle.flops(vectors.documents.numpy(), "per_slot", None, factors)
    np.testing.assert_allclose(parts["penalty_document"], want, 1e-5)


def test_missing_documents_take_no_part():
    """Documents that are not there have score 0 by student and teacher, and no part of the loss sees them."""
    vectors, inputs = made(group=3)
    valid = vectors.valid.clone()
    valid[1, 1:] = False  # no negative at all
    valid[2, 2:] = False  # fewer than others
    documents = vectors.documents * valid.unsqueeze(-1)
    inputs["scores"][~valid] = torch.nan
    padded = replace(vectors, documents=documents, valid=valid)
    own = torch.einsum("nv,ngv->ng", vectors.queries, documents).numpy()
    teacher = inputs["scores"].numpy()
    margins = [
        (own[n, 0] - own[n, g]) - (teacher[n, 0] - teacher[n, g])
        for n in range(N)
        for g in (1, 2)
        if valid[n, g]
    ]
    _, parts = Objective(off(margin_mse=1.0), RegularizerConfig(), 1).total(padded, inputs, NONE, 1)
    np.testing.assert_allclose(parts["margin_mse"], np.mean(np.square(margins)), 1e-5)
    costs = [np.log1p(np.exp(own[n, g] - own[n, 0])) for n in range(N) for g in (1, 2) if valid[n, g]]
    _, parts = Objective(off(pairwise=1.0), RegularizerConfig(), 1).total(padded, inputs, NONE, 1)
    np.testing.assert_allclose(parts["pairwise"], np.mean(costs), 1e-5)


def test_what_is_missing_is_named():
    vectors, inputs = made()
    inputs["scores"][:] = torch.nan
    plain = RegularizerConfig()
    # a batch without any score distils nothing; no teacher for the whole batch is an error
    for part in ("kl", "margin_mse"):
        total, parts = Objective(off(**{part: 1.0}), plain, 1).total(vectors, inputs, NONE, 1)
        assert float(parts[part]) == 0 and float(total) == 0.25
    with pytest.raises(InvalidInputError, match=r"kl_candidates = all needs loss.teachers"):
        Objective(off(kl=1.0, kl_candidates="all"), plain, 1).total(vectors, inputs, NONE, 1)
    batch = Batch(vectors, inputs, NONE, off(kl=1.0))
    batch.teaching = replace(batch.teaching, own=None)
    with pytest.raises(InvalidInputError, match=r"loss.kl needs teacher scores: the data has none"):
        batch.own_teaching("kl")
    two = [torch.rand(N, G)] * 2
    with pytest.raises(InvalidInputError, match=r"loss.teacher_scale: several teachers"):
        combined(two, off(), vectors.valid)


class Taught:
    """A teacher that scores by a table, and counts the texts that it was asked about."""

    def __init__(self, table):
        self.table, self.asked = table, 0

    def __call__(self, queries, documents):
        self.asked += len(queries) * len(documents)
        return self.table[:, : len(documents)]


class TaughtPairs(Taught):
    def pairs(self, queries, documents):
        self.asked += len(queries)
        return torch.tensor([self.table[int(q), int(d)] for q, d in zip(queries, documents, strict=True)])


def taught(table, kind=Taught, **loss):
    """A batch of N queries with G documents each under this teacher's table."""
    vectors, inputs = made()
    inputs |= {
        "slots": torch.arange(N * G),
        "query_texts": [str(i) for i in range(N)],
        "document_texts": [str(i) for i in range(N * G)],
    }
    teacher = kind(table)
    return teacher, Batch(vectors, inputs, replace(NONE, teachers=(teacher,)), off(**loss))


@pytest.mark.parametrize("kind", [Taught, TaughtPairs])
def test_each_query_own_targets_span_the_scale(kind):
    # cosines: the whole batch from -.2 to .9, each query's own documents between .50 and .55
    table = torch.rand(N, N * G, generator=torch.Generator().manual_seed(1)) * 1.1 - 0.2
    for i in range(N):
        table[i, G * i : G * (i + 1)] = torch.tensor([0.55 - i * 0.01, 0.50])
    _, batch = taught(table, kind, kl=1.0, teacher_scale=30.0)
    own, complete = batch.own_teaching("kl")
    assert complete.all()
    torch.testing.assert_close(own, torch.tensor([[30.0, 0.0]] * N), rtol=0, atol=0)
    # over the whole batch, where a loss compares with it, the whole batch spans the scale
    _, batch = taught(table, kind, kl=1.0, kl_candidates="all", teacher_scale=30.0)
    spans = batch.teaching.batch.amax(1) - batch.teaching.batch.amin(1)
    torch.testing.assert_close(spans, torch.full((N,), 30.0), rtol=0, atol=0)
    torch.testing.assert_close(batch.teaching.own, own, rtol=0, atol=0)


def test_the_scale_of_the_data_s_scores():
    config = off(kl=1.0, teacher_scale=30.0)
    nan = float("nan")
    scores = torch.tensor([[0.52, 0.5, 0.51], [7.0, nan, 9.0], [0.3, 0.3, 0.3], [0.1, nan, nan]])
    got = data_scores(scores, config)
    want = torch.tensor([[30.0, 0.0, 15.0], [0.0, nan, 30.0], [0.0, 0.0, 0.0], [0.0, nan, nan]])
    torch.testing.assert_close(got, want, equal_nan=True, rtol=0, atol=1e-4)
    got = data_scores(scores, off(kl=1.0, teacher_factor=50.0))
    torch.testing.assert_close(got, scores * 50, equal_nan=True)


def test_a_teacher_of_pairs_is_asked_for_the_own_documents_only():
    table = torch.arange(N * N * G, dtype=torch.float32).view(N, N * G)
    pairs, batch = taught(table, TaughtPairs, kl=1.0)
    own, _ = batch.own_teaching("kl")
    torch.testing.assert_close(own, torch.stack([table[i, G * i : G * (i + 1)] for i in range(N)]))
    assert pairs.asked == N * G
    pairs, batch = taught(table, TaughtPairs, kl=1.0, kl_candidates="all")
    torch.testing.assert_close(batch.teaching.batch, table)
    assert pairs.asked == N * N * G


def test_df_flops_keeps_its_own_frequencies():
    vectors, inputs = made()
    documents = vectors.documents * torch.tensor([1.0, 0, 1, 1, 0, 1, 1])
    documents[1:, :, 0] = 0  # term 0 in the two documents of one query
    vectors = replace(vectors, documents=documents)
    config = RegularizerConfig(document="df_flops", document_lambda=1.0, df_refresh=2)
    objective = Objective(off(contrastive=1.0), config, 1)

    def penalty():
        return float(objective.total(vectors, inputs, NONE, 1)[1]["penalty_document"])

    flat = documents.reshape(N * G, V).numpy()
    plain = oracle.flops(flat, "flat")
    assert penalty() == pytest.approx(plain, rel=1e-5)
    for step in (1, 2):
        objective.observe(vectors)
        objective.after_step(step)
        if step == 1:
            assert penalty() == pytest.approx(plain, rel=1e-5)  # counted every second step
    share = (flat > 0).mean(0)
    assert share[0] == pytest.approx(1 / 3) and share[1] == 0
    factors = regularizers.df_factors(torch.from_numpy(share).float()).numpy()
    weighed = oracle.flops(flat, "flat", None, factors)
    assert penalty() == pytest.approx(weighed, rel=1e-5) and weighed < plain

    objective.observe(vectors)
    other = Objective(off(contrastive=1.0), config, 1)
    other.load_state(objective.state() | {"monitor.recent": torch.zeros(1)}, "cpu")
    for each in (objective, other):
        each.after_step(4)
    a, b = objective.state(), other.state()
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_kinds_of_penalty_are_those_of_the_table():
    assert {kind.name for kind in PENALTIES} == {"flops", "df_flops", "l1"}
    for field in ("document", "query"):
        with pytest.raises(InvalidInputError, match=f"regularizer.{field}: 'l2' is not one of none, flops"):
            Recipe().override({f"regularizer.{field}": "l2"})


def test_candidates_and_own_documents():
    vectors, inputs = made()
    same = vectors.same.clone()
    same[0, 3] = True
    valid = vectors.valid.clone()
    valid[2, 1] = False
    batch = Batch(replace(vectors, same=same, valid=valid), inputs, NONE, off())
    want = losses.batch_scores(vectors.queries, vectors.documents)
    torch.testing.assert_close(batch.own, torch.stack([want[i, 2 * i : 2 * i + 2] for i in range(N)]))
    assert not batch.candidates[0, 3] and not batch.candidates[:, 5].any()
    assert batch.candidates.sum() == N * N * G - 1 - N


def test_a_batch_without_a_whole_list_has_no_pairwise_loss():
    vectors, inputs = made()
    vectors = replace(vectors, valid=vectors.valid & torch.tensor([True, False]))
    total, parts = Objective(off(pairwise=1.0), RegularizerConfig(), 1).total(vectors, inputs, NONE, 1)
    assert float(parts["pairwise"]) == 0 and float(total) == 0.25
