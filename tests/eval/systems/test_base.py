from __future__ import annotations

import numpy as np
import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.eval.systems.base import parse_system
from splade_engine.eval.systems.bm25 import Bm25
from splade_engine.eval.systems.feedback import RM3, Rocchio
from splade_engine.eval.systems.fusion import ReciprocalRank, WeightedSum
from splade_engine.eval.systems.sparse import Sparse


@pytest.mark.parametrize(
    "spec",
    [
        "sparse",
        "sparse-exact",
        "sparse(accuracy=0.95)",
        "sparse(encoder=naver/splade-v3)",
        "bm25",
        "bm25(k1=1.2, b=0.75)",
        "dense-hnsw",
        "dense(index=hnsw, links=16)",
        "rrf(bm25, sparse-exact, dense)",
        "rrf(bm25, sparse, k=20)",
        "sum(bm25, dense, norm=zscore, weight=0.4)",
        "rocchio(sparse-exact, docs=3, beta=0.5)",
        "rm3(sparse-exact, bm25, interpolate=after)",
        "dense-prf(dense, bm25, interpolate=both)",
        "rerank(rrf(bm25, sparse), model=cross-encoder/ms-marco-MiniLM-L6-v2, depth=50)",
        'rerank(bm25, model="/a folder/with (spaces)")',
    ],
)
def test_a_specification_comes_back_from_its_system(spec: str):
    system = parse_system(spec)
    assert system.spec == spec
    assert parse_system(system.spec) == system


def test_options_are_converted():
    assert parse_system("bm25(k1=2)") == Bm25(k1=2.0)
    assert parse_system("sparse(exact=TRUE)") == Sparse(exact=True)
    fused = parse_system("rrf( bm25 ,sparse(accuracy=.9) )")
    assert fused == ReciprocalRank((Bm25(), Sparse(accuracy=0.9)))


def test_labels_name_systems():
    system = parse_system("my baseline: bm25(k1=2)")
    assert system.title == "my baseline"
    assert system.spec == "bm25(k1=2)"


def test_hybrid_is_short_for_its_parts():
    assert parse_system("hybrid").spec == "rrf(bm25, sparse-exact)"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("bm52", r"'bm52' is not a system \(known are sparse"),
        ("", "'' is not a system"),
        ("rrf(bm25", "closing parenthesis"),
        ("bm25) bm25", "is not expected there"),
        ("bm25(k2=1)", r"bm25 has no option 'k2' \(it has name, k1, b\)"),
        ("bm25(k1=lots)", "option k1 must be a number, got 'lots'"),
        ("bm25(b=2)", "b must be between 0 and 1, got 2"),
        ("sparse(accuracy=0)", "accuracy must be above 0 and at most 1, got 0"),
        ("sparse(exact=maybe)", "must be true or false"),
        ("sparse(exact=true, accuracy=0.9)", "exclude each other"),
        ("rrf(bm25)", "'rrf' is made of 2 or more systems, got 1"),
        ("sum(bm25, bm25, bm25)", "'sum' is made of 2 systems, got 3"),
        ("sum(bm25, dense, norm=l2)", "norm must be one of minmax, zscore, got 'l2'"),
        ("rm3(bm25)", "its first system must be sparse"),
        ("dense-prf(bm25)", "its first system must be dense"),
        ("rm3(sparse, interpolate=after)", "takes a second system"),
        ("rm3(sparse, bm25)", "takes a second system"),
        ("rerank(bm25)", "takes a model"),
        ("dense(index=ivf)", "index must be one of flat, hnsw"),
        ("rrf(" * 5000, "more than 20 systems within one another"),
        ("rrf(" * 5000 + "bm25" + ", bm25)" * 5000, "more than 20 systems within one another"),
        ("a: " * 5000 + "bm25", "'a:' is not a system"),
        ("bm25(k1=nan)", "option k1 must be a number, got 'nan'"),
        ("bm25(k1=inf)", "option k1 must be a number, got 'inf'"),
        ("bm25(k1=1_0)", "option k1 must be a number, got '1_0'"),
        ("bm25(k1=1, k1=2)", "option k1 is given twice"),
        ("rrf(bm25 sparse)", "a comma is missing before 'sparse'"),
        ('rerank(bm25, model="x)', "has no closing quotation mark"),
        ("rocchio(sparse, alpha=nan)", "option alpha must be a number, got 'nan'"),
        ("rocchio(sparse, alpha=-1)", "alpha must be between 0 and 1e"),
        ("rocchio(sparse, alpha=0, beta=0)", "alpha and beta are both 0"),
        ("rocchio(sparse, docs=" + "9" * 5000 + ")", "option docs must be a number, got '9999"),
        ("dense-prf(dense, beta=-0.1)", "beta must be between 0 and"),
        ("rm3(sparse, terms=1e3)", "option terms must be a number, got '1e3'"),
        ("x" * 100_000, "is not a system"),
    ],
)
def test_what_is_not_understood_is_named(spec: str, message: str):
    with pytest.raises(InvalidInputError, match=message) as caught:
        parse_system(spec)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_nested_as_deep_as_anybody_means_it():
    spec = "rrf(" * 19 + "bm25" + ", bm25)" * 19
    assert parse_system(spec).spec == spec


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_no_option_is_less_than_a_number(value: float):
    sparse = parse_system("sparse")
    for make in (
        lambda: Bm25(k1=value),
        lambda: Bm25(b=value),
        lambda: Rocchio((sparse,), alpha=value),
        lambda: Rocchio((sparse,), beta=value),
        lambda: RM3((sparse,), original=value),
        lambda: Sparse(accuracy=value),
        lambda: WeightedSum((sparse, Bm25()), weight=value),
    ):
        with pytest.raises(InvalidInputError, match="must be"):
            make()


def test_options_are_of_the_declared_type():
    for option in (
        {"k1": "5"}, {"k1": None}, {"k1": True}, {"b": []}, {"b": 10**400}, {"name": 5}, {"name": None},
    ):  # fmt: skip
        with pytest.raises(
            InvalidInputError, match=f"^{next(iter(option))} must be a (finite number|string), got "
        ):
            Bm25(**option)
    for option in ({"exact": 1}, {"accuracy": "0.9"}, {"accuracy": True}):
        with pytest.raises(InvalidInputError, match=f"^{next(iter(option))} must be "):
            Sparse(**option)
    assert Bm25(k1=1, b=np.float32(0.5)).k1 == Sparse(accuracy=1).accuracy == 1


def test_systems_that_differ_are_written_differently():
    one, other = Bm25(k1=1.23456789), Bm25(k1=1.2345678)
    assert one.spec != other.spec
    assert parse_system(one.spec) == one
    assert Bm25(k1=0.1 + 0.2).spec == "bm25(k1=0.30000000000000004)"


def test_a_sum_keeps_its_name_when_its_weight_is_chosen():
    chosen = parse_system("mine: sum(bm25, sparse)")
    assert isinstance(chosen, WeightedSum)
    assert chosen._with("zscore", 0.25).title == "mine"
