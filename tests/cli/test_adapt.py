"""`splade-engine adapt`, and `index --adapt`, with a tiny encoder of random weights."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict

import pytest
from typer.testing import CliRunner

from splade_engine import SearchEngine, SparseEncoder
from splade_engine.cli import adapt, app, phrases
from splade_engine.encoder.settings import EncoderSettings
from splade_engine.engine import NeighbourSettings, adapting
from tests.encoder import zoo
from tests.encoder.made import random_texts


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return zoo.make("opensearch", tmp_path_factory.mktemp("models") / "model")


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    records = [{"_id": str(i), "text": ". ".join(random_texts(3, seed=i)) + "."} for i in range(50)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture(autouse=True)
def _tolerant(monkeypatch):
    monkeypatch.setattr(adapting, "TOLERANCE", 1.0)


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


def test_adapt_writes_an_encoder_and_says_what_it_does(model, corpus, tmp_path):
    result = run("adapt", corpus, "-o", tmp_path / "mine", "-e", model, "--neighbours", 3, "--least", 0)
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'mine'}: an encoder adapted to 50 documents in ")
    assert lines[1].split() == ["before", "after"]
    before, after = map(int, lines[2].split()[-2:])
    assert lines[2].startswith("terms per document") and after > before
    assert "documents found again (mean reciprocal rank)" in lines[3]
    encoder = SparseEncoder.load(tmp_path / "mine")
    assert (encoder.neighbours.settings.count, encoder.neighbours.settings.least) == (3, 0)
    again = run("adapt", corpus, "-o", tmp_path / "mine", "-e", model, code=2)
    assert "holds an adapted encoder already" in again.stderr
    facts = json.loads(run("adapt", corpus, "-o", tmp_path / "m", "-e", model, "--json").stdout)
    assert facts["documents"] == 50 and facts["path"] == str(tmp_path / "m") and facts["questions"] > 0


def test_a_refusal_is_one_line(model, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(adapting, "TOLERANCE", 0.01)
    ranks = iter((0.8, 0.7))
    monkeypatch.setattr(adapting, "_reciprocal_rank", lambda *_: next(ranks))
    refused = run("adapt", corpus, "-o", tmp_path / "mine", "-e", model, code=1)
    assert refused.stdout == ""
    assert "not adapted: " in refused.stderr and "0.700, was 0.800" in refused.stderr
    assert not (tmp_path / "mine").exists()


def test_index_adapt_keeps_the_encoder_in_the_index(model, corpus, tmp_path):
    run("index", corpus, "-o", tmp_path / "ix", "-e", model, "--adapt")
    assert SearchEngine.open(tmp_path / "ix").encoder.neighbours is not None
    assert run("search", tmp_path / "ix", random_texts(3, seed=4)[0], "-k", 1).stdout
    refused = run("index", corpus, "-o", tmp_path / "other", "--adapt", "--ray", "local", code=2)
    assert "--adapt does not go with --ray" in refused.stderr


def test_the_defaults_of_the_commands_are_those_of_the_library():
    """They stand in the commands again, whose help must not load an encoder."""
    defaults = {name: p.default for name, p in inspect.signature(adapt.run).parameters.items()}
    settings = NeighbourSettings()
    assert {name: defaults[name] for name in asdict(settings)} == asdict(settings)
    assert defaults["documents"] == adapting.MOST_DOCUMENTS
    written = {name: p.default for name, p in inspect.signature(phrases.run).parameters.items()}
    assert written["buckets"] == EncoderSettings.phrase_buckets
    assert written["factor"] == EncoderSettings.phrase_factor
