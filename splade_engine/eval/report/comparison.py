"""What `compare` is given: result folders and TREC runs, as one set of results over the same queries."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from splade_engine.arguments import many, path_of, shown
from splade_engine.collections.dataset import DEV_SPLITS, Dataset
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.eval.measures.effectiveness import largest_cutoff, measure, parse_measures, understood
from splade_engine.eval.run.machine import described, same_machine
from splade_engine.eval.run.results import Result, count_without_relevant
from splade_engine.eval.run.runs import Run, read_run
from splade_engine.eval.run.store import ResultFolder
from splade_engine.eval.run.topics import Topics

logger = logging.getLogger(__name__)
_ENOUGH = 10  # queries whose depth says something of a run's

# of a result's hashes those of its collection, and what pages call them; the others are of models
OF_DATA: Mapping[str, str] = {
    "documents": "documents",
    "corpus": "corpus",
    "queries": "queries",
    "qrels": "judgments",
    "index": "index",
}


@dataclass(frozen=True)
class Comparison:
    """Results of several systems on several collections, with what a report needs beside them.

    Attributes:
        results: by collection, then by system, in the order in which they were given.
        topics: queries and judgments by collection.
        terms: by (collection, system) the terms behind a sparse system's scores.
        machines: by (collection, system) what it was measured on, where that is known.
        experiments: the configuration of each result folder.
        baseline: the system against which significance is tested; "" for none.
        seed: of the randomisation test.
        wanted: measures that were asked for, and are shown before the others.
    """

    results: list[Result]
    topics: dict[str, Topics]
    terms: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    machines: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    experiments: list[dict[str, Any]] = field(default_factory=list)
    baseline: str = ""
    seed: int = 42
    wanted: Sequence[str] = ()

    @property
    def systems(self) -> list[str]:
        """Names of the systems."""
        return list(dict.fromkeys(r.system for r in self.results))

    @property
    def datasets(self) -> list[str]:
        """Names of the collections."""
        return list(dict.fromkeys(r.dataset for r in self.results))

    @property
    def columns(self) -> list[str]:
        """Collections and groups of collections, as the columns of a table."""
        return list(dict.fromkeys(self.groups.get(dataset) or dataset for dataset in self.datasets))

    @property
    def published(self) -> list[str]:
        """The columns that may be what was published: a development split of it is not."""
        other = {
            r.dataset for r in self.results if r.split in DEV_SPLITS and r.split not in r.dataset.split()
        }
        return [column for column in self.columns if not {column, *self._members(column)} & other]

    def _members(self, column: str) -> list[str]:
        return [name for name, group in self.groups.items() if group == column]

    @property
    def sizes(self) -> dict[str, int]:
        """Documents of each collection, distractors included."""
        return {r.dataset: r.n_documents for r in self.results}

    @property
    def is_tested(self) -> bool:
        """Whether there is a baseline, and a system to compare with it."""
        return bool(self.baseline) and len(self.systems) > 1

    @property
    def groups(self) -> dict[str, str]:
        """The group of each collection that is in one."""
        return {name: topics.group for name, topics in self.topics.items() if topics.group}

    @property
    def means(self) -> dict[str, list[str]]:
        """Named means over some of the collections, as the suites of the result folders have them."""
        return {label: names for e in self.experiments for label, names in e.get("means", {}).items()}

    @property
    def measures(self) -> list[str]:
        """Names of the measures: those that every result has first, and of these what was asked for."""
        found = [name for r in self.results for name in r.effectiveness.mean]
        names = dict.fromkeys([name for name in self.wanted if name in found] + found)
        everywhere = [n for n in names if all(n in r.effectiveness.mean for r in self.results)]
        return everywhere + [n for n in names if n not in everywhere]


def load_comparison(
    paths: Sequence[str | Path],
    dataset: Dataset | None,
    measures: Sequence[str],
    baseline: str | None = None,
) -> Comparison:
    """Read result folders and run files.

    Args:
        paths: result folders, or TREC runs.
        dataset: what runs are judged by; a run file alone has no judgments.
        measures: of run files, spelled as for `parse_measures`; result folders bring their own, and are
            measured again if one is missing. They are shown first. If none are given, those of a folder's
            last command are.
        baseline: a system's name; None takes the first folder's own.

    Raises:
        DatasetError: naming the file that cannot be read.
        InvalidInputError: for a run of other queries, two systems of one name, or an unknown measure.
    """
    measures = parse_measures(measures) if measures else ()
    out = Comparison([], {}, wanted=measures)
    paths = many("paths", paths, "paths")
    for path in [path_of("path", path) for path in paths]:
        if path.is_dir():
            _add_folder(out, path, measures)
        else:
            _add_run(out, path, dataset, measures)
    if not out.results:
        raise InvalidInputError("nothing to compare: no results in " + ", ".join(map(str, paths)))
    if not measures:
        out = replace(out, wanted=understood(name for e in out.experiments for name in e["measures"]))
    _check_names(out, paths)
    _check_one_system(out)
    _tell_depths(out)
    _tell_machines(out)
    chosen = baseline if baseline is not None else next((e["baseline"] for e in out.experiments), "")
    if chosen and chosen not in out.systems:
        if baseline is not None:
            raise InvalidInputError(
                f"baseline {shown(baseline)} is not one of the systems ({', '.join(out.systems)})"
            )
        chosen = ""
    seed = next((int(e["seed"]) for e in out.experiments), 42)
    return replace(out, baseline=chosen, seed=seed)


def _add_folder(out: Comparison, path: Path, measures: Sequence[str]) -> None:
    folder = ResultFolder.open(path)
    record = folder.experiment()
    out.experiments.append({**record, "folder": str(path), "state": folder.state()})
    results = list(folder.comparable_results())
    names = [*record["measures"], *(name for r in results for name in r.effectiveness.mean)]
    found = dict.fromkeys(understood(names))
    for result in results:
        topics = folder.topics(result.dataset)
        _check_same_topics(out, topics, str(path))
        _check_same_corpus(out, result, str(path))
        _check_same_own_ids(out, result, str(path))
        # several commands may have asked for other measures, and for fewer hits
        wanted = measures or [name for name in found if largest_cutoff([name]) <= result.k]
        missing = [name for name in wanted if name not in result.effectiveness.mean]
        if missing and result.run is not None:
            _check_deep_enough(result, missing, str(path))
            more = measure(result.run, topics.qrels, missing)
            both = replace(
                result.effectiveness,
                mean=result.effectiveness.mean | more.mean,
                mean_answerable=result.effectiveness.mean_answerable | more.mean_answerable,
                per_query=result.effectiveness.per_query | more.per_query,
            )
            result = replace(result, effectiveness=both)
        out.results.append(result)
        machine = folder.made(result).get("machine")
        if isinstance(machine, Mapping):  # earlier releases did not note it
            out.machines[result.dataset, result.system] = machine
        terms = folder.terms(result.dataset, result.system)
        if terms is not None:
            out.terms[result.dataset, result.system] = terms


def _add_run(out: Comparison, path: Path, dataset: Dataset | None, measures: Sequence[str]) -> None:
    run = read_run(path)
    if dataset is None:
        raise InvalidInputError(
            f"{path}: a run has no judgments; give --dataset FOLDER (or an ir_datasets id)"
        )
    run = run.with_known_ids(_known_ids(dataset.qrels, dataset.queries))
    foreign = next((query for query in run if query not in dataset.queries), None)
    if foreign is not None and not any(query in dataset.qrels for query in run):
        raise DatasetError(
            f"{path}:1: query {foreign!r} is not in {dataset.name}, nor is any other query of the run"
        )
    replace(run, name=str(path)).tell_unjudged(dataset.qrels, dataset.name)
    own = [query for query in run if query in run[query].ids] if dataset.drop_own_id else []
    if own:
        run = run.without_own_ids()
    missing = sum(query not in run.rankings for query in dataset.qrels)
    if missing:  # a run that was cut off is no worse system
        logger.warning(
            "%s: has no hits for %d of %d judged queries, which count as zero",
            *(path, missing, len(dataset.qrels)),
        )
    name = path.name.removesuffix(".gz").removesuffix(".run").removesuffix(".txt")
    result = Result(
        system=name,
        spec=f"run {path.name} (tag {run.name})",
        dataset=dataset.name,
        split=dataset.test.name,
        n_documents=dataset.n_documents,
        n_queries=len(run),
        n_judged=len(dataset.qrels),
        n_own_ids_dropped=len(own),
        drop_own_id=dataset.drop_own_id,
        n_without_hits=missing,
        n_without_relevant=count_without_relevant(dataset.qrels),
        mode="as given",
        k=max(len(run[query]) for query in run),
        effectiveness=measure(Run(name, run.rankings), dataset.qrels, measures),
        run=Run(name, run.rankings),
    )
    _check_same_own_ids(out, result, str(path))
    _tell_cut(result, run, measures, path)
    out.results.append(result)
    qrels = {q: dict(judged) for q, judged in dataset.qrels.items()}
    topics = Topics(dataset.name, dataset.test.name, dict(dataset.queries), qrels)
    _check_same_topics(out, topics, str(path))


def _tell_cut(result: Result, run: Run, measures: Sequence[str], path: Path) -> None:
    """A run file does not say how deep it was searched; most queries of one that was cut end at one depth."""
    deep = next((name for name in measures if largest_cutoff([name]) > result.k), None)
    at_end = sum(len(run[query]) == result.k for query in run)
    if deep is not None and len(run) >= _ENOUGH and 2 * at_end > len(run) and result.k < result.n_documents:
        logger.warning(
            "%s: seems to be cut at %d hits per query, and %s looks at %d: it is too low beside deeper runs",
            *(path, result.k, deep, largest_cutoff([deep])),
        )


def _check_same_topics(out: Comparison, topics: Topics, place: str) -> None:
    known = out.topics.setdefault(topics.dataset, topics)
    if known.qrels != topics.qrels:
        raise DatasetError(f"{place}: {topics.dataset} has other judgments here than in an earlier argument")
    if any(known.queries.get(query, text) != text for query, text in topics.queries.items()):
        raise DatasetError(f"{place}: {topics.dataset} has other queries here than in an earlier argument")


def _check_same_corpus(out: Comparison, result: Result, place: str) -> None:
    corpora = {
        r.hashes["corpus"] for r in out.results if r.dataset == result.dataset and "corpus" in r.hashes
    }
    if corpora and "corpus" in result.hashes and result.hashes["corpus"] not in corpora:
        raise DatasetError(f"{place}: {result.dataset} is another corpus here than in an earlier argument")


def _check_same_own_ids(out: Comparison, result: Result, place: str) -> None:
    """Dropping the query's own document lifts every measure."""
    others = {r.drop_own_id: r.system for r in out.results if r.dataset == result.dataset}
    other = others.get(not result.drop_own_id) if result.drop_own_id is not None else None
    if other is not None:
        does = ("drops", "keeps") if result.drop_own_id else ("keeps", "drops")
        raise DatasetError(
            f"{place}: on {result.dataset} {result.system} {does[0]} hits with the query's own id, and "
            f"{other} {does[1]} them; evaluate both alike"
        )


def _check_one_system(out: Comparison) -> None:
    """A row of the table is one system: of the same options and models on every collection."""
    first: dict[str, Result] = {}
    for result in out.results:
        other = first.setdefault(result.system, result)
        models = {name: value for name, value in result.hashes.items() if name not in OF_DATA}
        names = [name for name, value in models.items() if other.hashes.get(name, value) != value]
        if result.spec != other.spec and result.mode != "as given":
            names.insert(0, "system")
            models["system"] = result.spec
        if names:
            was = other.spec if names[0] == "system" else other.hashes[names[0]]
            raise DatasetError(
                f"{result.system} is another {names[0]} on {result.dataset} ({models[names[0]]}) than on "
                f"{other.dataset} ({was}); evaluate both alike, or name them apart with -s 'name: system'"
            )


def _tell_depths(out: Comparison) -> None:
    """A measure without a cutoff looks at every hit: a shallow run is at a disadvantage."""
    names = [name for name in out.measures if not largest_cutoff([name])]
    for dataset in out.datasets if names else ():
        depths = {r.system: r.k for r in out.results if r.dataset == dataset and r.mode != "as given"}
        if len(set(depths.values())) > 1:
            told = ", ".join(f"{system} {k:,}" for system, k in depths.items())
            logger.warning(
                "%s: hits per query differ (%.200s), and %s looks at all of them", dataset, told, names[0]
            )


def _tell_machines(out: Comparison) -> None:
    """Times of two machines say nothing of two systems."""
    for dataset in out.datasets:
        on = {system: machine for (name, system), machine in out.machines.items() if name == dataset}
        first = next(iter(on.values()), {})
        if not all(same_machine(first, other) for other in on.values()):
            told = "; ".join(f"{system}: {described(machine)}" for system, machine in on.items())
            logger.warning("%s: times were measured on different machines (%.300s)", dataset, told)


def _check_deep_enough(result: Result, measures: Sequence[str], place: str) -> None:
    """A run that was cut at ten hits says nothing of the hundredth."""
    for name in measures:
        cutoff = largest_cutoff([name])
        if cutoff > result.k:
            raise DatasetError(
                f"{place}: {result.system} was evaluated on {result.dataset} with k = {result.k}, and {name} "
                f"looks at {cutoff} hits; evaluate it again with a larger k"
            )


def _known_ids(qrels: Mapping[str, Mapping[str, int]], queries: Mapping[str, str]) -> list[str]:
    return [*queries, *(doc_id for judged in qrels.values() for doc_id in judged)]


def _check_names(out: Comparison, paths: Sequence[str | Path]) -> None:
    seen: set[tuple[str, str]] = set()
    for result in out.results:
        place = (result.dataset, result.system)
        if place in seen:
            raise InvalidInputError(
                f"{result.system!r} on {result.dataset} is given twice (in {', '.join(map(str, paths))}); "
                "rename a run file, or evaluate with '-s \"name: system\"'"
            )
        seen.add(place)
