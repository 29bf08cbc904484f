from __future__ import annotations

import copy
import gzip
import pickle  # noqa: TID251 - of our own making
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from splade_engine.errors import DatasetError
from splade_engine.eval.run.runs import Ranking, Run, escape_id, read_run, unescape_id, write_run


def test_tied_scores_are_lowered_in_float32_and_keep_the_order():
    ranking = Ranking.in_order(["a", "b", "c", "d"], [2.0, 2.0, 2.0, 1.0])
    assert ranking.ids == ("a", "b", "c", "d")
    assert ranking.scores.dtype == np.float32
    assert (np.diff(ranking.scores) < 0).all()
    assert ranking.scores[0] == 2.0
    assert ranking.scores[3] == 1.0
    assert abs(float(ranking.scores[2]) - 2.0) < 1e-6


def test_doubles_that_are_one_float32_do_not_tie():
    ranking = Ranking.in_order(["a", "b"], [1.0 + 1e-12, 1.0])
    assert ranking.scores[0] > ranking.scores[1]


def test_trec_eval_order_breaks_ties_by_id_descending():
    ranking = Ranking.by_trec_eval(["a", "c", "b", "d"], [1, 1, 1, 3])
    assert ranking.ids == ("d", "c", "b", "a")


@pytest.mark.parametrize("name", ["x.run", "x.run.gz"])
def test_our_order_survives_the_file_and_trec_eval(tmp_path: Path, name: str):
    """trec_eval would put z before a among equal scores: recip_rank of a shows whose order it saw."""
    run = Run("ours", {"q": Ranking.in_order(["a", "z", "m"], [5.0, 5.0, 5.0])})
    write_run(run, tmp_path / name)
    back = read_run(tmp_path / name)
    assert back["q"].ids == ("a", "z", "m")
    assert np.array_equal(back["q"].scores, run["q"].scores)
    raw = (tmp_path / name).read_bytes()
    text = gzip.decompress(raw) if name.endswith("gz") else raw
    parsed = pytrec_eval.parse_run(text.decode().splitlines())
    values = pytrec_eval.RelevanceEvaluator({"q": {"a": 1}}, {"recip_rank"}).evaluate(parsed)
    assert values["q"]["recip_rank"] == 1.0


def test_the_same_run_gives_the_same_bytes(tmp_path: Path):
    run = Run("ours", {"q": Ranking.in_order(["a"], [1.0])})
    for name in ("one.gz", "two.gz"):
        write_run(run, tmp_path / name)
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()


def test_ids_with_white_space_come_back_when_they_are_known(tmp_path: Path):
    run = Run("ours", {"q 1": Ranking.in_order(["a b:7", "c%20d"], [2.0, 1.0])})
    write_run(run, tmp_path / "x.run")
    line = (tmp_path / "x.run").read_text().splitlines()[0]
    assert line.split()[:3] == ["q%201", "Q0", "a%20b:7"]
    back = read_run(tmp_path / "x.run").with_known_ids(["a b:7", "q 1", "c%20d"])
    assert list(back) == ["q 1"]
    assert back["q 1"].ids == ("a b:7", "c%20d")


@pytest.mark.parametrize(
    "plain", ["MED-10/ä%C3", "100%", "a%2fb", "%2", "x%zz", "http%3A%2F%2Fa.b", "<>&'\"|"]
)
def test_ordinary_ids_are_not_touched(plain: str):
    assert escape_id(plain) == plain == unescape_id(plain)


def test_an_id_that_looks_escaped_is_escaped():
    assert escape_id("a b") == "a%20b"
    assert escape_id("a%20b") == "a%2520b"
    assert escape_id("a%2520b") == "a%252520b"
    assert escape_id("a\u2003b\u2003") == "a%E2%80%83b%E2%80%83"
    assert escape_id("%") == "%25"
    assert escape_id("") == "%"


@given(
    st.text(st.one_of(st.characters(exclude_categories=("Cs",)), st.sampled_from(" %250\t\u2003\xa0\ufeff")))
)
def test_any_id_survives_as_one_column(text: str):
    written = escape_id(text)
    assert written.split() == [written]
    assert unescape_id(written) == text


@given(st.lists(st.text(st.sampled_from(" %2055\t\xa0"), max_size=5), min_size=2, unique=True))
def test_no_two_ids_are_written_alike(texts: list[str]):
    assert len({escape_id(text) for text in texts}) == len(texts)


ODD = [
    "a b",
    "a%20b",
    "a%2520b",
    "a/b",
    "01",
    "1",
    "1.0",
    "é\u2003x",
    "\ufeffq",
    "%",
    "#1?&",
    "a\tb",
    "NaN",
    "null",
]


@pytest.mark.parametrize("name", ["x.run", "x.run.gz"])
def test_odd_ids_survive_a_run_file(tmp_path: Path, name: str):
    scores = np.arange(len(ODD), 0, -1, dtype=np.float32)
    run = Run("my system%20", {q: Ranking(tuple(ODD[i:] + ODD[:i]), scores) for i, q in enumerate(ODD)})
    write_run(run, tmp_path / name)
    for back in (read_run(tmp_path / name).unescaped(), read_run(tmp_path / name).with_known_ids(ODD)):
        assert back.name == run.name
        assert {q: back[q].ids for q in back} == {q: run[q].ids for q in run}


def test_a_foreign_run_means_the_ids_that_there_are(tmp_path: Path):
    (tmp_path / "x.run").write_text("q%20 Q0 a%20b 1 2 t\nq%20 Q0 c%20d 2 1 t\n")
    run = read_run(tmp_path / "x.run")
    assert run.with_known_ids(["a b", "c%20d", "q%20"])["q%20"].ids == ("a b", "c%20d")
    (tmp_path / "x.run").write_text("q Q0 a%20b 1 2 t\nq Q0 a%2520b 2 1 t\n")
    run = read_run(tmp_path / "x.run")
    assert run.with_known_ids(["a b", "a%20b"])["q"].ids == ("a b", "a%20b")
    with pytest.raises(DatasetError, match="query 'q', 'a%20b' stands there twice, escaped and plain"):
        run.with_known_ids(["a%20b"])


def test_queries_without_hits_stay_in_the_run():
    run = Run("ours", {"q1": Ranking.in_order(["a"], [1.0]), "q2": Ranking.in_order((), ())})
    assert list(run.top(1)) == ["q1", "q2"]
    assert len(run["q2"]) == 0


def test_own_ids_are_dropped():
    run = Run("ours", {"a": Ranking.in_order(["b", "a", "c"], [3.0, 2.0, 1.0])}).without_own_ids()
    assert run["a"].ids == ("b", "c")
    assert run["a"].scores.tolist() == [3.0, 1.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1 Q0 d1 1 0.5 tag\nq1 Q0 d2 2 0.4\n", r"x\.run:2: a run line has 6 columns .*, this one 5"),
        ("q1 Q0 d1 1 high tag\n", r"x\.run:1: score 'high' is not a number"),
        ("q1 Q0 d1 1 1_000 tag\n", r"x\.run:1: score '1_000' is not a number"),
        ("q1\tQ0\t\t1\t2\tt\n", r"x\.run:1: the document id is empty"),
        ("q1 Q0 d1 1 nan tag\n", r"x\.run:1: score 'nan' is not finite"),
        ("q1 Q0 d1 1 2 t\nq1 Q0 d2 2 1e39 t\n", r"x\.run:2: score '1e39' is not finite in single precision"),
        (
            "q1 Q0 d1 1 2 t\n\nq1 Q0 d1 2 1 t\n",
            r"x\.run:3: document 'd1' appears twice for query 'q1'",
        ),
        ("\n", r"x\.run: no run lines"),
    ],
)
def test_bad_run_files_name_the_line(tmp_path: Path, text: str, message: str):
    (tmp_path / "x.run").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_run(tmp_path / "x.run")


def test_columns_between_tabs_and_ids_that_are_no_columns(tmp_path: Path):
    """A no-break space belongs to the id, for trec_eval too; between tabs any space does."""
    (tmp_path / "x.run").write_text("q 1\tQ0\td 1\t1\t3.0\tmy run\nq2 Q0 d\u00a02 1 2.0 my\n")
    run = read_run(tmp_path / "x.run")
    assert {query: run[query].ids for query in run} == {"q 1": ("d 1",), "q2": ("d\u00a02",)}


def test_two_runs_in_one_file_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "x.run").write_text("q1 Q0 d1 1 3.0 a\nq1 Q0 d2 2 2.0 b\n")
    assert read_run(tmp_path / "x.run").name == "a"
    assert "x.run: holds 2 runs ('a', 'b'), which are read as one" in caplog.text


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["q Q0 a 1 0.1 t", "q Q0 b 2 0.4 t"], True),  # distances
        (["q Q0 b 2 0.4 t", "q Q0 a 1 0.1 t"], True),
        (["q Q0 a 1 3 t", "q Q0 b 2 2 t", "q Q0 c 3 2 t"], False),  # ties have some order
        (["q Q0 b 1 2 t", "q Q0 a 0 3 t"], False),
        (["q Q0 a 1 1 t", "q Q0 b 1 2 t"], False),  # ranks that are none
        (["q Q0 a - 1 t", "q Q0 b - 2 t"], False),
        (["q Q0 a 1 1 t", "q Q0 b 2 1.00000000001 t"], False),  # one score in single precision
    ],
)
def test_ranks_against_scores_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, lines, told):
    """trec_eval looks at scores alone, so a run of distances is measured from its worst hit on."""
    path = tmp_path / "r.run"
    path.write_text("\n".join([*lines, "p Q0 a 1 5 t"]) + "\n")
    read_run(path)
    assert (f"{path}: ranks and scores disagree in 1 of 2 queries (the first is 'q')" in caplog.text) is told


@pytest.mark.parametrize("make", [Ranking.in_order, Ranking.by_trec_eval])
@pytest.mark.parametrize(
    "scores", [[1e39, 1.0], [1.0, float("nan")], [-3.4028234e38, -3.4028234e38], [2, -1e300]]
)
def test_scores_beyond_single_precision_are_refused(make, scores: list[float]):
    """They would be infinite, so that the ranking does not fall strictly and its file cannot be read."""
    with pytest.raises(DatasetError, match=r"document '[ab]': score \S+ is not finite in single precision"):
        make(["a", "b"], scores)


def test_a_number_that_no_float_holds_is_no_score():
    with pytest.raises(
        DatasetError, match=r"scores: \[1000.* holds one that is not finite in single precision"
    ):
        Ranking.in_order(["a"], [10**400])
    with pytest.raises(DatasetError, match=r"run 'r', query 'q': scores: \[1000.* not finite in single"):
        Run("r", {"q": {"a": 10**400}})


def test_the_largest_score_comes_back(tmp_path: Path):
    """Nine digits of it are more than it is."""
    largest = np.finfo(np.float32).max
    write_run(Run("t", {"q": Ranking.in_order(["a", "b"], [largest, -largest])}), tmp_path / "x.run")
    assert read_run(tmp_path / "x.run")["q"].scores.tolist() == [largest, -largest]


ONE = np.array([1.0], np.float32)
TWO = np.array([2.0, 1.0], np.float32)


@pytest.mark.parametrize("make", [Ranking, Ranking.in_order, Ranking.by_trec_eval])
@pytest.mark.parametrize(
    ("ids", "scores", "message"),
    [
        (["a", "b"], ONE, r"scores: an array of shape \(1,\) for 2 documents"),
        (["a"], TWO, r"scores: an array of shape \(2,\) for 1 documents"),
        (["a", "b"], [[2.0], [1.0]], r"scores: an array of shape \(2, 1\) for 2 documents"),
        (["a"], None, r"scores: an array of shape \(\) for 1 documents"),
        (["a"], ["high"], r"scores: a number for each document is expected, got \['high'\]"),
        (["a", "b", "a"], [3.0, 2.0, 1.0], "document 'a' stands there twice"),
        ([1, 2], TWO, "ids: 1 is no text"),
        (["a", None], TWO, "ids: None is no text"),
        (["a", "\ud800"], TWO, "ids: '.*' is no text"),
        (["a", "b"], [np.nan, 1.0], "document 'a': score nan is not finite"),
    ],
)
def test_a_ranking_is_what_it_says(make, ids: list[object], scores: object, message: str):
    with pytest.raises(DatasetError, match=message):
        make(ids, scores)


@pytest.mark.parametrize("scores", [[1.0, 2.0], [1.0, 1.0]])
def test_scores_that_do_not_fall_are_no_ranking(scores: list[float]):
    with pytest.raises(DatasetError, match=r"document 'b': score \d stands behind 1; Ranking.in_order keeps"):
        Ranking(("a", "b"), scores)


def test_a_ranking_cannot_be_changed():
    mine = TWO.copy()
    ranking = Ranking.in_order(["a", "b"], mine)
    mine[0] = -1
    for one in (ranking, copy.deepcopy(ranking), pickle.loads(pickle.dumps(ranking)), ranking.top(1)):
        assert one.scores[0] == 2.0
        with pytest.raises(ValueError, match="read-only"):
            one.scores[0] = -1
    rankings = {"q": ranking}
    run = Run("r", rankings)
    rankings.clear()
    assert list(run) == ["q"]


@pytest.mark.parametrize(
    ("name", "rankings", "message"),
    [
        (None, {}, "run: a name is expected, got None"),
        ("r", None, "run 'r': a mapping by id is expected, got None"),
        ("r", [("q", {})], "run 'r': a mapping by id is expected"),
        ("r", {1: {}}, "run 'r': the id 1 is int, a text is expected"),
        ("r", {"q": ["a"]}, r"run 'r', query 'q': a Ranking or scores by document are expected, got \['a'\]"),
        ("r", {"q": {"a": np.inf}}, "run 'r', query 'q': document 'a': score inf is not finite"),
    ],
)
def test_a_run_is_what_it_says(name: object, rankings: object, message: str):
    with pytest.raises(DatasetError, match=message):
        Run(name, rankings)


def test_a_missing_run_file_is_named(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"nowhere\.run: no such file"):
        read_run(tmp_path / "nowhere.run")
