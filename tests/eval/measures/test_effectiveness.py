from __future__ import annotations

import math
import random
import re
import shutil

import numpy as np
import pytest
import pytrec_eval

from splade_engine.errors import InvalidInputError
from splade_engine.eval import evaluate
from splade_engine.eval.measures.effectiveness import (
    check_computable,
    largest_cutoff,
    measure,
    parse_measures,
)
from splade_engine.eval.run.runs import Ranking, Run


def _run(rankings: dict[str, list[str]]) -> Run:
    return Run("r", {q: Ranking.in_order(ids, list(range(len(ids), 0, -1))) for q, ids in rankings.items()})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("MRR@10", ("RR@10",)),
        ("NDCG@10, Recall@100 map", ("nDCG@10", "R@100", "AP")),
        ("ndcg_cut_10 recall_100 recip_rank", ("nDCG@10", "R@100", "RR")),
        ("P(rel=2)@5 P(rel=2)@5", ("P(rel=2)@5",)),
        (["Judged@10", "hit@1"], ("Judged@10", "Success@1")),
    ],
)
def test_names_and_aliases(given: str | list[str], wanted: tuple[str, ...]):
    assert parse_measures(given) == wanted


@pytest.mark.parametrize("name", ["nDCG@ten", "bogus@3", "@10", "R@10@5"])
def test_an_unknown_measure_is_named(name: str):
    with pytest.raises(InvalidInputError, match="unknown measure"):
        parse_measures(f"nDCG@10 {name}")


def test_no_measure():
    with pytest.raises(InvalidInputError, match="no measure"):
        parse_measures("  ")


def test_largest_cutoff():
    assert largest_cutoff(["nDCG@10", "R@1000", "AP"]) == 1000
    assert largest_cutoff(["AP"]) == 0


def test_ndcg_has_linear_gains():
    """Grades 3, 0, 2 at ranks 1 to 3: DCG = 3 + 2 / log2(4) = 4, ideal = 3 + 2 / log2(3)."""
    value = measure(_run({"q": ["a", "b", "c"]}), {"q": {"a": 3, "c": 2}}, ["nDCG@10"]).mean["nDCG@10"]
    assert value == pytest.approx(4 / (3 + 2 / math.log2(3)), abs=1e-9)


def test_queries_without_hits_and_without_relevant_documents_count_as_zero():
    qrels = {"q1": {"a": 1}, "q2": {"a": 1}, "q3": {"a": 0}, "q4": {"a": 1}}
    run = _run({"q1": ["a"], "q2": [], "q3": ["a"], "unjudged": ["a"]})
    found = measure(run, qrels, ["RR@10"])
    assert found.per_query["RR@10"] == {"q1": 1.0, "q2": 0.0, "q3": 0.0, "q4": 0.0}
    assert found.mean["RR@10"] == 0.25
    assert found.mean_answerable == {"RR@10": pytest.approx(1 / 3)}
    some = {query: judged for query, judged in qrels.items() if query != "q3"}
    assert measure(run, some, ["RR@10"]).mean == found.mean_answerable
    assert measure(run, some, ["RR@10"]).mean_answerable == {}


def test_queries_without_relevant_documents_count_for_everybody():
    """What pytrec_eval and ir_measures average over: the convention is theirs (and trec_eval -c's)."""
    import ir_measures

    qrels = {"q1": {"a": 1, "b": 0}, "q2": {"a": 0}, "q3": {"c": 2}}
    scored = {"q1": {"b": 2.0, "a": 1.0}, "q2": {"a": 1.0}, "q3": {"b": 1.0}}
    ours = measure(_run({"q1": ["b", "a"], "q2": ["a"], "q3": ["b"]}), qrels, ["nDCG@10", "RR", "AP"]).mean
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut_10", "recip_rank", "map"}).evaluate(scored)
    assert len(theirs) == 3
    for name, trec_name in (("nDCG@10", "ndcg_cut_10"), ("RR", "recip_rank"), ("AP", "map")):
        assert ours[name] == pytest.approx(sum(q[trec_name] for q in theirs.values()) / 3, abs=1e-12)
        aggregated = ir_measures.calc_aggregate([ir_measures.parse_measure(name)], qrels, scored)
        assert ours[name] == pytest.approx(next(iter(aggregated.values())), abs=1e-12)


def test_a_run_without_a_single_hit():
    assert measure(_run({"q": []}), {"q": {"a": 1}}, ["nDCG@10"]).mean == {"nDCG@10": 0.0}


def test_judged_at_10():
    run = _run({"q": ["a", "b", "c", "d"]})
    assert measure(run, {"q": {"a": 1, "d": 0}}, ["Judged@10"]).mean["Judged@10"] == 0.5


def test_a_run_from_other_queries():
    with pytest.raises(InvalidInputError, match=r"run 'r': none of its 1 queries is judged"):
        measure(_run({"x": ["a"]}), {"q": {"a": 1}}, ["nDCG@10"])


def test_the_same_numbers_as_trec_eval():
    """Random runs and grades, ties included, through pytrec_eval directly."""
    rng = random.Random(7)
    docs = [f"d{i}" for i in range(60)]
    qrels = {f"q{i}": {d: rng.randint(0, 3) for d in rng.sample(docs, 15)} for i in range(40)}
    raw = {q: {d: float(rng.randint(0, 12)) for d in rng.sample(docs, 40)} for q in qrels}
    run = Run("r", {q: Ranking.by_trec_eval(list(s), list(s.values())) for q, s in raw.items()})
    ours = measure(run, qrels, ["nDCG@10", "RR", "R@20", "AP", "P@5"]).per_query
    names = {"ndcg_cut_10", "recip_rank", "recall_20", "map", "P_5"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(raw)
    pairs = {"nDCG@10": "ndcg_cut_10", "RR": "recip_rank", "R@20": "recall_20", "AP": "map", "P@5": "P_5"}
    for name, trec_name in pairs.items():
        for query in qrels:
            assert ours[name][query] == pytest.approx(theirs[query][trec_name], abs=1e-12), (name, query)


ALL = ["nDCG@10", "nDCG", "AP", "RR", "R@5", "P@5", "Bpref", "Rprec", "infAP"]


@pytest.mark.parametrize("grades", [{"a": -2}, {"a": -1}, {"a": -3, "z": -2}, {}])
@pytest.mark.parametrize("before", [{"a": 3, "b": 2, "c": 1, "d": 0}, {"a": 0}, {"a": -2, "b": -1}])
def test_grades_below_zero_are_never_relevant(before: dict[str, int], grades: dict[str, int]):
    """trec_eval crashed at the second of two queries, or took over what it had counted of the first."""
    run = _run({"p": ["b", "a"], "q": ["a", "b"]})
    found = measure(run, {"p": before, "q": grades}, [*ALL, "Judged@2"]).per_query
    assert {name: found[name]["q"] for name in ALL} == dict.fromkeys(ALL, 0.0)
    assert found["Judged@2"]["q"] == len({"a", "b"} & set(grades)) / 2
    alone = measure(run, {"p": before}, ALL).per_query
    assert {name: found[name]["p"] for name in ALL} == {name: alone[name]["p"] for name in ALL}


def test_ids_that_trec_eval_cannot_take():
    """It reads up to a NUL, so that two ids were one, and crashed on half a surrogate pair."""
    run = _run({"q\0": ["a", "a\0b"], "\ud800": ["a"]})
    qrels = {"q\0": {"a\0b": 1}, "\ud800": {"a": 1, "\udfff": 1}}
    assert measure(run, qrels, ["RR", "R@5"]).per_query == {
        "RR": {"q\0": 0.5, "\ud800": 1.0},
        "R@5": {"q\0": 1.0, "\ud800": 0.5},
    }


def test_large_grades_take_no_longer():
    """Without a cutoff trec_eval compares every level up to the largest grade with every other."""
    qrels = {"q": {"a": 1_000_000, "b": 1, "c": 20}}
    found = measure(_run({"q": ["b", "a"]}), qrels, ["nDCG", "nDCG@10"]).mean
    best = 1_000_000 + 20 / math.log2(3) + 1 / 2
    assert (
        found["nDCG"] == found["nDCG@10"] == pytest.approx((1 + 1_000_000 / math.log2(3)) / best, abs=1e-12)
    )


@pytest.mark.parametrize("gain", range(2, 12))
def test_gains_are_those_of_their_measure(gain: int):
    """By the order of a set ir_measures took those of another measure for one that has none."""
    names = ["nDCG@2", f"nDCG(gains={{1:{gain}}})@2", "nDCG", f"nDCG(gains={{1:{gain + 20}}})"]
    found = measure(_run({"q": ["b", "a"]}), {"q": {"a": 1, "b": 3}}, names).mean
    for name, one in zip(names, [1, gain, 1, gain + 20], strict=True):
        best = max(one, 3) + min(one, 3) / math.log2(3)
        assert found[name] == pytest.approx((3 + one / math.log2(3)) / best, abs=1e-12)


def test_ndcg_of_all_hits_is_trec_evals():
    rng = random.Random(3)
    for _ in range(200):
        docs = [f"d{i}" for i in range(rng.randint(1, 30))]
        grades = {d: rng.randint(-2, 4) for d in docs} | {"z": rng.randint(0, 1)}
        found = dict(zip(rng.sample(docs, rng.randint(1, len(docs))), range(30, 0, -1), strict=False))
        theirs = pytrec_eval.RelevanceEvaluator({"q": grades}, {"ndcg"}).evaluate({"q": found})
        ours = measure({"q": found}, {"q": grades}, ["nDCG"]).mean["nDCG"]
        assert ours == pytest.approx(theirs["q"]["ndcg"], abs=1e-12)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nDCG(gains={1:2000000000})@5", "a gain must be at most 1,000,000"),
        ("Bpref(rel=1000000)", "rel must be at most 1,000"),
    ],
)
def test_levels_for_which_trec_eval_has_no_room_are_refused(name: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(f"measure {name!r}: {message}")):
        parse_measures(name)


def test_measures_of_ir_measures_are_their_names():
    import ir_measures

    assert parse_measures([ir_measures.nDCG @ 10, "AP"]) == ("nDCG@10", "AP")
    with pytest.raises(InvalidInputError, match="unknown measure '7'"):
        parse_measures([7])


def test_a_run_may_be_scores_by_document():
    """As pytrec_eval and ir_measures have it, in the order of trec_eval: the later of two equal ids first."""
    assert measure({"q": {"a": 1.0, "b": 1.0}}, {"q": {"a": 1}}, ["RR"]).mean == {"RR": 0.5}
    with pytest.raises(InvalidInputError, match="run '': a mapping by id is expected, got 'my"):
        measure("my.run", {"q": {"a": 1}}, ["RR"])


CUTOFFS = [
    "nDCG@0",
    "P@0",
    "R@0",
    "RR@0",
    "AP@0",
    "Success@0",
    "Judged@0",
    "ndcg_cut_0",
    "R@1000001",
    "P@99999999999",
]


@pytest.mark.parametrize("name", CUTOFFS)
def test_a_cutoff_that_cannot_be_meant_is_refused(name: str):
    """Zero would abort the process within trec_eval."""
    with pytest.raises(InvalidInputError, match="the cutoff must be between 1 and 1,000,000"):
        parse_measures(name)


@pytest.mark.parametrize(
    "name", ["P(rel=0)@1", "RBP", "IPrec@2", "SetF(beta=0)", "SDCG@5", "AP(rel=99999999999)"]
)
def test_what_cannot_be_computed_is_known_before_anything_is_searched(name: str):
    with pytest.raises(InvalidInputError, match=re.escape(f"measure {name} cannot be computed: ")) as caught:
        evaluate(lambda text, k: pytest.fail("searched"), "no/such/collection", [name])
    assert "\n" not in str(caught.value)


def test_a_parameter_without_a_default_is_named():
    with pytest.raises(InvalidInputError, match=r"^measure SDCG@5 cannot be computed: needs max_rel$"):
        check_computable(["SDCG@5"])


@pytest.mark.parametrize("name", ["RBP(p=2)", "Compat(p=1.5)", "Compat(p=0)", "BPM(cap=0)"])
def test_options_that_cannot_be_meant_are_refused(name: str):
    with pytest.raises(InvalidInputError, match=r"p must be above 0 and below 1|unknown measure 'BPM"):
        parse_measures(name)


def test_a_name_of_several_measures_gives_all_of_them():
    """Of trec_eval's families the first was computed, and the others were lost without a word."""
    cutoffs = (5, 10, 15, 20, 30, 100, 200, 500, 1000)
    assert parse_measures("ndcg_cut RR") == (*(f"nDCG@{cutoff}" for cutoff in cutoffs), "RR")
    assert parse_measures("map_cut")[:2] == ("AP@5", "AP@10")
    with pytest.raises(InvalidInputError, match="measure 'official', of which NumQ is one: it is a count"):
        parse_measures("official")


@pytest.mark.parametrize("name", ["NumQ", "NumRet", "NumRel", "NumRet(rel=1)", "num_rel_ret"])
def test_counts_are_no_means(name: str):
    """ir_measures and trec_eval give their sum; a mean of NumQ was the share of queries with hits."""
    with pytest.raises(InvalidInputError, match="it is a count, of which evaluators give the sum, and no me"):
        parse_measures(name)


def test_a_measure_without_a_value_for_every_query_is_refused():
    """Accuracy of a query without a relevant hit counted as 0, and one hit alone was divided by 0."""
    with pytest.raises(InvalidInputError, match=r"measure 'Accuracy@10': it has no value for a query withou"):
        parse_measures("Accuracy@10")


@pytest.mark.parametrize("name", ["ERR@10", "nDCG(dcg='exp-log2')@10"])
def test_a_grade_beyond_gdeval_is_named(name: str):
    qrels = {"p": {"a": 4}, "q": {"a": 1, "b": 5}}
    with pytest.raises(InvalidInputError, match="takes grades of at most 4; query 'q', document 'b' has 5"):
        measure(_run({"p": ["a"], "q": ["a"]}), qrels, [name])
    assert measure(_run({"q": ["b"]}), {"q": qrels["q"]}, ["nDCG(dcg='log2')@1"]).mean == {"nDCG@1": 1.0}


def test_gdeval_takes_any_id():
    """It reads columns: an id with a space gave an nDCG of 1.63, a query that is no number an error."""
    names = ("ERR@10", "nDCG(dcg='exp-log2')@10")
    judged = {"one": {"d 1": 1, "d 2": 0}, "two": {"d 1": 0, "d 3": 2}, "three": {"a": 1}}
    run = Run(
        "r",
        {
            "one": Ranking(("d 1", "d 2"), np.array([2.0, 1.0], np.float32)),
            "two": Ranking(("d 1", "d 3"), np.array([2.0, 1.0], np.float32)),
        },
    )
    if shutil.which("perl") is None:
        pytest.skip("gdeval is a script of Perl's")
    found = measure(run, judged, names).per_query
    # by hand: a grade g satisfies with (2**g - 1) / 16, and gains 2**g - 1
    assert found["ERR@10"] == pytest.approx({"one": 1 / 16, "two": 3 / 16 / 2, "three": 0.0}, abs=1e-5)
    gain = {"one": 1.0, "two": 1 / math.log2(3), "three": 0.0}
    assert found["nDCG(dcg='exp-log2')@10"] == pytest.approx(gain, abs=1e-5)


def test_what_can_be_computed():
    check_computable(
        ["nDCG@10", "RR@10", "R@100", "AP", "P(rel=2)@5", "Judged@10", "Bpref", "Rprec", "IPrec@0.1"]
    )


@pytest.mark.parametrize("k", [0, -1, 1_000_001])
def test_a_depth_that_cannot_be_meant_is_refused(k: int):
    with pytest.raises(InvalidInputError, match="k: a whole number from 1 to 1000000 is expected, got"):
        evaluate("bm25", "no/such/collection", ["AP"], k=k)


@pytest.mark.parametrize(
    ("name", "odd"),
    [("P@'5'", "'5'"), ("P@True", "True"), ("P(rel='x')@3", "'x'"), ("nDCG(gains={1:'a'})@3", "'a'")],
)
def test_a_parameter_of_another_type_is_named(name: str, odd: str):
    with pytest.raises(InvalidInputError, match=re.escape(f"{odd} is no number")):
        parse_measures([name])
