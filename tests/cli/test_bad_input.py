"""Bad input: one clear line, exit code 2 (1 for corruption), and nothing that was there is lost."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from splade_engine.cli import app
from splade_engine.index import SparseIndex

FAKE = Path(__file__).parents[1] / "fake_encoder.py"


def contents(folder):
    return {f.name: f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.fixture
def refused_source(refused, encoder, tmp_path):
    """`index SOURCE` is refused with a message; nothing is encoded and nothing is left behind."""

    def run(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        before = contents(tmp_path)
        message = refused("index", path, "-o", tmp_path / "ix")
        assert contents(tmp_path) == before
        assert encoder.encoded == 0
        return message.replace(f"{tmp_path}/", "")

    return run


def test_empty_corpus(refused_source):
    assert refused_source("c.jsonl", "") == "c.jsonl: empty corpus, not one document"


def test_empty_document(refused_source):
    content = '{"_id": "a", "text": "moon"}\n{"_id": "b", "title": "", "text": " "}\n'
    assert refused_source("c.jsonl", content).startswith("c.jsonl:2: document 'b' has neither title nor text")


def test_duplicate_id(refused_source):
    content = '{"_id": "a", "text": "moon"}\n{"_id": "b", "text": "sea"}\n{"_id": "a", "text": "tide"}\n'
    assert refused_source("c.jsonl", content) == "c.jsonl:3: duplicate id 'a', first on line 1"


def test_non_string_id(refused_source):
    assert (
        refused_source("c.jsonl", '{"_id": 7.5, "text": "x"}')
        == "c.jsonl:1: the field _id must be a string, got 7.5"
    )


def test_missing_field(refused_source):
    assert refused_source("c.jsonl", '{"_id": "a"}') == "c.jsonl:1: the field text is missing"


def test_invalid_utf8(refused_source):
    message = refused_source("c.tsv", b"a\tmoon\nb\tcaf\xe9\n")
    problem, _, advice = message.partition("; ")
    assert problem == "c.tsv:2: invalid UTF-8 (byte 0xe9 at column 6)"
    assert advice.startswith("--encoding latin-1")


def test_not_json(refused_source):
    assert refused_source("c.jsonl", "moon\n").startswith("c.jsonl:1: not JSON")


def test_truncated_gzip(refused_source):
    packed = gzip.compress("".join(f'{{"id": "{i}", "text": "moon {i}"}}\n' for i in range(999)).encode())
    message = refused_source("c.jsonl.gz", packed[:-2000])
    assert message.startswith("c.jsonl.gz:")
    assert message.endswith("the compressed file ends too early (truncated)")


def test_unknown_format_and_missing_source(refused_source, refused, tmp_path):
    assert "the format .xlsx is not known" in refused_source("c.xlsx", "PK")
    assert "c.pdf: not readable as PDF" in refused_source("c.pdf", "%PDF")
    assert "no such file or folder" in refused("index", tmp_path / "nothing", "-o", tmp_path / "ix")


def test_output_folder_exists(refused, corpus_file, index_folder, encoder, tmp_path):
    before, encoded = contents(index_folder), encoder.encoded
    assert "exists already" in refused("index", corpus_file, "-o", index_folder)
    (tmp_path / "v.arrow").write_bytes(b"mine")
    assert "exists already" in refused("encode", corpus_file, "-o", tmp_path / "v.arrow")
    assert "exists already" in refused("export", index_folder, tmp_path / "v.arrow")
    assert (tmp_path / "v.arrow").read_bytes() == b"mine"
    assert contents(index_folder) == before
    assert encoder.encoded == encoded


def test_query_of_no_known_term(refused, index_folder):
    assert (
        refused("search", index_folder, "qqq zzz") == "query 'qqq zzz': holds no term that the encoder knows"
    )
    assert "is empty" in refused("search", index_folder, "")


def test_bad_filter_and_bad_accuracy(refused, index_folder):
    assert refused("search", index_folder, "moon", "--where", "year >").startswith("where: ")
    assert "accuracy" in refused("search", index_folder, "moon", "--accuracy", "1.5")


def test_another_encoder(refused, index_folder):
    message = refused("search", index_folder, "moon", "-e", "other")
    assert "was built with another encoder (name fake, now other; max_length 64, now 8)" in message


def test_nan_weights(refused, tmp_path):
    n = 3
    weights = np.array([1.0, np.nan, 1.0], np.float32)
    offsets = np.arange(n + 1, dtype=np.int64)
    table = pa.table(
        {
            "id": pa.array(["a", "b", "c"], pa.large_string()),
            "terms": pa.LargeListArray.from_arrays(offsets, pa.array(np.arange(n, dtype=np.int32))),
            "weights": pa.LargeListArray.from_arrays(offsets, pa.array(weights)),
        }
    ).replace_schema_metadata({b"splade_engine.n_terms": b"10"})
    with pa.OSFile(str(tmp_path / "v.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    message = refused("index", tmp_path / "v.arrow", "-o", tmp_path / "ix")
    assert "v.arrow: row 1, term 1, weight nan: weights are finite and not negative" in message
    assert not (tmp_path / "ix").exists()


def test_an_encoder_that_gives_nan(refused, corpus_file, encoder, tmp_path):
    from splade_engine.vectors import SparseVectors

    encoder.encode_documents = lambda texts, **options: SparseVectors([0, 1], [0], [np.nan], encoder.n_terms)
    assert "weight nan" in refused("index", corpus_file, "-o", tmp_path / "ix")
    assert not (tmp_path / "ix").exists()


def test_no_index_there(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    for command in (["search"], ["info"], ["check"], ["tune"]):
        query = ["moon"] if command == ["search"] else []
        assert str(tmp_path / "empty") in refused(*command, tmp_path / "empty", *query)
        assert str(tmp_path / "none") in refused(*command, tmp_path / "none", *query)


@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
@pytest.mark.parametrize("kind", ["postings", "ids", "payload", "manifest.json"])
def test_corrupted_index(refused, index_folder, kind, damage):
    file = next(f for f in index_folder.iterdir() if f.name.endswith(kind))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    # without its manifest a folder holds no index: that is another mistake than a damaged one
    code = 2 if (kind, damage) == ("manifest.json", "missing") else 1
    assert file.name in refused("check", index_folder, code=code) or code == 2
    refused("search", index_folder, "moon", code=code)


def test_half_written_index(refused, cli, corpus_file, encoder, tmp_path):
    encoder.fail_after = 2
    cli("index", corpus_file, "-o", tmp_path / "ix", code=130)
    assert not (tmp_path / "ix").exists()
    assert "no" in refused("search", tmp_path / "ix", "moon")
    encoder.fail_after = None
    cli("index", corpus_file, "-o", tmp_path / "ix")
    assert len(SparseIndex.open(tmp_path / "ix")) == 4


@pytest.mark.usefixtures("children_untraced")
@pytest.mark.parametrize("limit", [100, 3_000, 40_000])
def test_disk_full(corpus_file, index_folder, tmp_path, limit):
    """A file may not grow beyond `limit` bytes: hit in the work folder, then while the index is written."""
    lines = [json.dumps({"id": f"d{i}", "text": f"moon sea {i} " * 30}) for i in range(300)]
    (tmp_path / "big.jsonl").write_text("\n".join(lines))
    before = contents(index_folder)
    script = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("fake_encoder", {str(FAKE)!r})
fake = importlib.util.module_from_spec(spec); spec.loader.exec_module(fake)
from splade_engine.encoder import SparseEncoder
SparseEncoder.load = staticmethod(lambda source=None, **options: fake.FakeEncoder())
from splade_engine.cli import main
main()
"""
    command = [sys.executable, "-c", script, "index", str(tmp_path / "big.jsonl"), "-o", str(index_folder)]
    result = subprocess.run(
        [*command, "--overwrite"],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "File too large" in result.stderr
    assert contents(index_folder) == before


def test_a_source_that_may_not_be_read(refused, tmp_path, monkeypatch):
    (tmp_path / "c.jsonl").write_text("{}")

    def denied(self, *args, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.open", denied)
    assert "cannot be read (Permission denied)" in refused(
        "index", tmp_path / "c.jsonl", "-o", tmp_path / "ix"
    )


def test_unknown_dataset(refused):
    assert "nothing/such" in refused("eval", "nothing/such")


@pytest.mark.parametrize("command", ["index", "encode"])
def test_a_precision_that_is_not_known(tmp_path, command):
    (tmp_path / "c.jsonl").write_text('{"_id": "a", "text": "moon"}\n')
    arguments = [command, tmp_path / "c.jsonl", "-o", tmp_path / "out.arrow", "--dtype", "int3"]
    found = CliRunner().invoke(
        app, [str(a) for a in arguments]
    )  # with the bundled encoder, which is not used
    assert found.exit_code == 2 and "dtype 'int3': expected one of auto, float32" in found.stderr
    assert not (tmp_path / "out.arrow").exists()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("=2", "--data =2: names no file or folder"),
        ("ict:", "--data ict:: names no file or folder"),
        (
            "pairs.jsonl=0",
            "--data pairs.jsonl=0: a weight is above 0; without one it is the number of examples",
        ),
    ],
)
def test_sources_of_training_that_cannot_be_meant(refused, data, told):
    """Without a path it was the working folder, and a weight of 0 was the largest of all."""
    assert refused("train", "-o", "run", "-r", "splade", "-d", data) == told


def test_a_name_that_ends_like_a_weight_is_a_name(cli, tmp_path):
    pairs = tmp_path / "pairs-lr=0.1"
    pairs.write_text('{"query": "moon", "positive": "sea"}\n')
    told = cli(
        "train", "-o", tmp_path / "run", "-r", "splade", "-d", pairs, "-d", f"{pairs}=3", "--show"
    ).stdout
    assert told.count(f'path = "{pairs}"') == 2
    assert "weight = 3.0" in told


def test_a_recipe_is_shown_without_a_folder_and_trained_with_one(cli, refused):
    """`train -r NAME --show` is what the documents say; it asked for -o."""
    assert "\n[model]\n" in cli("train", "-r", "l0", "--show").stdout
    for given in (("-r", "l0"), ("--resume",)):
        assert refused("train", *given).startswith("Missing option '--output' / '-o';")


def test_a_field_of_another_type_names_the_line(refused, index_folder, tmp_path):
    more = tmp_path / "more.jsonl"
    more.write_text('{"_id": "x", "text": "sea"}\n\n{"_id": "new", "text": "moon", "year": "n.d."}\n')
    message = refused("add", index_folder, more)
    assert (
        message
        == f"{more}:3: document 'new': field 'year' is \"n.d.\", but in the index it holds whole numbers"
    )


def test_a_fraction_for_whole_numbers_beyond_2_to_53_names_the_line(cli, refused, index_folder, tmp_path):
    more, numbers = tmp_path / "more.jsonl", tmp_path / "numbers.jsonl"
    numbers.write_text('{"_id": "n", "text": "wind", "count": 9007199254740993}\n')
    cli("add", index_folder, numbers)
    more.write_text('{"_id": "x", "text": "sea", "count": 3}\n{"_id": "y", "text": "sea", "count": 0.5}\n')
    assert refused("add", index_folder, more) == (
        f"{more}:2: document 'y': field 'count' is 0.5, but in the index it holds whole numbers beyond 2^53, "
        "which no column of fractions holds exactly"
    )
    year = tmp_path / "year.jsonl"
    year.write_text('{"_id": "z", "text": "sea", "year": 2005.5}\n')
    cli("add", index_folder, year)  # its whole numbers are small, and become numbers
