"""A result folder: everything that is needed to trust, repeat and compare an evaluation.

experiment.json                 the configuration of the last command: collections, systems, measures, k,
                                encoder, seed; versions, machine, command, dates
state.json                      what happened to each collection: done, or why it was skipped
<collection>/topics.json        query texts and judgments, so that reports need nothing else
<collection>/<system>.json      one `Result`, what it was made with and on, and the digests of its other files
<collection>/<system>.run.gz    its run, in TREC form
<collection>/<system>.terms.json    for sparse systems, the terms that made the scores

A folder may be filled over weeks while judgments are corrected and corpora change. So everything that is
read back is compared with what it was made from: a run with the digest in its result, a result with the
queries and judgments of its collection. The configuration and each result carry a digest of their own: who
changes a number by hand shows none. A result of other judgments is measured again from its run; one of
other queries or another corpus is refused.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from splade_engine.arguments import shown
from splade_engine.collections.dataset import Dataset
from splade_engine.errors import DatasetError, InvalidInputError, SpladeEngineError, StorageError
from splade_engine.eval.run.machine import described, machine, same_machine, versions
from splade_engine.eval.run.places import result_file, run_file, slug, terms_file
from splade_engine.eval.run.results import Result
from splade_engine.eval.run.runs import read_run, write_run
from splade_engine.eval.run.topics import Topics, measured_again
from splade_engine.files import digest_of_file, digest_of_json, read_json, refuse_ours, write_json
from splade_engine.files.ours import RESULTS

logger = logging.getLogger(__name__)

FORMAT = 2
_EXPERIMENT, _STATE, _TOPICS = RESULTS, "state.json", "topics.json"
_LARGEST = 1 << 32  # bytes of a file of queries or results
# what reports read of a configuration
_READ: dict[str, type] = {
    **dict.fromkeys(("collections", "titles", "measures"), list),
    **dict.fromkeys(("means", "versions", "machine"), dict),
    "baseline": str,
    "seed": int,
}


class ResultFolder:
    """Reads and writes one result folder; every file appears whole or not at all."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: str | Path) -> ResultFolder:
        """A folder to write to: a new one, an empty one, or one that holds results already.

        Raises:
            InvalidInputError: if it is a file, or holds something else, or lies in a folder of ours.
            StorageError: if it cannot be made.
        """
        folder = cls(path)
        refuse_ours(folder.path)
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
        write_json(self.path / _EXPERIMENT, _signed({"format": FORMAT, **record}), indent=1)

    def experiment(self) -> dict[str, Any]:
        """The configuration.

        Raises:
            DatasetError: if it cannot be read, is of another format, or is not the one that was written.
        """
        file = self.path / _EXPERIMENT
        record = _read_json(file)
        if record.get("format") != FORMAT:
            raise DatasetError(f"{file}: format {shown(record.get('format'))}, {FORMAT} is needed")
        _check_signed(record, file, "configuration")
        record = {name: kind() for name, kind in _READ.items()} | record
        odd = {name for name, kind in _READ.items() if type(record[name]) is not kind}
        if not odd and record["seed"] < 0:
            odd = {"seed"}
        if not odd:
            odd = {field for field, name in _names(record) if not isinstance(name, str)}
        for name in odd:
            raise DatasetError(f"{file}: {name} is {shown(record[name])}; evaluate again")
        return record

    def write_state(self, state: Mapping[str, str]) -> None:
        """Write what happened to each collection."""
        write_json(self.path / _STATE, dict(state), indent=1)

    def state(self) -> dict[str, str]:
        """What happened to each collection; empty where nothing was recorded."""
        return _read_json(self.path / _STATE) if (self.path / _STATE).exists() else {}

    # ---- results --------------------------------------------------------------------------------

    def write_topics(self, dataset: Dataset, group: str = "") -> None:
        """Write queries and judgments of a collection, as they are now."""
        folder = self.path / slug(dataset.name)
        folder.mkdir(exist_ok=True)
        record = {
            "dataset": dataset.name,
            "split": dataset.test.name,
            "group": group,
            "queries": dict(dataset.queries),
            "qrels": {q: dict(judged) for q, judged in dataset.qrels.items()},
            "corpus": str(dataset.hashes()["corpus"]),
        }
        with suppress(DatasetError):
            if _read_json(folder / _TOPICS) == record:
                return
        write_json(folder / _TOPICS, record, indent=1)

    def save(
        self,
        result: Result,
        key: str,
        terms: Mapping[str, Any] | None = None,
        made: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one result, its run, and the terms behind its scores; `write_topics` comes first.

        `made` is what it takes to make it again: the settings, and the collection of the suite.
        """
        folder = self.path / slug(result.dataset)
        base = folder / slug(result.system)
        files: dict[str, str] = {}
        if result.run is not None:
            write_run(result.run, run_file(base))
            files["run"] = digest_of_file(run_file(base))
        if terms is not None:
            write_json(terms_file(base), terms, indent=1)
            files["terms"] = digest_of_file(terms_file(base))
        on = {"on": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions()}
        how = {**on, "machine": machine(), **(made or {})}
        record = {"key": key, "files": files, "made": how, "result": result.to_dict()}
        write_json(result_file(base), _signed(record), indent=1)

    def made(self, result: Result) -> dict[str, Any]:
        """When a result was made, with which versions, on which machine, and perhaps by which settings.

        Raises:
            DatasetError: naming the file that does not say it.
        """
        base = self.path / slug(result.dataset) / slug(result.system)
        made = _read_json(result_file(base)).get("made", {})
        if not isinstance(made, dict):
            raise DatasetError(f"{result_file(base)}: made is {shown(made)}; evaluate again")
        return made

    def saved(self, dataset: Dataset, system: str, key: str) -> Result | None:
        """A result that was written with the same key, with its run.

        None where there is none, or where it does not belong together any more.
        """
        base = self.path / slug(dataset.name) / slug(system)
        try:
            record = _read_json(result_file(base))
            if record["key"] != key:
                return None
            result = _with_run(record, base, dataset.queries)
            there = record["made"].get("machine")
        except (SpladeEngineError, OSError, KeyError, TypeError, AttributeError):
            return None
        if there is not None and not same_machine(there, machine()):
            logger.warning(
                "%s on %s: its times were measured on another machine (%s)",
                *(system, dataset.name, described(there)),
            )
        return result

    def results(self) -> Iterator[Result]:
        """Every result as it was written, in the order of the experiment, with its run.

        Raises:
            DatasetError: naming the file that cannot be read, or that is not the one that was written.
        """
        found: dict[tuple[str, str], Result] = {}
        for run in sorted(self.path.glob("*/*.run.gz")):
            if not (run.parent / _TOPICS).is_file():
                logger.warning(
                    "%s: its queries and judgments (%s) are not there any more, and it is left out; evaluate "
                    "again",
                    *(run, _TOPICS),
                )
        for topics_file in sorted(self.path.glob(f"*/{_TOPICS}")):
            topics = _topics(topics_file)
            for run in sorted(topics_file.parent.glob("*.run.gz")):
                if not result_file(run.with_name(run.name.removesuffix(".run.gz"))).is_file():
                    logger.warning(
                        "%s: its result is not there any more, and is left out; evaluate again", run
                    )
            for file in sorted(topics_file.parent.glob("*.json")):
                if file.name == _TOPICS or file.name.endswith(".terms.json"):
                    continue
                try:
                    result = _with_run(_read_json(file), file.with_suffix(""), topics.queries)
                except (KeyError, TypeError, AttributeError) as error:
                    raise DatasetError(f"{file}: not a result ({type(error).__name__}: {error})") from None
                except DatasetError as error:
                    reason = str(error)
                    raise DatasetError(
                        reason if reason.startswith(str(file.parent)) else f"{file}: {reason}"
                    ) from None
                place = self.path / slug(result.dataset) / slug(result.system)
                if result_file(place) != file or topics.dataset != result.dataset:
                    raise DatasetError(
                        f"{file}: holds {result.system} on {result.dataset}, beside the queries of "
                        f"{topics.dataset}: a copy from another place; remove it"
                    )
                found[result.dataset, result.system] = result
        record = self.experiment()
        datasets, systems = record.get("collections", []), record.get("titles", [])
        order = {name: i for i, name in enumerate([c["name"] for c in datasets])}
        ranks = {name: i for i, name in enumerate(systems)}
        yield from sorted(
            found.values(),
            key=lambda r: (order.get(r.dataset, len(order)), ranks.get(r.system, len(ranks)), r.system),
        )

    def comparable_results(self) -> Iterator[Result]:
        """Every result by the queries and judgments that its collection has now.

        Raises:
            DatasetError: as `results`, and for a result of other queries or another corpus.
        """
        for result in self.results():
            topics = self.topics(result.dataset)
            place = f"{self.path / slug(result.dataset) / slug(result.system)}.json"
            now = topics.hashes()
            queries = result.hashes.get("queries", now["queries"])
            if result.split != topics.split or queries != now["queries"]:
                raise DatasetError(
                    f"{place}: {result.system} was evaluated on other queries (split {result.split}) than "
                    f"the folder has now for {result.dataset} (split {topics.split}); evaluate it again"
                )
            if topics.corpus and result.hashes.get("corpus", topics.corpus) != topics.corpus:
                raise DatasetError(
                    f"{place}: {result.system} was evaluated on another corpus than the folder has now for "
                    f"{result.dataset}; evaluate it again"
                )
            if result.hashes.get("qrels", now["qrels"]) != now["qrels"]:
                result = measured_again(result, topics)
            yield result

    def topics(self, dataset: str) -> Topics:
        """Queries and judgments of a collection.

        Raises:
            DatasetError: if they cannot be read.
        """
        return _topics(self.path / slug(dataset) / _TOPICS)

    def terms(self, dataset: str, system: str) -> dict[str, Any] | None:
        """The terms behind a sparse system's scores.

        None where there are none, or where they belong to another result.
        """
        base = self.path / slug(dataset) / slug(system)
        file = terms_file(base)
        if not file.exists():
            return None
        wanted = _read_json(result_file(base)).get("files", {}).get("terms")
        if wanted is not None and digest_of_file(file) != wanted:
            logger.warning("%s: is not the file that was written with its result, and is left out", file)
            return None
        return _read_json(file)


def _names(record: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """What stands for a name in a configuration, with its field; None where something else does."""
    for collection in record["collections"]:
        yield "collections", collection.get("name") if isinstance(collection, dict) else None
    yield from (("titles", title) for title in record["titles"])
    for names in record["means"].values():
        yield from (("means", name) for name in (names if isinstance(names, list) and names else [None]))


def _topics(file: Path) -> Topics:
    return Topics.from_record(_read_json(file), str(file))


def _signed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with a digest of what is read again."""
    return {**record, "digest": _digest(record)}


def _check_signed(record: Mapping[str, Any], file: Path, what: str) -> None:
    """Refuse a record that is not the one that was written; earlier releases wrote no digests.

    Raises:
        DatasetError: naming the file.
    """
    if "digest" in record and record["digest"] != _digest(record):
        raise DatasetError(f"{file}: is not the {what} that was written; evaluate again")


def _digest(record: Mapping[str, Any]) -> str:
    return digest_of_json(json.loads(json.dumps({k: v for k, v in record.items() if k != "digest"})))


def _with_run(record: Mapping[str, Any], base: Path, queries: Iterable[str]) -> Result:
    """A result with its run; both must be those that were written."""
    _check_signed(record, result_file(base), "result")
    file = run_file(base)
    wanted = record.get("files", {}).get("run")
    if wanted is not None and file.is_file() and digest_of_file(file) != wanted:
        raise DatasetError(f"{file}: is not the run that was written with its result; evaluate again")
    run = read_run(file, may_be_empty=True).unescaped().over(list(queries))
    return Result.from_dict(record["result"], replace(run, name=record["result"]["system"]))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        record = read_json(path, most=_LARGEST)
    except SpladeEngineError as error:
        raise DatasetError(str(error)) from None
    if not isinstance(record, dict):
        raise DatasetError(f"{path}: an object is needed")
    return record
