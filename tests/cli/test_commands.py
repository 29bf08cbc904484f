"""What the commands print, for people and for programs."""

from __future__ import annotations

import json

import pytest

from splade_engine.index import BlockLists, BuildConfig, SparseIndex
from splade_engine.vectors import SparseVectors
from splade_engine.vectors.files import read_vectors


def test_index_reports_what_it_made(cli, corpus_file, tmp_path, encoder):
    result = cli("index", corpus_file, "-o", tmp_path / "ix")
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["documents"] == "4"
    assert lines["encoder"] == "fake"
    assert "Next: splade-engine search" in result.stderr
    assert encoder.loads == [None]


@pytest.mark.parametrize(
    ("name", "shown"), [("a b", "'a b'"), ("-x", "./-x"), ("~x", "'./~x'"), ("it's", "'it'\"'\"'s'")]
)
def test_the_command_to_go_on_with_names_the_folder_as_a_shell_takes_it(
    cli, corpus_file, tmp_path, monkeypatch, name, shown
):
    monkeypatch.chdir(tmp_path)
    result = cli("index", corpus_file, "-o", f"./{name}")
    assert f'Next: splade-engine search {shown} "your question"' in result.stderr


def test_index_json(cli, corpus_file, tmp_path):
    facts = json.loads(cli("index", corpus_file, "-o", tmp_path / "ix", "--json").stdout)
    assert facts["documents"] == 4
    assert facts["bytes"] == sum(f.stat().st_size for f in (tmp_path / "ix").iterdir() if f.suffix != ".lock")
    assert facts["terms_per_document"] == 6.5


def test_index_passes_options_on(cli, corpus_file, tmp_path, encoder):
    cli(
        "index",
        corpus_file,
        "-o",
        tmp_path / "ix",
        "--max-terms",
        3,
        "--batch-tokens",
        99,
        "-e",
        "some/model",
    )
    assert encoder.options == [{"top_k": 3, "batch_tokens": 99}]
    assert encoder.loads == ["some/model"]


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_vectors_remember_their_encoder(cli, refused, corpus_file, index_folder, tmp_path, suffix):
    cli("export", index_folder, tmp_path / f"a.{suffix}")
    cli("encode", corpus_file, "-o", tmp_path / f"b.{suffix}")
    for name in "ab":
        file = tmp_path / f"{name}.{suffix}"
        cli("index", file, "-o", tmp_path / name)
        cli("index", file, "-o", tmp_path / f"{name}-named", "-e", "bundled")
        for folder in (name, f"{name}-named"):
            assert "1. bread" in cli("search", tmp_path / folder, "bread").stdout
        message = refused("index", file, "-o", tmp_path / "other", "-e", "other")
        assert message.startswith(
            f"{file}: was built with another encoder (name fake, now other; max_length 64"
        )
        assert not (tmp_path / "other").exists()
    assert SparseIndex.open(tmp_path / "a").vectors() == SparseIndex.open(index_folder).vectors()


def test_vectors_of_a_format_without_a_place_for_their_encoder(cli, index_folder, tmp_path):
    cli("export", index_folder, tmp_path / "v.csr")
    result = cli("index", tmp_path / "v.csr", "-o", tmp_path / "plain")
    assert "v.csr: carries no checksum" in result.stderr
    assert "name one" in cli("search", tmp_path / "plain", "bread", code=2).stderr
    assert "bread" in cli("--quiet", "search", tmp_path / "plain", "bread", "-e", "bundled", "--json").stdout


def test_overwrite(cli, index_folder, tmp_path):
    (tmp_path / "one.tsv").write_text("a\tmoon\n")
    cli("index", tmp_path / "one.tsv", "-o", index_folder, "--overwrite")
    assert len(SparseIndex.open(index_folder)) == 1


def test_allow_empty(cli, tmp_path):
    (tmp_path / "c.jsonl").write_text('{"id": "a", "text": ""}\n{"id": "b", "text": "moon"}\n')
    result = cli("index", tmp_path / "c.jsonl", "-o", tmp_path / "ix", "--allow-empty")
    assert "1 documents have neither title nor text" in result.stderr
    assert len(SparseIndex.open(tmp_path / "ix")) == 2


# ---- search ---------------------------------------------------------------------------------------


def test_rows_are_stored_as_asked(cli, refused, corpus_file, tmp_path):
    plain, coded = tmp_path / "plain", tmp_path / "coded"
    cli("index", corpus_file, "-o", plain)
    cli("index", corpus_file, "-o", coded, "--weights", "uint8", "--term-numbers", "split")
    cli("check", coded)
    assert "format              2, weights uint8, terms split, words True\n" in cli("info", coded).stdout
    stored = json.loads(cli("info", coded, "--json").stdout)["config"]
    assert stored == {"weights": "uint8", "terms": "split", "words": True}
    found, same = (json.loads(cli("search", f, "sea wind", "--json").stdout)["hits"] for f in (coded, plain))
    assert [hit["id"] for hit in found] == [hit["id"] for hit in same]
    assert [hit["score"] for hit in found] == pytest.approx([hit["score"] for hit in same], rel=0.01)
    cli("export", coded, tmp_path / "v.jsonl", "--format", "seismic")
    rows = [json.loads(line)["vector"] for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    cli("export", plain, tmp_path / "p.jsonl", "--format", "seismic")
    others = [json.loads(line)["vector"] for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert rows == [pytest.approx(other, rel=0.01) for other in others]
    message = refused("index", corpus_file, "-o", tmp_path / "no", "--weights", "uint4")
    assert message == "BuildConfig.weights must be one of auto, float16, float32, uint8, got 'uint4'"


def test_posting_lists_are_stored_as_asked(cli, refused, corpus_file, tmp_path):
    impact, blocks = tmp_path / "impact", tmp_path / "blocks"
    cli("index", corpus_file, "-o", impact)
    cli("index", corpus_file, "-o", blocks, "--lists", "blocks")
    cli("check", blocks)
    assert "posting lists       impact\n" in cli("info", impact).stdout
    told = cli("info", blocks).stdout
    assert "format              3, weights auto, terms auto, words True\n" in told
    assert "posting lists       blocks\n" in told
    assert json.loads(cli("info", blocks, "--json").stdout)["lists"]["kind"] == "blocks"
    hits = [cli("search", folder, "sea wind", "--json").stdout for folder in (impact, blocks)]
    assert json.loads(hits[0])["hits"] == json.loads(hits[1])["hits"]
    message = refused("index", corpus_file, "-o", tmp_path / "no", "--lists", "windows")
    assert message.startswith("BuildConfig.lists must be one of auto, impact, blocks")
    changed = cli("compact", impact, "--lists", "blocks")
    assert "posting lists were impact and are blocks now" in changed.stderr
    assert "posting lists were" not in cli("compact", impact).stderr
    pruned = cli("compact", impact, "--lists", "blocks(energy=0.5)")
    assert "posting lists were blocks and are blocks(energy=0.5) now" in pruned.stderr
    facts = json.loads(cli("compact", impact, "--lists", "auto", "--json").stdout)
    assert facts["lists"] == "impact"
    cli("merge", impact, "-o", tmp_path / "merged", "--lists", "blocks")
    assert "posting lists       blocks\n" in cli("info", tmp_path / "merged").stdout


def test_what_pruning_left_out_is_told(cli, tmp_path):
    rows = [{0: 2.0}, {0: 1.0}, {0: 0.5}, {0: 0.25, 1: 1.0}]
    config = BuildConfig(lists=BlockLists(cap=1))
    SparseIndex.build(tmp_path / "ix", SparseVectors.from_dicts(rows, 2), config=config)
    told = cli("info", tmp_path / "ix").stdout
    assert "blocks(cap=1); 3 of 5 entries left out; 2 documents in no list, found by exact search" in told
    assert json.loads(cli("info", tmp_path / "ix", "--json").stdout)["unlisted"] == ["1", "2"]


def test_search_is_plain_and_stable_text_in_a_pipe(cli, index_folder):
    result = cli("search", index_folder, "sea wind", "-k", 2)
    assert result.stdout == (
        "  1. storm  Sea storm  (1.79)\n"
        "     Storm, wave and wind in a cold sea.\n"
        "\n"
        "  2. tides  Tides  (1.10)\n"
        "     The moon pulls the sea. The sea makes a tide.\n"
        "\n"
    )
    assert result.stderr == "2 of 4 documents\n"
    assert cli("search", index_folder, "sea wind", "-k", 2, "--exact").stdout == result.stdout


def test_search_explains(cli, index_folder):
    out = cli("search", index_folder, "night sea bread", "-k", 1, "--explain").stdout
    assert out.splitlines()[2:] == [
        "     term   query  document  share",
        "     sea     1.00      1.10    69%  sea",
        "     night   1.00      0.50    31%  added by the encoder",
        "     not in the document: bread",
        "",
    ]


def test_search_json(cli, index_folder):
    result = cli("search", index_folder, "sea wind", "-k", 2, "--json", "--explain")
    answer = json.loads(result.stdout)
    assert answer["query"] == "sea wind"
    assert [hit["id"] for hit in answer["hits"]] == ["storm", "tides"]
    first = answer["hits"][0]
    assert list(first) == ["rank", "id", "score", "title", "text", "metadata", "explanation"]
    assert first["explanation"]["matches"][0]["term"] == "sea"
    assert "explanation" not in json.loads(cli("search", index_folder, "sea", "--json").stdout)["hits"][0]


def test_search_filters(cli, index_folder):
    answer = json.loads(cli("search", index_folder, "needs sea", "--where", "year > 2000", "--json").stdout)
    assert [(hit["id"], hit["metadata"]) for hit in answer["hits"]] == [("bread", {"year": 2005})]


def test_search_without_a_match_is_no_failure(cli, index_folder):
    result = cli("search", index_folder, "star")
    told = "nothing in the index is like the query, by terms, meaning or spelling\nNo document matches\n"
    assert (result.stdout, result.stderr) == ("", told)
    assert json.loads(cli("search", index_folder, "star", "--json").stdout)["hits"] == []


def test_long_texts_are_cut_to_the_best_stretch(cli, tmp_path):
    filler = "water " * 200
    (tmp_path / "c.tsv").write_text(f"a\t{filler}the moon and the tide {filler}\n")
    cli("index", tmp_path / "c.tsv", "-o", tmp_path / "ix")
    short = cli("search", tmp_path / "ix", "moon tide").stdout
    assert "moon and the tide" in short
    assert short.splitlines()[1].startswith("     ... water")
    assert len(short) < 450
    whole = cli("search", tmp_path / "ix", "moon tide", "--full").stdout
    assert whole.count("water") == 400
    assert max(map(len, whole.splitlines())) <= 100


def test_matching_words_are_highlighted_on_a_terminal(cli, index_folder, monkeypatch):
    monkeypatch.setattr("splade_engine.cli.output.is_terminal", lambda: True)
    monkeypatch.setattr("typer.echo", lambda text, err=False: lines.append(text))
    lines = []
    cli("search", index_folder, "yeast")
    assert "\x1b[32m\x1b[1myeast\x1b[0m" in lines[1]


# ---- info, check, encode, export, tune ---------------------------------------------------------------


def test_info(cli, index_folder):
    out = cli("info", index_folder).stdout
    assert "documents           4\n" in out
    assert "year (int)" in out
    assert "name fake" in out
    facts = json.loads(cli("info", index_folder, "--json").stdout)
    assert (facts["n_docs"], facts["columns"]["year"], facts["encoder"]["max_length"]) == (4, "int", 64)


def test_check(cli, index_folder):
    assert "intact (4 documents" in cli("check", index_folder).stdout
    assert json.loads(cli("check", index_folder, "--json").stdout)["ok"] is True


@pytest.mark.parametrize("suffix", ["arrow", "parquet", "jsonl", "jsonl.gz", "csr"])
def test_encode_and_export_agree(cli, corpus_file, index_folder, encoder, tmp_path, suffix):
    cli("encode", corpus_file, "-o", tmp_path / f"a.{suffix}")
    cli("export", index_folder, tmp_path / f"b.{suffix}")
    a, b = (read_vectors(tmp_path / f"{n}.{suffix}", encoder.vocabulary) for n in "ab")
    assert a.ids == b.ids == (None if suffix == "csr" else ["tides", "bread", "ship", "storm"])
    assert abs(a.vectors.weights - b.vectors.weights).max() < 1e-3  # the index keeps 16 bits
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted(
        [f"a.{suffix}", f"b.{suffix}", "corpus.jsonl", "ix"]
    )


def test_encode_queries(cli, corpus_file, encoder, tmp_path):
    facts = json.loads(cli("encode", corpus_file, "-o", tmp_path / "q.arrow", "--queries", "--json").stdout)
    assert facts["vectors"] == 4
    assert set(read_vectors(tmp_path / "q.arrow").vectors.weights) == {1.0}
    assert encoder.encoded == 0


def test_parts_are_joined_into_the_file_of_one_run(cli, refused, corpus_file, encoder, tmp_path):
    cli("encode", corpus_file, "-o", tmp_path / "one.arrow")
    first = cli("encode", corpus_file, "-o", tmp_path / "v.arrow", "--part", "1/2")
    assert first.stdout == f"{tmp_path / 'v.arrow'}.encoding: part 1/2, 4 documents in shards: 1\n"
    assert "the same command without --part makes one file of them" in first.stderr
    folder = cli("encode", corpus_file, "-o", tmp_path / "v", "--part", "1/1").stderr
    assert f"All shards are there; splade-engine index with -o {tmp_path / 'v'} makes an index" in folder
    facts = json.loads(
        cli("encode", corpus_file, "-o", tmp_path / "v.arrow", "--part", "2/2", "--json").stdout
    )
    assert facts == {
        "path": str(tmp_path / "v.arrow.encoding"),
        "part": "2/2",
        "shards": 0,
        "documents": 0,
        "all_shards": 1,
        "finished_shards": 1,
    }
    encoded = encoder.encoded
    cli("encode", corpus_file, "-o", tmp_path / "v.arrow")
    assert encoder.encoded == encoded
    assert (tmp_path / "v.arrow").read_bytes() == (tmp_path / "one.arrow").read_bytes()
    assert "part like 2/8" in refused("encode", corpus_file, "-o", tmp_path / "w.arrow", "--part", "2")
    refused("encode", corpus_file, "-o", tmp_path / "w.arrow", "--part", "1/2", "--queries")


def test_parts_are_indexed_too(cli, corpus_file, index_folder, encoder, tmp_path):
    cli("encode", corpus_file, "-o", tmp_path / "parts", "--part", "1/1")
    encoded = encoder.encoded
    cli("index", corpus_file, "-o", tmp_path / "parts")
    assert encoder.encoded == encoded
    assert SparseIndex.open(tmp_path / "parts").info().fingerprint == (
        SparseIndex.open(index_folder).info().fingerprint
    )


def test_encode_goes_on_after_an_interruption(cli, encoder, tmp_path):
    (tmp_path / "c.tsv").write_text("".join(f"d{i}\tmoon sea\n" for i in range(1500)))
    encoder.fail_after = 1100
    result = cli("encode", tmp_path / "c.tsv", "-o", tmp_path / "v.arrow", code=130)
    assert result.stderr.endswith("interrupted; the same command goes on from there\n")
    encoder.fail_after, encoder.encoded = None, 0
    cli("encode", tmp_path / "c.tsv", "-o", tmp_path / "v.arrow")
    assert encoder.encoded == 1500 - 1024
    assert len(read_vectors(tmp_path / "v.arrow").vectors) == 1500
    assert not (tmp_path / "v.arrow.encoding").exists()


def test_anserini_export_has_whole_weights(cli, index_folder, tmp_path):
    cli("export", index_folder, tmp_path / "v.jsonl", "--format", "anserini")
    record = json.loads((tmp_path / "v.jsonl").read_text().splitlines()[1])
    assert record["id"] == "bread"
    assert record["vector"]["yeast"] == 69


@pytest.fixture
def query_file(tmp_path):
    (tmp_path / "queries.tsv").write_text("1\tsea wind\n2\tbread\n3\tqqq\n")
    return tmp_path / "queries.tsv"


def test_bench_measures_no_recall_where_nothing_is_found(cli, index_folder, tmp_path):
    (tmp_path / "none.jsonl").write_text('{"_id": "1", "text": "zzz"}\n')
    told = cli("bench", index_folder, tmp_path / "none.jsonl", code=2).stderr
    assert told.endswith("none.jsonl: no query has a hit, so there is no recall to measure\n")


def test_tune_and_bench(cli, index_folder, query_file):
    tuned = json.loads(cli("tune", index_folder, query_file, "-k", 2, "--target", 0.9, "--json").stdout)
    assert [(t["k"], t["target"], t["recall"] >= 0.9, t["current"]) for t in tuned] == [(2, 0.9, True, True)]
    assert cli("tune", index_folder, query_file, "-k", 2, "--target", 0.9).stdout.startswith("recall@2")
    assert "0.90" in cli("info", index_folder).stdout
    options = ("-k", 2, "--target", 0.9, "--compare-lists")
    told = json.loads(cli("tune", index_folder, query_file, *options, "--json").stdout)
    assert [one["lists"] for one in told["measured"]] == ["impact", "blocks"]
    assert told["faster"] in ("impact", "blocks")
    shown = cli("tune", index_folder, query_file, *options).stdout
    assert shown.startswith("lists") and "For these queries, on 4 documents: " in shown
    facts = json.loads(cli("bench", index_folder, query_file, "-k", 2, "--accuracy", 0.9, "--json").stdout)
    assert (facts["queries"], facts["documents"], facts["k"]) == (3, 4, 2)
    assert [row["name"] for row in facts["settings"]] == ["exact", "default", "accuracy 0.9"]
    assert facts["settings"][0]["recall"] == 1
    assert all(0 < row["p50"] <= row["p95"] <= row["p99"] for row in facts["settings"])
    lines = cli("bench", index_folder, query_file).stdout.splitlines()
    assert lines[0].split() == [
        "search",
        "recall@10",
        "p50",
        "us",
        "p95",
        "us",
        "p99",
        "us",
        "docs",
        "scored",
    ]
    assert lines[1].split()[:2] == ["exact", "1.000"]


# ---- other systems -----------------------------------------------------------------------------------


def test_an_index_goes_to_another_system_and_comes_back(cli, refused, index_folder, encoder, tmp_path):
    (tmp_path / "q.tsv").write_text("q1\tmoon and sea\nq2\tbread\n")
    out = tmp_path / "out"
    told = cli("export", index_folder, "--to", "qdrant", "-o", out, "--queries", tmp_path / "q.tsv")
    assert told.stdout == f"{out}: 4 documents, 2 queries for Qdrant 1.20\n"
    queries = [json.loads(line) for line in (out / "queries.jsonl").read_text().splitlines()]
    asked = encoder.encode_queries(["moon and sea"])
    assert queries[0]["body"]["query"]["indices"] == asked.terms.tolist()
    assert (out / "README.md").is_file()
    cli("import", out / "points.jsonl", "-o", tmp_path / "again", "--encoder", "fake")
    answers = [
        json.loads(cli("search", folder, "wind sea", "--json", "--exact").stdout)["hits"]
        for folder in (index_folder, tmp_path / "again")
    ]
    assert [hit["id"] for hit in answers[0]] == [hit["id"] for hit in answers[1]]
    assert [hit["text"] for hit in answers[0]] == [hit["text"] for hit in answers[1]]
    facts = json.loads(cli("export", index_folder, "--to", "vespa", "-o", tmp_path / "v", "--json").stdout)
    assert (facts["target"], facts["documents"], facts["loss"]["made"]) == ("vespa", 4, True)
    assert "exists already" in refused("export", index_folder, "--to", "qdrant", "-o", out)
    assert "no target" in refused("export", index_folder, "--to", "faiss", "-o", tmp_path / "f")
    assert "--to needs --output" in refused("export", index_folder, "--to", "qdrant")
    assert "give FILE, or --to" in refused("export", index_folder)
    assert "go with --to" in refused("export", index_folder, tmp_path / "v.csr", "-o", out)


def test_vectors_of_another_tool_become_an_index(cli, refused, tmp_path):
    lines = [{"id": "a", "vector": {"tide": 1.5}}, {"id": "b", "vector": {"moon": 2.0, "tide": 0.5}}]
    (tmp_path / "v.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    facts = json.loads(cli("import", tmp_path / "v.jsonl", "-o", tmp_path / "ix", "--json").stdout)
    assert (facts["documents"], facts["n_terms"]) == (2, 2)
    assert "which encoder" in refused("search", tmp_path / "ix", "moon")
    known = cli("import", tmp_path / "v.jsonl", "-o", tmp_path / "known", "--encoder", "fake")
    assert known.stdout == f"{tmp_path / 'known'}: 2 documents, 1.5 terms each\n"
    assert "1. b" in cli("search", tmp_path / "known", "moon").stdout
    assert "of which format" in refused("import", tmp_path / "v.xyz", "-o", tmp_path / "no")
    lines = [{"id": "a", "vector": {"foreign": 1.5}}]
    (tmp_path / "w.jsonl").write_text(json.dumps(lines[0]))
    unknown = cli("import", tmp_path / "w.jsonl", "-o", tmp_path / "no", "-e", "fake", code=2)
    assert "'foreign' is not in the vocabulary" in unknown.stderr
    assert not (tmp_path / "no").exists()
