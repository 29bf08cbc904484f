"""Feedback in the engine: the second search of a query that has taken terms of its first hits."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from splade_engine import SearchEngine
from splade_engine.cli import app
from splade_engine.engine import Feedback
from splade_engine.engine.feedback import rm3, rocchio
from splade_engine.errors import InvalidInputError
from splade_engine.index import Exact
from tests.fake_encoder import FakeEncoder

TEXTS = [
    ("tides", "moon sea ship sea", 1990),
    ("moon", "moon night sky", 1995),
    ("ship", "sea ship wind", 2000),
    ("bread", "bread yeast salt", 2005),
    ("salt", "salt sea", 2010),
    ("stars", "night star sky", 1990),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    records = [{"id": id, "text": text, "year": year} for id, text, year in TEXTS]
    return SearchEngine.build(tmp_path_factory.mktemp("feedback") / "ix", records, FakeEncoder())


def by_hand(engine, query, feedback, k=6, where=None):
    """First search, changed query, second search."""
    vector = engine.encode_queries([query])
    first = engine.index.search(vector, k=feedback.docs, exact=True, where=where)
    kept = first.ordinals[0] >= 0
    rows = engine.index.vectors(first.ordinals[0][kept])
    if feedback.method == "rm3":
        changed = rm3(vector, rows, first.scores[0][kept], feedback.terms, feedback.original)
    else:
        changed = rocchio(vector, rows, feedback.terms, feedback.alpha, feedback.beta)
    second = engine.index.search(changed, k=k, exact=True, where=where)
    return [(id, float(score)) for id, score in zip(second.ids[0], second.scores[0], strict=False)]


@pytest.mark.parametrize(
    "feedback", [Feedback(docs=2), Feedback(docs=3, terms=2), Feedback(docs=2, method="rocchio", beta=2.0)]
)
@pytest.mark.parametrize("where", [None, "year < 2003"])
def test_hits_are_those_of_the_changed_query(engine, feedback, where):
    found = engine.search("ship", 6, feedback=feedback, where=where, effort=Exact())
    assert [(hit.id, pytest.approx(hit.score)) for hit in found] == by_hand(
        engine, "ship", feedback, where=where
    )
    plain = engine.search("ship", 6, where=where, effort=Exact())
    assert {hit.id for hit in plain} <= {hit.id for hit in found}
    if where is None:  # finds what shares no word with the query
        assert len(plain) < len(found)
    explained = {match.term for match in found[0].explain().matches}
    assert "sea" in explained  # a term that the query took from its hits


def test_a_number_is_a_number_of_hits_and_texts_and_vectors_agree(engine):
    one = engine.search("moon sea", 4, feedback=2)
    assert [h.id for h in one] == [h.id for h in engine.search("moon sea", 4, feedback=Feedback(docs=2))]
    (other,) = engine.search_vectors(engine.encode_queries(["moon sea"]), 4, feedback=2)
    assert [(h.id, h.score) for h in other] == [(h.id, h.score) for h in one]
    (first, second) = engine.search_many(["moon sea", "bread"], 4, feedback=2)
    assert [h.id for h in first] == [h.id for h in one] and second[0].id == "bread"
    assert engine.search("xyzzy", feedback=3) == []  # no hits, no feedback
    assert [h.id for h in engine.search("-moon sea", 6, feedback=2)].count("tides") == 0


@pytest.mark.parametrize(
    ("feedback", "message"),
    [
        (0, "docs must be an integer from 1 to 100, got 0"),
        (101, "docs must be an integer from 1 to 100, got 101"),
        (True, "docs must be an integer"),
        ("5", "docs must be an integer from 1 to 100, got '5'"),
        ({"terms": 0}, "terms must be an integer from 1"),
        ({"method": "bo1"}, "method must be rm3 or rocchio, got 'bo1'"),
        ({"original": 1.5}, "original must be a number from 0 to 1, got 1.5"),
        ({"alpha": float("nan")}, "alpha must be a number from 0"),
        ({"alpha": 0, "beta": 0}, "alpha and beta are both 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(engine, feedback, message):
    with pytest.raises(InvalidInputError, match=f"feedback: {message}"):
        engine.search("moon", feedback=Feedback(**feedback) if isinstance(feedback, dict) else feedback)


def test_one_pass_of_the_system_under_evaluation(engine):
    """What `eval`'s rm3 searches for is the engine's."""
    from splade_engine.eval.systems import feedback

    assert feedback.rm3 is rm3 and feedback.rocchio is rocchio


def test_command_line(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"_id": "a", "text": "green tea"}\n{"_id": "b", "text": "tea leaves"}\n')
    runner = CliRunner()
    assert runner.invoke(app, ["index", str(corpus), "-o", str(tmp_path / "ix")]).exit_code == 0
    found = runner.invoke(app, ["search", str(tmp_path / "ix"), "green", "--feedback", "1", "--json"])
    assert found.exit_code == 0, found.output
    assert '"a"' in found.stdout
    refused = runner.invoke(app, ["search", str(tmp_path / "ix"), "green", "--feedback", "0"])
    assert refused.exit_code == 2 and "from 1 to 100, got" in refused.output
