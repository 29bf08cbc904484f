"""What is no path is refused in one line by every public function that takes one.

The functions are found by their signatures, so a new one is called by itself: where it needs an argument that
`ARGUMENTS` does not know, the test says which.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from splade_engine import SearchEngine, SparseEncoder
from splade_engine.arguments import path_of
from splade_engine.collections.corpus import Corpus
from splade_engine.errors import InvalidInputError
from splade_engine.eval import Run
from splade_engine.training import MiningConfig, load_recipe, train
from tests.fake_encoder import FakeEncoder
from tests.index import made
from tests.test_arguments import DOORS, public_functions

PATH = re.compile(r"\b(Path|PathLike)\b")
# what a public function may need beside its path
ARGUMENTS: dict[str, Callable[[SimpleNamespace], object]] = {
    "corpus": lambda w: [{"id": "new", "text": "moon"}],
    "dataset": lambda w: SimpleNamespace(parts=(), name="x"),
    "folder": lambda w: w.folder / "new",
    "index": lambda w: w.engine.index,
    "ids": lambda w: None,
    "output": lambda w: w.folder / "new",
    "parts": lambda w: [w.engine.index.path],
    "path": lambda w: w.folder / "new.arrow",
    "queries": lambda w: w.two,
    "data": lambda w: w.folder / "pairs.jsonl",
    "recipe": lambda w: load_recipe("l0"),
    "run": lambda w: Run("r", {}),
    "shards": lambda w: [w.engine.index.path],
    "source": lambda w: Corpus([{"id": "1", "text": "moon"}]),
    "system": lambda w: "bm25",
    "target": lambda w: "vespa",
    "vectors": lambda w: w.two,
    "vocabulary": lambda w: ["moon"],
    "config": lambda w: MiningConfig(),
    "measures": lambda w: ["nDCG@10"],
    "name": lambda w: "name",
}
# an object to call a method of
OBJECTS: dict[str, Callable[[SimpleNamespace], object]] = {
    "SearchEngine": lambda w: w.engine,
    "SparseEncoder": lambda w: w.encoder,
}
# what a path stands for in their annotation, and why it needs no call
EXEMPT = {
    "SearchEngine(path)": "of an engine that was opened",
    "IndexReader(path)": "of a snapshot that was opened",
}


class OfBytes(os.PathLike[bytes]):
    def __fspath__(self) -> bytes:
        return b"x"


NO_PATHS: list[object] = [
    *(b"x", bytearray(b"x"), 3, 1.5, True, 10**5000, {"a": 1}, {"a"}, object(), OfBytes(), str),
    *([], ["a"], ("a", "b"), [["a"]]),
    *("", "a\0b", "\ud800", "a" * 5000, "b" * 300),
]
MANY = re.compile(r"Sequence\[")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("world")
    engine = SearchEngine.build(folder / "ix", [{"id": "1", "text": "moon"}], FakeEncoder())
    two = made.vectors(1, 2, engine.index.n_terms)
    return SimpleNamespace(folder=folder, engine=engine, encoder=SparseEncoder.load(), two=two)


def path_parameters() -> Iterator[tuple[str, tuple[Any, inspect.Parameter]]]:
    for label, function in public_functions((*DOORS, ".eval.report", ".server")):
        for parameter in inspect.signature(function).parameters.values():
            name = f"{label}({parameter.name})"
            found = PATH.search(str(parameter.annotation)) or parameter.name == "repo"
            if found and name not in EXEMPT:
                yield name, (function, parameter)


FOUND = dict(path_parameters())


def call(world: SimpleNamespace, parameter: str, value: object) -> object:
    """Call a public function with `value` as one of its paths."""
    function, path = FOUND[parameter]
    given: dict[str, object] = {path.name: value}
    for other in inspect.signature(function).parameters.values():
        needed = other.default is other.empty and other.kind is not other.VAR_KEYWORD
        if other.name == "self":
            function = partial(function, OBJECTS[parameter.partition(".")[0]](world))
        elif needed and other.name not in given:
            given[other.name] = ARGUMENTS[other.name](world)
    return function(**given)


@pytest.mark.parametrize("parameter", FOUND)
def test_what_is_no_path_is_refused_in_one_line(parameter: str, world: SimpleNamespace) -> None:
    annotation = str(FOUND[parameter][1].annotation)
    values = list(NO_PATHS) if "None" in annotation else [*NO_PATHS, None]
    if MANY.search(annotation):
        values += [[value] for value in values]
    if "Callable" in annotation:
        values.remove(str)
    for value in values:
        with pytest.raises(InvalidInputError) as refused:
            call(world, parameter, value)
        assert len(str(refused.value).splitlines()) == 1, value
        assert len(str(refused.value)) < 300, value
    assert {path.name for path in world.folder.iterdir()} == {"ix"}, "nothing is left"


def test_a_path_is_a_string_or_a_path(tmp_path: Path) -> None:
    class OfText(os.PathLike[str]):
        def __fspath__(self) -> str:
            return "a/b"

    for given in ("a/b", Path("a/b"), OfText()):
        assert path_of("path", given) == Path("a/b")
    assert path_of("path", os.fsdecode(b"caf\xe9")).name == "caf\udce9", "a name that is not UTF-8"


def test_a_path_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of("path", "~/a") == path_of("path", Path("~/a")) == tmp_path / "a"
    assert path_of("path", "a/~/b") == Path("a/~/b")
    assert path_of("path", "~nobody-known/a") == Path("~nobody-known/a")


def test_the_name_of_a_recipe_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as refused:
        train("l0", tmp_path / "run")
    assert str(refused.value) == "recipe: a Recipe is expected, got 'l0'; load_recipe('l0') gives one"
    with pytest.raises(InvalidInputError, match=r"^recipe: a Recipe is expected, got None$"):
        train(None, tmp_path / "run")
    assert not (tmp_path / "run").exists()
