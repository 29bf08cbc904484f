"""One string is no list: every public function that takes many of something refuses what is not many."""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from splade_engine import SearchEngine, SparseEncoder, SparseVectors
from splade_engine.arguments import check_many
from splade_engine.errors import InvalidInputError
from splade_engine.eval import Ranking, Run, Workbench, evaluate, measure, parse_measures
from splade_engine.index import IndexBatch, SparseIndex
from splade_engine.index.filter.evaluate import matching
from splade_engine.index.filter.parse import Compare, Every, In, Some, parse_where
from splade_engine.vectors import read_vectors, write_vectors
from tests.fake_encoder import FakeEncoder
from tests.index import made

DOORS = ("", ".index", ".vectors", ".encoder", ".engine", ".collections", ".training", ".eval")
MANY = re.compile(r"\b(Sequence|Iterable|Iterator|Collection|list|tuple|ArrayLike|CorpusSource|Input)\b")

STRINGS = ["12", b"12", bytearray(b"12"), memoryview(b"12"), {"1": 2}, pa.table({"1": ["2"]}), 12, None]
SETS = [{"1", "2"}, frozenset({"1"})]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """An engine over documents whose ids are single characters, so that a string would find some."""
    folder = tmp_path_factory.mktemp("world")
    corpus = [{"id": i, "text": "moon", "lang": letter} for i, letter in zip("1234", "enx-", strict=True)]
    engine = SearchEngine.build(folder / "ix", corpus, FakeEncoder())
    return SimpleNamespace(
        folder=folder,
        engine=engine,
        index=engine.index,
        reader=engine.index.reader,
        encoder=SparseEncoder.load(),
        two=made.vectors(1, 2, engine.index.n_terms),
    )


def new(world: SimpleNamespace) -> Path:
    return Path(world.folder / "new")


# every public parameter that takes many of something -> a call with a value for it
ORDERED: dict[str, Callable[[SimpleNamespace, Any], object]] = {
    "SearchEngine.build(corpus)": lambda w, v: SearchEngine.build(new(w), v, FakeEncoder()),
    "SearchEngine.add(corpus)": lambda w, v: w.engine.add(v),
    "SearchEngine.update(corpus)": lambda w, v: w.engine.update(v),
    "SearchEngine.search_many(queries)": lambda w, v: w.engine.search_many(v),
    "SearchEngine.encode_queries(texts)": lambda w, v: w.engine.encode_queries(v),
    "SparseEncoder.encode_documents(texts)": lambda w, v: w.encoder.encode_documents(v),
    "SparseEncoder.encode_counted(texts)": lambda w, v: w.encoder.encode_counted(v),
    "SparseEncoder.encode_queries(texts)": lambda w, v: w.encoder.encode_queries(v),
    "SparseIndex.build(vectors)": lambda w, v: SparseIndex.build(new(w), v),
    "SparseIndex.build(ids)": lambda w, v: SparseIndex.build(new(w), w.two, v),
    "SparseIndex.add(vectors)": lambda w, v: w.index.add(v),
    "SparseIndex.add(ids)": lambda w, v: w.index.add(w.two, v),
    "SparseIndex.update(vectors)": lambda w, v: w.index.update(v),
    "SparseIndex.update(ids)": lambda w, v: w.index.update(w.two, v),
    "SparseIndex.ids(ordinals)": lambda w, v: w.index.ids(v),
    "SparseIndex.vectors(ordinals)": lambda w, v: w.index.vectors(v),
    "SparseIndex.payload(ordinals)": lambda w, v: w.index.payload(v),
    "IndexReader.ids(ordinals)": lambda w, v: w.reader.ids(v),
    "IndexReader.vectors(ordinals)": lambda w, v: w.reader.vectors(v),
    "IndexReader.payload(ordinals)": lambda w, v: w.reader.payload(v),
    "IndexBatch(ids)": lambda w, v: w.index.add([IndexBatch(w.two, v)]),
    "SparseVectors(indptr)": lambda w, v: SparseVectors(v, [1], [1.0], 3),
    "SparseVectors(terms)": lambda w, v: SparseVectors([0, 1], v, [1.0], 3),
    "SparseVectors(weights)": lambda w, v: SparseVectors([0, 1], [1], v, 3),
    "SparseVectors.concat(batches)": lambda w, v: SparseVectors.concat(v),
    "SparseVectors.from_dicts(rows)": lambda w, v: SparseVectors.from_dicts(v, 3),
    "SparseVectors.to_token_dicts(vocabulary)": lambda w, v: SparseVectors.empty(2).to_token_dicts(v),
    "SparseVectors.from_token_dicts(rows)": lambda w, v: SparseVectors.from_token_dicts(v, ["1", "2"]),
    "SparseVectors.from_token_dicts(vocabulary)": lambda w, v: SparseVectors.from_token_dicts([{"1": 1}], v),
    "read_vectors(vocabulary)": lambda w, v: read_vectors(w.folder / "v.jsonl", v),
    "write_vectors(ids)": lambda w, v: write_vectors(w.folder / "v.arrow", w.two, v),
    "write_vectors(vocabulary)": lambda w, v: write_vectors(w.folder / "v.jsonl", w.two, None, v),
    "Ranking.in_order(ids)": lambda w, v: Ranking.in_order(v, [2.0, 1.0]),
    "Ranking.by_trec_eval(ids)": lambda w, v: Ranking.by_trec_eval(v, [2.0, 1.0]),
    "Run.over(queries)": lambda w, v: Run("r", {}).over(v),
}
# where order means nothing, a set is many as well
UNORDERED: dict[str, Callable[[SimpleNamespace, Any], object]] = {
    "SearchEngine.delete(ids)": lambda w, v: w.engine.delete(v),
    "SparseIndex.delete(ids)": lambda w, v: w.index.delete(v),
    "SparseIndex.update(drop)": lambda w, v: w.index.update(w.two, ["a", "b"], drop=v),
    "SparseIndex.tune(targets)": lambda w, v: w.index.tune(targets=v),
    "Run.with_known_ids(known)": lambda w, v: Run("r", {}).with_known_ids(v),
    "Workbench.texts(doc_ids)": lambda w, v: Workbench.texts(SimpleNamespace(), v),
    "where in": lambda w, v: w.index.search(made.vectors(1, 1, w.index.n_terms), where={"lang": {"in": v}}),
    "In(values)": lambda w, v: In("lang", v),
    "Every(parts)": lambda w, v: Every(v),
    "Some(parts)": lambda w, v: Some(v),
}
# what is many in their annotation, and why it needs no check
EXEMPT = {
    "evaluate(measures)": "one string of names is understood, separated by spaces or commas",
    "measure(measures)": "the same",
    "parse_measures(names)": "the same",
    "Ranking.in_order(scores)": "becomes an array of numbers, which none of these does",
    "Ranking.by_trec_eval(scores)": "the same",
    "records(results)": "of objects that only this package makes",
    "Dataset(parts)": "the same",
}


def public_parameters() -> Iterator[str]:
    """Every parameter, of every public function and method, whose annotation says that it holds many."""
    seen = set()
    for door in DOORS:
        module = importlib.import_module(f"splade_engine{door}")
        for name in module.__all__:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = getattr(module, name)
            if found in seen or not callable(found):
                continue
            seen.add(found)
            for label, function in _functions(name, found):
                for parameter in inspect.signature(function).parameters.values():
                    if MANY.search(str(parameter.annotation)):
                        yield f"{label}({parameter.name})"


def _functions(name: str, found: Any) -> Iterator[tuple[str, Any]]:
    if not inspect.isclass(found):
        yield name, found
        return
    if not hasattr(found, "__dataclass_fields__"):  # records are what functions return
        yield name, found
    for method, function in vars(found).items():
        function = getattr(function, "__func__", function)
        if not method.startswith("_") and inspect.isfunction(function):
            yield f"{name}.{method}", function


def test_the_tables_name_every_public_parameter() -> None:
    known = {*ORDERED, *UNORDERED, *EXEMPT}
    assert sorted(set(public_parameters()) - known) == [], "add a row that calls it with one string"


@pytest.mark.parametrize("parameter", [*ORDERED, *UNORDERED])
def test_one_is_not_many(parameter: str, world: SimpleNamespace) -> None:
    call = ORDERED.get(parameter) or UNORDERED[parameter]
    values = STRINGS + (SETS if parameter in ORDERED else [])
    paths = parameter.startswith("SearchEngine.") and parameter.endswith("(corpus)")
    optional = parameter in inspect_optional()
    for value in values:
        if (value is None and optional) or (isinstance(value, str) and paths):
            continue
        with pytest.raises(InvalidInputError) as refused:
            call(world, value)
        assert len(str(refused.value).splitlines()) == 1
    assert len(world.index) == 4, "nothing has changed"
    assert world.index.refresh().generation == 1


def inspect_optional() -> set[str]:
    """Parameters for which None stands for a default."""
    return {f"SparseIndex.{name}(ids)" for name in ("build", "add", "update")} | {
        "SparseIndex.ids(ordinals)",
        "SparseIndex.vectors(ordinals)",
        "IndexReader.ids(ordinals)",
        "IndexReader.vectors(ordinals)",
        "IndexBatch(ids)",
        "read_vectors(vocabulary)",
        "write_vectors(ids)",
        "write_vectors(vocabulary)",
    }


def test_the_message_says_what_to_pass() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_many("ids", "12")
    assert str(refused.value) == "ids: a list of strings is expected, got one string, '12'; pass ['12']"
    with pytest.raises(InvalidInputError, match="got a set, which has no order; pass a list"):
        check_many("ids", {"1"})
    with pytest.raises(InvalidInputError, match="got a mapping; pass a list of its keys or values"):
        check_many("ids", {"1": 1}, ordered=False)


def test_whatever_is_many_is_taken() -> None:
    for value in (
        [],
        (),
        ["1"],
        iter("12"),
        (i for i in "12"),
        np.array(["1"]),
        {"1": 1}.keys(),
        {1: "1"}.values(),
    ):
        check_many("ids", value)
    check_many("ids", {"1"}, ordered=False)
    check_many("ids", range(3))


def test_a_filter_for_one_language_finds_it(world: SimpleNamespace) -> None:
    """`in` with one string found nothing and said nothing."""
    table = pa.table({"lang": pa.array(["en", "e", "n"], pa.large_string())})
    assert matching(parse_where({"lang": {"in": ["en"]}}), table, 3).tolist() == [True, False, False]
    assert matching(parse_where({"lang": {"in": {"en"}}}), table, 3).tolist() == [True, False, False]
    assert matching(Some((Compare("lang", "=", "e"), In("lang", ("n",)))), table, 3).tolist() == [
        False,
        True,
        True,
    ]


def test_names_of_measures_may_be_one_string() -> None:
    assert parse_measures("nDCG@10 R@100") == parse_measures(["nDCG@10", "R@100"])
    for function in (
        parse_measures,
        lambda m: measure(Run("r", {}), {}, m),
        lambda m: evaluate("bm25", "x", m),
    ):
        with pytest.raises(InvalidInputError, match="measures: a list of names is expected, got"):
            function({"nDCG@10": 1})
