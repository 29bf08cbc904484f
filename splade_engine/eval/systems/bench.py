"""What a system finds when it is asked: the settings of an evaluation, and the bench that it works on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError, SpladeEngineError
from splade_engine.files import read_json, write_json
from splade_engine.progress import Progress, ProgressBar, check_progress

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus
    from splade_engine.collections.dataset import Dataset, Split
    from splade_engine.collections.documents import Document
    from splade_engine.eval.systems.base import Answer, System

T = TypeVar("T")
# what a result folder keeps of the settings; the rest belongs to one process
_RECORDED = ("encoder", "dense_model", "max_length", "threads", "seed")


@dataclass(frozen=True)
class Settings:
    """What holds for every system of an evaluation.

    Attributes:
        encoder: the sparse encoder: None for the bundled one, a folder, a hub id or a SparseEncoder.
        dense_model: a sentence-transformers folder or hub id; None for the installed all-MiniLM-L6-v2
            package.
        cache: folder for encodings; None keeps them for this process only.
        max_length: tokens of a text that the sparse encoder reads; None as the checkpoint says.
        threads: for encoding, building; single queries are always searched with one thread.
        seed: of every random choice (samples of dev queries, randomisation tests).
        progress: see `Progress`; every encoding and every system's queries are a stage.
        models: loaded encoders, and whatever else the collections of a suite share.
    """

    encoder: Any = None
    dense_model: str | None = None
    cache: Path | None = None
    max_length: int | None = None
    threads: int | None = None
    seed: int = 42
    progress: Progress = False
    models: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        check_progress(self.progress)
        for name, least in (("threads", 1), ("max_length", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise InvalidInputError(
                    f"{name} must be a whole number of at least {least}, got {shown(value)}"
                )

    def model(self, key: Hashable, load: Callable[[], T]) -> T:
        """A model or another thing that collections share, loaded at its first use."""
        if key not in self.models:
            self.models[key] = load()
        return cast("T", self.models[key])

    def record(self) -> dict[str, Any]:
        """What a result folder keeps of them, JSON-ready."""
        values = {name: getattr(self, name) for name in _RECORDED}
        return {
            **values,
            "encoder": _from_anywhere(self.encoder),
            "dense_model": _from_anywhere(self.dense_model),
        }

    def as_recorded(self, record: Mapping[str, Any]) -> Settings:
        """These settings with what a result folder kept.

        Raises:
            KeyError: if the record lacks one.
        """
        return replace(self, **{name: record[name] for name in _RECORDED})


def _from_anywhere(model: Any) -> str | None:
    """The name of a model, by which it is also found from another working folder; None for the default."""
    if model is None:
        return None
    name = str(model)
    with suppress(OSError):
        if isinstance(model, str | Path) and Path(model).exists():
            name = str(Path(model).resolve())
    return name


class Bench(Protocol):
    """One dataset, and what several systems share over it; `run.workbench.Workbench` is the one there is."""

    dataset: Dataset
    settings: Settings

    def resource(self, key: Hashable, make: Callable[[], T]) -> T:
        """An index or encoding, made at its first use."""
        ...

    def answer(self, system: System, split: Split, k: int) -> Answer:
        """What another system returns for the split, searched once."""
        ...

    def scratch(self, name: str) -> Path:
        """A path in a folder that goes away with the bench."""
        ...

    def encodings(self, corpus: Corpus, kind: str, *model: object) -> Encodings:
        """Where encodings of a corpus by one model are kept."""
        ...

    def texts(self, doc_ids: Iterable[str]) -> dict[str, Document]:
        """Documents by id."""
        ...


@dataclass(frozen=True)
class Encodings:
    """A folder of the cache, and how long its content took to make (over all interrupted attempts)."""

    folder: Path
    n_docs: int

    @property
    def _clock(self) -> Path:
        return self.folder.with_suffix(".json")

    def seconds(self) -> float:
        """Recorded so far; 0 where nothing is."""
        try:
            return float(read_json(self._clock)["seconds"])
        except (SpladeEngineError, ValueError, KeyError, TypeError):
            return 0.0

    def add_seconds(self, seconds: float) -> float:
        """Add to the record; returns the sum."""
        total = self.seconds() + seconds
        write_json(self._clock, {"seconds": total, "documents": self.n_docs}, indent=None)
        return total


def asked(bench: Bench, split: Split) -> Iterator[tuple[int, str, str]]:
    """Number, id and text of every query of a split, one after the other; whoever watches sees how far it is.

    The bar moves between queries, so it is in nobody's time.
    """
    settings, n_queries = bench.settings, len(split.queries)
    with ProgressBar(settings.progress, n_queries, label="search", unit=" queries", keep=False) as bar:
        for number, (query_id, text) in enumerate(bar.over(split.queries.items())):
            yield number, query_id, text
