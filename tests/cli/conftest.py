"""The command line in this process, with a tiny encoder in the place of the bundled one."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from splade_engine.cli import app
from tests.fake_encoder import FakeEncoder
from tests.untraced import children_untraced

__all__ = ["children_untraced"]

RECORDS = [
    {
        "_id": "tides",
        "title": "Tides",
        "text": "The moon pulls the sea.\nThe sea makes a tide.",
        "year": 1999,
    },
    {"_id": "bread", "text": "Bread needs yeast and flour.", "year": 2005},
    {"_id": "ship", "text": "A ship needs wind, a small ship needs a small wind.", "lang": "en"},
    {"_id": "storm", "title": "Sea storm", "text": "Storm, wave and wind in a cold sea."},
]


@pytest.fixture
def encoder(monkeypatch):
    """What `SparseEncoder.load` gives; `loads` are the sources that were asked for."""
    made = FakeEncoder()
    made.loads = []

    def load(source=None, **options):
        made.loads.append(source)
        if source == "other":
            return FakeEncoder(name="other", max_length=8)
        return made

    monkeypatch.setattr("splade_engine.encoder.SparseEncoder.load", load)
    return made


@pytest.fixture
def cli(encoder):
    """Run a command; the exit code is checked, and that no exception but an exit ended it."""

    def run(*args, code=0):
        result = CliRunner().invoke(app, [str(a) for a in args])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def refused(cli):
    """Run a command that must fail with one line on standard error and nothing on standard output."""

    def run(*args, code=2):
        result = cli(*args, code=code)
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("splade-engine: ")
        return result.stderr.removeprefix("splade-engine: ").strip()

    return run


@pytest.fixture
def corpus_file(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    return path


@pytest.fixture
def index_folder(cli, corpus_file, tmp_path):
    cli("index", corpus_file, "-o", tmp_path / "ix")
    return tmp_path / "ix"
