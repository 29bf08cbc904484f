"""Commands that change an index."""

from __future__ import annotations

import json

from splade_engine.index import SparseIndex


def write_records(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_added_documents_are_found(cli, index_folder, tmp_path):
    more = write_records(
        tmp_path / "more.jsonl", {"_id": "night", "text": "A star in the night sky.", "year": 2020}
    )
    assert cli("add", index_folder, more).stdout == f"{index_folder}: 5 documents, 1 more than before\n"
    assert "1. night" in cli("search", index_folder, "star", "-k", 1).stdout
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".encoding")] == []


def test_an_id_that_is_there_is_refused_unless_it_may_be_replaced(
    cli, refused, index_folder, tmp_path, encoder
):
    again = write_records(tmp_path / "again.jsonl", {"_id": "ship", "text": "yeast yeast"})
    before = SparseIndex.open(index_folder).info().fingerprint
    assert "'ship'" in refused("add", index_folder, again)
    assert SparseIndex.open(index_folder).info().fingerprint == before
    facts = json.loads(cli("add", index_folder, again, "--replace", "--json").stdout)
    assert (facts["documents"], facts["added"]) == (4, 0)
    assert "ship" not in cli("search", index_folder, "wind").stdout
    assert "ship" in cli("search", index_folder, "yeast").stdout


def test_bad_input_is_found_before_the_index_is_touched(refused, index_folder, tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"id": "new", "text": "moon"}\n{"id": "new", "text": "sea"}\n')
    before = SparseIndex.open(index_folder).info().fingerprint
    assert refused("add", index_folder, broken).startswith(f"{broken}:2: duplicate id 'new'")
    assert SparseIndex.open(index_folder).info().fingerprint == before
    assert "no such file" in refused("add", index_folder, tmp_path / "absent.jsonl")
    assert "encoder" in refused(
        "add", index_folder, write_records(broken, {"id": "x", "text": "sea"}), "-e", "other"
    )


def test_deleted_documents_are_gone_and_compact_gives_back_their_space(cli, refused, index_folder):
    assert cli("delete", index_folder, "ship", "tides").stdout == f"{index_folder}: 2 documents, 2 deleted\n"
    assert "1. storm" in cli("search", index_folder, "sea wind", "-k", 1).stdout
    assert "'ship'" in refused("delete", index_folder, "bread", "ship")  # one unknown id: nothing is deleted
    facts = json.loads(cli("compact", index_folder, "--json").stdout)
    assert (facts["documents"], facts["segments"]) == (2, 1)
    assert facts["bytes"] < facts["bytes_before"]
    assert SparseIndex.open(index_folder).info().n_deleted == 0
    assert cli("compact", index_folder).stdout.startswith(f"{index_folder}: 1 to 1 segments, ")


def test_all_documents_may_go(cli, index_folder):
    cli("delete", index_folder, "tides", "bread", "ship", "storm")
    cli("compact", index_folder)
    assert cli("search", index_folder, "sea", "--json").stdout.count('"id"') == 0


def test_merged_indexes_are_searched_as_one(cli, refused, index_folder, tmp_path):
    more = write_records(tmp_path / "more.jsonl", {"_id": "night", "text": "A star in the night sky."})
    cli("index", more, "-o", tmp_path / "b")
    facts = json.loads(cli("merge", index_folder, tmp_path / "b", "-o", tmp_path / "m", "--json").stdout)
    assert (facts["documents"], facts["segments"]) == (5, 1)
    assert "1. night" in cli("search", tmp_path / "m", "star", "-k", 1).stdout
    assert "'night'" in refused("merge", tmp_path / "m", tmp_path / "b", "-o", tmp_path / "n")
    assert "exists already" in refused("merge", index_folder, "-o", tmp_path / "m")


def test_a_collection_is_an_index_to_every_command(cli, refused, index_folder, tmp_path):
    more = write_records(
        tmp_path / "more.jsonl", {"_id": "night", "text": "A star in the night sky, a wind.", "year": 2020}
    )
    cli("index", more, "-o", tmp_path / "b")
    both = tmp_path / "both"
    made = cli("collect", index_folder, tmp_path / "b", "-o", both)
    assert made.stdout == f"{both}: 5 documents in 2 shards\n"
    assert "1. night" in cli("search", both, "star", "-k", 1).stdout
    facts = json.loads(cli("info", both, "--json").stdout)
    assert (facts["n_docs"], facts["n_segments"], facts["path"]) == (5, 2, str(both))
    cli("check", both)
    cli("merge", index_folder, tmp_path / "b", "-o", tmp_path / "m")
    answers = [
        json.loads(cli("search", folder, "wind sea", "--json", "--exact").stdout)["hits"]
        for folder in (both, tmp_path / "m")
    ]
    assert answers[0] == answers[1]
    cli("delete", both, "ship", "night")
    cli("add", both, write_records(tmp_path / "n.jsonl", {"_id": "n", "text": "night"}))
    cli("compact", both)
    assert json.loads(cli("info", both, "--json").stdout)["n_docs"] == 4
    assert "holds a collection" in refused("collect", tmp_path / "b", "-o", both)


def test_an_index_that_is_the_working_folder(cli, refused, corpus_file, index_folder, tmp_path, monkeypatch):
    """`add .` and `sync notes .` ended in an internal error: `.` has no name to keep anything beside."""
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("A small ship.")
    monkeypatch.chdir(index_folder)
    cli("add", ".", write_records(tmp_path / "more.jsonl", {"_id": "more", "text": "moon"}))
    cli("sync", notes, ".")
    assert SparseIndex.open(index_folder).info().n_docs == 6
    cli("index", corpus_file, "-o", ".", "--overwrite")
    assert SparseIndex.open(index_folder).info().n_docs == 4
    assert not list(tmp_path.glob("*encoding*")) and not list(index_folder.glob("*encoding*"))
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    message = refused("export", index_folder, "--to", "qdrant", "-o", ".")
    assert message == ".: is the working folder or holds it; run this from another folder"
    assert "exists already" in refused("mine", corpus_file, "-o", ".")
    assert list(empty.iterdir()) == []
