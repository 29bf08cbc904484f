"""Collections of ir_datasets: tiny ones, registered here, so that nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace as Invented
from typing import Any, NamedTuple

import pytest

from splade_engine.errors import DatasetError
from splade_engine.eval import Settings, evaluate, load_dataset


class _TitledDoc(NamedTuple):
    doc_id: str
    text: str
    title: str

    def default_text(self) -> str:
        return f"{self.title} {self.text}"


@pytest.fixture
def registered(invented: Invented, tmp_path: Path) -> Iterator[str]:
    """`invented-tiny/test` and `invented-tiny/dev`, and `invented-tiny` without topics."""
    import ir_datasets
    from ir_datasets.datasets.base import Dataset
    from ir_datasets.formats import BaseDocs, TrecQrels, TsvQueries

    class Docs(BaseDocs):
        def docs_iter(self) -> Iterator[_TitledDoc]:
            return iter(_TitledDoc(i, text, title) for i, (title, text) in invented.documents.items())

        def docs_cls(self) -> type[_TitledDoc]:
            return _TitledDoc

    class File:
        """What ir_datasets reads from: a path and a stream."""

        def __init__(self, name: str, text: str) -> None:
            (tmp_path / name).write_text(text)
            self._path = tmp_path / name

        def path(self, force: bool = True) -> str:
            return str(self._path)

        def stream(self) -> Any:
            return self._path.open("rb")

    queries = TsvQueries(File("queries.tsv", "".join(f"{q}\t{t}\n" for q, t in invented.queries.items())))
    lines = [f"{q} 0 {d} {g}\n" for q, judged in invented.qrels.items() for d, g in judged.items()]
    names = {
        "invented-tiny": (Docs(),),
        "invented-tiny/test": (Docs(), queries, TrecQrels(File("test.qrels", "".join(lines)), {})),
        "invented-tiny/dev": (Docs(), queries, TrecQrels(File("dev.qrels", "q6 0 coffee 1\n"), {})),
        "invented-tiny/odd": (Docs(), queries, TrecQrels(File("odd.qrels", "q99 0 coffee 1\n"), {})),
    }
    lines = [f"q1 0 {judged}\n" for judged in ("tea 1", "tea 1", "owl 2", "owl 0")]
    names["invented-tiny/twice"] = (Docs(), queries, TrecQrels(File("twice.qrels", "".join(lines)), {}))
    for name, parts in names.items():
        ir_datasets.registry.register(name, Dataset(*parts))
    yield "invented-tiny"
    for name in names:
        del ir_datasets.registry._registered[name]


def test_documents_queries_judgments_and_the_dev_split(registered: str, invented: Invented):
    data = load_dataset(f"{registered}/test")
    assert data.name == "invented-tiny/test"
    assert {q: dict(judged) for q, judged in data.qrels.items()} == invented.qrels
    assert data.queries == invented.queries
    assert data.test.unjudged == ["q6"]
    documents = {d.id: d for d in data.corpus}
    assert documents.keys() == invented.documents.keys()
    assert documents["tea"].indexed_text == " ".join(invented.documents["tea"])
    assert data.dev is not None
    assert data.dev.name == "dev"
    assert dict(data.dev.queries) == {"q6": "roasted beans"}
    assert data.check_documents_join() == 0


def test_the_same_numbers_as_from_a_folder(registered: str, collection: Path, invented: Invented):
    settings = Settings(encoder=invented.WordEncoder())
    measures = ["nDCG@10", "R@100", "RR@10"]
    for system in ("sparse", "bm25"):
        one = evaluate(system, f"{registered}/test", measures, settings=settings)
        other = evaluate(system, collection, measures, settings=settings)
        assert one.effectiveness == other.effectiveness
        assert one.n_queries == other.n_queries == 6


def test_judgments_that_contradict_one_another_are_told(registered: str, caplog: pytest.LogCaptureFixture):
    assert load_dataset(f"{registered}/twice").qrels == {"q1": {"tea": 1, "owl": 0}}
    assert (
        "invented-tiny/twice: judgments that contradict an earlier one: 1, and the last counts (the first: "
        "query 'q1', document 'owl' 2 and 0)"
    ) in caplog.text


def test_a_split_is_appended(registered: str):
    assert load_dataset(registered, "test").name == "invented-tiny/test"
    assert load_dataset(f"{registered}/test", "test").name == "invented-tiny/test"


def test_what_is_missing_is_named(registered: str):
    with pytest.raises(DatasetError, match="'invented-tiny' has no queries and no qrels"):
        load_dataset(registered)
    with pytest.raises(DatasetError, match="invented-tiny/odd: query 'q99' is judged and has no text"):
        load_dataset(f"{registered}/odd")


def test_what_cannot_be_fetched_is_one_line(registered: str, monkeypatch: pytest.MonkeyPatch):
    import ir_datasets

    def refused(*args: object) -> None:
        raise ConnectionError("HTTPSConnectionPool(host='example.org', port=443): Max retries exceeded\nmore")

    dataset = ir_datasets.load(f"{registered}/test")
    monkeypatch.setattr(dataset, "queries_iter", refused)
    monkeypatch.setattr(ir_datasets, "load", lambda name: dataset)
    with pytest.raises(
        DatasetError, match=r"cannot be fetched \(ConnectionError: no answer from example.org\)$"
    ):
        load_dataset(f"{registered}/test")
