"""Mining resumed: on data, models or settings that changed it refuses; what it wrote itself it continues."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import pytest

from splade_engine.errors import CheckpointError, DatasetError, InvalidInputError, TrainingError
from splade_engine.locks import take_lock
from splade_engine.training import MiningConfig, mine
from splade_engine.training.mining import negatives
from tests.training import made

PLAN = "out.jsonl.mining/plan.json"


class Killed(BaseException):
    """Ends mining as a kill does."""


def beir(folder):
    """20 queries with an answer each, in a BEIR folder."""
    (folder / "qrels").mkdir(parents=True)
    rows = made.synthetic_rows(20)
    for name, letter, field in (("corpus.jsonl", "d", "positive"), ("queries.jsonl", "q", "query")):
        texts = [{"_id": f"{letter}{i}", "text": row[field]} for i, row in enumerate(rows)]
        made.write_jsonl(folder / name, texts)
    pairs = "".join(f"q{i}\td{i}\t1\n" for i in range(20))
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + pairs)
    return folder


@pytest.fixture
def config(bert_folder, tmp_path):
    model = shutil.copytree(bert_folder, tmp_path / "model")
    return MiningConfig(f"sparse:{model}", teacher="bm25", negatives=2, depth=5)


@pytest.fixture
def begun(tmp_path, config, monkeypatch):
    """A function that mines `data` into out.jsonl and is killed after 10 queries."""

    def begin(data, config=config):
        monkeypatch.setattr(negatives, "CHUNK", 5)
        calls, original = [], negatives.mined_rows

        def deadly(*arguments):
            calls.append(1)
            if len(calls) == 13:
                raise Killed
            return original(*arguments)

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(negatives, "mined_rows", deadly)
            mine(data, tmp_path / "out.jsonl", config)
        assert (tmp_path / "out.jsonl").read_text().count("\n") == 10
        return tmp_path / "out.jsonl"

    return begin


CHANGES = {
    "reordered": lambda lines: lines[::-1],
    "another text": lambda lines: [lines[0], lines[1].replace('"bara', '"bolu', 1) + " ", *lines[2:]],
    "one more": lambda lines: [*lines, lines[0].replace("0", "77")],
    "one less": lambda lines: lines[:-1],
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_pairs_that_changed_are_refused(change, tmp_path, begun, config):
    made_rows = enumerate(made.synthetic_rows(20))
    rows = [{"query": f"{row['query']} {i}", "positive": row["positive"]} for i, row in made_rows]
    data = made.write_jsonl(tmp_path / "pairs.jsonl", rows)
    mine(data, tmp_path / "whole.jsonl", config)
    output = begun(data)
    before, half = data.read_bytes(), output.read_bytes()
    data.write_text("\n".join(CHANGES[change](data.read_text().splitlines())) + "\n")
    with pytest.raises(InvalidInputError, match=r"pairs.jsonl: changed since .*out.jsonl was begun"):
        mine(data, output, config)
    assert output.read_bytes() == half
    data.write_bytes(before)
    mine(data, output, config)
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/train.tsv"])
def test_files_of_a_folder_that_changed_are_refused(name, tmp_path, begun, config):
    folder = beir(tmp_path / "beir")
    output = begun(folder)
    lines = (folder / name).read_text().splitlines()
    (folder / name).write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    with pytest.raises(InvalidInputError, match=rf"{name}: changed since .*out.jsonl was begun"):
        mine(folder, output, config)


def test_a_model_that_changed_is_refused(tmp_path, begun, config):
    folder = beir(tmp_path / "beir")
    output = begun(folder)
    weights = tmp_path / "model" / "model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(InvalidInputError, match=r"model: changed since .*out.jsonl was begun"):
        mine(folder, output, config)
    weights.write_bytes(before)
    assert mine(folder, output, config) > 0


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", '{"inputs": 3}'])
def test_a_damaged_plan_is_one_line(text, tmp_path, begun, config):
    folder = beir(tmp_path / "beir")
    output = begun(folder)
    (tmp_path / PLAN).write_text(text)
    with pytest.raises(InvalidInputError, match=r"plan.json: "):
        mine(folder, output, config)


@pytest.mark.parametrize("name", ["notes", "plan.json"])
def test_a_folder_of_somebody_else_with_our_name_stays(name, tmp_path, config):
    folder = beir(tmp_path / "beir")
    work = tmp_path / "out.jsonl.mining"
    (work / "pictures").mkdir(parents=True)
    (work / "pictures" / "one").write_text("1")
    (work / name).write_text('{"mine": true}')
    with pytest.raises(InvalidInputError, match=r"mining has not written|plan.json: damaged"):
        mine(folder, tmp_path / "out.jsonl", config)
    with pytest.raises(InvalidInputError):
        mine(folder, tmp_path / "out.jsonl", dataclasses.replace(config, retriever="sparse:nowhere"))
    assert (work / "pictures" / "one").read_text() == "1"
    assert (work / name).read_text() == '{"mine": true}'
    assert not (tmp_path / "out.jsonl").exists()


def test_lines_that_mining_did_not_write_are_refused(tmp_path, begun, config):
    folder = beir(tmp_path / "beir")
    output = begun(folder)
    lines = output.read_text().splitlines()
    output.write_text("\n".join([*lines[:4], *lines[5:]]) + "\n")  # one is gone
    with pytest.raises(InvalidInputError, match=r"out.jsonl:5: not a line that mining has written; remove "):
        mine(folder, output, config)


def test_two_processes_into_one_file(tmp_path, begun, config):
    folder = beir(tmp_path / "beir")
    output = begun(folder)
    lock = tmp_path / "out.jsonl.mining" / ".lock"
    with take_lock(lock), pytest.raises(TrainingError, match=f"process {os.getpid()} is mining into it"):
        mine(folder, output, config)
    assert mine(folder, output, config) > 0


def test_what_exists_is_not_touched(tmp_path, config):
    (tmp_path / "out.jsonl").write_text("mine\n")
    with pytest.raises(InvalidInputError, match=r"out.jsonl: exists already"):
        mine(beir(tmp_path / "beir"), tmp_path / "out.jsonl", config)
    assert not (tmp_path / "out.jsonl.mining").exists()


FULL = """
import json, resource, signal, sys
import torch
torch.set_num_threads(1)
from splade_engine.training import MiningConfig, mine
from splade_engine.training.mining import retrievers
from splade_engine.errors import StorageError
original = retrievers.SparseRetriever.search
def full(self, queries, k):
    found = original(self, queries, k)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, resource.RLIM_INFINITY))
    return found
retrievers.SparseRetriever.search = full
try:
    mine(sys.argv[1], sys.argv[2], MiningConfig(**json.loads(sys.argv[3])))
except StorageError as error:
    print(error.strerror)
    sys.exit(2)
"""


def test_a_full_disk_is_one_line_and_the_same_call_goes_on(tmp_path, config):
    folder, output = beir(tmp_path / "beir"), tmp_path / "out.jsonl"
    options = json.dumps({"retriever": config.retriever, "teacher": "bm25", "negatives": 2, "depth": 5})
    call = [sys.executable, "-c", FULL, str(folder), str(output), options]
    full = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)
    assert full.returncode == 2, full.stderr
    assert full.stdout == f"cannot write {output}: File too large\n"
    mine(folder, output, config)
    mine(folder, tmp_path / "whole.jsonl", config)
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_margin_that_is_no_number():
    with pytest.raises(InvalidInputError, match="absolute_margin is not negative"):
        MiningConfig(absolute_margin=float("nan"))


def test_what_was_refused_leaves_nothing_in_the_way(tmp_path, config):
    """A slip, then the corrected call, each time into the same file."""
    rows = [
        {"query": f"{row['query']} {i}", "positive": row["positive"]}
        for i, row in enumerate(made.synthetic_rows(20))
    ]
    data, output = made.write_jsonl(tmp_path / "pairs.jsonl", rows), tmp_path / "out.jsonl"
    slips = [
        (
            dataclasses.replace(config, skip=1000),
            DatasetError,
            "no query kept a negative, so nothing is written",
        ),
        (dataclasses.replace(config, texts=False), InvalidInputError, "its rows have no ids"),
        (
            dataclasses.replace(config, retriever="sparse:" + str(tmp_path / "no")),
            CheckpointError,
            "no such folder",
        ),
        (
            dataclasses.replace(config, retriever=f"dense:{tmp_path}"),
            CheckpointError,
            "no dense encoder|config.json",
        ),
    ]
    for slip, kind, message in slips:
        with pytest.raises(kind, match=message):
            mine(data, output, slip)
        assert not output.exists()
    mine(data, output, config)
    mine(data, tmp_path / "whole.jsonl", config)
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.mining")) == []


@pytest.mark.parametrize("retriever", ["sparse", "dense"])
def test_vectors_of_other_texts_are_not_taken(retriever, tmp_path, begun, config, bert_folder):
    """What lies in the working folder is of another corpus with the same ids: it is made again."""
    data = beir(tmp_path / "data")
    if retriever == "dense":
        config = dataclasses.replace(config, retriever=f"dense:{bert_folder}")
    mine(data, tmp_path / "whole.jsonl", config)
    other = shutil.copytree(data, tmp_path / "else")
    lines = [json.loads(line) for line in (other / "corpus.jsonl").read_text().splitlines()]
    texts = [line["text"] for line in lines][::-1]
    made.write_jsonl(other / "corpus.jsonl", [r | {"text": t} for r, t in zip(lines, texts, strict=True)])
    output = begun(other, config)
    kept = shutil.copytree(tmp_path / "out.jsonl.mining", tmp_path / "kept")
    output.unlink()
    shutil.rmtree(tmp_path / "out.jsonl.mining")
    begun(data, config)
    for path in kept.iterdir():
        if path.is_dir() and path.name != "cache":
            shutil.rmtree(tmp_path / "out.jsonl.mining" / path.name)
            shutil.copytree(path, tmp_path / "out.jsonl.mining" / path.name)
    mine(data, output, config)
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
