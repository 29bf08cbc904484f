"""The options and formats of `search`, and `get`, `delete` and `-q` as people use them."""

from __future__ import annotations

import csv
import io
import json

import pytest

from splade_engine import SearchEngine
from splade_engine.cli.texts import Text
from splade_engine.errors import InvalidInputError
from splade_engine.eval.run.runs import read_run
from splade_engine.index import SparseIndex


def found(result):
    return [hit["id"] for hit in json.loads(result.stdout)["hits"]]


def test_options_are_those_of_the_engine(cli, index_folder, encoder):
    engine = SearchEngine.open(index_folder, encoder)
    for options, same in (
        (["--offset", 1], {"offset": 1}),
        (["--min-score", 1.2], {"min_score": 1.2}),
        (["--group-by", "year"], {"group_by": "year"}),
        (["--must", "wind"], {"must": ["wind"]}),
        (["--must", "wind", "--must", "small ship"], {"must": ["wind", "small ship"]}),
        (["--must-not", "cold sea", "--must-not", "moon"], {"must_not": ["cold sea", "moon"]}),
        (["--sort", "-year"], {"sort": "-year"}),
        (["--where", "title contains 'Sea'"], {"where": "title contains 'Sea'"}),
    ):
        expected = [hit.id for hit in engine.search("sea wind bread", **same)]
        assert found(cli("search", index_folder, "sea wind bread", *options, "--json")) == expected != []


def test_operators_in_a_query(cli, index_folder):
    result = cli("search", index_folder, "sea wind -moon", "--json")
    assert found(result) == ["storm", "ship"]
    assert json.loads(result.stdout)["notes"] == ["without moon"]
    assert "tides" in found(cli("search", index_folder, "sea wind -moon", "--plain", "--json"))
    assert cli("search", index_folder, '"small wind"').stderr == "1 of 4 documents\n"
    told = cli("search", index_folder, 'sea "small bread"', "-k", 1).stderr
    assert told == 'no document holds "small bread": searched without that\n1 of 4 documents\n'


def test_counts(cli, index_folder):
    result = cli(
        "search",
        index_folder,
        "sea wind bread",
        "-k",
        2,
        "--total",
        "--facet",
        "year",
        "--facets-over",
        "matches",
    )
    assert "year: 1999 (1), 2005 (1)" in result.stdout
    assert result.stderr == "2 of 4 matches\n"
    answer = json.loads(cli("search", index_folder, "sea", "--total", "--facet", "lang", "--json").stdout)
    assert (answer["total"], answer["facets"]) == (2, {"lang": []})


def test_formats(cli, index_folder):
    table = cli("search", index_folder, "sea wind", "--format", "table", "-k", 2).stdout.splitlines()
    assert table[0].split() == ["rank", "score", "id", "title"]
    assert table[1].split() == ["1", "1.792", "storm", "Sea", "storm"]
    lines = cli("search", index_folder, "sea wind", "--format", "jsonl").stdout.splitlines()
    hits = json.loads(cli("search", index_folder, "sea wind", "--format", "json").stdout)["hits"]
    assert [json.loads(line) for line in lines] == hits
    rows = list(
        csv.DictReader(io.StringIO(cli("search", index_folder, "sea wind", "--format", "csv").stdout))
    )
    assert [row["id"] for row in rows] == [hit["id"] for hit in hits]
    assert [row["text"] for row in rows] == [hit["text"] for hit in hits], "line breaks and commas are quoted"
    assert {row["id"]: row["year"] for row in rows}["tides"] == "1999"


def test_a_file_of_queries(cli, index_folder, tmp_path, encoder):
    queries = tmp_path / "q.tsv"
    queries.write_text("q1\tsea wind\nq2\tbread\nq3\txyzzy\n")
    cli("search", index_folder, "--queries", queries, "--run", tmp_path / "out.trec", "-k", 3)
    run = read_run(tmp_path / "out.trec")
    engine = SearchEngine.open(index_folder, encoder)
    assert {query: list(run[query].ids) for query in run} == {
        "q1": [hit.id for hit in engine.search("sea wind", 3)],
        "q2": ["bread"],
    }
    scores = [hit.score for hit in engine.search("sea wind", 3)]
    assert run["q1"].scores.tolist() == pytest.approx(scores, rel=1e-6), "equal ones fall by one float32"
    answers = json.loads(cli("search", index_folder, "--queries", queries, "--json").stdout)["queries"]
    assert [(a["query_id"], len(a["hits"])) for a in answers] == [("q1", 3), ("q2", 1), ("q3", 0)]
    rows = cli("search", index_folder, "--queries", queries, "--format", "csv").stdout.splitlines()
    assert rows[0].startswith("query_id,rank,id,score,title,text")
    lines = cli(
        "search", index_folder, "--queries", queries, "--format", "jsonl", "-k", 1
    ).stdout.splitlines()
    assert [json.loads(line)["query_id"] for line in lines] == ["q1", "q2"]
    assert "q3: xyzzy" in cli("search", index_folder, "--queries", queries).stdout


def test_one_query_gets_related_terms_where_hits_are_weak_and_a_file_of_queries_does_not(
    cli, index_folder, tmp_path
):
    weak = "yeast rise salt star sky water warm pull"
    told = "related terms count besides"
    assert told in cli("search", index_folder, weak).stderr
    assert told not in cli("search", index_folder, weak, "--no-related").stderr
    (tmp_path / "q.tsv").write_text(f"q1\t{weak}\n")
    assert told not in cli("search", index_folder, "--queries", tmp_path / "q.tsv").stderr


def test_a_text_file_is_no_file_of_queries(refused, index_folder, tmp_path):
    """All its lines were one query, called by the name of the file; of a BEIR folder the corpus was asked."""
    text = tmp_path / "queries.txt"
    text.write_text("sea wind\nbread\n")
    beir = tmp_path / "beir"
    beir.mkdir()
    (beir / "corpus.jsonl").write_text('{"_id": "1", "text": "bread"}\n')
    for given, told in (
        (text, "a file of this kind is read as one document"),
        (beir, "beir: a folder; give"),
    ):
        for command in (
            ["search", index_folder, "--queries", given],
            ["encode", given, "-o", tmp_path / "q.arrow", "--queries"],
            ["export", index_folder, "--to", "vespa", "-o", tmp_path / "out", "--queries", given],
            ["bench", index_folder, given],
            ["tune", index_folder, given],
        ):
            assert told in refused(*command), command
    assert not (tmp_path / "out").exists() and not (tmp_path / "q.arrow").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a QUERY, or --queries FILE"),
        (["sea", "--queries", "q.tsv"], "give a QUERY, or --queries FILE"),
        (["sea", "--run", "out"], "--run needs --queries"),
        (["sea", "--format", "xml"], "one of text, table, json, jsonl, csv, got 'xml'"),
        (["sea", "--format", "csv", "--json"], "--json and --format csv: give one of them"),
        (["sea", "--group-by", "yeer"], "group_by: no column 'yeer'"),
        (["sea", "--sort", "yeer"], "sort: no column 'yeer'"),
        (["sea", "--facet", "yeer"], "facets: no column 'yeer'"),
        (
            ["sea", "--facet", "year", "--facets-over", "all"],
            "facets_over must be hits or matches, got 'all'",
        ),
        (["sea", "--must", "..."], "must: '...' holds no word"),
        (["sea", "--offset", "3", "--accuracy", ".9"], "need an exact search"),
    ],
)
def test_what_cannot_be_meant(refused, index_folder, arguments, message):
    assert message in refused("search", index_folder, *arguments)


def test_get(cli, refused, index_folder):
    result = cli("get", index_folder, "tides", "ship")
    assert result.stdout == (
        "tides  Tides\nyear: 1999\nThe moon pulls the sea.\nThe sea makes a tide.\n\n"
        "ship\nlang: en\nA ship needs wind, a small ship needs a small wind.\n\n"
    )
    documents = json.loads(cli("get", index_folder, "bread", "--json").stdout)["documents"]
    assert documents == [
        {"id": "bread", "title": "", "text": "Bread needs yeast and flour.", "metadata": {"year": 2005}}
    ]
    assert "no document with id 'nobody'" in refused("get", index_folder, "tides", "nobody")


def test_delete_from_a_file_from_standard_input_and_by_a_filter(
    cli, refused, index_folder, tmp_path, monkeypatch
):
    (tmp_path / "gone.txt").write_text("tides\n\ntides\n")
    dry = cli("delete", index_folder, "--file", tmp_path / "gone.txt", "--where", "year > 2000", "--dry-run")
    assert dry.stdout == "tides\nbread\n"
    assert dry.stderr.endswith(": 2 of 4 documents would be deleted\n")
    again = cli("delete", index_folder, "tides", "tides", "--dry-run", "--json").stdout
    assert (json.loads(again)["deleted"], json.loads(again)["ids"]) == (1, ["tides"])
    assert len(SparseIndex.open(index_folder)) == 4
    assert cli("delete", index_folder, "--file", tmp_path / "gone.txt").stdout.endswith(
        "3 documents, 1 deleted\n"
    )
    from splade_engine.cli.delete import _listed

    for locale in ("utf-8", "latin-1"):  # as from a file, with a mark and whatever the locale
        piped = io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfship\r\n\n\xc3\xa9\n"), locale)
        monkeypatch.setattr("sys.stdin", piped)
        assert _listed("-") == ["ship", "é"]
    answer = json.loads(cli("delete", index_folder, "-w", "year > 2000", "--json").stdout)
    assert (answer["documents"], answer["deleted"]) == (2, 1)
    assert cli("delete", index_folder, "-w", "year > 2000").stdout.endswith("2 documents, 0 deleted\n")
    assert "give ids, --file or --where" in refused("delete", index_folder)
    assert "no document with id 'nobody'" in refused("delete", index_folder, "ship", "nobody")
    assert "no column 'yeer'" in refused("delete", index_folder, "-w", "yeer = 1")
    assert len(SparseIndex.open(index_folder)) == 2


def test_quiet_and_verbose_after_the_command_too(cli, index_folder):
    loud = cli("search", index_folder, "sea")
    assert loud.stderr == "2 of 4 documents\n"
    for quiet in (["-q", "search", index_folder, "sea"], ["search", index_folder, "sea", "-q"],
                  ["search", "--quiet", index_folder, "sea"]):  # fmt: skip
        result = cli(*quiet)
        assert (result.stdout, result.stderr) == (loud.stdout, "")
    assert "-q" in cli("info", "--help").stdout
    assert cli("info", index_folder, "-v").stdout == cli("info", index_folder).stdout


def test_only_a_terminal_gets_colours(cli, index_folder, monkeypatch):
    for form in ("text", "table", "json", "jsonl", "csv"):
        assert "\x1b" not in cli("search", index_folder, "sea", "--format", form).stdout
    lines = []
    monkeypatch.setattr("splade_engine.cli.output.is_terminal", lambda: True)
    monkeypatch.setattr("typer.echo", lambda text, err=False: lines.append(text))
    for form, coloured in (
        ("text", True),
        ("table", True),
        ("json", False),
        ("jsonl", False),
        ("csv", False),
    ):
        lines.clear()
        cli("search", index_folder, "sea", "--format", form)
        assert ("\x1b" in "".join(lines)) == coloured, form


def test_fields_in_csv_with_the_names_of_columns(cli, tmp_path, encoder):
    folder = tmp_path / "named"
    record = {"_id": "a", "text": "the sea", "id": 7, "score": 8, "metadata": {"title": "t", "rank": 9}}
    SearchEngine.build(folder, [record], encoder)
    (row,) = csv.DictReader(io.StringIO(cli("search", folder, "sea", "--format", "csv").stdout))
    assert (row["id"], row["rank"], row["title"]) == ("a", "1", "")
    assert [row[f"document.{name}"] for name in ("id", "score", "title", "rank")] == ["7", "8", "t", "9"]


def test_ids_in_csv_are_those_of_the_index(cli, tmp_path, encoder):
    """Marks without a width were left out and tabs became spaces: other ids, perhaps of other documents."""
    ids = [
        "a\u200bb",
        "a\tb",
        "a\u2028b",
        "soft\u00adhyphen",
        "a\u202eb",
        "a\x85b",
        "a\nb",
        "a\rb",
        "a\r\nb",
        "\x1b[2J",
        'a"b',
        "a,b",
    ]
    folder = tmp_path / "odd"
    SearchEngine.build(folder, [{"id": id, "text": "the sea", "title": id} for id in ids], encoder)
    written = cli("search", folder, "sea", "--format", "csv", "-k", 20).stdout_bytes.decode()
    rows = list(csv.DictReader(io.StringIO(written, newline="")))
    assert {row["id"] for row in rows} == {row["title"] for row in rows} == set(ids)
    hits = json.loads(cli("search", folder, "sea", "--json", "-k", 20).stdout)["hits"]
    assert [hit["id"] for hit in hits] == [row["id"] for row in rows]


def test_text_is_utf8_whatever_the_locale(cli, refused, index_folder):
    assert Text()("caf\u00e9") == "caf\u00e9"
    # as Python reads the bytes of "sea \u00e9" in C's locale
    assert found(cli("search", index_folder, "sea \udcc3\udca9", "--must", "sea", "--json"))
    for arguments in (
        ["search", index_folder, "caf\udce9"],
        ["search", index_folder, "sea", "--must", "caf\udce9"],
        ["search", index_folder, "sea", "--where", "lang = 'caf\udce9'"],
        ["explain", index_folder, "caf\udce9", "tides"],
        ["get", index_folder, "caf\udce9"],
        ["delete", index_folder, "caf\udce9"],
    ):
        assert "caf\\udce9" in (message := refused(*arguments))
        assert "neither UTF-8 nor text of this locale" in message
    with pytest.raises(
        InvalidInputError, match=r"query 2: holds a lone surrogate at character 3: 'sea\\udce9'"
    ):
        SearchEngine.open(index_folder).search_many(["sea", "sea\udce9"])


def test_a_query_that_is_too_long_is_called_a_query(refused, index_folder, monkeypatch):
    monkeypatch.setenv("SPLADE_ENGINE_MAX_QUERY_BYTES", "1000")
    for arguments in (
        ["search", index_folder, "sea " * 400],
        ["explain", index_folder, "sea " * 400, "tides"],
    ):
        assert refused(*arguments).startswith("query: a text of 1,600 characters, more than 1,000 (SPLADE_")


def test_documents_without_a_title_are_found_by_that(cli, index_folder):
    shown = cli("search", index_folder, "sea wind", "--where", "title is null", "--format", "jsonl").stdout
    assert [json.loads(line)["id"] for line in shown.splitlines()] == ["ship"]
    gone = cli("delete", index_folder, "--where", "title is null", "--dry-run").stdout
    assert "bread" in gone and "ship" in gone and "tides" not in gone


@pytest.mark.parametrize("form", ["csv", "jsonl", "table"])
def test_what_a_format_has_no_place_for_is_told_beside_it(cli, index_folder, tmp_path, form):
    options = ("--format", form, "--total", "--facet", "year", "--no-related")
    told = cli("search", index_folder, "sea -storm", *options).stderr
    assert told == "year: 1999 (1)\nwithout storm\n1 of 1 match\n"
    (tmp_path / "q.tsv").write_text("q1\tsea -storm\nq2\tbread\n")
    told = cli("search", index_folder, "--queries", tmp_path / "q.tsv", "--format", form).stderr
    assert told == "q1: without storm\n"
    assert cli("-q", "search", index_folder, "sea -storm", *options).stderr == ""


def test_a_run_tells_how_its_queries_were_read(cli, refused, index_folder, tmp_path):
    (tmp_path / "q.tsv").write_text("q1\tsea -storm\nq2\tbread\n")
    run = ("--queries", tmp_path / "q.tsv", "--run", tmp_path / "out.trec")
    assert cli("search", index_folder, *run).stderr.splitlines()[0] == "q1: without storm"
    for option in (("--total",), ("--facet", "year")):
        assert "holds ids and scores alone" in refused("search", index_folder, *run, *option)
