"""One string is no list: every public function that takes many of something refuses what is not many."""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from splade_engine import SearchEngine, SparseEncoder, SparseVectors
from splade_engine.arguments import check_many, first_twice, flag, path_of, real, whole
from splade_engine.collections import read_documents
from splade_engine.collections.corpus import Corpus
from splade_engine.engine import TermExpansion, adapt, expanded
from splade_engine.errors import InvalidInputError
from splade_engine.eval import (
    Dataset,
    Ranking,
    Run,
    Settings,
    Split,
    Workbench,
    distractor_corpus,
    evaluate,
    load_dataset,
    measure,
    parse_measures,
    read_run,
    with_distractors,
)
from splade_engine.exchange import export_index, import_vectors
from splade_engine.index import IndexBatch, ShardedIndex, SparseIndex
from splade_engine.index.filter.evaluate import matching
from splade_engine.index.filter.parse import Compare, Every, In, Some, parse_where
from splade_engine.index.list_choice import measure_lists
from splade_engine.training import MiningConfig, load_recipe, mine, train
from splade_engine.vectors import read_vectors, write_vectors
from tests.fake_encoder import FakeEncoder
from tests.index import made

DOORS = ("", ".index", ".vectors", ".encoder", ".engine", ".collections", ".training", ".eval", ".exchange")
MANY = re.compile(r"\b(Sequence|Iterable|Iterator|Collection|list|tuple|ArrayLike|CorpusSource|Input)\b")


class Column:
    """What a column of pandas looks like: `[0]` is the row that is called 0, wherever it stands."""

    dtype, iloc = "str", None

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[str]:
        return iter(("1", "2"))

    def __getitem__(self, label: int) -> str:
        return {0: "2", 1: "1"}[label]

    def __arrow_c_stream__(self, schema: object = None) -> object:
        return pa.chunked_array([["1", "2"]]).__arrow_c_stream__(schema)


STRINGS = [
    *("12", b"12", bytearray(b"12"), memoryview(b"12"), {"1": 2}, pa.table({"1": ["2"]}), Column(), 12, None),
]
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
    "SearchEngine.open(path)": lambda w, v: SearchEngine.open(v, FakeEncoder()),
    "adapt(corpus)": lambda w, v: adapt(v, new(w), w.encoder),
    "SearchEngine.add(corpus)": lambda w, v: w.engine.add(v),
    "SearchEngine.update(corpus)": lambda w, v: w.engine.update(v),
    "SearchEngine.search_many(queries)": lambda w, v: w.engine.search_many(v),
    "SearchEngine.get(ids)": lambda w, v: w.engine.get(v),
    "SearchEngine.search(must)": lambda w, v: w.engine.search("moon", must=v),
    "SearchEngine.search(must_not)": lambda w, v: w.engine.search("moon", must_not=v),
    "SearchEngine.search(facets)": lambda w, v: w.engine.search("moon", facets=v),
    "SearchEngine.encode_queries(texts)": lambda w, v: w.engine.encode_queries(v),
    "SparseEncoder.encode_documents(texts)": lambda w, v: w.encoder.encode_documents(v),
    "SparseEncoder.encode_counted(texts)": lambda w, v: w.encoder.encode_counted(v),
    "SparseEncoder.encode_queries(texts)": lambda w, v: w.encoder.encode_queries(v),
    "SparseIndex.build(vectors)": lambda w, v: SparseIndex.build(new(w), v),
    "SparseIndex.build(ids)": lambda w, v: SparseIndex.build(new(w), w.two, v),
    "SparseIndex.merge(parts)": lambda w, v: SparseIndex.merge(new(w), v),
    "ShardedIndex.open(path)": lambda w, v: ShardedIndex.open(v),
    "ShardedIndex.collect(shards)": lambda w, v: ShardedIndex.collect(new(w), v),
    "SparseIndex.add(vectors)": lambda w, v: w.index.add(v),
    "SparseIndex.add(ids)": lambda w, v: w.index.add(w.two, v),
    "SparseIndex.update(vectors)": lambda w, v: w.index.update(v),
    "SparseIndex.update(ids)": lambda w, v: w.index.update(w.two, v),
    "SparseIndex.ids(ordinals)": lambda w, v: w.index.ids(v),
    "SparseIndex.vectors(ordinals)": lambda w, v: w.index.vectors(v),
    "SparseIndex.payload(ordinals)": lambda w, v: w.index.payload(v),
    "IndexReader.ids(ordinals)": lambda w, v: w.reader.ids(v),
    "IndexReader.vectors(ordinals)": lambda w, v: w.reader.vectors(v),
    "IndexReader.beginnings(ordinals)": lambda w, v: w.reader.beginnings("text", v, 3),
    "IndexReader.search_words(words)": lambda w, v: w.reader.search_words(v),
    "IndexReader.score_terms(ordinals)": lambda w, v: w.reader.score_terms(w.two[[0]], v),
    "IndexReader.score_words(words)": lambda w, v: w.reader.score_words(v, [0]),
    "IndexReader.score_words(ordinals)": lambda w, v: w.reader.score_words(["moon"], v),
    "IndexReader.explain_words(words)": lambda w, v: w.reader.explain_words(v, 0),
    "IndexReader.column(ordinals)": lambda w, v: w.reader.column("lang", v),
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
    "expanded(documents)": lambda w, v: expanded(v, lambda texts: texts),
    "Run.over(queries)": lambda w, v: Run("r", {}).over(v),
    "export_index(vocabulary)": lambda w, v: export_index(w.index, "vespa", new(w), vocabulary=v),
    "export_index(query_ids)": lambda w, v: export_index(
        w.index, "vespa", new(w), queries=w.two, query_ids=v
    ),
    "import_vectors(vocabulary)": lambda w, v: import_vectors(w.folder / "v.jsonl", vocabulary=v),
}
# where order means nothing, a set is many as well
UNORDERED: dict[str, Callable[[SimpleNamespace, Any], object]] = {
    "SearchEngine.delete(ids)": lambda w, v: w.engine.delete(v),
    "ShardedIndex.delete(ids)": lambda w, v: ShardedIndex.open([w.index.path]).delete(v),
    "SearchEngine.update(drop)": lambda w, v: w.engine.update(["a text"], drop=v),
    "SparseIndex.delete(ids)": lambda w, v: w.index.delete(v),
    "SparseIndex.add(drop)": lambda w, v: w.index.add(w.two, ["a", "b"], drop=v),
    "SparseIndex.update(drop)": lambda w, v: w.index.update(w.two, ["a", "b"], drop=v),
    "SparseIndex.payload(without)": lambda w, v: w.index.payload([0], without=v),
    "IndexReader.payload(without)": lambda w, v: w.reader.payload([0], without=v),
    "measure_lists(targets)": lambda w, v: measure_lists(w.index, w.two, targets=v),
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
    "SparseEncoder.encode_counted(device)": "one device is understood, several are spread over",
    "SparseEncoder.encode_documents(device)": "the same",
    "Ranking.in_order(scores)": "becomes an array of numbers, which none of these does",
    "Ranking.by_trec_eval(scores)": "the same",
    "records(results)": "of objects that only this package makes",
    "Dataset(parts)": "the same",
    "faster_lists(measured)": "the same",
    "Hits(hits)": "of a search",
    "Hits(facets)": "the same",
    "Hits(notes)": "the same",
}


# every public parameter that is a number, or True or False -> a call with a value for it
NUMBERS: dict[str, Callable[[SimpleNamespace, Any], object]] = {
    "adapt(documents)": lambda w, v: adapt(TEXT, new(w), w.encoder, documents=v),
    "adapt(force)": lambda w, v: adapt(TEXT, new(w), w.encoder, force=v),
    "SparseEncoder.save_with_phrases(buckets)": lambda w, v: w.encoder.save_with_phrases(new(w), buckets=v),
    "SparseEncoder.save_with_phrases(factor)": lambda w, v: w.encoder.save_with_phrases(new(w), factor=v),
    **{
        f"export_index({name})": lambda w, v, name=name: export_index(w.index, "vespa", new(w), **{name: v})
        for name in ("k", "top_k", "scale", "measure", "overwrite")
    },
    "adapt(overwrite)": lambda w, v: adapt(TEXT, new(w), w.encoder, overwrite=v),
    **{
        f"SearchEngine.build({name})": lambda w, v, name=name: SearchEngine.build(
            new(w), TEXT, FakeEncoder(), **{name: v}
        )
        for name in ("overwrite", "collection_idf")
    },
    "SearchEngine(collection_idf)": lambda w, v: SearchEngine(
        w.index.path, w.index, FakeEncoder(), collection_idf=v
    ),
    "SearchEngine.open(collection_idf)": lambda w, v: SearchEngine.open(
        w.index.path, FakeEncoder(), collection_idf=v
    ),
    **{
        f"SearchEngine.sync({name})": lambda w, v, name=name: w.engine.sync(w.folder, **{name: v})
        for name in ("prune", "dry_run")
    },
    "SparseIndex.build(overwrite)": lambda w, v: SparseIndex.build(w.index.path, w.two, overwrite=v),
    "SparseIndex.merge(overwrite)": lambda w, v: SparseIndex.merge(new(w), [w.index.path], overwrite=v),
    "SparseEncoder.export_onnx(overwrite)": lambda w, v: w.encoder.export_onnx(new(w), overwrite=v),
    "import_vectors(n_terms)": lambda w, v: import_vectors(w.folder / "v.jsonl", n_terms=v),
    "import_vectors(scale)": lambda w, v: import_vectors(w.folder / "v.jsonl", scale=v),
    "measure_lists(documents)": lambda w, v: measure_lists(w.index, w.two, documents=v),
    "measure_lists(k)": lambda w, v: measure_lists(w.index, w.two, k=v),
    "measure_lists(sample)": lambda w, v: measure_lists(w.index, sample=v),
    "measure_lists(seed)": lambda w, v: measure_lists(w.index, w.two, seed=v),
    "measure_lists(threads)": lambda w, v: measure_lists(w.index, w.two, threads=v),
    "SearchEngine.build(threads)": lambda w, v: SearchEngine.build(new(w), TEXT, FakeEncoder(), threads=v),
    "SearchEngine.build(memory)": lambda w, v: SearchEngine.build(new(w), TEXT, FakeEncoder(), memory=v),
    "SearchEngine.build(allow_empty)": lambda w, v: SearchEngine.build(
        new(w), TEXT, FakeEncoder(), allow_empty=v
    ),
    "SearchEngine.build(top_k)": lambda w, v: SearchEngine.build(new(w), TEXT, FakeEncoder(), top_k=v),
    "SearchEngine.build(batch_tokens)": lambda w, v: SearchEngine.build(
        new(w), TEXT, FakeEncoder(), batch_tokens=v
    ),
    "SearchEngine.add(top_k)": lambda w, v: w.engine.add(TEXT, top_k=v),
    "SearchEngine.update(top_k)": lambda w, v: w.engine.update(TEXT, top_k=v),
    "SearchEngine.push_to_hub(private)": lambda w, v: w.engine.push_to_hub("a/b", private=v),
    "SparseEncoder.push_to_hub(private)": lambda w, v: w.encoder.push_to_hub("a/b", private=v),
    "TermExpansion(terms)": lambda w, v: TermExpansion(w.encoder, v),
    "SearchEngine.search(k)": lambda w, v: w.engine.search("moon", v),
    "SearchEngine.search(accuracy)": lambda w, v: w.engine.search("moon", accuracy=v),
    "SearchEngine.search(offset)": lambda w, v: w.engine.search("moon", offset=v),
    "SearchEngine.search(feedback)": lambda w, v: w.engine.search("moon", feedback=v),
    "Hit.snippet(length)": lambda w, v: w.engine.search("moon")[0].snippet(v),
    "IndexReader.beginnings(length)": lambda w, v: w.reader.beginnings("text", [0], v),
    "IndexReader.search_words(k)": lambda w, v: w.reader.search_words(["moon"], v),
    "IndexReader.explain_words(ordinal)": lambda w, v: w.reader.explain_words(["moon"], v),
    "SearchEngine.build(words)": lambda w, v: SearchEngine.build(new(w), TEXT, FakeEncoder(), words=v),
    "SearchEngine.search_many(k)": lambda w, v: w.engine.search_many(["moon"], v),
    "SearchEngine.search_many(threads)": lambda w, v: w.engine.search_many(["moon"], threads=v),
    "SearchEngine.search_vectors(k)": lambda w, v: w.engine.search_vectors(w.two, v),
    "SearchEngine.search_vectors(threads)": lambda w, v: w.engine.search_vectors(w.two, threads=v),
    "SparseEncoder(max_length)": lambda w, v: SparseEncoder(w.encoder.checkpoint, max_length=v),
    "SparseEncoder.load(max_length)": lambda w, v: SparseEncoder.load(max_length=v),
    "SparseEncoder.encode_documents(batch_tokens)": lambda w, v: w.encoder.encode_documents(
        ["a"], batch_tokens=v
    ),
    "SparseEncoder.encode_documents(top_k)": lambda w, v: w.encoder.encode_documents(["a"], top_k=v),
    "SparseEncoder.encode_counted(batch_tokens)": lambda w, v: w.encoder.encode_counted(
        ["a"], batch_tokens=v
    ),
    "SparseEncoder.encode_counted(top_k)": lambda w, v: w.encoder.encode_counted(["a"], top_k=v),
    "SparseEncoder.encode_queries(batch_tokens)": lambda w, v: w.encoder.encode_queries(
        ["a"], batch_tokens=v
    ),
    "SparseEncoder.encode_queries(top_k)": lambda w, v: w.encoder.encode_queries(["a"], top_k=v),
    "SparseIndex.build(threads)": lambda w, v: SparseIndex.build(new(w), w.two, threads=v),
    "SparseIndex.build(memory)": lambda w, v: SparseIndex.build(new(w), w.two, memory=v),
    "SparseIndex.add(threads)": lambda w, v: w.index.add(w.two, ["a", "b"], threads=v),
    "SparseIndex.add(memory)": lambda w, v: w.index.add(w.two, ["a", "b"], memory=v),
    "SparseIndex.update(threads)": lambda w, v: w.index.update(w.two, ["a", "b"], threads=v),
    "SparseIndex.update(memory)": lambda w, v: w.index.update(w.two, ["a", "b"], memory=v),
    "SparseIndex.compact(threads)": lambda w, v: w.index.compact(threads=v),
    "SparseIndex.compact(memory)": lambda w, v: w.index.compact(memory=v),
    "SparseIndex.merge(threads)": lambda w, v: SparseIndex.merge(new(w), [w.index.path], threads=v),
    "SparseIndex.merge(memory)": lambda w, v: SparseIndex.merge(new(w), [w.index.path], memory=v),
    "SparseIndex.check(threads)": lambda w, v: w.index.check(threads=v),
    "SparseIndex.check(deep)": lambda w, v: w.index.check(deep=v),
    "SparseIndex.search(k)": lambda w, v: w.index.search(w.two, v),
    "SparseIndex.search(threads)": lambda w, v: w.index.search(w.two, threads=v),
    "SparseIndex.explain(k)": lambda w, v: w.index.explain(w.two[0], "1", v),
    "SparseIndex.tune(k)": lambda w, v: w.index.tune(k=v),
    "SparseIndex.tune(sample)": lambda w, v: w.index.tune(sample=v),
    "SparseIndex.tune(seed)": lambda w, v: w.index.tune(seed=v),
    "SparseIndex.tune(threads)": lambda w, v: w.index.tune(threads=v),
    "SparseIndex.tune(targets) one": lambda w, v: w.index.tune(targets=[v]),
    "IndexReader.search(k)": lambda w, v: w.reader.search(w.two, v),
    "IndexReader.search(threads)": lambda w, v: w.reader.search(w.two, threads=v),
    "IndexReader.near_word(alike)": lambda w, v: w.reader.near_word("mooon", alike=v),
    "IndexReader.explain(k)": lambda w, v: w.reader.explain(w.two[0], "1", v),
    "SparseVectors(n_terms)": lambda w, v: SparseVectors([0, 1], [0], [1.0], v),
    "SparseVectors(indptr) one": lambda w, v: SparseVectors([0, v], [0, 1], [1.0, 1.0], 3),
    "SparseVectors(terms) one": lambda w, v: SparseVectors([0, 1], [v], [1.0], 3),
    "SparseVectors.adopt(n_terms)": lambda w, v: SparseVectors.adopt(
        np.array([0, 1]), np.array([0]), np.array([1.0]), v
    ),
    "SparseVectors.empty(n_terms)": lambda w, v: SparseVectors.empty(v),
    "SparseVectors.empty(n_rows)": lambda w, v: SparseVectors.empty(3, v),
    "SparseVectors.from_dicts(n_terms)": lambda w, v: SparseVectors.from_dicts([{0: 1.0}], v),
    "SparseVectors.from_dicts(rows) term": lambda w, v: SparseVectors.from_dicts([{v: 1.0}], 3),
    "SparseVectors.top_k(k)": lambda w, v: w.two.top_k(v),
    "Ranking.top(k)": lambda w, v: Ranking.in_order(["a"], [1.0]).top(v),
    "Run.top(k)": lambda w, v: Run("r", {}).top(v),
    "train(resume)": lambda w, v: train(load_recipe("tune"), new(w), resume=v),
    "read_run(may_be_empty)": lambda w, v: read_run("x", may_be_empty=v),
    "load_dataset(drop_own_id)": lambda w, v: load_dataset("x", drop_own_id=v),
    "Dataset(drop_own_id)": lambda w, v: Dataset("x", "x", Corpus(TEXT), Split("x", {}, {}), drop_own_id=v),
    "Recipe.to_toml(explain)": lambda w, v: load_recipe("tune").to_toml(explain=v),
    "read_documents(allow_empty)": lambda w, v: read_documents("x", allow_empty=v),
    "evaluate(k)": lambda w, v: evaluate("bm25", "x", k=v),
    "distractor_corpus(limit)": lambda w, v: distractor_corpus("x", v),
    "with_distractors(limit)": lambda w, v: with_distractors(SimpleNamespace(parts=()), "x", v),
}
# every public parameter that says how progress is told -> a call with a value for it
PROGRESS: dict[str, Callable[[SimpleNamespace, Any], object]] = {
    "SearchEngine.build": lambda w, v: SearchEngine.build(new(w), TEXT, FakeEncoder(), progress=v),
    "SearchEngine.add": lambda w, v: w.engine.add(TEXT, progress=v),
    "SearchEngine.update": lambda w, v: w.engine.update(TEXT, progress=v),
    "SearchEngine.sync": lambda w, v: w.engine.sync(w.folder, progress=v),
    "SparseEncoder.encode_documents": lambda w, v: w.encoder.encode_documents(["moon"], progress=v),
    "SparseEncoder.encode_counted": lambda w, v: w.encoder.encode_counted(["moon"], progress=v),
    "SparseEncoder.encode_queries": lambda w, v: w.encoder.encode_queries(["moon"], progress=v),
    "SparseIndex.build": lambda w, v: SparseIndex.build(new(w), w.two, progress=v),
    "SparseIndex.tune": lambda w, v: w.index.tune(w.two, progress=v),
    "SparseIndex.add": lambda w, v: w.index.add(w.two, ["a", "b"], progress=v),
    "SparseIndex.update": lambda w, v: w.index.update(w.two, ["a", "b"], progress=v),
    "measure_lists": lambda w, v: measure_lists(w.index, w.two, progress=v),
    "adapt": lambda w, v: adapt(TEXT, new(w), w.encoder, progress=v),
    "mine": lambda w, v: mine(w.folder / "pairs.jsonl", new(w), MiningConfig(), progress=v),
    "train": lambda w, v: train(load_recipe("tune"), new(w), progress=v),
    "Settings": lambda w, v: Settings(progress=v),
    "export_index": lambda w, v: export_index(w.index, "anserini", new(w), progress=v),
    "build": lambda w, v: importlib.import_module("splade_engine.ray").build(new(w), TEXT, progress=v),
    "encode_parts": lambda w, v: importlib.import_module("splade_engine.ray").encode_parts(
        TEXT, new(w), progress=v
    ),
}
TEXT = [{"id": "new", "text": "moon"}]
NO_NUMBERS = [
    float("nan"), float("inf"), -1, -1.5, 10**400, 10**5000, "5", "", b"1", [1], {1: 2}, 1 + 1j,
    np.float64("nan"), np.array([1, 2]),
]  # fmt: skip
# what is no number, or is passed on, and why it needs no row
WITHOUT_NUMBERS = {
    "rank": "of a record that a search makes",
    "score": "the same",
    "place": "the same",
    "total": "the same",
    "SparseVectors.row(i)": "IndexError, as for every sequence",
    "SparseVectors.from_valid(n_terms)": "valid by construction",
    "Workbench.answer(k)": "of a run that was checked",
}


def public_parameters(many: re.Pattern[str] = MANY) -> Iterator[str]:
    """Every parameter, of every public function and method, whose annotation says that it holds many."""
    for label, function in public_functions():
        for parameter in inspect.signature(function).parameters.values():
            if many.search(str(parameter.annotation)):
                yield f"{label}({parameter.name})"


def public_functions(doors: Iterable[str] = DOORS) -> Iterator[tuple[str, Any]]:
    """Every function and method of these packages, with the name that users know it by."""
    seen = set()
    for door in doors:
        module = importlib.import_module(f"splade_engine{door}")
        for name in module.__all__:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = getattr(module, name)
            if callable(found) and found not in seen:
                seen.add(found)
                yield from _functions(name, found)


def _functions(name: str, found: Any) -> Iterator[tuple[str, Any]]:
    if not inspect.isclass(found):
        yield name, found
        return
    if not hasattr(found, "__dataclass_fields__"):  # records are what functions return
        yield name, found
    for method, function in vars(found).items():
        if not method.startswith("_") and inspect.isfunction(getattr(function, "__func__", function)):
            yield f"{name}.{method}", getattr(found, method)


def test_the_tables_name_every_public_parameter() -> None:
    known = {*ORDERED, *UNORDERED, *EXEMPT}
    assert sorted(set(public_parameters()) - known) == [], "add a row that calls it with one string"


@pytest.mark.parametrize("parameter", [*ORDERED, *UNORDERED])
def test_one_is_not_many(parameter: str, world: SimpleNamespace) -> None:
    call = ORDERED.get(parameter) or UNORDERED[parameter]
    values = STRINGS + (SETS if parameter in ORDERED else [])
    paths = parameter.endswith(("(corpus)", ".open(path)"))
    optional = parameter in inspect_optional()
    for value in values:
        if (value is None and optional) or (isinstance(value, str) and paths):
            continue
        with pytest.raises(InvalidInputError) as refused:
            call(world, value)
        assert len(str(refused.value).splitlines()) == 1
    assert len(world.index) == 4, "nothing has changed"
    assert world.index.refresh().generation == 1


def test_the_table_names_every_public_number() -> None:
    number = re.compile(r"^(int|float|bool)( \| None)?$")
    known = {*NUMBERS, *WITHOUT_NUMBERS}
    missing = [name for name in set(public_parameters(number)) if name not in known]
    missing = [name for name in missing if re.sub(r".*\((.*)\)", r"\1", name) not in known]
    missing = [
        name for name in missing if not name.startswith("ShardedIndex.")
    ]  # each goes on to SparseIndex
    assert sorted(missing) == [], "add a row that calls it with what is no number"


def test_the_table_names_every_public_progress() -> None:
    bars = {label for label, _ in _callables_with("progress")}
    assert sorted(label for label in bars - {*PROGRESS} if not label.startswith("ShardedIndex.")) == []


def _callables_with(parameter: str) -> Iterator[tuple[str, Any]]:
    for label, function in public_functions((*DOORS, ".ray")):
        if parameter in inspect.signature(function).parameters:
            yield label, function


@pytest.mark.parametrize("call", PROGRESS)
def test_what_is_no_progress_is_refused_in_one_line(call: str, world: SimpleNamespace) -> None:
    for value in ("yes", "Lines", 1, 0, b"lines", ["lines"], {}, np.array([1, 2])):
        with pytest.raises(
            InvalidInputError, match=r"^progress: True, False, None, \"lines\" or a function is"
        ):
            PROGRESS[call](world, value)
    assert len(world.index) == 4 and world.index.refresh().generation == 1, "nothing has changed"
    assert {path.name for path in world.folder.iterdir()} <= {"ix", "v.arrow", "v.jsonl"}, "nothing is left"


@pytest.mark.parametrize("parameter", NUMBERS)
def test_what_is_no_number_is_refused_in_one_line(parameter: str, world: SimpleNamespace) -> None:
    for value in NO_NUMBERS:
        if not isinstance(value, str | bytes | int | float | complex) and "term" in parameter:
            continue  # cannot be a key
        with pytest.raises(InvalidInputError) as refused:
            NUMBERS[parameter](world, value)
        assert len(str(refused.value).splitlines()) == 1
        assert len(str(refused.value)) < 300
    assert len(world.index) == 4, "nothing has changed"
    assert world.index.refresh().generation == 1
    assert {path.name for path in world.folder.iterdir()} <= {"ix", "v.arrow", "v.jsonl"}, "nothing is left"


def test_numpy_s_whole_numbers_are_whole_numbers(world: SimpleNamespace) -> None:
    one = np.int64(1)
    assert len(world.engine.search("moon", one)) == 1
    assert world.encoder.encode_queries(["tea leaf"], top_k=one).nnz == 1
    assert world.two.top_k(np.uint8(1)).nnz == 2
    engine = SearchEngine.build(
        new(world), TEXT, FakeEncoder(), threads=one, memory=np.int32(64), top_k=np.int16(3)
    )
    assert len(engine) == 1
    shutil.rmtree(new(world))


def test_numbers_are_told_with_their_bounds() -> None:
    assert whole("k", np.int32(3), 1) == 3
    assert real("share", 1, 0, 1) == 1.0
    for call, told in (
        (lambda: whole("k", 0, 1), "k: a whole number of at least 1 is expected, got 0"),
        (lambda: whole("k", True, 1, 9), "k: a whole number from 1 to 9 is expected, got True"),
        (lambda: whole("k", 2**63), "k: a whole number of at least 0 is expected, got 9223372036854775808"),
        (lambda: real("x", float("nan"), 0, 1), "x: a number from 0 to 1 is expected, got nan"),
        (lambda: real("x", 10**400, 0, 1), f"x: a number from 0 to 1 is expected, got {'1' + 59 * '0'}"),
        (lambda: flag("deep", 1), "deep: True or False is expected, got 1"),
        (lambda: path_of("path", 3), "path: a path is expected, got 3"),
        (lambda: path_of("path", ""), "path: a path is expected, got ''"),
        (lambda: path_of("path", "a\0b"), r"path: a path is expected, got 'a\x00b'"),
    ):
        with pytest.raises(InvalidInputError) as refused:
            call()
        assert str(refused.value) == told


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
        "export_index(vocabulary)",
        "export_index(query_ids)",
        "import_vectors(vocabulary)",
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


def test_an_iterator_is_as_good_as_a_list(world: SimpleNamespace) -> None:
    """It was read by the checks, and then there was nothing left: no query, so no hits."""
    assert [len(hits) for hits in world.engine.search_many(iter(["moon", "tide"]), exact=True)] == [4, 0]
    assert len(world.engine.encode_queries(text for text in ["moon", "tide"])) == 2
    assert len(SparseVectors.concat(iter([world.two, world.two]))) == 4
    assert SparseVectors.from_dicts([{1: 2.0}], 2).to_token_dicts(iter("ab")) == [{"b": 2.0}]
    assert Ranking.in_order(iter("ab"), [2.0, 1.0]).ids == ("a", "b")
    assert Ranking.by_trec_eval(iter("ab"), [1.0, 2.0]).ids == ("b", "a")
    assert SparseIndex.build(world.folder / "iterated", world.two, iter(["x", "y"])).ids() == ["x", "y"]
    path = world.folder / "iterated.jsonl"
    write_vectors(path, SparseVectors.from_dicts([{1: 2.0}], 2), iter("x"), iter("ab"))
    assert read_vectors(path, iter("ab")).ids == ["x"]


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


def test_what_occurs_twice_is_named_in_one_pass(world: SimpleNamespace) -> None:
    """Counting each id in turn took minutes for a hundred thousand."""
    assert first_twice(["b", "a", "c", "a", "b"]) == "b"
    assert first_twice(["a", "b"]) is None
    many = [str(i) for i in range(200_000)]
    start = time.process_time()
    assert first_twice([*many, "199999"]) == "199999"
    with pytest.raises(InvalidInputError, match="id '1' is given twice"):
        world.engine.delete(["2", "3", "4", "1", "1"])
    assert time.process_time() - start < 5


def test_arguments_that_no_encoder_has_are_told_before_the_corpus_is_read(world: SimpleNamespace) -> None:
    """`bach_tokens=5` was told by the encoder's own function, after hours of reading; sync passed over it."""

    def read_first() -> Iterator[dict[str, str]]:
        raise AssertionError("the corpus is read")
        yield {}

    engine = SearchEngine(world.engine.path, world.engine.index, world.encoder)
    told = r"no argument 'bach_tokens'; for encoding there are batch_tokens, device, top_k"
    for call in (
        lambda: SearchEngine.build(new(world), Lazy(read_first), world.encoder, bach_tokens=5),
        lambda: adapt(Lazy(read_first), new(world), world.encoder, bach_tokens=5),
        lambda: engine.add(Lazy(read_first), bach_tokens=5),
        lambda: engine.update(Lazy(read_first), bach_tokens=5),
        lambda: engine.sync(world.folder, bach_tokens=5),
    ):
        with pytest.raises(TypeError, match=told):
            call()
    for name, value, message in (
        ("name", "", "name: a text is expected"),
        ("name", 5, "name: a text is expected, got 5"),
        ("encoding", 5, "encoding 5: not known"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            engine.sync(world.folder, **{name: value})
    with pytest.raises(InvalidInputError, match="config: a BuildConfig is expected, got "):
        SearchEngine.build(new(world), TEXT, FakeEncoder(), config={})


class Lazy:
    """A corpus that can be iterated over again."""

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Any]:
        return self._make()


def test_an_array_is_as_good_as_a_list(world: SimpleNamespace) -> None:
    """Of numpy's the truth value was asked for, and of Arrow's the items were taken for no strings."""
    import pyarrow as pa

    for array in (np.array, pa.array):
        assert [len(hits) for hits in world.engine.search_many(array(["moon", "tide"]), exact=True)] == [4, 0]
        assert len(world.engine.encode_queries(array(["moon", "tide"]))) == 2
        found = world.engine.get(array(world.engine.index.ids()[:2]))
        assert [document.id for document in found] == world.engine.index.ids()[:2]
        assert all(type(document.id) is str for document in found)
        name = world.folder / f"ids of {array.__module__}"
        assert SparseIndex.build(name, world.two, array(["x", "y"])).ids() == ["x", "y"]
        with pytest.raises(InvalidInputError, match="no document with id 'none'"):
            world.engine.delete(array(["none"]))
