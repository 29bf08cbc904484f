"""A result folder: everything that is needed to trust, repeat and compare an evaluation.

experiment.json                 the configuration: collections, systems, measures, k, encoder, seed;
                                versions, machine, command, dates
state.json                      what happened to each collection: done, or why it was skipped
<collection>/topics.json        query texts and judgments, so that reports need nothing else
<collection>/<system>.json      one `Result`
<collection>/<system>.run.gz    its run, in TREC form
<collection>/<system>.terms.json    for sparse systems, the terms that made the scores
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from xxhash import xxh3_64

from splade_engine.collections.dataset import Dataset
from splade_engine.errors import DatasetError, InvalidInputError, StorageError
from splade_engine.eval.run.results import Result
from splade_engine.eval.run.runs import read_run, write_run
from splade_engine.files import atomic_file

FORMAT = 2
_EXPERIMENT, _STATE, _TOPICS = "experiment.json", "state.json", "topics.json"
_PACKAGES = (
    *("splade-engine", "numpy", "numba", "scipy", "torch", "transformers", "tokenizers", "bm25s"),
    *("ir-measures", "pytrec-eval-terrier", "ir-datasets", "faiss-cpu", "sentence-transformers"),
)


@dataclass(frozen=True)
class Topics:
    """Queries and judgments of one collection, as a report needs them."""

    dataset: str
    split: str
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    group: str = ""


class ResultFolder:
    """Reads and writes one result folder; every file appears whole or not at all."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: str | Path) -> ResultFolder:
        """A folder to write to: a new one, an empty one, or one that holds results already.

        Raises:
            InvalidInputError: if it is a file, or holds something else.
            StorageError: if it cannot be made.
        """
        folder = cls(path)
        if folder.path.exists() and not folder.path.is_dir():
            raise InvalidInputError(f"{path}: is a file, a result folder is needed")
        if folder.path.is_dir() and not folder.is_results() and any(folder.path.iterdir()):
            raise InvalidInputError(f"{path}: holds other files and no experiment.json; give an empty folder")
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(error.errno, f"cannot make {path}: {error.strerror}") from error
        return folder

    @classmethod
    def open(cls, path: str | Path) -> ResultFolder:
        """A folder that holds results.

        Raises:
            DatasetError: if it does not.
        """
        folder = cls(path)
        if not folder.is_results():
            raise DatasetError(f"{folder.path / _EXPERIMENT}: no such file; not a result folder")
        return folder

    def is_results(self) -> bool:
        """Whether an experiment was written here."""
        return (self.path / _EXPERIMENT).is_file()

    # ---- experiment and state ------------------------------------------------------------------

    def write_experiment(self, record: Mapping[str, Any]) -> None:
        """Write the configuration."""
        _write_json(self.path / _EXPERIMENT, {"format": FORMAT, **record})

    def experiment(self) -> dict[str, Any]:
        """The configuration.

        Raises:
            DatasetError: if it cannot be read, or is of another format.
        """
        record = _read_json(self.path / _EXPERIMENT)
        if record.get("format") != FORMAT:
            raise DatasetError(
                f"{self.path / _EXPERIMENT}: format {record.get('format')!r}, {FORMAT} is needed"
            )
        return record

    def write_state(self, state: Mapping[str, str]) -> None:
        """Write what happened to each collection."""
        _write_json(self.path / _STATE, state)

    def state(self) -> dict[str, str]:
        """What happened to each collection; empty where nothing was recorded."""
        return _read_json(self.path / _STATE) if (self.path / _STATE).exists() else {}

    # ---- results --------------------------------------------------------------------------------

    def save(
        self,
        result: Result,
        key: str,
        dataset: Dataset,
        group: str = "",
        terms: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one result, its run, the collection's topics, and the terms behind its scores."""
        folder = self.path / slug(result.dataset)
        folder.mkdir(exist_ok=True)
        base = slug(result.system)
        if result.run is not None:
            write_run(result.run, folder / f"{base}.run.gz")
        if terms is not None:
            _write_json(folder / f"{base}.terms.json", terms)
        topics = folder / _TOPICS
        if not topics.exists():
            _write_json(
                topics,
                {
                    "dataset": dataset.name,
                    "split": dataset.test.name,
                    "group": group,
                    "queries": dict(dataset.queries),
                    "qrels": {q: dict(judged) for q, judged in dataset.qrels.items()},
                },
            )
        _write_json(folder / f"{base}.json", {"key": key, "result": result.to_dict()})

    def saved(self, dataset: str, system: str, key: str) -> Result | None:
        """A result that was written with the same key, with its run; None where there is none."""
        file = self.path / slug(dataset) / f"{slug(system)}.json"
        try:
            record = json.loads(file.read_bytes())
            if record["key"] != key:
                return None
            return Result.from_dict(record["result"], read_run(self._run_file(file)))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def results(self) -> Iterator[Result]:
        """Every result, in the order of the experiment, with its run.

        Raises:
            DatasetError: naming the file that cannot be read.
        """
        found: dict[tuple[str, str], Result] = {}
        for topics in sorted(self.path.glob(f"*/{_TOPICS}")):
            for file in sorted(topics.parent.glob("*.json")):
                if file.name == _TOPICS or file.name.endswith(".terms.json"):
                    continue
                try:
                    result = Result.from_dict(_read_json(file)["result"], read_run(self._run_file(file)))
                except (KeyError, DatasetError) as error:
                    raise DatasetError(f"{file}: {error}") from None
                found[result.dataset, result.system] = result
        record = self.experiment()
        datasets, systems = record.get("collections", []), record.get("titles", [])
        order = {name: i for i, name in enumerate([c["name"] for c in datasets])}
        ranks = {name: i for i, name in enumerate(systems)}
        yield from sorted(
            found.values(),
            key=lambda r: (order.get(r.dataset, len(order)), ranks.get(r.system, len(ranks)), r.system),
        )

    def topics(self, dataset: str) -> Topics:
        """Queries and judgments of a collection.

        Raises:
            DatasetError: if they cannot be read.
        """
        file = self.path / slug(dataset) / _TOPICS
        try:
            return Topics(**_read_json(file))
        except TypeError as error:
            raise DatasetError(f"{file}: {error}") from None

    def terms(self, dataset: str, system: str) -> dict[str, Any] | None:
        """The terms behind a sparse system's scores; None where there are none."""
        file = self.path / slug(dataset) / f"{slug(system)}.terms.json"
        return _read_json(file) if file.exists() else None

    @staticmethod
    def _run_file(file: Path) -> Path:
        return file.with_name(file.name.removesuffix(".json") + ".run.gz")


def slug(name: str) -> str:
    """A file name for a system or dataset; names that had to be changed get a hash, so that two stay two."""
    safe = re.sub(r"[^A-Za-z0-9._=+-]+", "-", name).strip("-.")
    if safe == name and len(safe) <= 80:
        return safe
    return f"{safe[:60]}-{xxh3_64(name.encode()).hexdigest()[:6]}"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int]:
    """Processor, cores and system: what the times were measured on."""
    import os

    model = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text()
        model = re.search(r"^model name\s*:\s*(.+)$", text, re.M)[1]  # type: ignore[index]
    except (OSError, TypeError):
        pass
    return {"cpu": model, "cores": os.cpu_count() or 0, "system": f"{platform.system()} {platform.release()}"}


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    with atomic_file(path) as file:
        file.write(json.dumps(record, indent=1, ensure_ascii=False).encode() + b"\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON ({error})") from None
    if not isinstance(record, dict):
        raise DatasetError(f"{path}: an object is needed")
    return record
