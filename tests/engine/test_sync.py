"""`sync`: what it encodes, what it deletes, and what it leaves alone."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from splade_engine import SearchEngine
from splade_engine.collections.folders import FileState
from splade_engine.collections.metadata import FILE_STATE
from splade_engine.engine.sync import build, sync
from splade_engine.errors import DatasetError, InvalidInputError
from tests.engine.test_notes import AnyWords


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    long = "\n\n".join(f"Paragraph {i} on ferries and islands." for i in range(60))
    write(tmp_path / "notes", {"a.md": "# Alps\n\nThe hut.", "b.txt": long, "sub/c.md": "Bread and yeast."})
    return tmp_path / "notes"


@pytest.fixture
def engine(notes: Path, tmp_path: Path) -> SearchEngine:
    made, report = build(tmp_path / "index", notes, AnyWords())  # type: ignore[arg-type]
    assert (report.added, report.failed) == (["a.md", "b.txt", "sub/c.md"], [])
    return made


def counted(engine: SearchEngine, notes: Path, **options: object):
    """The report, and how many documents were encoded and generations were published."""
    encoder, generation = engine.encoder, engine.index.refresh().generation
    encoder.encoded = 0  # type: ignore[attr-defined]
    report = engine.sync(notes, **options)
    return report, encoder.encoded, engine.index.refresh().generation - generation  # type: ignore[attr-defined]


def texts(engine: SearchEngine) -> dict[str, str]:
    reader = engine.index.refresh().reader
    return {id: reader.payload([reader.ordinal(id)])[0]["text"] for id in reader.ids()}


def fresh(notes: Path, tmp_path: Path) -> dict[str, str]:
    """What an index that is built anew holds."""
    shutil.rmtree(tmp_path / "fresh", ignore_errors=True)
    return texts(SearchEngine.build(tmp_path / "fresh", notes, AnyWords()))  # type: ignore[arg-type]


def test_nothing_is_done_where_nothing_changed(engine: SearchEngine, notes: Path):
    os.utime(notes / "a.md", (1, 1))  # times decide nothing
    report, encoded, generations = counted(engine, notes, prune=True)
    assert (report.unchanged, encoded, generations) == (3, 0, 0)
    assert not (report.added or report.changed or report.removed or report.failed)


def test_one_commit_for_everything_and_only_changes_are_encoded(
    engine: SearchEngine, notes: Path, tmp_path: Path
):
    write(notes, {"a.md": "# Alps\n\nThe other hut.", "new.md": "A new file.", "b.txt": "Short now."})
    (notes / "sub" / "c.md").unlink()
    report, encoded, generations = counted(engine, notes, prune=True)
    assert (report.added, report.changed, report.removed) == (["new.md"], ["a.md", "b.txt"], ["sub/c.md"])
    assert (encoded, generations, report.unchanged) == (3, 1, 0)
    assert report.written == 3 and report.deleted > 4
    assert texts(engine) == fresh(notes, tmp_path)
    assert counted(engine, notes, prune=True)[0].unchanged == 3


def test_a_file_that_is_gone_stays_until_it_is_pruned(engine: SearchEngine, notes: Path):
    (notes / "a.md").unlink()
    report, _, generations = counted(engine, notes)
    assert (report.missing, report.removed, generations) == (["a.md"], [], 0)
    assert "a.md" in engine.index
    report, encoded, generations = counted(engine, notes, prune=True)
    assert (report.missing, report.removed, encoded, generations) == ([], ["a.md"], 0, 1)
    assert "a.md" not in engine.index


def test_a_file_that_cannot_be_read_keeps_its_entry(engine: SearchEngine, notes: Path):
    before = texts(engine)
    write(notes, {"a.md": b"caf\xe9", "d.docx": "no archive", "e.md": "New."})
    report, *_ = counted(engine, notes, prune=True)
    assert [path for path, _ in report.failed] == ["d.docx", "a.md"] or [p for p, _ in report.failed] == [
        "a.md",
        "d.docx",
    ]
    assert all("\n" not in why and "--encoding" not in why for _, why in report.failed)
    assert len(report.advice) == 1 and report.advice[0].startswith("--encoding latin-1")
    assert report.to_dict()["advice"] == report.advice
    assert (report.added, report.changed) == (["e.md"], [])
    assert texts(engine) == {**before, "e.md": "New."}
    report, *_ = counted(engine, notes, encoding="latin-1")
    assert report.changed == ["a.md"] and texts(engine)["a.md"] == "café"


def test_what_was_not_scanned_is_not_deleted(engine: SearchEngine, notes: Path, tmp_path: Path):
    engine.add([{"id": "record", "text": "no file"}, {"id": "x", "text": "y", "path": "gone.md"}])
    write(tmp_path / "other", {"elsewhere.md": "Another folder."})
    engine.sync(tmp_path / "other")
    (notes / "sub" / "c.md").unlink()
    report, *_ = counted(engine, notes, prune=True)
    assert report.removed == ["sub/c.md"]
    assert {"record", "x", "elsewhere.md"} <= set(engine.index.ids())


def test_a_folder_that_became_a_link_keeps_its_documents(engine: SearchEngine, notes: Path, tmp_path: Path):
    (notes / "sub").rename(tmp_path / "elsewhere")
    (notes / "sub").symlink_to(tmp_path / "elsewhere")
    report, *_ = counted(engine, notes, prune=True)
    assert (report.removed, report.unchanged, report.linked) == ([], 2, ["sub"])
    assert "sub/c.md" in texts(engine)


def test_a_folder_that_cannot_be_opened_is_no_folder_without_files(
    engine: SearchEngine, notes: Path, monkeypatch: pytest.MonkeyPatch
):
    scandir = os.scandir

    def refused(path: str):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    report, *_ = counted(engine, notes, prune=True)
    assert (report.removed, report.failed) == ([], [("sub", "cannot be read (Permission denied)")])
    assert "sub/c.md" in engine.index


def test_a_folder_that_lost_all_its_files_is_perhaps_not_mounted(engine: SearchEngine, notes: Path):
    shutil.rmtree(notes)
    with pytest.raises(DatasetError, match="notes: no such folder"):
        engine.sync(notes, prune=True)
    notes.mkdir()
    with pytest.raises(InvalidInputError, match="none of its 3 files is there any more; if it is mounted"):
        engine.sync(notes, prune=True)
    assert len(engine) > 3


def test_a_dry_run_tells_and_does_nothing(engine: SearchEngine, notes: Path):
    write(notes, {"a.md": "Other.", "new.md": "New."})
    (notes / "sub" / "c.md").unlink()
    report, encoded, generations = counted(engine, notes, prune=True, dry_run=True)
    assert (report.added, report.changed, report.removed) == (["new.md"], ["a.md"], ["sub/c.md"])
    assert (report.dry_run, encoded, generations) == (True, 0, 0)
    assert json.loads(json.dumps(report.to_dict()))["changed"] == ["a.md"]
    none = sync(None, lambda: pytest.fail("opened"), notes, dry_run=True)
    assert none.added == ["a.md", "b.txt", "new.md"]


def test_a_dry_run_reads_what_it_counts(engine: SearchEngine, notes: Path):
    write(notes, {"blank.md": " \n", "broken.pdf": b"%PDF-1.7 nothing", "a.md": "\n", "new.md": "New."})
    would, encoded, _ = counted(engine, notes, dry_run=True)
    assert (would.added, would.changed, encoded) == (["new.md"], ["a.md"], 0)
    assert (would.empty, [path for path, _ in would.failed]) == (["blank.md", "a.md"], ["broken.pdf"])
    did = engine.sync(notes)
    for what in ("added", "changed", "empty", "failed"):
        assert getattr(did, what) == getattr(would, what)


class Meanwhile(AnyWords):
    """While the first text is encoded, something else happens."""

    def __init__(self, what: Callable[[], object]) -> None:
        super().__init__()
        self.what: Callable[[], object] | None = what

    def encode_documents(self, texts: Sequence[str], **options: object) -> Any:
        what, self.what = self.what, None
        if what is not None:
            what()
        return super().encode_documents(texts, **options)


def test_two_that_sync_at_the_same_time_lose_nothing(engine: SearchEngine, notes: Path, tmp_path: Path):
    """Both had found that the index lacks the file, and the later one put its own in the other's place."""
    write(tmp_path / "other", {"new.md": "Of the other folder."})
    write(notes, {"new.md": "Of this folder.", "a.md": "# Alps\n\nThe hut is closed."})
    slow = SearchEngine.open(engine.path, Meanwhile(lambda: engine.sync(tmp_path / "other")))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"notes: the index holds 'new\.md' from another folder"):
        slow.sync(notes)
    held = texts(engine)
    assert "Of the other folder." in held["new.md"]
    assert "closed" not in held["a.md"], "one commit, or none"


def test_the_same_sync_twice_at_the_same_time(engine: SearchEngine, notes: Path):
    write(notes, {"new.md": "New.", "a.md": "# Alps\n\nThe hut is closed."})

    def other() -> None:
        write(notes, {"more.md": "More."})
        engine.sync(notes)

    slow = SearchEngine.open(engine.path, Meanwhile(other))  # type: ignore[arg-type]
    report = slow.sync(notes)
    assert (report.added, report.changed, report.unchanged) == ([], [], 5)
    assert "closed" in texts(engine)["a.md"]


def test_files_of_two_folders_with_one_path(engine: SearchEngine, notes: Path, tmp_path: Path):
    write(tmp_path / "other", {"a.md": "Another."})
    with pytest.raises(InvalidInputError, match=r"other: the index holds 'a\.md' from another folder"):
        engine.sync(tmp_path / "other")
    shutil.move(notes, tmp_path / "moved")
    with pytest.raises(InvalidInputError, match="or this one has moved"):
        engine.sync(tmp_path / "moved")


def test_a_folder_with_a_name_can_move(notes: Path, tmp_path: Path):
    engine, _ = build(tmp_path / "named", notes, AnyWords(), name="mine")  # type: ignore[arg-type]
    shutil.move(notes, tmp_path / "moved")
    write(tmp_path / "moved", {"a.md": "Changed."})
    (tmp_path / "moved" / "b.txt").unlink()
    report, encoded, _ = counted(engine, tmp_path / "moved", name="mine", prune=True)
    assert (report.changed, report.removed, report.unchanged, encoded) == (["a.md"], ["b.txt"], 1, 1)


def test_files_are_cut_as_before_unless_another_way_is_asked_for(notes: Path, tmp_path: Path):
    engine, _ = build(tmp_path / "small", notes, AnyWords(), passages=32)  # type: ignore[arg-type]
    held = len(engine)
    assert counted(engine, notes)[0].unchanged == 3
    report, *_ = counted(engine, notes, passages=128)
    assert report.changed == ["a.md", "b.txt", "sub/c.md"] and len(engine) < held
    assert texts(engine) == texts(build(tmp_path / "new", notes, AnyWords(), passages=128)[0])  # type: ignore[arg-type]


def test_half_of_a_file_in_the_index_is_put_right(engine: SearchEngine, notes: Path, tmp_path: Path):
    """Two processes that synced at once could leave passages of two contents."""
    engine.update([{"id": "b.txt#1", "text": "old", "path": "b.txt", "parent": "b.txt"}])
    report, *_ = counted(engine, notes)
    assert report.changed == ["b.txt"]
    assert texts(engine) == fresh(notes, tmp_path)


def test_a_file_that_loses_its_text(engine: SearchEngine, notes: Path):
    write(notes, {"b.txt": "", "none.md": " \n"})
    report, encoded, generations = counted(engine, notes)
    assert (report.changed, sorted(report.empty), encoded, generations) == (
        ["b.txt"],
        ["b.txt", "none.md"],
        0,
        1,
    )
    assert set(engine.index.ids()) == {"a.md", "sub/c.md"}


def test_what_no_index_can_be_synced_with(engine: SearchEngine, notes: Path, tmp_path: Path):
    with pytest.raises(DatasetError, match=r"a\.md: is a file, a folder is needed"):
        engine.sync(notes / "a.md")
    write(tmp_path / "beir", {"corpus.jsonl": '{"_id": "a", "text": "x"}'})
    with pytest.raises(DatasetError, match=r"holds records \(corpus\.jsonl\) and not files"):
        engine.sync(tmp_path / "beir")


def test_an_interrupted_sync_changes_nothing_and_the_next_one_does_all(
    engine: SearchEngine, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(notes, {"a.md": "Other.", "new.md": "New."})
    before = texts(engine)

    def killed(*args: object, **options: object):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(engine.index, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            engine.sync(notes)
    assert texts(engine) == before
    assert counted(engine, notes)[0].changed == ["a.md"]
    assert texts(engine) == fresh(notes, tmp_path)
    assert not [p for p in tmp_path.iterdir() if "encoding" in p.name]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_kill_9_at_any_time_leaves_the_index_before_or_after(
    engine: SearchEngine, notes: Path, tmp_path: Path
):
    class Slow(AnyWords):
        def encode_documents(self, texts: Sequence[str], **options: object):
            time.sleep(0.02)
            return super().encode_documents(texts, **options)

    rng, killed = random.Random(5), 0
    for trial in range(8):
        before = texts(engine)
        write(
            notes,
            {"a.md": f"Trial {trial}.", f"new{trial}.md": "New.", "b.txt": "Short. " * (trial * 40 + 1)},
        )
        after = fresh(notes, tmp_path)
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                SearchEngine.open(engine.path, Slow()).sync(notes, prune=True)  # type: ignore[arg-type]
            os._exit(0)
        time.sleep(rng.uniform(0.0, 0.15))
        os.kill(pid, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        assert texts(engine) in (before, after)
        engine.sync(notes, prune=True)
        assert texts(engine) == after
    assert killed


def test_records_beside_files_stay(notes: Path, tmp_path: Path):
    record = {"id": "r", "text": "hut", "path": "a.md"}
    engine = SearchEngine.build(tmp_path / "mixed", [record], AnyWords())  # type: ignore[arg-type]
    report = engine.sync(notes, prune=True)
    assert (report.added, report.changed, report.removed) == (["a.md", "b.txt", "sub/c.md"], [], [])
    assert "r" in engine.index.ids() and len(engine) > 3
    taken = SearchEngine.build(tmp_path / "taken", [{"id": "a.md", "text": "hut"}], AnyWords())  # type: ignore
    for dry_run in (True, False):
        with pytest.raises(
            InvalidInputError, match=r"taken: holds a record 'a\.md', which is the id of a file"
        ):
            taken.sync(notes, dry_run=dry_run)
    assert list(taken.index.ids()) == ["a.md"]


def test_the_state_is_stored_but_not_shown(engine: SearchEngine):
    hit = engine.search("hut", k=1)[0]
    assert FILE_STATE not in hit.metadata and hit.metadata["path"] == "a.md"
    reader = engine.index.reader
    state = FileState.parse(reader.payload([reader.ordinal("a.md")])[0][FILE_STATE])
    assert state is not None and (state.tokens, state.overlap) == (256, 0)
    assert FileState.parse(str(state)) == state and FileState.parse("anything") is None


def test_indexes_of_earlier_releases_are_taken_over(engine: SearchEngine, notes: Path, tmp_path: Path):
    """They have the path of a file, and no state."""
    old = [{"id": f"b.txt#{i}", "text": "old", "path": "b.txt", "passage": i} for i in range(1, 30)]
    made = SearchEngine.build(tmp_path / "old", old, AnyWords())  # type: ignore[arg-type]
    report, *_ = counted(made, notes)
    assert (report.added, report.changed) == (["a.md", "sub/c.md"], ["b.txt"])
    assert texts(made) == fresh(notes, tmp_path)


def test_a_file_that_was_decoded_in_another_way_is_read_again(engine: SearchEngine, notes: Path):
    write(notes, {"price.txt": b"It costs \x80 5.", "plain.txt": "It costs € 6."})
    report, *_ = counted(engine, notes, encoding="latin-1")
    assert report.added == ["plain.txt", "price.txt"] and texts(engine)["price.txt"] == "It costs \x80 5."
    report, encoded, generations = counted(
        engine, notes, encoding="iso-8859-1"
    )  # the same under another name
    assert (report.changed, encoded, generations) == ([], 0, 0)
    report, *_ = counted(engine, notes)  # none is named: what is there stays
    assert (report.changed, report.failed) == ([], [])
    report, encoded, _ = counted(engine, notes, encoding="cp1252")
    assert (report.changed, encoded) == (["price.txt"], 1)
    assert texts(engine)["price.txt"] == "It costs € 5."


def test_an_unknown_encoding_is_refused_before_anything_is_compared(engine: SearchEngine, notes: Path):
    with pytest.raises(InvalidInputError, match="encoding 'klingon': not known"):
        engine.sync(notes, encoding="klingon")
