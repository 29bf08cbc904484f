"""`splade-engine eval`: score systems on test collections."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_engine.cli import options, output
from splade_engine.cli.numbers import real, whole
from splade_engine.cli.targets import check_files, check_like

if TYPE_CHECKING:
    from splade_engine.eval.run.experiment import Experiment, Outcome
    from splade_engine.eval.run.results import Result
    from splade_engine.eval.run.store import ResultFolder
    from splade_engine.eval.systems.bench import Settings

SKIPPED = 1  # exit code when something of a suite had to be skipped


def run(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="BEIR folders, folders of such folders, ir_datasets ids, suite names or suite TOML files.",
            show_default=False,
        ),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system", "-s", help="A system, such as 'bm25' or 'rrf(bm25, sparse-exact)'; may be repeated."
        ),
    ] = None,
    encoder: options.Encoder = None,
    dense_model: Annotated[
        str | None, typer.Option(help="sentence-transformers folder or hub id for 'dense' systems.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Search our index exactly.")] = False,
    accuracy: Annotated[
        float | None,
        real(help="Search approximately, tuned to this recall at the k searched."),
    ] = None,
    measures: Annotated[
        str | None, typer.Option("--measures", "-m", help="ir_measures names, such as 'nDCG@10 RR@10 R@100'.")
    ] = None,
    k: Annotated[
        int | None,
        whole("-k", help="Hits per query (default 100, or the largest cutoff)."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which qrels of a folder (default: test).")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the local collections of a suite.")] = None,
    distractors: Annotated[
        list[str] | None,
        typer.Option(
            help="A corpus file whose documents are added to every collection; COLLECTION=FILE: to one; may "
            "be repeated.",
            show_default=False,
        ),
    ] = None,
    n_distractors: Annotated[
        int | None,
        whole(help="How many of them (default: all, or what the suite says)."),
    ] = None,
    drop_own_id: Annotated[
        bool | None,
        typer.Option(
            "--drop-own-id/--keep-own-id",
            help="Whether a hit with the query's own id is dropped (default: as the collection says).",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="Test significance against this system.")] = None,
    run_file: Annotated[
        Path | None,
        typer.Option("--run", help="Write the first system's TREC run here (one collection only)."),
    ] = None,
    output_folder: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Result folder; what it holds is not computed again."),
    ] = None,
    again: Annotated[
        Path | None, typer.Option("--from", help="Repeat a result folder and say whether the numbers agree.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for encodings (default: ~/.cache/splade-engine/eval).")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no encodings.")] = False,
    max_length: options.MaxLength = None,
    threads: options.Threads = None,
    seed: Annotated[int, whole(least=0, help="Of samples and randomisation tests.")] = 42,
    json_output: options.Json = False,
) -> None:
    """Encode, index, search and measure: effectiveness, sparsity and cost of several systems in one table.

    A collection is a folder with corpus.jsonl, queries.jsonl and qrels/test.tsv. Without --system our
    engine is compared with BM25. Effectiveness is measured as trec_eval does.

    \b
    Examples:
      splade-engine eval data/scifact
      splade-engine eval beir/scifact/test --exact --run scifact.trec
    """
    from dataclasses import replace

    from splade_engine.cli.log import shows_progress
    from splade_engine.errors import InvalidInputError
    from splade_engine.eval.systems.bench import Settings

    settings = Settings(
        encoder=encoder,
        dense_model=dense_model,
        cache=None if no_cache else cache or _default_cache(),
        max_length=max_length,
        threads=threads,
        seed=seed,
        progress=shows_progress(),
    )
    if again is not None:
        if sources:
            raise InvalidInputError("--from repeats a result folder: name no other collection")
        _repeat(again, settings, json_output)
        return
    if not sources:
        raise InvalidInputError(
            "name a collection: a BEIR folder, an ir_datasets id or a suite (beir-13, classic)"
        )
    check_files([run_file], [*sources, data, *(distractors or [])], reports=True)
    check_like(run_file, "TREC run")
    if run_file is not None and output_folder is not None:
        folder = output_folder.resolve()
        if run_file.resolve() in (folder, *folder.parents):
            raise InvalidInputError(
                f"{run_file}: --run writes a file, and --output needs a folder of that name"
            )
    experiment = _experiment(sources, system, exact, accuracy, measures, k, split, baseline, settings)
    experiment = _with_files(experiment, data, distractors or [], n_distractors)
    if drop_own_id is not None:
        experiment = replace(experiment, suite=experiment.suite.with_own_ids(drop=drop_own_id))
    _run(experiment, output_folder, run_file, json_output)


def _experiment(
    sources: list[str],
    systems: list[str] | None,
    exact: bool,
    accuracy: float | None,
    measures: str | None,
    k: int | None,
    split: str | None,
    baseline: str | None,
    settings: Settings,
) -> Experiment:
    from dataclasses import replace
    from functools import reduce

    from splade_engine.errors import InvalidInputError
    from splade_engine.eval.measures.effectiveness import parse_measures
    from splade_engine.eval.run.experiment import Experiment
    from splade_engine.eval.run.suite import DEFAULT_SYSTEMS, load_suite

    if exact and accuracy is not None:
        raise InvalidInputError("--exact and --accuracy exclude each other")
    suite = reduce(lambda a, b: a.joined(b), (load_suite(source, split) for source in sources))
    ours = "sparse-exact" if exact else f"sparse(accuracy={accuracy})" if accuracy is not None else "sparse"
    wanted = tuple(systems or suite.systems or DEFAULT_SYSTEMS)
    if exact or accuracy is not None:
        wanted = tuple(ours if name == "sparse" else name for name in wanted)
    suite = replace(suite, systems=wanted, baseline=baseline if baseline is not None else suite.baseline)
    if systems and baseline is None and suite.baseline not in wanted:
        suite = replace(suite, baseline="")
    if measures is not None:
        suite = replace(suite, measures=parse_measures(measures))
    return Experiment(replace(suite, k=k if k is not None else suite.k), settings)


def _with_files(
    experiment: Experiment, data: Path | None, distractors: list[str], n_distractors: int | None
) -> Experiment:
    from dataclasses import replace

    from splade_engine.errors import InvalidInputError

    if data is not None and not data.is_dir():
        raise InvalidInputError(f"--data {data}: no such folder")
    suite = experiment.suite
    names = [c.name for c in suite.collections]
    for text in distractors:
        name, equals, rest = text.rpartition("=")
        collection = name if equals and name in names else ""
        file = Path(rest if collection else text)
        if not file.is_file():
            raise InvalidInputError(
                f"--distractors {text}: no file {file} (FILE, or COLLECTION=FILE with one of "
                f"{', '.join(names)})"
            )
        suite = suite.with_distractors(file, collection)
    if n_distractors is not None:
        if not any(c.distractors for c in suite.collections):
            raise InvalidInputError("--n-distractors needs --distractors FILE, or a suite that names some")
        suite = suite.with_n_distractors(n_distractors)
    return replace(experiment, data=data, suite=suite)


def _run(experiment: Experiment, target: Path | None, run_file: Path | None, json_output: bool) -> None:
    from splade_engine.errors import InvalidInputError
    from splade_engine.eval.measures.effectiveness import check_computable
    from splade_engine.eval.run.experiment import run_experiment
    from splade_engine.eval.run.runs import write_run
    from splade_engine.eval.run.store import ResultFolder

    if run_file is not None and len(experiment.suite.collections) != 1:
        raise InvalidInputError("--run FILE is for a single collection; --output FOLDER keeps every run")
    experiment.systems()
    check_computable(experiment.suite.measures)
    folder = ResultFolder.create(target) if target is not None else None
    outcome = run_experiment(experiment, folder, None if json_output else _show)
    if run_file is not None and outcome.results:
        first = outcome.results[0].run
        assert first is not None  # a fresh result and one read from a folder both carry their run
        write_run(first, run_file)
    if json_output:
        _print_json(outcome)
    else:
        _summary(experiment, outcome, folder)
    if outcome.skipped:
        raise typer.Exit(SKIPPED)


def _show(results: list[Result]) -> None:
    from splade_engine.eval.report.written import printed

    output.write_block(printed(results))
    for result in results:
        for note in result.notes:
            output.write(f"  {result.system}: {note}")


def _summary(experiment: Experiment, outcome: Outcome, folder: ResultFolder | None) -> None:
    from splade_engine.eval.report.written import summary

    groups = {c.name: c.group for c in experiment.suite.collections if c.group}
    suite = experiment.suite
    text = summary(outcome.results, suite.baseline, experiment.settings.seed, groups, suite.means)
    if text:
        output.write_block(text)
    for name, reason in outcome.skipped.items():
        output.note(f"{name}: {reason}")
    if folder is not None:
        output.note(
            f"results are in {folder.path}; next: splade-engine compare {output.argument(folder.path)}"
        )


def _print_json(outcome: Outcome) -> None:
    output.write_json({"results": [r.to_dict() for r in outcome.results], "skipped": outcome.skipped})


def _default_cache() -> Path | None:
    """Where encoded texts are kept; nowhere where no home folder is known."""
    from splade_engine.errors import StorageError
    from splade_engine.eval.run.workbench import default_cache

    try:
        return default_cache()
    except StorageError as error:
        output.note(f"encoded texts are not kept: {error.strerror}")
        return None


def _repeat(folder: Path, settings: Settings, json_output: bool) -> None:
    from splade_engine.eval.run.repeat import repeat

    report = repeat(folder, settings)
    if json_output:
        output.write_json({"agrees": report.agrees, "lines": report.lines})
    else:
        for line in report.lines:
            output.write(line)
    if not report.agrees:
        raise typer.Exit(1)
