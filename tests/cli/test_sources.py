"""Sources on the command line: passages, folders, sync, standard input."""

from __future__ import annotations

import io
import json

import pytest

from splade_engine import SearchEngine
from tests.fake_encoder import FakeEncoder


def files(folder, contents):
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.fixture
def notes(tmp_path):
    return files(tmp_path / "notes", {"a.md": "# Tides\n\nThe moon.", "sub/b.txt": "Bread and yeast."})


def test_index_cuts_records_where_it_is_asked_for(cli, tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text(json.dumps({"id": 7, "text": "The sea and the wind. " * 40}) + "\n")
    cli("index", path, "-o", tmp_path / "whole")
    assert len(SearchEngine.open(tmp_path / "whole", FakeEncoder())) == 1
    cli("index", path, "-o", tmp_path / "cut", "--passages", "32", "--overlap", "8")
    engine = SearchEngine.open(tmp_path / "cut", FakeEncoder())
    hit = engine.search("sea", k=1)[0]
    assert len(engine) > 5 and hit.metadata["parent"] == "7" and hit.id.startswith("7#")


def test_added_records_are_cut_as_those_of_the_index_were(cli, tmp_path):
    text = "The sea and the wind. " * 40
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    first.write_text(json.dumps({"id": 7, "text": text}) + "\n")
    second.write_text(json.dumps({"id": 8, "text": text}) + "\n")
    cli("index", first, "-o", tmp_path / "cut", "--passages", "32", "--overlap", "8")
    cli("add", tmp_path / "cut", second)
    engine = SearchEngine.open(tmp_path / "cut", FakeEncoder())
    parts = {
        parent: [hit.text for hit in engine.search("sea", 50, where={"parent": parent}, sort="passage")]
        for parent in "78"
    }
    assert len(parts["7"]) > 5 and parts["7"] == parts["8"]
    assert "_sync" not in engine.search("sea")[0].metadata


def test_added_records_are_whole_where_those_of_the_index_are(cli, tmp_path):
    path = tmp_path / "book.jsonl"
    path.write_text(json.dumps({"id": 7, "text": "The sea and the wind. " * 40}) + "\n")
    cli("index", path, "-o", tmp_path / "whole")
    cli("add", tmp_path / "whole", path, "--replace")
    assert len(SearchEngine.open(tmp_path / "whole", FakeEncoder())) == 1
    cli("add", tmp_path / "whole", path, "--replace", "--passages", "32")
    assert len(SearchEngine.open(tmp_path / "whole", FakeEncoder())) > 5


def test_added_files_are_cut_as_those_of_the_index_were(cli, tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    for file in (one, two):
        file.write_text("The sea and the wind. " * 40)
    cli("index", one, "-o", tmp_path / "ix", "--passages", "32")
    cli("add", tmp_path / "ix", two)
    index = SearchEngine.open(tmp_path / "ix", FakeEncoder()).index
    assert (
        sum(id.startswith("one") for id in index.ids()) == sum(id.startswith("two") for id in index.ids()) > 5
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--passages", "3"], "a whole number from 16 to"),
        (["--passages", "many"], "a whole number from 16 to"),
        (["--passages", "32", "--overlap", "17"], "overlap: at most half of the 32 tokens"),
        (["--encoding", "klingon"], "encoding 'klingon': not known"),
        (["--types", "year"], "--types: 'year'; give COLUMN=TYPE,..., such as year=int,zip=text"),
        (["--types", "year=int,year=text"], "--types: 'year' is given two types"),
        (["--types", "year=number"], 'types: "year" is to be "number"; a column is one of int, float, bool,'),
        (
            ["--types", "year=int"],
            "a type is given for 'year'; only the columns of CSV and TSV files take types",
        ),
        (["--long-texts", "fold"], "'fold' is not one of 'cut', 'windows'"),
    ],
)
def test_options_that_cannot_be(refused, notes, tmp_path, options, message):
    assert message in refused("index", notes, "-o", tmp_path / "ix", *options)
    assert not (tmp_path / "ix").exists()


def test_a_folder_with_files_that_cannot_be_read(cli, notes, tmp_path):
    files(notes, {"c.txt": b"caf\xe9", "d.xlsx": b"x"})
    said = cli("index", notes, "-o", tmp_path / "ix").stderr
    assert "left out: c.txt: 1: invalid UTF-8 (byte 0xe9)" in said
    assert "1 file of kinds that are not read (1 .xlsx), such as d.xlsx" in said
    assert "left out" not in cli("index", notes, "-o", tmp_path / "all", "--encoding", "latin-1").stderr


@pytest.mark.parametrize(
    "text", ['{"id": 1, "text": "sea"}\n', '[{"id": 1, "text": "sea"}]', "id,text\n1,sea\n", "1\tsea\n"]
)
def test_standard_input_in_every_format(cli, tmp_path, monkeypatch, text):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    from splade_engine.collections.corpus import Corpus

    assert [(d.id, d.text) for d in Corpus("-")] == [("1", "sea")]


def test_columns_of_csv_have_types(cli, refused, tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("id,text,year,zip\n1,sea,1998,10115\n2,sea and wind,2015,20095\n")
    said = cli("index", path, "-o", tmp_path / "ix", "--types", "zip=text").stderr
    assert said.count("c.csv: types of columns: year int, zip text; --types or types= gives others") == 1
    found = json.loads(cli("search", tmp_path / "ix", "sea", "--where", "year > 2000", "--json").stdout)
    assert [(hit["id"], hit["metadata"]["zip"]) for hit in found["hits"]] == [("2", "20095")]
    path.write_text("id,text,year,zip\n3,sea,2020,10997\n")
    cli("add", tmp_path / "ix", path)  # text, as in the index
    path.write_text("id,text,year\n4,sea,2020\n5,sea,soon\n")
    message = f"{path}:3: the column 'year' holds \"soon\", no whole number"
    assert message in refused("add", tmp_path / "ix", path)
    assert len(SearchEngine.open(tmp_path / "ix", FakeEncoder())) == 3


def test_sync_makes_an_index_and_keeps_it_up(cli, encoder, notes, tmp_path):
    index = tmp_path / "ix"
    tried = json.loads(cli("sync", notes, index, "--dry-run", "--json").stdout)
    assert (tried["added"], tried["dry_run"], index.exists()) == (["a.md", "sub/b.txt"], True, False)
    first = json.loads(cli("sync", notes, index, "--json").stdout)
    assert (first["added"], first["written"], first["failed"]) == (["a.md", "sub/b.txt"], 2, [])
    encoder.encoded = 0
    files(notes, {"a.md": "# Tides\n\nThe sea.", "c.md": "New.", "bad.txt": b"\xff\xfe\xfa"})
    (notes / "sub" / "b.txt").unlink()
    result = cli("sync", notes, index)
    assert "missing  sub/b.txt" in result.stdout and "--prune deletes them" in result.stderr
    assert "failed   bad.txt: 1: invalid UTF" in result.stdout
    assert f"{index}: 1 added, 1 changed, 0 unchanged, 0 removed, 1 failed; " in result.stdout
    assert encoder.encoded == 2
    files(notes, {f"bad{i}.txt": b"caf\xe9" for i in range(12)})
    (notes / "again").symlink_to(notes)
    result = cli("sync", notes, index)
    assert result.stdout.count("failed   bad") == 13
    advice = "--encoding latin-1, or Corpus(..., encoding='latin-1'), decodes such text"
    assert result.stderr.count(advice) == 1
    assert "Not followed, as they are links: again" in result.stderr
    result = cli("sync", notes, index, "--prune")
    assert (
        "removed  sub/b.txt" in result.stdout
        and "0 added, 0 changed, 2 unchanged, 1 removed" in result.stdout
    )
    assert sorted(SearchEngine.open(index, FakeEncoder()).index.ids()) == ["a.md", "c.md"]


def test_sync_watches(cli, notes, tmp_path, monkeypatch):
    import watchfiles

    def changes(folder, **options):
        assert folder == notes
        files(notes, {"c.md": "New."})
        yield {(1, "c.md")}
        files(notes, {"d.md": "Newer."})
        yield {(1, "d.md")}

    monkeypatch.setattr(watchfiles, "watch", changes)
    lines = cli("sync", notes, tmp_path / "ix", "--watch", "--json").stdout.splitlines()
    assert [json.loads(line)["added"] for line in lines] == [["a.md", "sub/b.txt"], ["c.md"], ["d.md"]]


def test_what_sync_refuses(refused, cli, notes, tmp_path):
    assert "nothing: no such folder" in refused("sync", tmp_path / "nothing", tmp_path / "ix")
    assert "a.md: is a file, a folder is needed" in refused("sync", notes / "a.md", tmp_path / "ix")
    other = files(tmp_path / "other", {"x": "mine"})
    assert "other" in refused("sync", notes, other) and (other / "x").read_text() == "mine"
    cli("sync", notes, tmp_path / "ix")
    moved = notes.rename(tmp_path / "moved")
    assert "the index holds 'a.md' from another folder, or this one has moved" in refused(
        "sync", moved, tmp_path / "ix"
    )
