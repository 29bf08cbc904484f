"""Encoders and whole indexes to a hub and back, over HTTP, against a fake one on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from splade_engine import SearchEngine, SparseEncoder, hub
from splade_engine.cli import app
from splade_engine.errors import (
    CheckpointError,
    HubError,
    IndexNotFoundError,
    InvalidInputError,
    SpladeEngineError,
)
from splade_engine.hub import HubName, hub_name
from splade_engine.index import ShardedIndex, SparseIndex
from tests.encoder import zoo
from tests.fake_encoder import FakeEncoder
from tests.fake_hub import TOKEN, Handler, running_hub

RECORDS = [
    {"id": "tides", "title": "Tides", "text": "The moon and the sea: a tide is a pull."},
    {"id": "loaf", "text": "Bread needs yeast, flour and salt."},
    {"id": "storm", "text": "Wind and wave in a storm at sea."},
]
FILES = {"postings", "ids", "payload", "words", "json", "md"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A hub, and a home of one's own: caches and token."""
    with running_hub() as (fake, address):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        monkeypatch.setenv("SPLADE_ENGINE_CACHE", str(tmp_path / "ours"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        fake.address = address
        yield fake


@pytest.fixture
def engine(tmp_path):
    return SearchEngine.build(tmp_path / "ix", RECORDS, FakeEncoder())


def found(engine, query="sea wind"):
    return [(hit.id, hit.score, hit.text) for hit in engine.search(query)]


def test_an_index_is_pushed_and_opened(here, engine):
    commit = engine.push_to_hub("someone/notes")
    assert here.repos["someone/notes"][-1][0] == commit
    files = here.repos["someone/notes"][-1][1]
    assert {name.rpartition(".")[2] for name in files} == FILES
    card = files["README.md"].decode()
    assert "documents | 3 |" in card and "library_name: splade-engine" in card

    opened = SearchEngine.open("hf://someone/notes", FakeEncoder())
    assert found(opened) == found(engine)
    assert opened.index.info().fingerprint == engine.index.info().fingerprint
    # a second time nothing is downloaded
    before = len(here.requests)
    SearchEngine.open("hf://someone/notes", FakeEncoder())
    assert [line for line in here.requests[before:] if "/resolve/" in line] == []


def test_a_newer_commit_replaces_the_files_of_the_older_one(here, engine, tmp_path):
    first = engine.push_to_hub("someone/notes")
    engine.add([{"id": "ship", "text": "A ship needs wind."}])
    engine.compact()
    engine.push_to_hub("someone/notes", message="One more")
    files = here.repos["someone/notes"][-1][1]
    assert sorted(files) == sorted(
        [p.name for p in engine.path.iterdir() if p.name != "write.lock"] + ["README.md"]
    )
    assert len(SearchEngine.open("hf://someone/notes", FakeEncoder())) == 4
    assert len(SearchEngine.open(f"hf://someone/notes@{first}", FakeEncoder())) == 3


def test_a_card_that_is_there_stays(here, engine):
    engine.push_to_hub("someone/notes")
    files = here.repos["someone/notes"][-1][1]
    here.commit("someone/notes", {**files, "README.md": b"# Mine\n"})
    engine.push_to_hub("someone/notes")
    assert here.repos["someone/notes"][-1][1]["README.md"] == b"# Mine\n"


def test_a_download_is_searched_and_not_changed(here, engine):
    engine.push_to_hub("someone/notes")
    opened = SearchEngine.open("hf://someone/notes", FakeEncoder())
    record = [{"id": "new", "text": "A star."}]
    for change in (
        lambda: opened.add(record),
        lambda: opened.update(record),
        lambda: opened.delete(["loaf"]),
        lambda: opened.sync("."),
        opened.compact,
    ):
        with pytest.raises(InvalidInputError, match="pull hf://someone/notes FOLDER"):
            change()
    assert found(SearchEngine.open("hf://someone/notes", FakeEncoder())) == found(engine)


def test_without_the_network_the_last_download_is_used(here, engine, monkeypatch):
    engine.push_to_hub("someone/notes")
    SearchEngine.open("hf://someone/notes", FakeEncoder())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert found(SearchEngine.open("hf://someone/notes", FakeEncoder())) == found(engine)
    with pytest.raises(HubError, match=r"someone/other: HF_HUB_OFFLINE is set"):
        SearchEngine.open("hf://someone/other", FakeEncoder())
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        engine.push_to_hub("someone/notes")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody listens
    assert found(SearchEngine.open("hf://someone/notes", FakeEncoder())) == found(engine)
    with pytest.raises(HubError, match="out of reach"):
        SearchEngine.open("hf://someone/other", FakeEncoder())


def test_a_path_of_a_name_has_lost_a_slash_and_is_one_all_the_same(here, engine):
    engine.push_to_hub("someone/notes")
    assert len(SearchEngine.open(Path("hf://someone/notes"), FakeEncoder())) == len(engine)
    with pytest.raises(HubError, match="hf://someone/none: no such repository"):
        SearchEngine.open(Path("hf://someone/none"), FakeEncoder())
    with pytest.raises(IndexNotFoundError, match="pull hf://someone/notes FOLDER"):
        SparseIndex.open(Path("hf://someone/notes"))


def test_a_download_that_was_interrupted_goes_on(here, engine, monkeypatch):
    engine.push_to_hub("someone/notes")

    def interrupted(*_arguments, **options):
        options["local_dir"].mkdir(parents=True)
        (options["local_dir"] / "manifest.json").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("huggingface_hub.snapshot_download", interrupted)
        SearchEngine.open("hf://someone/notes", FakeEncoder())
    assert found(SearchEngine.open("hf://someone/notes", FakeEncoder())) == found(engine)


def test_what_the_hub_refuses_is_one_line(here, engine, monkeypatch):
    with pytest.raises(HubError, match=r"hf://someone/nothing: no such repository"):
        SearchEngine.open("hf://someone/nothing", FakeEncoder())
    engine.push_to_hub("someone/secret", private=True)
    with pytest.raises(HubError, match=r"hf://someone/secret@0+: .*no such revision"):
        SearchEngine.open("hf://someone/secret@000", FakeEncoder())
    monkeypatch.setenv("HF_TOKEN", "hf_of_another")
    for call in (
        lambda: SearchEngine.open("hf://someone/secret", FakeEncoder()),
        lambda: engine.push_to_hub("someone/secret"),
    ):
        with pytest.raises(HubError, match="hf auth login") as error:
            call()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["hf://", "hf://notes", "hf://a/b/c", "hf://a/b@", "hf://../etc", "a b/c", "a/b@../x"]
)
def test_names_that_cannot_be(name):
    with pytest.raises(HubError, match="owner/name"):
        hub_name(name)


def test_names():
    assert hub_name("hf://a/b@v1.2") == HubName("a/b", "v1.2")
    assert hub_name("a/b") == HubName("a/b")
    assert str(HubName("a/b", "v1")) == "hf://a/b@v1"
    with pytest.raises(CheckpointError, match="owner/name"):
        SparseEncoder.load("hf://a")


def test_a_collection_is_refused(here, engine, tmp_path):
    other = SearchEngine.build(tmp_path / "other", [{"id": "x", "text": "A star."}], FakeEncoder())
    ShardedIndex.collect(tmp_path / "both", [engine.path, other.path])
    with pytest.raises(InvalidInputError, match="merge"):
        SearchEngine.open(tmp_path / "both", FakeEncoder()).push_to_hub("someone/both")


@pytest.mark.slow
def test_an_encoder_and_an_index_with_its_encoder(here, tmp_path):
    """The bundled encoder, saved under another name: nobody else has that folder."""
    bundled = SparseEncoder.load()
    bundled.save(tmp_path / "mine")
    mine = SparseEncoder.load(tmp_path / "mine")
    mine.push_to_hub("someone/encoder")
    card = here.repos["someone/encoder"][-1][1]["README.md"].decode()
    assert 'SparseEncoder.load("hf://someone/encoder")' in card and "- splade-engine" in card
    pulled = SparseEncoder.load("hf://someone/encoder")
    assert pulled.fingerprint()["hash"] == mine.fingerprint()["hash"]
    assert pulled.source == "someone/encoder"
    query = ["lunar tides"]
    assert pulled.encode_queries(query) == bundled.encode_queries(query)

    engine = SearchEngine.build(tmp_path / "ix", RECORDS, mine)
    engine.push_to_hub("someone/notes")
    assert "encoder/modules.json" in here.repos["someone/notes"][-1][1]
    (tmp_path / "mine").rename(tmp_path / "gone")
    assert found(SearchEngine.open("hf://someone/notes")) == found(engine)

    # the command line: a copy that is one's own, and back again
    run = lambda *arguments: subprocess.run(  # noqa: E731
        [sys.executable, "-m", "splade_engine", *arguments], env=os.environ, capture_output=True, text=True
    )
    done = run("pull", "hf://someone/notes", str(tmp_path / "copy"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'copy'}: index of hf://someone/notes\n"
    copy = SearchEngine.open(tmp_path / "copy")
    assert found(copy) == found(engine)
    copy.delete(["loaf"])
    assert "someone/again" in run("push", str(tmp_path / "copy"), "someone/again").stdout
    assert len(SearchEngine.open("hf://someone/again")) == 2
    refused = run("pull", "someone/nothing", str(tmp_path / "never"))
    assert (
        refused.returncode == 2 and refused.stderr.count("\n") == 1 and "no such repository" in refused.stderr
    )
    assert not (tmp_path / "never").exists()
    assert hub.cache_root() == tmp_path / "ours"


# ---- a hub that answers what it likes -------------------------------------------------------------------


def one_line_of(action):
    """What it raised, which has to be an error of ours, in a line of bounded length."""
    with pytest.raises(SpladeEngineError) as error:
        action()
    text = str(error.value)
    assert "\n" not in text and "\x1b" not in text and len(text) < 1000
    return text


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"<html>log in</html>", b"null", b"[]", b"[" * 100_000, b"\xff\xfe", b'{"sha": 5}'],
    ids=["empty", "cut", "html", "null", "list", "deep", "latin", "no id"],
)
def test_what_is_no_answer_is_one_line(here, engine, monkeypatch, tmp_path, body):
    engine.push_to_hub("someone/notes")
    with monkeypatch.context() as patch:
        patch.setattr(Handler, "about", lambda self, *_: self.answer(200, body))
        told = one_line_of(lambda: SearchEngine.open("hf://someone/notes", FakeEncoder()))
        assert told.startswith("hf://someone/notes: the Hub's answer cannot be read")
        assert "as a hub id: " in one_line_of(lambda: SparseEncoder.load("someone/notes"))
    # once it was downloaded, such an answer is as good as none: a page of a hotel's network, say
    opened = SearchEngine.open("hf://someone/notes", FakeEncoder())
    monkeypatch.setattr(Handler, "about", lambda self, *_: self.answer(200, body))
    assert found(SearchEngine.open("hf://someone/notes", FakeEncoder())) == found(opened)


@pytest.mark.parametrize("sha", ["../../../outside", "A" * 40, "a" * 40 + "\n", "", None, 5])
def test_what_is_no_commit_names_no_folder(here, engine, sha):
    engine.push_to_hub("someone/notes")
    here.repos["someone/notes"] = [(sha, here.repos["someone/notes"][-1][1])]
    one_line_of(lambda: SearchEngine.open("hf://someone/notes", FakeEncoder()))


@pytest.mark.parametrize(
    "name",
    [
        "../out.postings", "../../../../out.postings", "{tmp}/out.postings", "a/../../out.postings",
        "encoder/../../out.json", "encoder/..\\out.json", "encoder/\0.json", "encoder/" + "a" * 300 + ".json",
    ],
)  # fmt: skip
def test_no_file_is_written_outside_of_the_folder(here, engine, tmp_path, name):
    engine.push_to_hub("someone/notes")
    here.repos["someone/notes"][-1][1][name.format(tmp=tmp_path)] = b"not theirs to write"
    one_line_of(lambda: SearchEngine.open("hf://someone/notes", FakeEncoder()))
    assert not [path for path in tmp_path.rglob("out.*") if ".part" not in str(path)]


def cut_in_half(files, name):
    files[name] = files[name][: len(files[name]) // 2]


def turned(files, name):
    files[name] = files[name][::-1]


@pytest.mark.parametrize("damage", [cut_in_half, turned])
@pytest.mark.parametrize("kind", ["postings", "ids", "payload", "manifest.json"])
def test_what_arrives_damaged_is_not_kept(here, engine, tmp_path, kind, damage):
    engine.push_to_hub("someone/notes")
    sha, files = here.repos["someone/notes"][-1]
    worse = dict(files)
    damage(worse, next(name for name in files if name.endswith(kind)))
    here.repos["someone/notes"][-1] = (sha, worse)
    told = one_line_of(lambda: SearchEngine.open("hf://someone/notes", FakeEncoder()))
    assert told.startswith("hf://someone/notes: as it was downloaded: ")
    pulled = CliRunner().invoke(app, ["pull", "someone/notes", str(tmp_path / "copy")])
    assert pulled.exit_code == 2 and pulled.stderr == f"splade-engine: {told}\n"
    assert str(tmp_path) not in told and not (tmp_path / "copy").exists()
    here.repos["someone/notes"][-1] = (sha, files)
    assert found(SearchEngine.open("hf://someone/notes", FakeEncoder())) == found(engine)


@pytest.mark.parametrize("noted", [b"", b"../../../etc", b"\xff", b"a" * 100_000, b"a" * 41])
def test_a_note_of_the_last_download_that_is_none(here, engine, monkeypatch, tmp_path, noted):
    engine.push_to_hub("someone/notes")
    SearchEngine.open("hf://someone/notes", FakeEncoder())
    (note,) = tmp_path.rglob("refs/main")
    note.write_bytes(noted)
    with monkeypatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        told = one_line_of(lambda: SearchEngine.open("hf://someone/notes", FakeEncoder()))
        assert "was not downloaded before" in told
    assert found(SearchEngine.open("hf://someone/notes", FakeEncoder())) == found(engine)


@pytest.mark.parametrize("layout", ["mlm", "pair", "st-pair", "st-static"])
def test_an_encoder_of_any_layout_is_pushed_and_pulled(here, tmp_path, layout):
    """Of two towers, which have no config.json above them, it was said that they are no encoder."""
    mine = SparseEncoder.load(zoo.make(layout, tmp_path / "mine"), device="cpu")
    mine.push_to_hub("someone/encoder")
    pulled = CliRunner().invoke(app, ["pull", "someone/encoder", str(tmp_path / "copy")])
    assert pulled.exit_code == 0, pulled.stderr
    copy = SparseEncoder.load(tmp_path / "copy", device="cpu")
    assert copy.fingerprint()["hash"] == mine.fingerprint()["hash"]


def test_an_encoder_whose_weights_are_cut_short_is_not_pulled(here, tmp_path):
    SparseEncoder.load(zoo.make("mlm", tmp_path / "mine")).push_to_hub("someone/encoder")
    files = here.repos["someone/encoder"][-1][1]
    here.commit("someone/encoder", {**files, "model.safetensors": files["model.safetensors"][:-9]})
    pulled = CliRunner().invoke(app, ["pull", "someone/encoder", str(tmp_path / "copy")])
    assert pulled.exit_code == 2 and not (tmp_path / "copy").exists()
    assert "hf://someone/encoder: as it was downloaded: model.safetensors: cut short" in pulled.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_push_that_is_interrupted_is_whole_or_nothing(here, tmp_path, monkeypatch, number, code):
    folder = zoo.make("mlm", tmp_path / "mine")
    reached, go_on = threading.Event(), threading.Event()
    real = Handler.do_POST

    def waiting(self):
        if "preupload" in self.path:
            reached.set()
            go_on.wait(60)
        with suppress(OSError):  # nobody waits for the answer
            real(self)

    monkeypatch.setattr(Handler, "do_POST", waiting)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    code_of = "import sys; from splade_engine.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code_of, "push", str(folder), "someone/encoder"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert reached.wait(60)
    running.send_signal(number)
    out, told = running.communicate(timeout=60)
    go_on.set()
    assert (running.returncode, out, len(told.splitlines())) == (code, "", 1)
    assert here.repos["someone/encoder"] == [] and not list((tmp_path / "scratch").iterdir())
