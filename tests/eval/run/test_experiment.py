from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Invented
from typing import Any

import pytest

from splade_engine.errors import DatasetError, InvalidInputError, SpladeEngineError
from splade_engine.eval.run.experiment import Experiment, run_experiment
from splade_engine.eval.run.repeat import repeat
from splade_engine.eval.run.runs import read_run
from splade_engine.eval.run.store import ResultFolder, slug
from splade_engine.eval.run.suite import Collection, Suite
from splade_engine.eval.systems.bench import Settings


@pytest.fixture
def experiment(invented: Invented, tmp_path: Path) -> Experiment:
    folders = [invented.write(tmp_path / name) for name in ("one", "two")]
    suite = Suite(
        "mine",
        tuple(Collection(f.name, str(f)) for f in folders),
        ("sparse", "bm25", "rrf(bm25, sparse)"),
        ("nDCG@10", "R@100"),
        "bm25",
    )
    settings = Settings(encoder=invented.WordEncoder(), cache=tmp_path / "cache")
    return Experiment(suite, settings, command=("splade-engine", "eval", "mine.toml"))


def test_a_result_folder_holds_everything(experiment: Experiment, tmp_path: Path):
    folder = ResultFolder.create(tmp_path / "out")
    outcome = run_experiment(experiment, folder)
    assert len(outcome.results) == 6
    assert outcome.skipped == {}
    assert folder.state() == {"one": "done", "two": "done"}
    record = folder.experiment()
    assert record["command"] == "splade-engine eval mine.toml"
    assert record["seed"] == 42
    assert {"python", "numpy", "splade-engine"} <= set(record["versions"])
    stored = list(folder.results())
    assert [(r.dataset, r.system) for r in stored] == [(r.dataset, r.system) for r in outcome.results]
    assert stored == outcome.results
    assert {"documents", "corpus", "queries", "qrels", "encoder"} <= set(stored[0].hashes)
    assert stored[0].run is not None
    assert outcome.results[0].run is not None
    for query in outcome.results[0].run:
        if len(outcome.results[0].run[query]):
            assert stored[0].run[query].ids == outcome.results[0].run[query].ids
    topics = folder.topics("one")
    assert topics.queries["q4"] == "baked bread"
    terms = folder.terms("one", "sparse")
    assert terms is not None
    assert terms["q4"]["relevant"]["rank"] == 1
    assert len(terms["q4"]["relevant"]["terms"]) == 2
    assert folder.terms("one", "bm25") is None


def test_what_is_done_is_not_done_again(experiment: Experiment, tmp_path: Path, monkeypatch: Any):
    folder = ResultFolder.create(tmp_path / "out")
    first = run_experiment(experiment, folder)
    from splade_engine.eval.run import experiment as module

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("evaluated again")

    monkeypatch.setattr(module, "evaluate", fail)
    again = run_experiment(experiment, folder)
    assert again.results == first.results
    more = replace(experiment, suite=replace(experiment.suite, measures=("nDCG@10", "AP", "P@1")))
    measured = run_experiment(more, folder)  # other measures come from the stored runs
    assert set(measured.results[0].effectiveness.mean) == {"nDCG@10", "AP", "P@1"}


def test_an_interruption_costs_what_was_under_way(
    experiment: Experiment, invented: Invented, tmp_path: Path, monkeypatch: Any
):
    folder = ResultFolder.create(tmp_path / "out")
    from splade_engine.eval.run import experiment as module

    real, calls = module.evaluate, []

    def interrupted(system: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(system.title)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(system, *args, **kwargs)

    monkeypatch.setattr(module, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, folder)
    assert folder.state()["one"] == "done"
    assert folder.state()["two"] == "running"
    encoded = experiment.settings.encoder.encoded
    outcome = run_experiment(experiment, folder)
    assert len(outcome.results) == 6
    assert calls[5:] == ["bm25", "rrf(bm25, sparse)"]
    assert experiment.settings.encoder.encoded == encoded  # the vectors of `two` were finished


def test_a_changed_corpus_or_encoder_is_evaluated_again(
    experiment: Experiment, invented: Invented, tmp_path: Path
):
    folder = ResultFolder.create(tmp_path / "out")
    before = run_experiment(experiment, folder).results
    with (tmp_path / "one" / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "extra", "text": "bread baked bread"}\n')
    after = run_experiment(experiment, folder).results
    assert after[0].n_documents == 9
    assert after[3:] == before[3:]
    heavier = replace(experiment.settings, encoder=invented.WordEncoder("heavier", 2.0), models={})
    third = run_experiment(replace(experiment, settings=heavier), folder).results
    assert third[0].hashes["encoder"] != after[0].hashes["encoder"]
    assert third[1] == after[1]  # BM25 does not depend on it


def test_a_dataset_that_cannot_be_had_is_skipped(experiment: Experiment, tmp_path: Path):
    missing = Collection("gone", str(tmp_path / "gone"))
    suite = replace(experiment.suite, collections=(missing, *experiment.suite.collections))
    folder = ResultFolder.create(tmp_path / "out")
    outcome = run_experiment(replace(experiment, suite=suite), folder)
    assert len(outcome.results) == 6
    assert list(outcome.skipped) == ["gone"]
    assert "unknown dataset" in outcome.skipped["gone"]
    assert folder.state()["gone"].startswith("skipped: unknown dataset")
    with pytest.raises(DatasetError, match="unknown dataset"):
        run_experiment(replace(experiment, suite=replace(suite, collections=(missing,))))


def test_distractors_are_shared_and_skipped_where_missing(experiment: Experiment, tmp_path: Path):
    """Two collections with the same distractors encode them once; a third, whose file is gone, is skipped."""
    lines = [json.dumps({"id": str(i), "text": f"more {i}"}) for i in range(20)]
    (tmp_path / "more.jsonl").write_text("\n".join(lines))
    one, two = experiment.suite.collections
    extra = [replace(c, distractors="more.jsonl", n_distractors=10) for c in (one, two)]
    gone = replace(one, name="gone", distractors="none.jsonl")
    suite = replace(
        experiment.suite, collections=(*extra, gone), systems=("sparse-exact", "bm25"), means={"m": ("one",)}
    )
    folder = ResultFolder.create(tmp_path / "out")
    wanted = replace(experiment, suite=suite, data=tmp_path)
    outcome = run_experiment(wanted, folder)
    assert [(r.n_documents, r.n_distractors) for r in outcome.results] == [(18, 10)] * 4
    assert experiment.settings.encoder.encoded == (8 + 1) + (
        10 + 1
    )  # both collections hold the same documents
    assert list(outcome.skipped) == ["gone"]
    assert "its distractors are missing: no file none.jsonl" in outcome.skipped["gone"]
    again = Experiment.from_record(folder.experiment(), Settings())
    assert again.suite.collections == wanted.suite.collections
    assert {label: tuple(names) for label, names in again.suite.means.items()} == {"m": ("one",)}


def test_a_finished_suite_makes_nothing_anew(experiment: Experiment, tmp_path: Path, monkeypatch: Any):
    """Resumed, it reads: no index is built, no text encoded, no document tokenised, nothing searched."""
    (tmp_path / "more.jsonl").write_text('{"id": "1", "text": "more"}')
    suite = experiment.suite.with_distractors(tmp_path / "more.jsonl")
    suite = replace(suite, systems=("sparse-exact", "bm25", "rrf(bm25, sparse-exact)"))
    experiment = replace(experiment, suite=suite)
    folder = ResultFolder.create(tmp_path / "out")
    first = run_experiment(experiment, folder)
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").glob("*/*")}
    experiment.settings.models.clear()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("made anew")

    monkeypatch.setattr("splade_engine.eval.run.workbench.Workbench.resource", fail)
    monkeypatch.setattr("splade_engine.eval.run.workbench.Workbench.answer", fail)
    monkeypatch.setattr("splade_engine.eval.systems.bm25.StemmedCorpus.__init__", fail)
    encoded = experiment.settings.encoder.encoded
    again = run_experiment(experiment, folder)
    assert again.results == first.results
    assert experiment.settings.encoder.encoded == encoded
    assert {file: file.stat().st_mtime_ns for file in written} == written


def test_a_system_that_cannot_run_is_skipped(experiment: Experiment, tmp_path: Path):
    suite = replace(experiment.suite, systems=("bm25", f"sparse(encoder={tmp_path}/none)"), baseline="")
    outcome = run_experiment(replace(experiment, suite=suite))
    assert [r.system for r in outcome.results] == ["bm25", "bm25"]
    assert len(outcome.skipped) == 2


def test_a_system_that_cannot_run_is_told_before_the_first_collection(
    experiment: Experiment, tmp_path: Path, monkeypatch: Any, caplog: Any
):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "load", stop)
    missing = f"sparse(encoder={tmp_path}/none)"
    with pytest.raises(KeyboardInterrupt):
        suite = replace(experiment.suite, systems=("bm25", missing), baseline="")
        run_experiment(replace(experiment, suite=suite))
    assert f"{missing} will be skipped: {tmp_path}/none" in caplog.text
    with pytest.raises(SpladeEngineError, match="none"):
        run_experiment(replace(experiment, suite=replace(experiment.suite, systems=(missing,), baseline="")))


def test_a_collection_that_is_damaged_is_told_before_the_first_is_searched(
    experiment: Experiment, tmp_path: Path, monkeypatch: Any, caplog: Any
):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "load", stop)
    with (tmp_path / "two" / "qrels" / "test.tsv").open("a") as file:
        file.write("q1\ttea\thigh\n")
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment)
    assert "two will be skipped:" in caplog.text and "grade 'high' is not an integer" in caplog.text
    assert "one will be skipped" not in caplog.text


def test_grades_beyond_a_measure_are_told_before_the_first_collection_is_searched(
    experiment: Experiment, tmp_path: Path, monkeypatch: Any, caplog: Any
):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "load", stop)
    (tmp_path / "two" / "qrels" / "test.tsv").write_text("q1\ttea\t5\n")
    suite = replace(experiment.suite, measures=("ERR@10",))
    with pytest.raises(KeyboardInterrupt):
        run_experiment(replace(experiment, suite=suite))
    assert "two will be skipped: measure ERR@10: is computed by gdeval" in caplog.text


def test_systems_and_baseline_are_checked_first(experiment: Experiment):
    suite = experiment.suite
    with pytest.raises(InvalidInputError, match="two systems are named 'x'"):
        run_experiment(
            replace(experiment, suite=replace(suite, systems=("x: bm25", "x: sparse"), baseline=""))
        )
    with pytest.raises(InvalidInputError, match="baseline 'dense' is not one of"):
        run_experiment(replace(experiment, suite=replace(suite, baseline="dense")))


def test_a_folder_of_something_else_is_not_written_to(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match=r"holds other files and no experiment\.json"):
        ResultFolder.create(tmp_path)
    with pytest.raises(InvalidInputError, match="is a file"):
        ResultFolder.create(tmp_path / "notes.txt")
    with pytest.raises(DatasetError, match=r"experiment\.json: no such file"):
        ResultFolder.open(tmp_path)


def test_the_record_of_an_experiment_is_read_back(experiment: Experiment):
    record = json.loads(json.dumps(experiment.record()))
    again = Experiment.from_record(record, Settings(progress=True))
    assert again.suite == replace(experiment.suite, means={})
    assert again.settings.seed == experiment.settings.seed
    assert again.settings.encoder == str(experiment.settings.encoder)
    assert again.settings.progress
    for name in ("suite", "collections", "k", "seed", "data"):
        with pytest.raises(DatasetError, match=f"not the record of an experiment .KeyError: '{name}'"):
            Experiment.from_record({k: v for k, v in record.items() if k != name}, Settings())
    with pytest.raises(DatasetError, match="not the record of an experiment"):
        Experiment.from_record({**record, "collections": [{"name": "x", "other": 1}]}, Settings())


def test_repeating_says_whether_the_numbers_agree(experiment: Experiment, invented: Invented, tmp_path: Path):
    folder = ResultFolder.create(tmp_path / "out")
    run_experiment(
        replace(experiment, suite=replace(experiment.suite, systems=("bm25",), baseline="")), folder
    )
    assert repeat(tmp_path / "out", Settings()).lines[-1] == "all numbers agree"
    with (tmp_path / "two" / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "extra", "text": "bread baked bread baked"}\n')
    report = repeat(tmp_path / "out", Settings())
    assert not report.agrees
    assert any(line.startswith("one / bm25: agrees") for line in report.lines)
    changed = next(line for line in report.lines if line.startswith("two / bm25"))
    assert "corpus was" in changed
    assert "documents was 8, now 9" in changed
    (tmp_path / "one" / "collection.toml").write_text("drop_own_id = true")
    report = repeat(tmp_path / "out", Settings())
    assert report.lines[-3] == "one / bm25: own ids were kept, now dropped"


def test_what_several_commands_have_evaluated_is_repeated_as_each_of_them_did(
    experiment: Experiment, invented: Invented, tmp_path: Path
):
    """experiment.json tells of the last one alone, whose settings are not those of the others."""
    folder = ResultFolder.create(tmp_path / "out")
    suite = replace(experiment.suite, baseline="")
    lengths = []

    class Cut(invented.WordEncoder):
        def __init__(self, length: int | None) -> None:
            super().__init__()
            lengths.append(length)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "splade_engine.eval.systems.sparse_collection.load_encoder", lambda source, length: Cut(length)
        )
        for systems, settings, k in (
            (("bm25",), Settings(), 100),
            (("short: sparse-exact",), Settings(max_length=8), 100),
            (("rrf(bm25, sparse-exact)",), Settings(), 110),
        ):
            run_experiment(Experiment(replace(suite, systems=systems, k=k), settings), folder)
        assert lengths == [8, None]
        report = repeat(tmp_path / "out", Settings())
        assert sorted(lengths[2:], key=str) == [8, None]
    assert report.agrees, report.lines
    assert [line for line in report.lines if line.endswith(": agrees")] == [
        f"{name} / {system}: agrees"
        for name in ("one", "two")
        for system in ("rrf(bm25, sparse-exact)", "bm25", "short")
    ]


def test_a_folder_of_an_earlier_release_repeats_its_last_command(experiment: Experiment, tmp_path: Path):
    folder = ResultFolder.create(tmp_path / "out")
    for system in ("bm25", "bm25(k1=2)"):
        run_experiment(
            replace(experiment, suite=replace(experiment.suite, systems=(system,), baseline="")), folder
        )
    for file in tmp_path.glob("out/*/bm25*.json"):
        record = json.loads(file.read_text())
        del record["made"]["settings"], record["digest"]
        file.write_text(json.dumps(record))
    report = repeat(tmp_path / "out", Settings())
    assert not report.agrees
    assert "one / bm25(k1=2): agrees" in report.lines or "one / bm25(k1=2.0): agrees" in report.lines
    assert "one / bm25: not found again (not in the last command)" in report.lines


def test_models_are_noted_so_that_they_are_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "m").mkdir()
    monkeypatch.chdir(tmp_path)
    record = Settings(encoder="m", dense_model="owner/name").record()
    assert (record["encoder"], record["dense_model"]) == (str(tmp_path.resolve() / "m"), "owner/name")
    assert Settings(encoder=None).record()["encoder"] is None


def test_stored_runs_are_trec_runs(experiment: Experiment, tmp_path: Path):
    run_experiment(experiment, ResultFolder.create(tmp_path / "out"))
    run = read_run(tmp_path / "out" / "one" / "bm25.run.gz")
    assert run["q4"].ids[0] in ("bread", "oven")


def test_a_damaged_result_is_computed_again(experiment: Experiment, tmp_path: Path):
    folder = ResultFolder.create(tmp_path / "out")
    first = run_experiment(experiment, folder).results
    file = tmp_path / "out" / "one" / "bm25.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(DatasetError, match=r"bm25\.json: not JSON"):
        list(folder.results())
    assert run_experiment(experiment, folder).results[1].effectiveness == first[1].effectiveness
    assert json.loads(file.read_text())["result"]["system"] == "bm25"


def test_slugs_are_file_names_and_stay_apart():
    names = ["bm25", "rrf(bm25, sparse)", "rrf(bm25; sparse)", "a/b", "a\\b", "x" * 300, "..", "k1=2"]
    slugs = [slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all("/" not in s and "\\" not in s and len(s) < 100 and not s.startswith(".") for s in slugs)
    assert slugs[0] == "bm25"
    assert slugs[-1] == "k1=2"
