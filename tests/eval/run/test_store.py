"""A result folder shows nothing that it was not made from: judgments, queries, corpora, runs, terms."""

from __future__ import annotations

import gzip
import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace as Invented

import numpy as np
import pytest

from splade_engine.errors import DatasetError
from splade_engine.eval.measures.effectiveness import Effectiveness
from splade_engine.eval.report.comparison import Comparison, load_comparison
from splade_engine.eval.report.written import markdown_tables
from splade_engine.eval.run.experiment import Experiment, run_experiment
from splade_engine.eval.run.results import Result
from splade_engine.eval.run.runs import Ranking, Run
from splade_engine.eval.run.store import ResultFolder, slug
from splade_engine.eval.run.suite import Collection, Suite
from splade_engine.eval.run.topics import Topics, measured_again
from splade_engine.eval.systems.bench import Settings

WRONG = {"q1": {"owl": 1}, "q2": {"tea": 1}, "q3": {"bread": 1}, "q4": {"wind": 1}, "q5": {"owl": 1}}


def evaluate(
    invented: Invented,
    folder: Path,
    out: Path,
    *systems: str,
    split: str | None = None,
    name: str = "c",
    encoder: object = None,
    measures: tuple[str, ...] = ("RR@10",),
    **changes,
):
    suite = Suite("mine", (Collection(name, str(folder), split=split),), systems, measures, **changes)
    settings = Settings(encoder=encoder or invented.WordEncoder())
    return run_experiment(Experiment(suite, settings, command=("x",)), ResultFolder.create(out)).results


def judge(folder: Path, qrels: dict[str, dict[str, int]], split: str = "test") -> None:
    rows = [f"{q}\t{d}\t{g}\n" for q, judged in qrels.items() for d, g in judged.items()]
    (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))


def means(comparison: Comparison, measure: str) -> dict[str, float]:
    return {r.system: round(r.effectiveness.mean[measure], 4) for r in comparison.results}


@pytest.fixture
def folder(invented: Invented, tmp_path: Path) -> Path:
    return invented.write(tmp_path / "c")


def test_corrected_judgments_reach_every_result(invented: Invented, folder: Path, tmp_path: Path, caplog):
    judge(folder, WRONG)
    before = evaluate(invented, folder, tmp_path / "out", "bm25")[0].effectiveness.mean["RR@10"]
    judge(folder, invented.qrels)
    evaluate(invented, folder, tmp_path / "out", "sparse-exact")
    with caplog.at_level(logging.WARNING):
        shown = load_comparison([tmp_path / "out"], None, ("RR@10", "P@1"))
    assert "bm25 on c was measured by other judgments than the folder has now" in caplog.text
    fresh = {r.system: r for r in evaluate(invented, folder, tmp_path / "new", "bm25", "sparse-exact")}
    assert {r.system: r.effectiveness.mean["RR@10"] for r in shown.results} == {
        system: r.effectiveness.mean["RR@10"] for system, r in fresh.items()
    }
    assert before < 0.3 < fresh["bm25"].effectiveness.mean["RR@10"]
    assert shown.topics["c"].qrels == invented.qrels
    # RR is 1 where the first hit is right: P@1 cannot be below the share of those
    assert all(r.effectiveness.mean["P@1"] > 0.5 for r in shown.results)
    assert (
        next(r for r in shown.results if r.system == "bm25").hashes["qrels"] == fresh["bm25"].hashes["qrels"]
    )


def test_a_query_whose_judgments_are_gone_is_one_without_a_relevant_document():
    found = Run("s", {"q": Ranking(("a",), np.array([1.0], np.float32))})
    values = Effectiveness({"RR": 1.0}, {"RR": {"q": 1.0}})
    result = Result("s", "s", "c", "test", 1, 2, 2, 0, 0, "exact", 10, values, run=found)
    again = measured_again(result, Topics("c", "test", {"q": "x", "p": "y"}, {"q": {"a": 1}, "p": {}}))
    assert again.n_without_relevant == 1
    assert (again.effectiveness.mean, again.effectiveness.mean_answerable) == ({"RR": 0.5}, {"RR": 1.0})


def test_both_evaluated_again_are_judged_by_what_is_there_now(
    invented: Invented, folder: Path, tmp_path: Path
):
    judge(folder, WRONG)
    evaluate(invented, folder, tmp_path / "out", "bm25", "sparse-exact")
    judge(folder, invented.qrels)
    evaluate(invented, folder, tmp_path / "out", "bm25", "sparse-exact")
    shown = load_comparison([tmp_path / "out"], None, ("P@1",))
    assert min(means(shown, "P@1").values()) > 0.5


def test_going_back_to_earlier_judgments_goes_back(invented: Invented, folder: Path, tmp_path: Path):
    """The stored result of the first judgments is still valid: it is taken, and so are its judgments."""
    first = evaluate(invented, folder, tmp_path / "out", "bm25")
    judge(folder, WRONG)
    evaluate(invented, folder, tmp_path / "out", "sparse-exact")
    judge(folder, invented.qrels)
    assert evaluate(invented, folder, tmp_path / "out", "bm25") == first
    shown = load_comparison([tmp_path / "out"], None, ())
    assert shown.topics["c"].qrels == invented.qrels
    assert shown.results[0].effectiveness == first[0].effectiveness


def test_another_split_is_not_mixed_in(invented: Invented, folder: Path, tmp_path: Path):
    judge(folder, {"q6": {"coffee": 1}}, "dev")
    evaluate(invented, folder, tmp_path / "out", "bm25")
    evaluate(invented, folder, tmp_path / "out", "sparse-exact", split="dev")
    with pytest.raises(DatasetError, match=r"bm25.json: bm25 was evaluated on other queries \(split test\)"):
        load_comparison([tmp_path / "out"], None, ())
    evaluate(invented, folder, tmp_path / "out", "bm25", split="dev")
    shown = load_comparison([tmp_path / "out"], None, ("R@10",))
    assert means(shown, "R@10") == {"bm25": 1.0, "sparse-exact": 1.0}
    assert [r.n_judged for r in shown.results] == [1, 1]


def test_other_query_texts_are_not_mixed_in(invented: Invented, folder: Path, tmp_path: Path):
    evaluate(invented, folder, tmp_path / "out", "bm25")
    invented.write(folder, queries={**invented.queries, "q1": "something else"})
    evaluate(invented, folder, tmp_path / "out", "sparse-exact")
    with pytest.raises(DatasetError, match="bm25 was evaluated on other queries"):
        load_comparison([tmp_path / "out"], None, ())


def test_another_corpus_is_not_mixed_in(invented: Invented, folder: Path, tmp_path: Path):
    evaluate(invented, folder, tmp_path / "one", "bm25")
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "extra", "text": "bread"}\n')
    evaluate(invented, folder, tmp_path / "one", "sparse-exact")
    with pytest.raises(DatasetError, match=r"bm25\.json: bm25 was evaluated on another corpus than"):
        load_comparison([tmp_path / "one"], None, ())
    evaluate(invented, folder, tmp_path / "two", "bm25")
    (tmp_path / "one" / "c" / "bm25.json").unlink()
    (tmp_path / "one" / "c" / "topics.json").write_text(
        json.dumps({**json.loads((tmp_path / "one/c/topics.json").read_text()), "corpus": ""})
    )
    assert len(load_comparison([tmp_path / "one", tmp_path / "two"], None, ()).results) == 2


def test_own_ids_that_one_system_kept_and_another_dropped_are_not_mixed(
    invented: Invented, folder: Path, tmp_path: Path
):
    evaluate(invented, folder, tmp_path / "out", "bm25")
    (folder / "collection.toml").write_text("drop_own_id = true")
    evaluate(invented, folder, tmp_path / "out", "sparse-exact")
    told = r"out: on c bm25 keeps hits with the query's own id, and sparse-exact drops them; evaluate both"
    with pytest.raises(DatasetError, match=told):
        load_comparison([tmp_path / "out"], None, ())
    evaluate(invented, folder, tmp_path / "out", "bm25")
    assert len(load_comparison([tmp_path / "out"], None, ()).results) == 2


def test_a_run_that_is_too_short_for_a_measure_is_not_measured(
    invented: Invented, folder: Path, tmp_path: Path
):
    evaluate(invented, folder, tmp_path / "out", "bm25", k=10)
    with pytest.raises(DatasetError, match=r"bm25 was evaluated on c with k = 10, and R@11 looks at 11 hits"):
        load_comparison([tmp_path / "out"], None, ("R@10", "R@11"))
    assert load_comparison([tmp_path / "out"], None, ("R@10", "AP")).measures == ["R@10", "AP", "RR@10"]


def test_the_measures_of_the_last_command_are_shown(invented: Invented, folder: Path, tmp_path: Path):
    """A second command with other measures left those of the first, and only those, in every table."""
    evaluate(invented, folder, tmp_path / "out", "bm25", "sparse", k=10)
    again = evaluate(invented, folder, tmp_path / "out", "bm25", k=10, measures=("P@3", "R@5"))
    shown = load_comparison([tmp_path / "out"], None, ())
    assert shown.measures == ["P@3", "R@5", "RR@10"]
    assert means(shown, "P@3")["bm25"] == round(again[0].effectiveness.mean["P@3"], 4)
    evaluate(invented, folder, tmp_path / "out", "sparse-exact", k=50, measures=("R@50",))
    shown = load_comparison([tmp_path / "out"], None, ())  # the others were searched to 10
    assert shown.measures == ["RR@10", "R@50"]


@pytest.mark.parametrize("what", ["a folder", "a result", "queries"])
def test_copies_at_another_place_are_named(invented: Invented, folder: Path, tmp_path: Path, what: str):
    out = tmp_path / "out"
    evaluate(invented, folder, out, "bm25", "sparse-exact")
    evaluate(invented, folder, out, "bm25", name="d")
    if what == "a folder":  # of last week: its results would be shown in place of the new ones
        shutil.copytree(out / "c", out / "z")
    elif what == "a result":
        for file in ("bm25.json", "bm25.run.gz"):
            shutil.copy(out / "c" / file, out / "d" / file.replace("bm25", "sparse-exact"))
    else:
        shutil.copy(out / "c" / "topics.json", out / "d" / "topics.json")
    with pytest.raises(DatasetError, match=r"json: holds bm25 on [cd], beside the queries of [cd]: a copy"):
        load_comparison([out], None, ())


def test_one_row_is_one_system(invented: Invented, folder: Path, tmp_path: Path):
    """The mean over collections of two systems of one name is nobody's."""
    evaluate(invented, folder, tmp_path / "out", "mine: bm25")
    evaluate(invented, folder, tmp_path / "out", "mine: bm25(k1=2.0)", name="d")
    told = r"mine is another system on c \(bm25\) than on d \(bm25\(k1=2\)\); evaluate both alike"
    with pytest.raises(DatasetError, match=told):
        load_comparison([tmp_path / "out"], None, ())
    evaluate(invented, folder, tmp_path / "out", "mine: bm25", name="d")
    assert len(load_comparison([tmp_path / "out"], None, ()).results) == 2


def test_one_row_is_of_one_encoder(invented: Invented, folder: Path, tmp_path: Path):
    class Other(invented.WordEncoder):
        def fingerprint(self) -> dict[str, str | int]:
            return {**super().fingerprint(), "hash": "other"}

    evaluate(invented, folder, tmp_path / "out", "sparse-exact")
    evaluate(invented, folder, tmp_path / "out", "sparse-exact", name="d", encoder=Other())
    with pytest.raises(DatasetError, match=r"sparse-exact is another encoder on [cd] .+ than on"):
        load_comparison([tmp_path / "out"], None, ())


def test_depths_that_differ_are_told(invented: Invented, folder: Path, tmp_path: Path, caplog):
    evaluate(invented, folder, tmp_path / "out", "bm25", k=10)
    evaluate(invented, folder, tmp_path / "out", "sparse-exact", k=20)
    load_comparison([tmp_path / "out"], None, ("R@5",))
    assert not caplog.text
    load_comparison([tmp_path / "out"], None, ("AP",))
    assert "c: hits per query differ (sparse-exact 20, bm25 10), and AP looks at all of them" in caplog.text


def test_two_folders_over_two_corpora_are_not_one_table(invented: Invented, folder: Path, tmp_path: Path):
    evaluate(invented, folder, tmp_path / "one", "bm25")
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "extra", "text": "bread"}\n')
    evaluate(invented, folder, tmp_path / "two", "sparse-exact")
    with pytest.raises(DatasetError, match="two: c is another corpus here than in an earlier argument"):
        load_comparison([tmp_path / "one", tmp_path / "two"], None, ())


def test_a_run_that_was_exchanged_is_refused_and_computed_again(
    invented: Invented, folder: Path, tmp_path: Path
):
    first = evaluate(invented, folder, tmp_path / "out", "bm25")
    run = tmp_path / "out" / "c" / "bm25.run.gz"
    run.write_bytes(gzip.compress(b"q1 Q0 owl 1 1 bm25\n"))
    with pytest.raises(DatasetError, match=r"bm25\.run\.gz: is not the run that was written with its result"):
        load_comparison([tmp_path / "out"], None, ())
    again = evaluate(invented, folder, tmp_path / "out", "bm25")
    assert again[0].effectiveness == first[0].effectiveness
    assert load_comparison([tmp_path / "out"], None, ()).results[0].effectiveness == first[0].effectiveness


def test_a_run_without_its_result_is_told(invented: Invented, folder: Path, tmp_path: Path, caplog):
    evaluate(invented, folder, tmp_path / "out", "bm25")
    (tmp_path / "out" / "c" / "bm25.json").unlink()
    assert not list(ResultFolder.open(tmp_path / "out").results())
    assert "bm25.run.gz: its result is not there any more, and is left out" in caplog.text


def test_a_run_without_its_queries_is_told(invented: Invented, folder: Path, tmp_path: Path, caplog):
    """Beside other collections it was left out without a word."""
    evaluate(invented, folder, tmp_path / "out", "bm25")
    evaluate(invented, folder, tmp_path / "out", "bm25", name="d")
    (tmp_path / "out" / "c" / "topics.json").unlink()
    assert load_comparison([tmp_path / "out"], None, ()).datasets == ["d"]
    assert "c/bm25.run.gz: its queries and judgments (topics.json) are not there any more" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": 3}, "3 is not a name"),
        ({"queries": ["q1"]}, "queries: a mapping by id is expected"),
        ({"queries": {"q1": 3}}, "query 'q1': 3 is not a text"),
        ({"qrels": {"q1": ["tea"]}}, "judgments: query 'q1': a mapping by id is expected"),
        (
            {"qrels": {"q1": {"tea": "1"}}},
            "judgments: query 'q1', document 'tea': grade '1' is not an integer",
        ),
    ],
)
def test_damaged_queries_and_judgments_are_one_line(
    invented: Invented, folder: Path, tmp_path: Path, change: dict[str, object], message: str
):
    evaluate(invented, folder, tmp_path / "out", "bm25")
    file = tmp_path / "out" / "c" / "topics.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(DatasetError, match=f"c/topics.json: {message}"):
        load_comparison([tmp_path / "out"], None, ())


def test_measures_of_earlier_releases_do_no_harm(invented: Invented, folder: Path, tmp_path: Path):
    """NumRet could be asked for once; a folder that names it is shown, with what is known here."""
    evaluate(invented, folder, tmp_path / "out", "bm25")
    file = tmp_path / "out" / "experiment.json"
    record = {**json.loads(file.read_text()), "measures": ["NumRet", "P@1", 3]}
    del record["digest"]
    file.write_text(json.dumps(record))
    assert load_comparison([tmp_path / "out"], None, ()).measures == ["P@1", "RR@10"]


def test_terms_of_another_result_are_left_out(invented: Invented, folder: Path, tmp_path: Path, caplog):
    evaluate(invented, folder, tmp_path / "out", "sparse-exact")
    assert load_comparison([tmp_path / "out"], None, ()).terms
    (tmp_path / "out" / "c" / "sparse-exact.terms.json").write_text("{}")
    with caplog.at_level(logging.WARNING):
        assert not load_comparison([tmp_path / "out"], None, ()).terms
    assert "is not the file that was written with its result" in caplog.text


def test_a_system_that_finds_nothing_is_stored_and_compared(invented: Invented, tmp_path: Path):
    folder = invented.write(tmp_path / "c", queries=dict.fromkeys(invented.queries, "zzz"))
    first = evaluate(invented, folder, tmp_path / "out", "bm25")
    assert first[0].n_without_hits == 6
    assert evaluate(invented, folder, tmp_path / "out", "bm25") == first
    (shown,) = load_comparison([tmp_path / "out"], None, ("P@1",)).results
    assert shown.effectiveness.mean == {"RR@10": 0.0, "P@1": 0.0}
    assert shown.run is not None
    assert list(shown.run) == list(first[0].run or ())


ODD = {"a b": "tea", "a%20b": "coffee", "a/b": "oven", "01": "bread", "1": "owl"}


def test_odd_ids_survive_a_result_folder(invented: Invented, tmp_path: Path):
    documents = {new: invented.documents[old] for new, old in ODD.items()}
    queries = {new: invented.documents[old][1] for new, old in ODD.items()}
    qrels = {query: {query: 1} for query in queries}
    folder = invented.write(tmp_path / "c", documents, queries, {"test": qrels})
    systems = ("bm25", "a b: sparse-exact", "a%20b: sparse-exact", "topics: bm25", "x.terms: bm25")
    first = evaluate(invented, folder, tmp_path / "out", *systems)
    assert [r.effectiveness.mean["RR@10"] for r in first] == [1.0] * 5
    assert evaluate(invented, folder, tmp_path / "out", *systems) == first  # nothing is computed again
    shown = load_comparison([tmp_path / "out"], None, ("P@1",))
    assert shown.systems == ["bm25", "a b", "a%20b", "topics", "x.terms"]
    assert set(means(shown, "P@1").values()) == {1.0}
    for result, before in zip(shown.results, first, strict=True):
        assert result.run is not None
        assert before.run is not None
        assert {q: result.run[q].ids for q in result.run} == {q: before.run[q].ids for q in before.run}
    assert "a%20b" in markdown_tables(shown)


@pytest.mark.parametrize("name", ["topics", "Topics", "x.terms", "X.TERMS", "", ".", "..", "a/b", "-"])
def test_no_name_takes_the_place_of_another_file(name: str):
    assert slug(name) not in ("topics", "Topics", "", ".", "..")
    assert not slug(name).casefold().endswith(".terms")
    assert "/" not in slug(name)


def test_every_result_says_what_it_was_made_with(invented: Invented, folder: Path, tmp_path: Path):
    evaluate(invented, folder, tmp_path / "out", "bm25")
    record = json.loads((tmp_path / "out" / "c" / "bm25.json").read_text())
    assert record["made"]["versions"]["numpy"]
    assert record["made"]["on"].startswith("20")


@pytest.mark.parametrize(
    "damage", ["[]", "{}", '{"key": 1}', '{"result": 7}', '{"result": {"system": "x"}}', "{"]
)
def test_a_damaged_result_is_one_line(invented: Invented, folder: Path, tmp_path: Path, damage: str):
    evaluate(invented, folder, tmp_path / "out", "bm25")
    (tmp_path / "out" / "c" / "bm25.json").write_text(damage)
    with pytest.raises(DatasetError, match=r"bm25\.json"):
        load_comparison([tmp_path / "out"], None, ())
    assert len(evaluate(invented, folder, tmp_path / "out", "bm25")) == 1


def test_a_result_whose_numbers_were_changed_is_refused_and_computed_again(
    invented: Invented, folder: Path, tmp_path: Path
):
    first = evaluate(invented, folder, tmp_path / "out", "bm25")
    file = tmp_path / "out" / "c" / "bm25.json"
    record = json.loads(file.read_text())
    record["result"]["effectiveness"]["mean"]["nDCG@10"] = 0.99
    file.write_text(json.dumps(record))
    with pytest.raises(DatasetError, match=r"bm25\.json: is not the result that was written; evaluate again"):
        load_comparison([tmp_path / "out"], None, ())
    again = evaluate(invented, folder, tmp_path / "out", "bm25")
    assert again[0].effectiveness == first[0].effectiveness
    del record["digest"]  # of an earlier release
    file.write_text(json.dumps(record))
    assert load_comparison([tmp_path / "out"], None, ()).results[0].effectiveness.mean["nDCG@10"] == 0.99


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("seed", v) for v in ("x", -1, 1.5, True)),
        *(("collections", v) for v in ([3], [{}], {"c": 1}, [{"name": [1]}])),
        *(("means", v) for v in ([1], {"a": 1}, {"a": []}, {"a": [3]})),
        *(("titles", [["bm25"]]), ("machine", []), ("versions", 3), ("baseline", 3), ("titles", "bm25")),
    ],
)
def test_a_configuration_that_was_changed_is_one_line(
    invented: Invented, folder: Path, tmp_path: Path, name: str, value: object
):
    out = tmp_path / "out"
    evaluate(invented, folder, out, "bm25")
    file = out / "experiment.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, name: value}))
    with pytest.raises(
        DatasetError, match=r"experiment\.json: is not the configuration that was written; eval"
    ):
        load_comparison([out], None, ())
    del record["digest"]  # of an earlier release
    file.write_text(json.dumps({**record, name: value}))
    with pytest.raises(DatasetError, match=rf"experiment\.json: {name} is .*; evaluate again"):
        load_comparison([out], None, ())
    del record[name]
    file.write_text(json.dumps(record))
    assert len(load_comparison([out], None, ()).results) == 1
    file.write_text(json.dumps({**record, name: value}))
    evaluate(invented, folder, out, "bm25")
    assert len(load_comparison([out], None, ()).results) == 1


OTHER_TYPES: list[tuple[tuple[str, ...], object]] = [
    *((("made",), v) for v in (None, 3, [1])),
    *((("result", "spec"), v) for v in (None, 1, ["bm25"])),
    *((("result", "dataset"), v) for v in (1, [])),
    *((("result", "k"), v) for v in (None, "100", 1.5, True)),
    *((("result", "n_documents"), v) for v in (None, "x", 1e308)),
    *((("result", "effectiveness", "mean"), v) for v in (None, [1], "x")),
    *((("result", "effectiveness", "mean", "RR@10"), v) for v in ("0.5", None, [0.5], True)),
    *((("result", "effectiveness", "per_query", "RR@10"), v) for v in ([], 1.0, {"q1": "1"})),
    *((("result", "effectiveness", "mean_answerable"), v) for v in (0, [[]])),
    *((("result", "sparsity"), v) for v in ("x", {}, {"terms_per_document": "9"})),
    *((("result", "cost"), v) for v in ("x", {"latency": 3}, {"encode_seconds": "1"})),
    (("result", "cost", "latency", "p50"), "fast"),
    *((("result", name), 3) for name in ("hashes", "notes", "recall_curve", "drop_own_id", "mode")),
]


def test_a_value_of_another_type_is_one_line_where_the_digest_is_gone(
    invented: Invented, folder: Path, tmp_path: Path
):
    first = evaluate(invented, folder, tmp_path / "out", "bm25")
    file = tmp_path / "out" / "c" / "bm25.json"
    whole = file.read_text()
    for place, value in OTHER_TYPES:
        record = json.loads(whole)
        del record["digest"]
        within = record
        for name in place[:-1]:
            within = within[name]
        within[place[-1]] = value
        file.write_text(json.dumps(record))
        with pytest.raises(DatasetError, match=rf"bm25\.json: .*\b{place[-1].split('@')[0]}\b"):
            load_comparison([tmp_path / "out"], None, ())
    again = evaluate(invented, folder, tmp_path / "out", "bm25")
    assert again[0].effectiveness == first[0].effectiveness
    assert len(load_comparison([tmp_path / "out"], None, ()).results) == 1


def test_times_of_another_machine_are_told(
    invented: Invented, folder: Path, tmp_path: Path, caplog, monkeypatch: pytest.MonkeyPatch
):
    """A folder that was begun on one machine and is filled on another."""
    out = tmp_path / "out"
    laptop = {"cpu": "A small one", "cores": 2, "system": "Linux 6"}
    monkeypatch.setattr("splade_engine.eval.run.store.machine", lambda: laptop)
    evaluate(invented, folder, out, "bm25")
    monkeypatch.setattr("splade_engine.eval.run.store.machine", lambda: {**laptop, "system": "Linux 7"})
    with caplog.at_level(logging.WARNING):
        evaluate(invented, folder, out, "bm25")
    assert not caplog.records, "the same one after an update"
    monkeypatch.setattr("splade_engine.eval.run.store.machine", lambda: {**laptop, "cpu": "B"})
    with caplog.at_level(logging.WARNING):
        evaluate(invented, folder, out, "bm25", "sparse-exact")
        load_comparison([out], None, ())
    assert [record.getMessage() for record in caplog.records] == [
        "bm25 on c: its times were measured on another machine (A small one, 2 cores, Linux 6)",
        "c: times were measured on different machines (bm25: A small one, 2 cores, Linux 6; "
        "sparse-exact: B, 2 cores, Linux 6)",
    ]
