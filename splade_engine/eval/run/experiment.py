"""An experiment: several systems on several collections, unattended and resumable."""

from __future__ import annotations

import dataclasses
import logging
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from splade_engine.arguments import first_twice
from splade_engine.collections.dataset import Dataset
from splade_engine.collections.distractors import distractor_corpus, with_distractors
from splade_engine.errors import DatasetError, InvalidInputError, SpladeEngineError
from splade_engine.eval.measures.effectiveness import check_computable, check_grades, measure
from splade_engine.eval.run.explain import explanations
from splade_engine.eval.run.machine import machine, versions
from splade_engine.eval.run.results import Result
from splade_engine.eval.run.runner import evaluate, needed_depth
from splade_engine.eval.run.store import ResultFolder
from splade_engine.eval.run.suite import Collection, Suite
from splade_engine.eval.run.workbench import Workbench
from splade_engine.eval.systems.base import System, parse_system
from splade_engine.eval.systems.bench import Settings
from splade_engine.files import digest_of_json

logger = logging.getLogger(__name__)
DONE = "done"


@dataclass(frozen=True)
class Experiment:
    """What to run.

    Attributes:
        suite: collections, systems, measures.
        data: folder that holds local collections of the suite.
        command: how it was started, for the record.
    """

    suite: Suite
    settings: Settings = field(default_factory=Settings)
    data: Path | None = None
    command: tuple[str, ...] = ()

    def systems(self) -> list[System]:
        """The systems, checked, each once.

        Raises:
            InvalidInputError: for one that is not understood, or two with one name.
        """
        systems = list({s.spec + s.title: s for s in map(parse_system, self.suite.systems)}.values())
        titles = [s.title for s in systems]
        twice = first_twice(titles)
        if twice is not None:
            raise InvalidInputError(f"two systems are named {twice!r}")
        if self.suite.baseline and self.suite.baseline not in titles:
            raise InvalidInputError(f"baseline {self.suite.baseline!r} is not one of {', '.join(titles)}")
        return systems

    def read(self, collection: Collection) -> Dataset:
        """One collection as it is, with judgments that all measures can be computed of."""
        dataset = collection.load(self.data)
        check_grades(self.suite.measures, dataset.qrels)
        return dataset

    def load(self, collection: Collection) -> Dataset:
        """One collection, with distractors if there are any; those are read once for all collections."""
        file, limit = collection.distractor_file(self.data), collection.n_distractors
        dataset = self.read(collection)
        dataset.check_documents_join()
        if file is None:
            return dataset
        key = ("distractors", file.resolve(), limit)
        return with_distractors(dataset, self.settings.model(key, lambda: distractor_corpus(file, limit)))

    def record(self) -> dict[str, Any]:
        """The configuration as result folders keep it."""
        return {
            **self.suite.record(),
            **self.settings.record(),
            "titles": [system.title for system in self.systems()],
            "data": None if self.data is None else str(self.data.resolve()),
            "command": shlex.join(self.command or sys.argv),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "machine": machine(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], settings: Settings) -> Experiment:
        """The experiment that a result folder describes.

        Args:
            record: what `record` returned.
            settings: whatever a result folder does not keep (cache, progress).

        Raises:
            DatasetError: if the record lacks something.
        """
        try:
            data = record["data"]
            suite = Suite.from_record(record)
            return cls(suite, settings.as_recorded(record), None if data is None else Path(data))
        except (KeyError, TypeError) as error:
            raise DatasetError(f"not the record of an experiment ({type(error).__name__}: {error})") from None


@dataclass(frozen=True)
class Outcome:
    """What came of an experiment: results, and reasons for what was skipped."""

    results: list[Result]
    skipped: dict[str, str]


def run_experiment(
    experiment: Experiment,
    folder: ResultFolder | None = None,
    on_collection: Callable[[list[Result]], None] | None = None,
) -> Outcome:
    """Run every system on every collection; results that `folder` holds already are not computed again.

    A collection that cannot be fetched or read is skipped with its reason. Where there is only one
    collection, the error is raised instead.

    Raises:
        InvalidInputError: for the configuration, or the only collection.
    """
    systems = experiment.systems()
    depth = needed_depth(experiment.suite.measures, experiment.suite.k)
    check_computable(experiment.suite.measures)
    _tell_unusable(systems, experiment.settings)
    _tell_unreadable(experiment)
    if folder is not None:
        folder.write_experiment(experiment.record())
    results: list[Result] = []
    state: dict[str, str] = {}
    only = len(experiment.suite.collections) == 1
    for collection in experiment.suite.collections:
        state[collection.name] = "running"
        _write_state(folder, state)
        try:
            dataset = experiment.load(collection)
            found = _collection(experiment, dataset, collection, systems, depth, folder, state, only)
            results += found
            if found and on_collection is not None:
                on_collection(found)
            state[collection.name] = DONE
        except SpladeEngineError as error:
            if only:
                raise
            logger.warning("%s is skipped: %s", collection.name, error)
            state[collection.name] = f"skipped: {error}"
        _write_state(folder, state)
    return Outcome(results, {name: text for name, text in state.items() if text != DONE})


def _tell_unusable(systems: Sequence[System], settings: Settings) -> None:
    """Say before hours of work which of several systems will be skipped, because its model is not there.

    Raises:
        SpladeEngineError: none can be used.
    """
    failed = 0
    for system in systems:
        try:
            system.models(settings)
        except SpladeEngineError as error:
            failed += 1
            if failed == len(systems):
                raise
            logger.warning("%s will be skipped: %s", system.title, error)


def _tell_unreadable(experiment: Experiment) -> None:
    """Say before hours of work which of several folders has queries or judgments that are damaged.

    Each is read again when its turn comes: held until then, all of them would take memory for hours.
    """
    here = [each for each in experiment.suite.collections if each.is_here(experiment.data)]
    for collection in here if len(experiment.suite.collections) > 1 else ():
        try:
            experiment.read(collection)
        except SpladeEngineError as error:
            logger.warning("%s will be skipped: %s", collection.name, error)


def _collection(
    experiment: Experiment,
    dataset: Dataset,
    collection: Collection,
    systems: Sequence[System],
    k: int,
    folder: ResultFolder | None,
    state: dict[str, str],
    only: bool,
) -> list[Result]:
    results = []
    if folder is not None:
        folder.write_topics(dataset, collection.group)
    with Workbench(dataset, experiment.settings) as bench:
        for system in systems:
            try:
                results.append(_one(experiment, bench, system, k, folder, collection))
            except SpladeEngineError as error:
                if only and len(systems) == 1:
                    raise
                logger.warning("%s on %s is skipped: %s", system.title, collection.name, error)
                state[f"{collection.name} / {system.title}"] = f"skipped: {error}"
    return results


def _one(
    experiment: Experiment,
    bench: Workbench,
    system: System,
    k: int,
    folder: ResultFolder | None,
    collection: Collection,
) -> Result:
    models = system.models(experiment.settings)
    key = _key(system, k, bench.dataset, models, experiment.settings)
    measures = experiment.suite.measures
    saved = folder.saved(bench.dataset, system.title, key) if folder is not None else None
    if saved is not None and saved.run is not None:
        if set(measures) <= set(saved.effectiveness.mean):
            return saved
        return dataclasses.replace(saved, effectiveness=measure(saved.run, bench.dataset.qrels, measures))
    result = evaluate(system, bench.dataset, measures, k=k, workbench=bench)
    result = dataclasses.replace(result, hashes={**result.hashes, **models})
    if folder is not None:
        data = None if experiment.data is None else str(experiment.data.resolve())
        made = {"settings": experiment.settings.record(), "collection": collection.record(), "data": data}
        folder.save(result, key, explanations(system, bench, result), made)
    return result


def _key(system: System, k: int, dataset: Dataset, models: Mapping[str, Any], settings: Settings) -> str:
    parts = [system.spec, k, dataset.hashes(), dataset.drop_own_id, dict(models), settings.max_length]
    parts += [settings.seed, versions()["splade-engine"]]
    return digest_of_json(parts)


def _write_state(folder: ResultFolder | None, state: Mapping[str, str]) -> None:
    if folder is not None:
        folder.write_state(state)
