from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace as Invented

import pytest

from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.eval.suite import load_suite, suite_names


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
    assert len(load_suite("zero-shot").collections) == 13


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
        ("k = 0\n[[collections]]\nsource = 'x'", "k must be a number of at least 1, got 0"),
        ("measures = ['x@y']\n[[collections]]\nsource = 'x'", "unknown measure"),
        ("[[collections]]\nsource = 'x'\n[[collections]]\nsource = 'x'", "two collections are named 'x'"),
    ],
)
def test_bad_suites(tmp_path: Path, text: str, message: str):
    (tmp_path / "my.toml").write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        load_suite(tmp_path / "my.toml")
