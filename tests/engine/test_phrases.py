"""Pairs as terms, from the command to the hit and why it was found: with the bundled encoder."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from splade_engine import SearchEngine, SparseEncoder
from splade_engine.cli import app
from splade_engine.engine.related import _meant
from splade_engine.errors import EncoderMismatchError

DOCUMENTS = [
    {"id": "apart", "text": "The model of a language teacher: language, models, a language for a model."},
    {"id": "together", "text": "Someone trained a language model on letters."},
    {"id": "other", "text": "Part AB-123 fits the pump, part CD-456 the valve."},
    {"id": "crossed", "text": "Part AB-456 fits the valve, part CD-123 the pump, AB-456 again."},
]


def run(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(a) for a in args])
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An encoder with pairs and an index of it, made by the commands."""
    home = tmp_path_factory.mktemp("phrases")
    corpus = home / "corpus.jsonl"
    corpus.write_text("".join(json.dumps(d) + "\n" for d in DOCUMENTS))
    said = json.loads(run("phrases", "-o", home / "with", "--factor", 1, "--json"))
    assert said == {
        "path": str(home / "with"),
        "terms": "pairs",
        "n_terms": 30522 + 65536,
        "encoder": "splade-engine-default",
    }
    for name, encoder in (("plain", "bundled"), ("pairs", home / "with")):
        run("index", corpus, "-o", home / name, "-e", encoder, "--device", "cpu")
    return home


def test_words_that_stand_together_are_found_first(home):
    plain, pairs = SearchEngine.open(home / "plain"), SearchEngine.open(home / "pairs")
    for query, first in (("language model", "together"), ("AB-123", "other"), ("cd 123", "crossed")):
        assert pairs.search(query, exact=True)[0].id == first, query
    gained = [
        hit.score - {h.id: h.score for h in plain.search("language model", exact=True)}[hit.id]
        for hit in sorted(pairs.search("language model", exact=True), key=lambda h: h.id)
        if hit.id in ("apart", "together")
    ]
    assert abs(gained[0]) < 0.05 < gained[1]


def test_why_a_pair_counts_is_told_in_words(home):
    engine = SearchEngine.open(home / "pairs")
    hits = {hit.id: hit.explain() for hit in engine.search("language model of AB-999", exact=True)}
    terms = {match.term: match for match in hits["together"].matches}
    assert terms["language model"].words == ("language model",)
    assert not terms["language model"].is_expansion
    missing = dict(hits["other"].missing)
    assert "language model" in missing and not any(name.startswith("[phrase") for name in missing)
    assert "language model" in str(hits["together"])
    vectors = engine.encoder.encode_queries(["language model"])
    found = engine.search_vectors(vectors)[0][0].explain()  # without a text a term has its number
    assert any(match.term.startswith("[phrase-") for match in found.matches)
    assert abs(sum(match.contribution for match in found.matches) - found.score) < 1e-5
    shown = run("search", home / "pairs", "language model", "--explain")
    assert "language model" in shown and "[phrase-" not in shown


def test_the_index_holds_to_its_encoder(home):
    with pytest.raises(EncoderMismatchError, match="built with another encoder"):
        SearchEngine.open(home / "pairs", encoder=SparseEncoder.load(device="cpu"))
    engine = SearchEngine.open(home / "pairs")
    assert engine.encoder.checkpoint.settings.phrase_terms == "pairs"
    assert engine.index.n_terms == 30522 + 65536


def test_a_collection_weighs_single_terms_alone(home):
    """What pairs weigh depends on their words; only these are weighed by the collection too."""
    engine = SearchEngine.open(home / "pairs")
    plain = SearchEngine.open(home / "pairs", collection_idf=False)
    tokens = len(engine.encoder.query_table)
    weighed, table = (
        dict(zip(*map(list, e.encode_queries(["language model"]).row(0)), strict=True))
        for e in (engine, plain)
    )
    assert weighed.keys() == table.keys() and any(t >= tokens for t in weighed)
    for term, weight in table.items():
        assert (weighed[term] == weight) == (term >= tokens)


def test_pairs_say_nothing_of_how_much_is_covered(home):
    """A document with all words of a query covers it, though they stand apart there."""
    plain, pairs = SearchEngine.open(home / "plain"), SearchEngine.open(home / "pairs")
    for query in ("teacher of a language model", "CD-456 of a pump", "letters for the moon"):
        found = {
            name: {hit.id: hit._covered() for hit in engine.search(query, exact=True)}
            for name, engine in (("plain", plain), ("pairs", pairs))
        }
        shared = found["plain"].keys() & found["pairs"].keys()
        assert shared and all(abs(found["plain"][i] - found["pairs"][i]) < 0.01 for i in shared)


def test_related_terms_are_single_ones(home):
    """Nothing shares a term with the query: then it is searched as a document is read, without its pairs."""
    encoder = SearchEngine.open(home / "pairs").encoder
    vector = _meant(encoder, "language model of a pump")
    assert vector is not None and vector.nnz and vector.n_terms == encoder.n_terms
    assert vector.terms.max() < len(encoder.query_table)


def test_the_command_refuses(home):
    before = sorted(p.name for p in (home / "with").iterdir())
    result = CliRunner().invoke(app, ["phrases", "-o", str(home / "with")])
    assert result.exit_code == 2 and "exists already" in result.stderr
    assert sorted(p.name for p in (home / "with").iterdir()) == before
    result = CliRunner().invoke(app, ["phrases", "-o", str(home / "new"), "--kind", "words"])
    assert result.exit_code == 2 and "phrase_terms = words" in result.stderr
    assert not (home / "new").exists()
