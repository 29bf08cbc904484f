"""The sources of a recipe, opened: what none of them reads is refused."""

from __future__ import annotations

import pytest

from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.training import load_recipe
from splade_engine.training.data.opening import open_sources
from tests.training import made


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    made.write_jsonl(folder / "corpus.jsonl", [{"_id": "d", "text": "moon"}, {"_id": "e", "text": "tide"}])
    made.write_jsonl(folder / "queries.jsonl", [{"_id": "q", "text": "ship"}])
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    pairs = made.write_jsonl(tmp_path / "pairs.jsonl", [{"query": "ship", "positive": "moon"}])
    mined = made.write_jsonl(tmp_path / "mined.jsonl", [{"query_id": "q", "negative_ids": ["e"]}])
    return {"set": folder, "pairs": pairs, "mined": mined, "corpus": folder / "corpus.jsonl"}


def opened(tmp_path, files, *sources):
    named = [{k: str(files[v]) if v in files else v for k, v in source.items()} for source in sources]
    return open_sources(load_recipe("splade").override({"data.sources": named}), tmp_path / "cache")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            {"path": "pairs", "negatives": "mined"},
            r"mined.jsonl: data.sources.negatives is read for a BEIR fo",
        ),
        ({"path": "pairs", "kind": "ict", "negatives": "mined"}, r"mined.jsonl: data.sources.negatives is"),
        ({"path": "set", "corpus": "corpus"}, r"corpus.jsonl: data.sources.corpus is read for a JSONL file"),
        (
            {"path": "set", "queries": "corpus"},
            r"corpus.jsonl: data.sources.queries is read for a JSONL file",
        ),
    ],
)
def test_a_file_that_no_source_reads_is_refused(tmp_path, files, source, message):
    with pytest.raises(InvalidInputError, match=message):
        opened(tmp_path, files, source)


def test_one_source_that_reads_it_is_enough(tmp_path, files):
    """The command line gives the file to each of them."""
    both = {"negatives": "mined", "corpus": "corpus"}
    first, second = opened(tmp_path, files, {"path": "pairs", **both}, {"path": "set", **both})
    assert first.example(0, None).negatives == () and second.example(0, None).negatives == ("tide",)
    with pytest.raises(DatasetError, match="no such file"):
        opened(tmp_path, files, {"path": "set", "negatives": "nowhere"})


@pytest.mark.parametrize(("turned", "told"), [(0, False), (5, False), (6, True), (10, True)])
def test_scores_of_the_wrong_direction_are_told(tmp_path, caplog, turned, told):
    """Distances, or margins of the negative: the student would learn to rank answers last."""
    rows = [
        {
            "query": "q",
            "positive": f"p{i}",
            "negatives": ["n", "m"],
            "scores": [0, 1, 0.5] if i < turned else [1, 0, 2],
        }
        for i in range(10)
    ]
    rows += [{"query": "q", "positive": "p"}] * 20
    opened(tmp_path, {}, {"path": str(made.write_jsonl(tmp_path / "r.jsonl", rows))})
    said = (
        f"r.jsonl: in {turned} of 10 rows the negatives score higher than the positive; a higher score must"
    )
    assert (said in caplog.text) is told
