"""Nothing that a command reads is written over, and a folder is replaced only by its like."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from splade_engine.cli.targets import check_files
from splade_engine.errors import InvalidInputError, StorageError


def content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(file): file.read_bytes() for file in files}


@pytest.fixture
def collection(corpus_file, tmp_path):
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    shutil.copy(corpus_file, folder / "corpus.jsonl")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "sea storm"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tstorm\t1\n")
    return folder


@pytest.fixture
def queries(tmp_path):
    file = tmp_path / "queries.jsonl"
    file.write_text('{"_id": "q", "text": "sea storm"}\n')
    return file


def test_no_option_makes_a_command_write_over_what_it_reads(
    refused, cli, index_folder, queries, collection, corpus_file, tmp_path
):
    run = tmp_path / "a.run"
    cli("search", index_folder, "--queries", queries, "--run", run)
    itself, within = "is read by this command", "which this command reads"
    manifest, corpus = index_folder / "manifest.json", collection / "corpus.jsonl"
    page = tmp_path / "p.html"
    for written, told, command in (
        (queries, itself, ["search", index_folder, "--queries", queries, "--run", queries]),
        (index_folder, within, ["search", index_folder, "--queries", queries, "--run", manifest]),
        (run, itself, ["compare", run, "--dataset", collection, "-o", run]),
        (run, itself, ["compare", run, "--dataset", collection, "-o", page, "--latex", run]),
        (collection, within, ["compare", run, "--dataset", collection, "-o", corpus]),
        (collection, within, ["eval", collection, "-s", "bm25", "--run", corpus]),
        (corpus_file, itself, ["encode", corpus_file, "-o", corpus_file, "--overwrite"]),
        (collection, within, ["encode", collection, "-o", corpus, "--overwrite"]),
        (
            index_folder,
            "which is an index; choose another",
            ["export", index_folder, manifest, "--format", "csr", "--overwrite"],
        ),
    ):
        before = content(written)
        assert told in refused(*command)
        assert content(written) == before
    assert not page.exists()


def test_a_link_to_an_input_is_the_input(refused, index_folder, queries, tmp_path):
    (tmp_path / "other.run").symlink_to(queries)
    message = refused("search", index_folder, "--queries", queries, "--run", tmp_path / "other.run")
    assert "is read by this command" in message


def test_overwrite_replaces_only_what_the_command_makes(refused, cli, index_folder, collection, tmp_path):
    for target in (collection, index_folder):
        before = content(target)
        message = refused("export", index_folder, "--to", "qdrant", "-o", target, "--overwrite")
        assert "no record.json: nothing that would be replaced" in message
        assert "no model.onnx" in refused("onnx", "-o", target, "--overwrite")
        assert content(target) == before
    out = tmp_path / "out"
    for _ in range(2):
        cli("export", index_folder, "--to", "qdrant", "-o", out, "--overwrite")
    assert json.loads((out / "record.json").read_text())["documents"] == 4


def test_where_nothing_can_be_written_is_told_before_the_work(refused, encoder, collection, tmp_path):
    missing = tmp_path / "no" / "such.trec"
    for command in (
        ["eval", collection, "--run", missing],
        ["encode", collection, "-o", tmp_path / "no" / "such.arrow"],
        ["compare", tmp_path, "-o", missing],
    ):
        assert "No such file or directory" in refused(*command)
    assert "is a folder" in refused("eval", collection, "--run", tmp_path)
    assert encoder.loads == []


def test_two_outputs_of_one_name(refused, cli, index_folder, queries, collection, tmp_path):
    run = tmp_path / "a.run"
    cli("search", index_folder, "--queries", queries, "--run", run)
    page = tmp_path / "page"
    message = refused("compare", run, "--dataset", collection, "-o", page, "--markdown", page)
    assert "two outputs have this name" in message


def test_a_run_a_page_and_tables_replace_only_their_like(
    refused, cli, index_folder, queries, collection, corpus_file, tmp_path
):
    """`search --run corpus.jsonl` left a run in the place of the corpus."""
    names = "a.run", "b.run.gz", "a.html", "a.tex", "a.md"
    run, packed, page, tex, markdown = (tmp_path / name for name in names)
    for _ in range(2):
        cli("search", index_folder, "--queries", queries, "--run", run)
        cli("eval", collection, "-s", "bm25", "--no-cache", "--run", packed)
        cli("compare", run, "--dataset", collection, "-o", page, "--latex", tex, "--markdown", markdown)
        both = [run, packed, "--dataset", collection, "-o", page, "--baseline", "b"]
        cli("compare", *both, "--markdown", markdown)
    notes = tmp_path / "README.md"
    notes.write_text("# Notes\n\n| a |\n|---|\n")
    files = run, packed, page, tex, markdown, notes, corpus_file
    written = [file.read_bytes() for file in files]
    compare = ["compare", run, "--dataset", collection]
    for file, kind, command in (
        (corpus_file, "TREC run", ["search", index_folder, "--queries", queries, "--run"]),
        (page, "TREC run", ["eval", collection, "-s", "bm25", "--no-cache", "--run"]),
        (packed, "page of compare", [*compare, "-o"]),
        (notes, "file of Markdown tables", [*compare, "-o", page, "--markdown"]),
        (markdown, "file of LaTeX tables", [*compare, "-o", page, "--latex"]),
    ):
        assert f"{file}: is no {kind}, and would be replaced by one" in refused(*command, file)
    assert "-: the name of a file is expected" in refused(*compare, "-o", "-")
    assert "Not a directory" in refused(*compare, "-o", page, "--latex", notes / "a.tex")
    assert written == [file.read_bytes() for file in files]


def test_names_that_are_no_path_are_passed_over(tmp_path):
    check_files([tmp_path / "a", None], ["beir/scifact/test", "x" * 5000, "nul\0", None])
    check_files([tmp_path / "a"], [tmp_path])  # a new file in a folder that is read harms nothing
    with pytest.raises(StorageError, match="No such file"):
        check_files([tmp_path / "b" / "a"])
    (tmp_path / "a").touch()
    with pytest.raises(InvalidInputError, match="belongs to"):
        check_files([tmp_path / "a"], [tmp_path])


def test_nothing_is_written_into_a_folder_of_ours(
    refused, cli, index_folder, queries, collection, corpus_file, tmp_path
):
    run, results, export = tmp_path / "a.run", tmp_path / "results", tmp_path / "export"
    cli("search", index_folder, "--queries", queries, "--run", run)
    cli("eval", collection, "-s", "bm25", "--no-cache", "-o", results)
    cli("export", index_folder, "--to", "qdrant", "-o", export)
    (index_folder / "sub").mkdir()
    index, sub = index_folder, index_folder / "sub"
    for made in (index, results, export):
        before = content(made)
        for command in (
            ["export", index, made / "new.arrow"],
            ["export", index, "--to", "qdrant", "-o", made / "new"],
            ["encode", corpus_file, "-o", made / "new.arrow"],
            ["index", corpus_file, "-o", made / "new"],
            ["merge", index, "-o", made / "new"],
            ["collect", index, "-o", made / "new"],
            ["onnx", "-o", made / "new"],
            ["phrases", "-o", made / "new"],
            ["adapt", corpus_file, "-o", made / "new"],
            ["mine", corpus_file, "-o", made / "new.jsonl"],
            ["pull", "someone/notes", made / "new"],
            ["eval", collection, "-s", "bm25", "-o", made / "new"],
            ["train", "-m", "bundled", "-d", corpus_file, "-o", made / "new"],
        ):
            message = refused(*command)
            assert "new" in message and f"lies in {made}, which is " in message, command
        assert content(made) == before
    for command in (
        ["search", index, "--queries", queries, "--run", sub / "new.run"],
        ["eval", collection, "-s", "bm25", "--run", index / "new.run"],
        ["compare", run, "--dataset", collection, "-o", export / "new.html"],
    ):
        assert "choose another place" in refused(*command)
    # reports may lie with what they report
    cli("eval", collection, "-s", "bm25", "--no-cache", "--run", results / "new.run")
    cli("compare", results, "-o", results / "new.html", "--markdown", results / "new.md")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with a name")
def test_a_pipe_gets_the_run_and_stays_a_pipe(cli, index_folder, queries, tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    cli("search", index_folder, "--queries", queries, "--run", pipe)
    reader.join(timeout=30)
    assert got and got[0].startswith(b"q Q0 storm 1 ")
    assert pipe.is_fifo()


def test_a_name_that_says_another_format_than_the_option(refused, cli, index_folder, corpus_file, tmp_path):
    for command in (
        ["export", index_folder, tmp_path / "v.csr"],
        ["encode", corpus_file, "-o", tmp_path / "v.csr"],
    ):
        assert "v.csr: its name says csr, --format arrow" in refused(*command, "--format", "arrow")
    cli("export", index_folder, tmp_path / "v.jsonl", "--format", "anserini")
    cli("export", index_folder, tmp_path / "v.bin", "--format", "csr")
    assert not (tmp_path / "v.csr").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--max-terms", "5"],
        ["--passages", "64"],
        ["--allow-empty"],
        ["--encoding", "latin-1"],
        ["--no-words"],
    ],
)
def test_options_for_texts_are_refused_for_vectors(refused, cli, index_folder, tmp_path, options):
    cli("export", index_folder, tmp_path / "v.arrow")
    message = refused("index", tmp_path / "v.arrow", "-o", tmp_path / "new", *options)
    assert message.startswith(f"{options[0]}: ") and "holds vectors, which are taken as they are" in message
    assert not (tmp_path / "new").exists()
