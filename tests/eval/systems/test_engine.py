"""The system `engine`: what a `SearchEngine` over the same documents answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from splade_engine.engine import Hybrid, SearchEngine
from splade_engine.errors import InvalidInputError
from splade_engine.eval.run.runner import evaluate
from splade_engine.eval.systems import parse_system
from splade_engine.eval.systems.bench import Settings
from tests.fake_encoder import FakeEncoder
from tests.small_collection import DOCUMENTS, QUERIES


def answered(tmp_path: Path, **options: object) -> dict[str, list[tuple[str, float]]]:
    records = [{"id": id, "title": title, "text": text} for id, (title, text) in DOCUMENTS.items()]
    engine = SearchEngine.build(tmp_path / "index", records, FakeEncoder())
    return {
        query_id: [(hit.id, hit.score) for hit in engine.search(text, 1000, exact=True, **options)]  # type: ignore[arg-type]
        for query_id, text in QUERIES.items()
    }


@pytest.mark.parametrize(
    ("spec", "hybrid"),
    [
        ("engine", None),
        ("engine(hybrid=off)", False),
        ("engine(hybrid=sum)", "sum"),
        ("engine(hybrid=sum, weight=0.3)", Hybrid("sum", 0.3)),
        ("engine(hybrid=rrf)", "rrf"),
    ],
)
def test_it_answers_as_a_search_engine_does(
    collection: Path, tmp_path: Path, spec: str, hybrid: object
) -> None:
    result = evaluate(spec, str(collection), settings=Settings(encoder=FakeEncoder()))
    wanted = answered(tmp_path, operators=False, hybrid=hybrid)
    for query_id, hits in wanted.items():
        ranking = result.run[query_id]
        assert list(ranking.ids) == [id for id, _ in hits]
        assert ranking.scores.tolist() == pytest.approx(
            [score for _, score in hits], rel=1e-5
        )  # ties are spread
    assert result.cost.index_bytes > 0


def test_by_terms_alone_it_is_the_sparse_system(collection: Path) -> None:
    engine = evaluate("engine(hybrid=off)", str(collection), settings=Settings(encoder=FakeEncoder()))
    sparse = evaluate("sparse-exact", str(collection), settings=Settings(encoder=FakeEncoder()))
    for query_id in QUERIES:
        assert engine.run[query_id].ids == sparse.run[query_id].ids


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("engine(hybrid=both)", "hybrid must be one of default, off, sum, rrf"),
        ("engine(weight=2)", "weight belongs to hybrid=sum and hybrid=rrf, not to default"),
        ("engine(hybrid=rrf, weight=-1)", "weight must be between 0 and 1e"),
        ("engine(bm25)", "is made of 0 systems"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(spec: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_system(spec)
