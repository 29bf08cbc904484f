"""Notes that change: what a file no longer says is no longer found, and one file has one id."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from splade_engine import SearchEngine
from splade_engine.errors import DatasetError, InvalidInputError
from tests.small_collection import WordEncoder


class AnyWords(WordEncoder):
    """Every word is a term."""

    source = None
    query_table = None

    def __init__(self) -> None:
        self.name, self.weight, self.encoded = "words", 1.0, 0

    def fingerprint(self) -> dict[str, str | int]:
        return {**super().fingerprint(), "max_length": self.max_length, "version": 2}


LINE = "the ferry to the island leaves from pier four every morning at seven and takes fifty minutes. " * 8


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes" / "trips").mkdir(parents=True)
    write(tmp_path / "notes" / "plan.md", 3)
    (tmp_path / "notes" / "trips" / "alps.md").write_text("# Alps\n\nThe hut opens in June.\n")
    return tmp_path / "notes"


def write(file: Path, passages: int) -> None:
    parts = [f"{LINE} section{i}" for i in range(1, passages + 1)]
    file.write_text("# Ferry plan\n\n" + "\n\n".join(parts))


@pytest.fixture
def engine(notes: Path, tmp_path: Path) -> SearchEngine:
    made = SearchEngine.build(tmp_path / "index", notes, AnyWords())
    assert sorted(made.index.ids()) == ["plan.md#1", "plan.md#2", "plan.md#3", "trips/alps.md"]
    return made


@pytest.mark.parametrize("passages", [1, 2, 3, 4])
def test_a_changed_file_keeps_none_of_its_old_passages(engine: SearchEngine, notes: Path, passages: int):
    write(notes / "plan.md", passages)
    engine.update(notes)
    ids = {hit.id for hit in engine.search("ferry", k=10)}
    assert ids == ({"plan.md"} if passages == 1 else {f"plan.md#{i}" for i in range(1, passages + 1)})
    assert not engine.search("section3", k=10) or passages >= 3


def test_a_file_that_grows_loses_its_plain_id(engine: SearchEngine, notes: Path):
    write(notes / "plan.md", 1)
    engine.update(notes)
    write(notes / "plan.md", 3)
    engine.update(notes)
    assert sorted(h.id for h in engine.search("ferry", k=10)) == ["plan.md#1", "plan.md#2", "plan.md#3"]


def test_a_file_that_was_emptied_is_gone(engine: SearchEngine, notes: Path):
    (notes / "plan.md").write_text("")
    engine.update(notes)
    assert engine.index.ids() is not None
    assert {h.id for h in engine.search("ferry hut", k=10)} == {"trips/alps.md"}


def test_adding_a_changed_file_without_replacing_is_refused(
    engine: SearchEngine, notes: Path, tmp_path: Path
):
    """Its only passage has an id that is new, and the old passages would stay beside it."""
    write(tmp_path / "plan.md", 1)
    with pytest.raises(
        InvalidInputError, match=r"holds 'plan\.md#1', an earlier passage of a document that is added"
    ):
        engine.add(tmp_path / "plan.md")
    engine.update(tmp_path / "plan.md")
    assert {h.id for h in engine.search("ferry", k=10)} == {"plan.md"}


@pytest.mark.parametrize("field", ["parent", "path"])
def test_a_record_with_a_field_of_that_name_is_no_passage(tmp_path: Path, field: str):
    """A tree of categories lost every child of the one that was updated."""
    tree = [{"id": "a", "text": "ferry"}, {"id": "b", "text": "hut", field: "a"}]
    tree += [{"id": "a#x", "text": "pier", field: "a"}, {"id": "c", "text": "island", field: "z"}]
    engine = SearchEngine.build(tmp_path / "index", tree, AnyWords())
    engine.update([{"id": "a", "text": "ferry morning"}])
    engine.add([{"id": "z", "text": "seven"}])
    assert sorted(engine.index.ids()) == ["a", "a#x", "b", "c", "z"]
    engine.delete(["z"])
    with pytest.raises(InvalidInputError, match="no document with id 'z'"):
        engine.delete(["z"])
    assert sorted(engine.index.ids()) == ["a", "a#x", "b", "c"]


@pytest.mark.parametrize("name", ["c.jsonl", "c.tsv", "beir/corpus.jsonl"])
def test_a_document_that_is_there_already_is_named_by_its_line(tmp_path: Path, name: str):
    engine = SearchEngine.build(tmp_path / "index", [{"id": "b", "text": "ferry"}], AnyWords())
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    rows = ['{"id": "a", "text": "hut"}', '{"id": "b", "text": "pier"}']
    file.write_text("id\ttext\na\thut\nb\tpier\n" if name == "c.tsv" else "\n".join(rows))
    line = 3 if name == "c.tsv" else 2
    with pytest.raises(InvalidInputError, match=rf"holds a document 'b' already \({file}:{line}\); update"):
        engine.add(file.parent if name.startswith("beir") else file)
    with pytest.raises(InvalidInputError, match="holds a document 'b' already; update"):
        engine.add([{"id": "b", "text": "pier"}])
    assert engine.encoder.encoded == 1


def test_one_file_does_not_get_two_ids(engine: SearchEngine, notes: Path, monkeypatch: pytest.MonkeyPatch):
    """Alone it has the path that it has below its folder: the other files of the index lie there too."""
    (notes / "trips" / "alps.md").write_text("# Alps\n\nThe hut is closed.\n")
    with pytest.raises(InvalidInputError, match=r"holds a document 'trips/alps.md' already"):
        engine.add(notes / "trips" / "alps.md")
    monkeypatch.chdir(notes / "trips")
    engine.update(Path("alps.md"))
    assert [h.id for h in engine.search("hut closed", k=10)] == ["trips/alps.md"]
    assert [h.text for h in engine.search("hut", k=10)] == ["# Alps\n\nThe hut is closed."]
    assert len(engine) == 4


def test_a_file_of_another_folder_is_not_taken_for_it(engine: SearchEngine, tmp_path: Path):
    (tmp_path / "others" / "trips").mkdir(parents=True)
    (tmp_path / "others" / "trips" / "alps.md").write_text("hut of others")
    for change in (engine.add, engine.update):
        with pytest.raises(
            InvalidInputError, match=r"the index holds 'trips/alps.md', .* add the folder .*others,"
        ):
            change(tmp_path / "others" / "trips" / "alps.md")
    assert [h.text for h in engine.search("hut", k=10)] == ["# Alps\n\nThe hut opens in June."]


@pytest.mark.parametrize("what", ["one file", "the folder"])
def test_text_files_without_any_text_lose_their_passages(engine: SearchEngine, notes: Path, what: str):
    """Nothing is added then, and the commit deletes only."""
    (notes / "plan.md").write_text("\n")
    if what == "the folder":
        (notes / "trips" / "alps.md").write_text("")
    engine.update(notes / "plan.md" if what == "one file" else notes)
    assert engine.index.ids() == (["trips/alps.md"] if what == "one file" else [])
    assert engine.search("ferry", k=10) == []
    with pytest.raises(DatasetError, match="empty corpus"):  # there is nothing left to delete
        engine.update(notes / "plan.md")


def test_documents_of_other_sources_are_left_alone(engine: SearchEngine, notes: Path, tmp_path: Path):
    """An id that looks like a passage's is no reason to delete a document."""
    records = [
        {"_id": "trips/alps.md#1", "text": "ferry other"},
        {"_id": "trips/alps.md#2", "text": "x", "path": "y"},
    ]
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    engine.add(tmp_path / "more.jsonl")
    engine.update(notes)
    assert "trips/alps.md#1" in engine.index
    assert "trips/alps.md#2" in engine.index
    engine.update(tmp_path / "more.jsonl")
    assert len(engine) == 6
