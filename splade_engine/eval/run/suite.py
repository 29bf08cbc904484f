"""Suites: which collections, systems and measures, in TOML.

description = "..."
measures = ["nDCG@10", "R@100"]
systems = ["sparse", "bm25", "dense: dense(index=hnsw)"]
baseline = "bm25"                  # significance is tested against it
k = 100

[means]                            # means over some of the collections, beside the one over all
"mean of 2" = ["ArguAna", "CQADupStack"]

[[collections]]
source = "beir/arguana"            # an ir_datasets id or a folder (relative to the file)
folder = "arguana"                 # used first where `--data FOLDER` holds it
name = "ArguAna"
split = "test"
drop_own_id = true
group = "CQADupStack"              # collections of one group are averaged into one column
distractors = "wikipedia.jsonl.zst"    # a corpus file (relative to this file, or to `--data FOLDER`) whose
n_distractors = 100_000            # first so many documents are added
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from splade_engine.arguments import first_twice, shown
from splade_engine.collections.beir import is_collection
from splade_engine.collections.dataset import Dataset
from splade_engine.collections.loading import load_dataset
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.eval.measures.effectiveness import DEFAULT_MEASURES, parse_measures
from splade_engine.eval.systems.base import parse_system
from splade_engine.files import disk_errors, parsed_toml, read_text
from splade_engine.plain_text import shortened

DEFAULT_SYSTEMS = ("sparse", "bm25")
_ENTRY: dict[str, type] = {
    **dict.fromkeys(("name", "source", "folder", "split", "group", "distractors"), str),
    "drop_own_id": bool,
    "n_distractors": int,
}
_RECORDED: dict[str, Any] = {
    **dict.fromkeys(("name", "baseline", "description"), (str,)),
    **dict.fromkeys(("collections", "systems", "measures"), (list, tuple)),
    "means": (dict,),
    "k": (int, type(None)),
}


@dataclass(frozen=True)
class Collection:
    """One entry of a suite; `name` is unique in it."""

    name: str
    source: str = ""
    folder: str = ""
    split: str | None = None
    drop_own_id: bool | None = None
    group: str = ""
    distractors: str = ""
    n_distractors: int | None = None

    def record(self) -> dict[str, Any]:
        """Every field, JSON-ready."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Collection:
        """The reverse.

        Raises:
            TypeError: if the record is not one of a collection.
        """
        if not isinstance(record, Mapping):
            raise TypeError(f"collection is {shown(record)}")
        for name, value in record.items():
            _check_recorded(name, value, (_ENTRY[name], type(None)) if name in _ENTRY else ())
        return cls(**record)

    def is_here(self, data: Path | None) -> bool:
        """Whether it is a folder, and nothing has to be fetched."""
        folder = data / self.folder if data and self.folder else None
        return (folder is not None and is_collection(folder)) or Path(self.source or "-").is_dir()

    def load(self, data: Path | None) -> Dataset:
        """Load it from `data / folder` where that is a collection, else from its source.

        Raises:
            DatasetError: if there is neither, or what is there cannot be accepted.
        """
        local = data / self.folder if data and self.folder else None
        if local is not None and is_collection(local):
            return load_dataset(local, self.split, name=self.name, drop_own_id=self.drop_own_id)
        if not self.source:
            where = f"no folder {local}" if local else f"give --data FOLDER that holds {self.folder!r}"
            raise DatasetError(f"{self.name}: {where}")
        return load_dataset(self.source, self.split, name=self.name, drop_own_id=self.drop_own_id)

    def distractor_file(self, data: Path | None) -> Path | None:
        """The file with its distractors; None where it has none.

        Raises:
            DatasetError: if it is not there.
        """
        if not self.distractors:
            return None
        places = [Path(self.distractors), *([data / self.distractors] if data else [])]
        found = next((place for place in reversed(places) if place.is_file()), None)
        if found is None:
            looked = " or ".join(str(place) for place in places)
            raise DatasetError(f"{self.name}: its distractors are missing: no file {looked}")
        return found


@dataclass(frozen=True)
class Suite:
    """What an evaluation runs over."""

    name: str
    collections: tuple[Collection, ...]
    systems: tuple[str, ...] = DEFAULT_SYSTEMS
    measures: tuple[str, ...] = DEFAULT_MEASURES
    baseline: str = ""
    k: int | None = None
    description: str = ""
    means: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [c.name for c in self.collections]
        twice = first_twice(names)
        if twice is not None:
            raise InvalidInputError(f"suite {self.name}: two collections are named {shown(twice)}")
        known = {c.group or c.name for c in self.collections}
        for label, members in self.means.items():
            unknown = next((name for name in members if name not in known), None)
            if unknown is not None:
                raise InvalidInputError(
                    f"suite {self.name}: mean {shown(label)}: there is no collection {shown(unknown)}"
                )
            if not members:
                raise InvalidInputError(f"suite {self.name}: mean {shown(label)} names no collections")

    def record(self) -> dict[str, Any]:
        """What a result folder keeps: every field, the name as `suite`; JSON-ready."""
        values = asdict(self)
        return {"suite": values.pop("name"), **values}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Suite:
        """The reverse; entries of the record that are no field of a suite are left alone.

        Raises:
            KeyError, TypeError: if the record is not one of a suite.
        """
        values = {f.name: record["suite" if f.name == "name" else f.name] for f in fields(cls)}
        for name, value in values.items():
            _check_recorded(name, value, _RECORDED[name])
        collections = tuple(map(Collection.from_record, values["collections"]))
        texts = {name: tuple(values[name]) for name in ("systems", "measures")}
        return cls(**{**values, **texts, "collections": collections})

    def joined(self, other: Suite) -> Suite:
        """Both suites' collections, with this one's systems and measures."""
        return replace(
            self,
            name=f"{self.name}+{other.name}",
            collections=(*self.collections, *other.collections),
            means={**self.means, **other.means},
        )

    def with_distractors(self, file: Path, collection: str = "") -> Suite:
        """Distractors from a file for one collection, or for all; how many stays as the suite says."""
        path = str(file.resolve())
        chosen = [replace(c, distractors=path) if collection in ("", c.name) else c for c in self.collections]
        return replace(self, collections=tuple(chosen))

    def with_own_ids(self, *, drop: bool) -> Suite:
        """Whether hits with the query's own id are dropped, for every collection."""
        return replace(self, collections=tuple(replace(c, drop_own_id=drop) for c in self.collections))

    def with_n_distractors(self, n: int) -> Suite:
        """Another number of distractors for every collection that has some."""
        chosen = [replace(c, n_distractors=n) if c.distractors else c for c in self.collections]
        return replace(self, collections=tuple(chosen))


def _check_recorded(name: str, value: Any, kind: Any) -> None:
    """Refuse a value of a record that is not of its type, or holds what is not.

    Raises:
        TypeError: naming it.
    """
    lists = value.values() if isinstance(value, dict) else [value] if isinstance(value, list | tuple) else []
    of = dict if name == "collections" else str
    held = all(isinstance(many, list | tuple) and all(isinstance(v, of) for v in many) for many in lists)
    if not held or not isinstance(value, kind) or (isinstance(value, bool) and bool not in kind):
        raise TypeError(f"{shown(name)} is {shown(value)}")


def suite_names() -> list[str]:
    """The suites inside the package."""
    folder = files("splade_engine.eval") / "suites"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def load_suite(source: str | Path, split: str | None = None) -> Suite:
    """A named suite, a TOML file, a folder of collections, or a single collection (folder or ir_datasets id).

    Raises:
        InvalidInputError: naming the file and the entry that is not accepted.
        StorageError: the system refuses a path, for instance because it is too long.
    """
    with disk_errors(shortened(str(source), 200), "read"):
        return _loaded(source, split)


def _loaded(source: str | Path, split: str | None) -> Suite:
    path = Path(source)
    if str(source) in suite_names() and not path.exists():
        text = (files("splade_engine.eval") / "suites" / f"{source}.toml").read_text(encoding="utf-8")
        return _parsed(text, str(source), None)
    if path.suffix == ".toml":
        return _parsed(read_text(path), str(path), path.parent)
    if path.is_dir() and not is_collection(path):
        found = sorted(folder for folder in path.iterdir() if folder.is_dir() and is_collection(folder))
        if found:
            collections = tuple(Collection(f.name, str(f.resolve()), split=split) for f in found)
            return Suite(path.resolve().name, collections)
    if not path.is_dir():
        return Suite(str(source), (Collection(str(source), str(source), split=split),))
    # absolute, so that the result folder can be repeated from anywhere
    return Suite(path.resolve().name, (Collection(path.resolve().name, str(path.resolve()), split=split),))


def _parsed(text: str, place: str, base: Path | None) -> Suite:
    table = parsed_toml(text, place)
    known = {"description", "measures", "systems", "baseline", "k", "collections", "means"}
    _refuse_unknown(table, known, place)
    entries = table.get("collections", [])
    if not isinstance(entries, list) or not entries:
        raise InvalidInputError(f"{place}: no [[collections]]")
    collections = tuple(_collection(e, f"{place}: collection {i}", base) for i, e in enumerate(entries, 1))
    systems = tuple(_texts(table, "systems", place) or DEFAULT_SYSTEMS)
    for system in systems:
        parse_system(system)
    k = table.get("k")
    if k is not None and (isinstance(k, bool) or not isinstance(k, int) or k < 1):
        raise InvalidInputError(f"{place}: k must be a number of at least 1, got {shown(k)}")
    return Suite(
        name=Path(place).stem,
        collections=collections,
        systems=systems,
        measures=parse_measures(_texts(table, "measures", place) or DEFAULT_MEASURES),
        baseline=_text(table, "baseline", place),
        k=k,
        description=_text(table, "description", place),
        means=_means(table, place),
    )


def _means(table: Mapping[str, Any], place: str) -> dict[str, Sequence[str]]:
    means = table.get("means", {})
    if not isinstance(means, dict):
        raise InvalidInputError(f"{place}: means must be a table, got {shown(means)}")
    return {label: tuple(_texts(means, label, f"{place}: means")) for label in means}


def _collection(entry: Any, place: str, base: Path | None) -> Collection:
    if not isinstance(entry, dict):
        raise InvalidInputError(f"{place}: a table is needed, got {shown(entry)}")
    _refuse_unknown(entry, set(_ENTRY), place)
    for name, value in entry.items():
        if type(value) is not _ENTRY[name]:
            raise InvalidInputError(f"{place}: {name} must be a {_ENTRY[name].__name__}, got {shown(value)}")
    n_distractors = entry.get("n_distractors")
    if n_distractors is not None and (n_distractors < 1 or not entry.get("distractors")):
        raise InvalidInputError(f"{place}: n_distractors = {n_distractors} needs distractors, and at least 1")
    for name in ("source", "folder", "distractors"):
        if not _can_be_path(entry.get(name, "")):
            raise InvalidInputError(f"{place}: {name} {shown(entry[name])} can be no path")
    source, folder = entry.get("source", ""), entry.get("folder", "")
    if not source and not folder:
        raise InvalidInputError(f"{place}: neither source nor folder")
    if base is not None and source and (base / source).is_dir():
        source = str((base / source).resolve())
    distractors = entry.get("distractors", "")
    if base is not None and distractors and (base / distractors).is_file():
        distractors = str((base / distractors).resolve())
    return Collection(
        name=entry.get("name") or folder or entry["source"],
        source=source,
        folder=folder,
        split=entry.get("split"),
        drop_own_id=entry.get("drop_own_id"),
        group=entry.get("group", ""),
        distractors=distractors,
        n_distractors=n_distractors,
    )


def _can_be_path(text: str) -> bool:
    """Whether the system takes it for a path, whatever is there."""
    try:
        os.stat(text)  # noqa: PTH116
    except ValueError:  # a zero byte, half a surrogate
        return False
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG
    return True


def _refuse_unknown(table: Mapping[str, Any], known: set[str], place: str) -> None:
    unknown = next((name for name in table if name not in known), None)
    if unknown is not None:
        raise InvalidInputError(f"{place}: {shown(unknown)} is not known ({', '.join(sorted(known))})")


def _text(table: Mapping[str, Any], name: str, place: str) -> str:
    value = table.get(name, "")
    if not isinstance(value, str):
        raise InvalidInputError(f"{place}: {name} must be a string, got {shown(value)}")
    return value


def _texts(table: Mapping[str, Any], name: str, place: str) -> Sequence[str]:
    values = table.get(name, [])
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise InvalidInputError(f"{place}: {name} must be a list of strings, got {shown(values)}")
    return values
