from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace as Invented

import pytest

from splade_engine.errors import DatasetError, InvalidInputError, StorageError
from splade_engine.eval.run.suite import load_suite, suite_names


def test_the_suites_of_the_package():
    assert {"beir-13", "nano-beir", "msmarco", "classic", "cqadupstack", "zero-shot"} <= set(suite_names())
    for name in suite_names():
        suite = load_suite(name)
        assert suite.description
        assert suite.baseline in suite.systems
    assert len(load_suite("beir-13").collections) == 13
    assert len(load_suite("nano-beir").collections) == 13
    assert {c.group for c in load_suite("cqadupstack").collections} == {"CQADupStack"}
    assert len(load_suite("cqadupstack").collections) == 12


def test_the_zero_shot_suite():
    """Thirteen collections, two with the same distractors; the mean over twelve leaves DBpedia out."""
    suite = load_suite("zero-shot")
    assert len(suite.collections) == 13
    assert len(suite.systems) >= 7
    extra = {c.name: (c.folder, c.n_distractors) for c in suite.collections if c.distractors}
    assert extra == {
        "trec-dl19-mini+100k": ("trec-dl19-mini", 100_000),
        "clapnq-dev+100k": ("clapnq-dev", 100_000),
    }
    assert len({c.distractors for c in suite.collections}) == 2
    (twelve,) = suite.means.values()
    assert {c.name for c in suite.collections} - set(twelve) == {"dbpedia-entity-mini"}


def test_every_id_is_known_to_ir_datasets():
    import ir_datasets

    for name in suite_names():
        for collection in load_suite(name).collections:
            if collection.source:
                assert ir_datasets.load(collection.source).has_qrels(), collection.source


def test_suites_are_joined():
    joined = load_suite("beir-13").joined(load_suite("cqadupstack"))
    assert joined.name == "beir-13+cqadupstack"
    assert len(joined.collections) == 25


def test_a_folder_a_folder_of_folders_and_a_file(invented: Invented, tmp_path: Path):
    invented.write(tmp_path / "all" / "b")
    invented.write(tmp_path / "all" / "a")
    (tmp_path / "all" / "notes").mkdir()
    assert [c.name for c in load_suite(tmp_path / "all").collections] == ["a", "b"]
    assert [c.name for c in load_suite(tmp_path / "all" / "a").collections] == ["a"]
    (tmp_path / "my.toml").write_text(
        'systems = ["bm25", "mine: bm25(k1=2)"]\nmeasures = ["MRR@10"]\nk = 50\n'
        '[[collections]]\nsource = "all/a"\nname = "A"\nsplit = "test"\ndrop_own_id = true\n'
    )
    suite = load_suite(tmp_path / "my.toml")
    assert suite.measures == ("RR@10",)
    assert suite.k == 50
    assert suite.collections[0].load(None).name == "A"
    assert suite.collections[0].load(None).drop_own_id


def test_distractors_of_one_collection(invented: Invented, tmp_path: Path):
    invented.write(tmp_path / "suite" / "a")
    (tmp_path / "suite" / "near.jsonl").write_text('{"_id": "1", "text": "tea"}\n')
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "far.jsonl").write_text('{"_id": "1", "text": "tea"}\n')
    (tmp_path / "suite" / "my.toml").write_text(
        "".join(
            f'[[collections]]\nsource = "a"\nname = "{name}"\ndistractors = "{name}.jsonl"\n'
            for name in ("near", "far", "none")
        )
        + '[[collections]]\nsource = "a"\n[means]\nboth = ["near", "a"]\n'
    )
    near, far, none, plain = load_suite(tmp_path / "suite" / "my.toml").collections
    data = tmp_path / "data"
    assert near.distractor_file(None) == (tmp_path / "suite" / "near.jsonl")
    assert far.distractor_file(data) == data / "far.jsonl"
    assert plain.distractor_file(data) is None
    with pytest.raises(
        DatasetError, match=r"none: its distractors are missing: no file none\.jsonl or .*data"
    ):
        none.distractor_file(data)
    suite = load_suite(tmp_path / "suite" / "my.toml").with_distractors(data / "far.jsonl", "a")
    assert [c.distractors for c in suite.collections][3] == str(data / "far.jsonl")
    assert [c.n_distractors for c in suite.with_n_distractors(7).collections] == [7, 7, 7, 7]
    assert suite.means == {"both": ("near", "a")}


def test_a_collection_is_taken_from_the_data_folder(invented: Invented, tmp_path: Path):
    invented.write(tmp_path / "cisi")
    cisi = next(c for c in load_suite("classic").collections if c.name == "cisi")
    assert cisi.load(tmp_path).source == str(tmp_path / "cisi")
    with pytest.raises(DatasetError, match="cisi: give --data FOLDER that holds 'cisi'"):
        cisi.load(None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("systems = [", r"my\.toml: not TOML"),
        ('systems = ["bm25"]', r"my\.toml: no \[\[collections\]\]"),
        ("[[collections]]\nname = 'x'", r"my\.toml: collection 1: neither source nor folder"),
        ("[[collections]]\nsource = 7", r"my\.toml: collection 1: source must be a str, got 7"),
        ("[[collections]]\nsorce = 'x'", r"my\.toml: collection 1: 'sorce' is not known"),
        ("sistems = []\n[[collections]]\nsource = 'x'", r"my\.toml: 'sistems' is not known"),
        ("systems = ['bm52']\n[[collections]]\nsource = 'x'", "'bm52' is not a system"),
        ("systems = 'bm25'\n[[collections]]\nsource = 'x'", "systems must be a list of strings"),
        ("means = 1\n[[collections]]\nsource = 'x'", "means must be a table, got 1"),
        ("[means]\na = ['y']\n[[collections]]\nsource = 'x'", "mean 'a': there is no collection 'y'"),
        ("[means]\na = []\n[[collections]]\nsource = 'x'", "mean 'a' names no collections"),
        ("[[collections]]\nsource = 'x'\nn_distractors = 5", "n_distractors = 5 needs distractors"),
        ("[[collections]]\nsource = 'x'\nn_distractors = true", "n_distractors must be a int, got True"),
        ("baseline = ['bm25']\n[[collections]]\nsource = 'x'", "baseline must be a string"),
        ("description = 7\n[[collections]]\nsource = 'x'", "description must be a string"),
        (f"[[collections]]\nsource = '{'a' * 5000}'", "collection 1: source 'a{59} can be no path"),
        (f"[[collections]]\nfolder = '{'a' * 300}'", "collection 1: folder 'a{59} can be no path"),
        (f"[[collections]]\nsource = 'x'\ndistractors = '{'a' * 300}'", "distractors 'a{59} can be no path"),
        ('[[collections]]\nsource = "a\\u0000b"', "can be no path"),
        ("k = 0\n[[collections]]\nsource = 'x'", "k must be a number of at least 1, got 0"),
        ("measures = ['x@y']\n[[collections]]\nsource = 'x'", "unknown measure"),
        ("[[collections]]\nsource = 'x'\n[[collections]]\nsource = 'x'", "two collections are named 'x'"),
    ],
)
def test_bad_suites(tmp_path: Path, text: str, message: str):
    (tmp_path / "my.toml").write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        load_suite(tmp_path / "my.toml")


@pytest.mark.parametrize("name", ["a" * 5000, "a" * 300 + ".toml"])
def test_a_source_that_can_be_no_path(name: str):
    with pytest.raises(StorageError, match=r"cannot read a{120}"):
        load_suite(name)
