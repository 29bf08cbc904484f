"""An encoder is adapted to documents: what is written, when it is refused, and an index that carries it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from splade_engine import SearchEngine, SparseEncoder
from splade_engine.encoder.neighbours import Neighbours
from splade_engine.engine import NeighbourSettings, adapt, adapting
from splade_engine.errors import (
    CheckpointError,
    IndexExistsError,
    InvalidInputError,
    StorageError,
    TrainingError,
)
from splade_engine.index import ShardedIndex, SparseIndex
from splade_engine.index.disk import publish
from tests.encoder import zoo
from tests.encoder.made import random_texts
from tests.fake_encoder import FakeEncoder

SETTINGS = NeighbourSettings(count=4, least=0.01)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo.make("opensearch", tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(autouse=True)
def _tolerant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights make vectors of which nobody knows whether lending helps."""
    monkeypatch.setattr(adapting, "TOLERANCE", 1.0)


@pytest.fixture
def corpus() -> list[dict[str, str]]:
    """Sixty documents of three sentences, of which one speaks another language."""
    texts = [". ".join(random_texts(3, seed=seed)) + "." for seed in range(60)]
    return [{"_id": f"d{row}", "title": f"title {row}", "text": text} for row, text in enumerate(texts)]


def test_adapting_writes_an_encoder_of_the_same_kind(model, corpus, tmp_path):
    made = adapt(corpus, tmp_path / "adapted", model, settings=SETTINGS)
    assert made.path == tmp_path / "adapted"
    assert made.documents == 60
    assert made.terms[1] > made.terms[0] > 0
    assert all(0 <= share <= 1 for share in made.found)
    assert [path.name for path in tmp_path.iterdir()] == ["adapted"], "the work folder is gone"
    base, adapted = SparseEncoder.load(model), SparseEncoder.load(tmp_path / "adapted")
    assert adapted.neighbours.vectors == base.encode_documents(
        [f"{row['title']} {row['text']}" for row in corpus]
    )
    assert adapted.encode_queries(["bado kime"]) == base.encode_queries(["bado kime"])


def test_adapting_again_begins_with_the_encoder_as_it_was(model, corpus, tmp_path):
    adapt(corpus[:40], tmp_path / "one", model, settings=SETTINGS)
    adapt(corpus[20:], tmp_path / "two", tmp_path / "one", settings=SETTINGS)
    adapt(corpus[20:], tmp_path / "three", model, settings=SETTINGS)
    two, three = SparseEncoder.load(tmp_path / "two"), SparseEncoder.load(tmp_path / "three")
    assert two.neighbours.vectors == three.neighbours.vectors
    assert two.fingerprint()["hash"] == three.fingerprint()["hash"]


def test_of_many_documents_some_are_drawn(model, corpus, tmp_path):
    made = adapt(corpus, tmp_path / "adapted", model, documents=25)
    assert made.documents == 25 == len(SparseEncoder.load(made.path).neighbours.vectors)


def test_an_encoder_that_finds_fewer_documents_again_is_refused(model, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(adapting, "FEWEST", 5)
    monkeypatch.setattr(adapting, "TOLERANCE", 0.01)
    ranks = iter((0.8, 0.7, 0.8, 0.7))
    monkeypatch.setattr(adapting, "_reciprocal_rank", lambda *_: next(ranks))
    with pytest.raises(TrainingError, match=r"not adapted: .* 0\.700, was 0\.800") as error:
        adapt(corpus, tmp_path / "adapted", model)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["adapted.encoding"], "what was encoded is kept"
    made = adapt(corpus, tmp_path / "adapted", model, force=True)
    assert made.found == (0.8, 0.7)
    assert made.questions >= 5


def test_a_document_without_its_sentence_cannot_borrow_it_back(model, corpus, tmp_path, monkeypatch):
    """Each document is unlike the others, so that only its own whole text could help."""
    monkeypatch.setattr(adapting, "FEWEST", 1)
    lenders = []
    real = adapting.Neighbours

    def noted(vectors, settings):
        lenders.append(vectors)
        return real(vectors, settings)

    monkeypatch.setattr(adapting, "Neighbours", noted)
    made = adapt(corpus, tmp_path / "adapted", model, settings=SETTINGS)
    assert made.questions > 0
    assert len(lenders[0]) == len(corpus) - made.questions


def test_documents_of_one_sentence_are_adapted_to_without_a_look(model, tmp_path):
    made = adapt([f"{text}." for text in random_texts(30)], tmp_path / "adapted", model)
    assert made.questions == 0 and made.found == (0.0, 0.0)


def test_another_folder_is_not_replaced(model, corpus, tmp_path):
    target = tmp_path / "adapted"
    adapt(corpus, target, model)
    with pytest.raises(InvalidInputError, match="holds an adapted encoder already"):
        adapt(corpus, target, model)
    adapt(corpus[:30], target, model, overwrite=True)
    assert len(SparseEncoder.load(target).neighbours.vectors) == 30
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(InvalidInputError, match=r"holds 'a\.md'"):
            adapt(corpus, notes, model, overwrite=overwrite)
    assert (notes / "a.md").read_text() == "mine"


@pytest.mark.parametrize("wrong", [{"documents": 1}, {"overwrite": 1}, {"settings": {"count": 3}}])
def test_arguments_that_cannot_be_meant_are_refused(model, corpus, tmp_path, wrong):
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        adapt(corpus, tmp_path / "adapted", model, **wrong)
    assert list(tmp_path.iterdir()) == []


def test_only_a_sparse_encoder_can_be_adapted(corpus, tmp_path):
    with pytest.raises(InvalidInputError, match="only one can be adapted"):
        adapt(corpus, tmp_path / "adapted", FakeEncoder())


# ---- an index -------------------------------------------------------------------------------------------


def test_an_index_keeps_the_encoder_that_was_adapted_for_it(model, corpus, tmp_path):
    engine = SearchEngine.build(tmp_path / "ix", corpus, model, adapt=SETTINGS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ix"]
    assert engine.encoder.neighbours is not None
    texts = [f"{row['title']} {row['text']}" for row in corpus]
    stored, encoded = engine.index.vectors(), engine.encoder.encode_documents(texts)
    assert np.array_equal(stored.terms, encoded.terms)
    np.testing.assert_allclose(stored.weights, encoded.weights, rtol=1e-3)  # float16 in the index
    shutil.move(tmp_path / "ix", tmp_path / "moved")
    moved = SearchEngine.open(tmp_path / "moved")
    query = " ".join(corpus[7]["text"].split()[:4])
    assert [hit.id for hit in moved.search(query)] == [hit.id for hit in engine.search(query)]
    moved.add([{"_id": "new", "text": corpus[7]["text"]}])
    assert "new" in moved.index
    moved.index.check()


def test_an_index_that_replaces_one_forgets_its_encoder(model, corpus, tmp_path):
    SearchEngine.build(tmp_path / "ix", corpus, model, adapt=True)
    SearchEngine.build(tmp_path / "ix", corpus, model, overwrite=True)
    assert SearchEngine.open(tmp_path / "ix").encoder.neighbours is None
    SearchEngine.build(tmp_path / "ix", corpus, model, overwrite=True, adapt=True)
    assert SearchEngine.open(tmp_path / "ix").encoder.neighbours is not None


def test_the_encoder_goes_along_when_indexes_are_searched_or_put_together(model, corpus, tmp_path):
    """The index that the encoder lies in may be any of them, and its documents were encoded with it."""
    one = SearchEngine.build(tmp_path / "one", corpus[:40], model, adapt=SETTINGS)
    other = SearchEngine.build(tmp_path / "other", corpus[40:], tmp_path / "one" / "encoder")
    paths = [other.path, one.path]
    ShardedIndex.collect(tmp_path / "all", paths)
    SparseIndex.merge(tmp_path / "merged", paths)
    query = " ".join(corpus[50]["text"].split()[:4])
    hits = _found(paths, query)
    assert hits
    assert _found(tmp_path / "all", query) == _found(tmp_path / "merged", query) == hits
    shutil.rmtree(tmp_path / "one")
    assert _found(tmp_path / "merged", query) == hits
    SparseIndex.merge(tmp_path / "again", [tmp_path / "merged"])
    assert SearchEngine.open(tmp_path / "again").encoder.neighbours is not None
    plain = SearchEngine.build(tmp_path / "plain", corpus, model)
    SparseIndex.merge(tmp_path / "again", [plain.index], overwrite=True)
    assert SearchEngine.open(tmp_path / "again").encoder.neighbours is None


def _found(path, query):
    engine = SearchEngine.open(path)
    assert engine.encoder.neighbours is not None
    return [(hit.id, hit.score) for hit in engine.search(query)]


def test_a_folder_of_somebody_else_beside_the_index_stays(model, corpus, tmp_path, monkeypatch):
    """Whatever its name is: here that of the index with something behind it."""
    mine = tmp_path / "ix.encoder" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    adapt(corpus, tmp_path / "iy.encoder", model, settings=SETTINGS, force=True)
    adapted = (tmp_path / "iy.encoder" / "config.json").read_bytes()
    for name in ("ix", "iy"):
        engine = SearchEngine.build(tmp_path / name, corpus, model, adapt=SETTINGS)
        assert engine.encoder.neighbours is not None
        assert engine.index.reader.encoder["source"] == str(tmp_path / name / "encoder")
    assert mine.read_text() == "mine"
    assert (tmp_path / "iy.encoder" / "config.json").read_bytes() == adapted

    def full(*_, **__):
        raise StorageError(28, "full")

    monkeypatch.setattr("splade_engine.engine.changes.SparseIndex.build", full)
    with pytest.raises(StorageError):
        SearchEngine.build(tmp_path / "iz", corpus, model, adapt=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ix",
        "ix.encoder",
        "iy",
        "iy.encoder",
        "iz.encoding",
    ]


def test_an_index_is_not_built_where_adapting_does_harm(model, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(adapting, "FEWEST", 5)
    monkeypatch.setattr(adapting, "TOLERANCE", 0.01)
    ranks = iter((0.8, 0.7))
    monkeypatch.setattr(adapting, "_reciprocal_rank", lambda *_: next(ranks))
    with pytest.raises(TrainingError, match="not adapted"):
        SearchEngine.build(tmp_path / "ix", corpus, model, adapt=True)
    assert [path.name for path in tmp_path.iterdir()] == ["ix.encoding"]
    engine = SearchEngine.build(tmp_path / "ix", corpus, model)
    assert len(engine) == 60


class Killed(BaseException):
    """Ends a call where the process would be killed."""


def killed_at_the_commit(monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    replace = os.replace

    def dies(source, target):
        published = Path(target).name == "manifest.json"
        if after or not published:
            replace(source, target)
        if published:
            raise Killed

    monkeypatch.setattr(publish.os, "replace", dies)


def test_an_index_never_appears_without_the_encoder_that_belongs_to_it(model, corpus, tmp_path, monkeypatch):
    """Killed directly behind the commit, it could not be searched, and a second build refused its folder."""
    query = " ".join(corpus[7]["text"].split()[:4])
    path, merged = tmp_path / "ix", tmp_path / "merged"
    with monkeypatch.context() as first:
        killed_at_the_commit(first, after=False)
        with pytest.raises(Killed):
            SearchEngine.build(path, corpus, model, adapt=SETTINGS)
    assert (path / "encoder").is_dir() and not (path / "manifest.json").exists()
    with monkeypatch.context() as second:
        killed_at_the_commit(second, after=True)
        with pytest.raises(Killed):
            SearchEngine.build(path, corpus, model, adapt=SETTINGS)
    engine = SearchEngine.open(path)
    assert engine.encoder.neighbours is not None and engine.search(query)
    with monkeypatch.context() as third:
        killed_at_the_commit(third, after=True)
        with pytest.raises(Killed):
            SparseIndex.merge(merged, [path])
    shutil.rmtree(path)
    assert _found(merged, query) == [(hit.id, hit.score) for hit in engine.search(query)]


class Dying:
    """Ends the process at the Nth change of a name within a folder: nothing happens any more."""

    CALLS = ((os, "rename"), (os, "replace"), (os, "rmdir"), (os, "unlink"), (shutil, "rmtree"))

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, at: int) -> None:
        self.folder, self.at, self.count = folder, at, 0
        for module, name in self.CALLS:
            monkeypatch.setattr(module, name, self.dying(getattr(module, name)))

    def dying(self, call):
        def dies(path, *others, **options):
            paths = [Path(p) for p in (path, *others[:1]) if isinstance(p, str | Path)]
            self.count += any(self.folder in p.parents for p in paths)
            if self.count > self.at:
                raise Killed
            return call(path, *others, **options)

        return dies


@pytest.mark.parametrize(
    ("was", "becomes"), [("adapted", "adapted"), ("adapted", "named"), ("named", "adapted")]
)
def test_an_index_that_is_replaced_has_its_encoder_at_every_moment(
    model, corpus, tmp_path, monkeypatch, was, becomes
):
    """Killed between the two renames, neither the old index nor the new one could be opened."""
    pristine, path = tmp_path / "pristine", tmp_path / "ix"
    ways = {"adapted": SETTINGS, "named": False}
    SearchEngine.build(pristine, corpus[:30], model, adapt=ways[was])
    states = set()
    for moment in range(30):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(pristine, path)
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            dying = Dying(patch, path, moment)
            SearchEngine.build(path, corpus, model, adapt=ways[becomes], overwrite=True)
        engine = SearchEngine.open(path)  # which compares the encoder with what the index remembers
        states.add(len(engine))
        adapted = (becomes if len(engine) == 60 else was) == "adapted"
        assert (engine.encoder.neighbours is not None) == adapted
        SparseIndex.merge(tmp_path / "merged", [path], overwrite=True)
        own = engine.encoder.fingerprint()["hash"]
        assert SearchEngine.open(tmp_path / "merged").encoder.fingerprint()["hash"] == own
        engine.delete(["d3"])  # the next writer does what was left
        assert not list(path.glob("encoder-of-generation-*"))
        assert (path / "encoder").is_dir() == adapted
        assert SearchEngine.open(path).encoder.fingerprint()["hash"] == own
        if dying.count <= moment:
            break
    assert states == {30, 60}


def test_what_a_killed_build_has_left_is_no_encoder_of_the_next(model, corpus, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        killed_at_the_commit(patch, after=False)
        with pytest.raises(Killed):
            SearchEngine.build(tmp_path / "ix", corpus, model, adapt=SETTINGS)
    SearchEngine.build(tmp_path / "ix", corpus, model)
    assert not (tmp_path / "ix" / "encoder").exists()
    assert SearchEngine.open(tmp_path / "ix").encoder.neighbours is None
    (tmp_path / "mine" / "encoder").mkdir(parents=True)
    (tmp_path / "mine" / "encoder" / "config.json").write_text("{}")
    with pytest.raises(IndexExistsError, match="it holds 'encoder'"):  # somebody's own
        SearchEngine.build(tmp_path / "mine", corpus, model)


def test_an_index_on_a_disk_of_its_own_gets_its_encoder(model, corpus, tmp_path, monkeypatch):
    """A volume of a container is the index folder itself: nothing can be renamed into it."""
    rename = os.rename

    def across(source, target):
        if Path(target).parent == tmp_path / "ix" and Path(source).parent != tmp_path / "ix":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(publish.os, "rename", across)
    (tmp_path / "ix").mkdir()
    for overwrite in (False, True):
        engine = SearchEngine.build(tmp_path / "ix", corpus, model, adapt=SETTINGS, overwrite=overwrite)
        assert engine.encoder.neighbours is not None
        assert [path.name for path in tmp_path.iterdir()] == ["ix"]


@pytest.mark.parametrize("given", [{"max_length": 16}, {"long_texts": "windows"}])
def test_an_encoder_that_was_loaded_with_another_length_is_adapted_to_an_index(
    model, corpus, tmp_path, given
):
    """An index remembers both, and its folder of the encoder says neither."""
    encoder = SparseEncoder.load(model, **given)
    engine = SearchEngine.build(tmp_path / "ix", corpus, encoder, adapt=SETTINGS)
    reopened = SearchEngine.open(tmp_path / "ix")
    texts = [f"{row['title']} {row['text']}" for row in corpus]
    for found in (engine.encoder, reopened.encoder):
        assert {name: found.fingerprint()[name] for name in given} == given
        assert found.encode_documents(texts) == Neighbours(encoder.encode_documents(texts), SETTINGS).lend(
            encoder.encode_documents(texts)
        )
    SearchEngine.build(tmp_path / "ix", corpus, encoder, adapt=SETTINGS, overwrite=True)


def test_an_encoder_of_which_no_folder_can_be_made_is_refused_before_it_encodes(
    model, corpus, tmp_path, monkeypatch
):
    encoder = SparseEncoder.load(model, max_length=16)
    monkeypatch.setattr(adapting, "encode_corpus", lambda *_, **__: pytest.fail("encodes"))
    with pytest.raises(CheckpointError, match="it was loaded with another max_length than its folder has"):
        adapt(corpus, tmp_path / "adapted", encoder)
    assert list(tmp_path.iterdir()) == []
