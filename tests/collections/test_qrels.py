"""Judgments: every order is read as it is named, or refused."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splade_engine.collections.beir import qrels_files
from splade_engine.collections.dataset import Split
from splade_engine.collections.qrels import checked_qrels, line_of, read_judgments, read_qrels
from splade_engine.errors import DatasetError

TRUTH = {"6": {"1": 1}, "5": {"2": 1}, "4": {"3": 1, "5": 0}}
ROWS = [("6", "1", "1"), ("5", "2", "1"), ("4", "3", "1"), ("4", "5", "0")]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def table(order: tuple[str, ...], names: dict[str, str], separator: str = "\t") -> str:
    columns = {"query": 0, "document": 1, "grade": 2}
    lines = [separator.join(names[name] for name in order)]
    for number, row in enumerate(ROWS, 1):
        cells = {name: row[i] for name, i in columns.items()} | {"index": str(number), "iteration": "0"}
        lines.append(separator.join(cells[name] for name in order))
    return "\n".join(lines) + "\n"


BEIR = {"query": "query-id", "document": "corpus-id", "grade": "score", "index": "", "iteration": "iteration"}
IR_DATASETS = BEIR | {"query": "query_id", "document": "doc_id", "grade": "relevance"}
MSMARCO = BEIR | {"query": "qid", "document": "pid", "grade": "label"}
OTHERS = BEIR | {"query": "Topic", "document": "DOCNO", "grade": "Rel"}


@pytest.mark.parametrize("names", [BEIR, IR_DATASETS, MSMARCO, OTHERS], ids=lambda n: n["query"])
@pytest.mark.parametrize("order", list(permutations(("query", "document", "grade"))), ids="-".join)
def test_a_header_is_read_by_its_names_in_any_order(tmp_path: Path, names: dict[str, str], order):
    for separator in ("\t", " "):
        assert read_qrels(write(tmp_path / "x.tsv", table(order, names, separator))) == TRUTH


@pytest.mark.parametrize(("name", "separator"), [("x.tsv", "\t"), ("x.tsv", " "), ("x.csv", ",")])
def test_a_header_that_stands_again_is_no_judgment(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, separator: str
):
    one = table(("document", "query", "grade"), BEIR, separator)
    header, *rows = one.splitlines(keepends=True)
    two = rows[0] + header.upper() + rows[1] + header + "".join(rows[2:])
    file = write(tmp_path / name, header + two)
    assert read_qrels(file) == TRUTH
    (told,) = [r.getMessage() for r in caplog.records]
    assert told.startswith(f"{file}:3: the header stands here again")


@pytest.mark.parametrize("order", list(permutations(("query", "document", "grade", "iteration"))))
def test_four_named_columns_in_any_order(tmp_path: Path, order):
    assert read_qrels(write(tmp_path / "x.tsv", table(order, IR_DATASETS))) == TRUTH


def test_columns_of_other_names_are_left_out(tmp_path: Path):
    text = table(("index", "query", "document", "grade"), BEIR)  # pandas' to_csv with its index
    assert read_qrels(write(tmp_path / "x.tsv", text)) == TRUTH


def test_without_a_header_three_columns_are_beirs_and_four_are_trecs(tmp_path: Path):
    three = "".join(f"{q}\t{d}\t{g}\n" for q, d, g in ROWS)
    assert read_qrels(write(tmp_path / "x.tsv", three)) == TRUTH
    for iteration in ("0", "Q0", "q0"):
        four = "".join(f"{q} {iteration} {d} {g}\n" for q, d, g in ROWS)
        assert read_qrels(write(tmp_path / "x.qrels", four)) == TRUTH
    assert read_qrels(write(tmp_path / "x.qrels", "6  0  1   1\n5 Q0 2 1\n")) == {
        "6": {"1": 1},
        "5": {"2": 1},
    }


def test_the_rounds_of_trec_covid_are_iterations(tmp_path: Path):
    rounds = ("0.5", "1", "1.5", "2")
    text = "".join(f"{i % 3 + 1} {rounds[i % 4]} doc{i} {i % 3}\n" for i in range(40))
    assert sum(map(len, read_qrels(write(tmp_path / "x.txt", text)).values())) == 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # ir_datasets' export: query, document, relevance, iteration
        (
            "6\t1\t1\t0\n5\t2\t1\t0\n4\t3\t1\t0\n4\t5\t1\t0\n",
            r"x:1: four columns .* '1' is not 0; name the col",
        ),
        ("6 1 1 0\n", "x:1: four columns without a header are qid, 0, docid, grade"),
        ("".join(f"q{i} d{i} {i % 3} 0\n" for i in range(60)), "x:1: four columns without a header"),
        ("6\t1\trelevant\n5\t2\t1\n", "x:1: grade 'relevant' is not an integer, nor is this a header"),
        ("6\t0\t1\trelevant\n", "x:1: grade 'relevant' is not an integer"),
        (
            "query-id\tdocid\tcorpus-id\tscore\nq\ta\tb\t1\n",
            "must name one document column, it names 'docid'",
        ),
        (
            "query-id\tcorpus-id\tscore\tlabel\nq\ta\t1\t0\n",
            "must name one grade column, it names 'score' and",
        ),
        ("query-id\tcorpus-id\ta\tb\nq\td\t1\t0\n", "must name one grade column, it names none"),
        ("a\tb\tc\td\te\n", "x:1: a judgment has 3 columns"),
        ("q\td\t1\nq 0 e 1\n", "x:2: a judgment has 3 columns .*, this line 4, the first line 3"),
        ("q\t\t1\n", "x:1: the document id is empty"),
        ("q\td\t1e400\n", "x:1: grade '1e400' is not an integer"),
        ("q\td\t1e300\n", "x:1: grade '1e300' is too large"),
        ("q\td\t1\nq\te\t1000001\n", r"x:2: grade '1000001' is too large \(at most 1,000,000\)"),
        ("q\td\t1_0\n", "x:1: grade '1_0' is not an integer"),
        ("q\td\tnan\n", "x:1: grade 'nan' is not an integer"),
        ("q\td\t0.5\n", r"x:1: grade '0\.5' is not an integer"),
        ("q\td\t1\nq\td\t0\n", "x:2: query 'q', document 'd' is judged 0 here and 1 above"),
        ("", "x: no judgments"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(tmp_path: Path, text: str, message: str):
    with pytest.raises(DatasetError, match=message):
        read_qrels(write(tmp_path / "x", text))


def test_ids_that_are_named_as_columns_are_no_header(tmp_path: Path):
    judged = read_qrels(write(tmp_path / "q.tsv", "query\tdoc\t1\nq2\td2\t0\n"))
    assert judged == {"query": {"doc": 1}, "q2": {"d2": 0}}


def test_a_no_break_space_belongs_to_an_id(tmp_path: Path):
    assert read_qrels(write(tmp_path / "q.txt", "q1 0 d\u00a01 1\n")) == {"q1": {"d\u00a01": 1}}


def test_a_judgment_knows_its_line(tmp_path: Path):
    path = write(tmp_path / "x.tsv", "query-id\tcorpus-id\tscore\n\nq1\ta b\t2\nq1\td\t0\n")
    assert [(j.line, j.query_id, j.doc_id, j.grade) for j in read_judgments(path)] == [
        (3, "q1", "a b", 2),
        (4, "q1", "d", 0),
    ]
    assert line_of(path, "q1") == 3
    assert line_of(path, "q1", "d") == 4
    assert line_of(path, "q2") == 1


IDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1).map(str.strip)


@given(st.dictionaries(IDS.filter(bool), st.dictionaries(IDS.filter(bool), st.integers(-2, 4), min_size=1)))
def test_any_id_without_a_tab_survives(tmp_path_factory: pytest.TempPathFactory, qrels):
    path = tmp_path_factory.mktemp("qrels") / "x.tsv"
    lines = [f"{q}\t{d}\t{g}\n" for q, judged in qrels.items() for d, g in judged.items()]
    path.write_text("query-id\tcorpus-id\tscore\n" + "".join(lines), encoding="utf-8", newline="")
    if not lines:
        with pytest.raises(DatasetError, match="no judgments"):
            read_qrels(path)
    else:
        assert read_qrels(path) == qrels


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        ({"q": {"d": 0.5}}, "judgments: query 'q', document 'd': grade 0.5 is not an integer"),
        ({"q": {"d": float("nan")}}, "grade nan is not an integer"),
        ({"q": {"d": True}}, "grade True is not an integer"),
        ({"q": {"d": "1"}}, "grade '1' is not an integer"),
        ({"q": {"d": 2**40}}, "grade 1099511627776 is not an integer of at most 1,000,000"),
        ({"q": ["d"]}, r"judgments: query 'q': a mapping by id is expected, got \['d'\]"),
        ({"q": {3: 1}}, "judgments: query 'q': the id 3 is int, a text is expected"),
        ([("q", "d", 1)], "judgments: a mapping by id is expected"),
    ],
)
def test_judgments_of_a_program_are_those_of_a_file(qrels: object, message: str):
    with pytest.raises(DatasetError, match=message):
        checked_qrels(qrels)
    with pytest.raises(DatasetError, match=message):
        Split("test", {"q": "text"}, qrels)


def test_numbers_of_numpy_are_grades():
    found = checked_qrels({"q": {"a": np.int64(2), "b": np.float32(1.0), "c": -1}})
    assert found == {"q": {"a": 2, "b": 1, "c": -1}}
    assert all(type(grade) is int for grade in found["q"].values())


JUDGED = {"q1": {"d 1": 2, "d2": 0}, "2": {"d2": 1}}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", 'query-id,corpus-id,score\nq1,"d 1",2\nq1,d2,0\n2,d2,1\n'),
        ("x.csv", '\ufeff"score";"docid";"qid"\n2;"d 1";q1\n"0";d2;"q1"\n1;d2;2\n'),
        ("x.csv", "sep=;\nquery_id;doc_id;iteration;relevance\nq1;d 1;0;2\nq1;d2;0;0\n2;d2;0;1\n"),
        ("x.csv", "q1,d 1,2\nq1,d2,0\n2,d2,1\n"),
        ("x.csv", "q1,0,d 1,2\nq1,0,d2,0\n2,Q0,d2,1\n"),
        ("x.json", '{"q1": {"d 1": 2, "d2": 0},\n "2": {"d2": 1.0}}'),
        (
            "x.json",
            '[{"query_id": "q1", "doc_id": "d 1", "relevance": 2, "by": ["ada"]},\n\n'
            '{"relevance": "0", "doc_id": "d2", "query_id": "q1"}, {"qid": 2, "docid": "d2", "rel": 1}]',
        ),
        (
            "x.jsonl",
            '{"query-id": "q1", "corpus-id": "d 1", "score": 2}\n{"score": 0, "query-id": "q1", '
            '"corpus-id": "d2"}\n{"query-id": 2, "corpus-id": "d2", "score": 1}\n',
        ),
    ],
)
def test_csv_and_json_say_what_they_are(tmp_path: Path, name: str, text: str):
    assert read_qrels(write(tmp_path / name, text)) == JUDGED


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "query-id,corpus-id,score\nq,d\n", r"x\.csv:2: a judgment has 3 columns"),
        ("x.csv", "query-id,corpus-id,score\nq,d,many\n", r"x\.csv:2: grade 'many' is not an integer"),
        ("x.csv", 'query-id,corpus-id,score\nq,"d,1\n', r"x\.csv:2: not CSV \(unexpected end of data\)"),
        ("x.csv", "q,d,e,f\n", r"x\.csv:1: grade 'f' is not an integer, nor is this a header"),
        (
            "x.json",
            '{"q": {"d": true}}',
            r"x\.json: query 'q', document 'd': True is neither text nor number",
        ),
        ("x.json", '{"q": {"d": 0.5}}', r"x\.json: query 'q', document 'd': grade '0\.5' is not an integer"),
        ("x.json", '{"q": ["d"]}', r"x\.json:1: the object must name query-id, corpus-id and score"),
        ("x.json", '{"q": {"d": 1, "d": 2}}', r"x\.json:1: .*'d'"),
        ("x.json", "[3]", r"x\.json:1: an object with query-id, corpus-id and score is expected, got 3"),
        ("x.json", '[{"qid": "q", "docid": null, "rel": 1}]', r"x\.json:1: None is neither text nor number"),
        ("x.json", '[{"qid": "q", "query": "q", "docid": "d", "rel": 1}]', "must name one query column"),
        ("x.jsonl", '{"qid": "q", "docid": "d", "rel": 1}\n{"qid"\n', r"x\.jsonl:2: not JSON"),
        ("x.json", "{}", r"x\.json:1: the object must name"),
        ("x.json", "", r"x\.json: no judgments"),
        ("x.json", '{"q": {"\\ud800": 1}}', "x.json: query 'q', document '.*holds half a surrogate pair"),
        ("x.json", '{"\\ud800": {"d": 1}}', "x.json: query '.*holds half a surrogate pair, not text"),
        ("x.jsonl", '{"qid": "q", "docid": "\\ud800", "rel": 1}', "x.jsonl:1: '.*' holds half a surrogate"),
        # in a file of another name
        ("x.tsv", "q,d,1\n", r"x\.tsv:1: a judgment has 3 .* this line 1; name the file \.csv, \.json"),
        (
            "x.tsv",
            '{"q": {"d": 1}}\n',
            r"x\.tsv:1: grade '1}}' is not an integer.*; name the file \.csv, \.json",
        ),
        (
            "x.txt",
            '[{"qid": "q",\n',
            r"x\.txt:1: a judgment has 3 .*; name the file \.csv, \.json or \.jsonl",
        ),
    ],
)
def test_what_csv_and_json_do_not_say_is_refused(tmp_path: Path, name: str, text: str, message: str):
    with pytest.raises(DatasetError, match=message):
        read_qrels(write(tmp_path / name, text))


def test_csv_and_json_are_looked_for_where_there_is_nothing_else(tmp_path: Path):
    (tmp_path / "qrels").mkdir()
    write(tmp_path / "qrels" / "test.csv", "q,d,1\n")
    write(tmp_path / "qrels" / "dev.jsonl", '{"qid": "q", "docid": "d", "rel": 1}\n')
    assert {name: file.name for name, file in qrels_files(tmp_path).items()} == {
        "dev": "dev.jsonl",
        "test": "test.csv",
    }
    write(tmp_path / "qrels" / "test.json", "{}")
    with pytest.raises(DatasetError, match=r"test\.json: test\.csv beside it is of the same split"):
        qrels_files(tmp_path)
    write(tmp_path / "qrels" / "test.tsv", "q\td\t1\n")
    assert {name: file.name for name, file in qrels_files(tmp_path).items()} == {"test": "test.tsv"}


def test_every_judged_query_has_a_text():
    with pytest.raises(DatasetError, match="judgments: query 'z' is not among the queries"):
        Split("test", {"q": "text"}, {"z": {"d": 1}})
    with pytest.raises(DatasetError, match="queries: the text of 'q' is None, not a string"):
        Split("test", {"q": None}, {})
