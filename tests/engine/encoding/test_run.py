"""Sharded encoding: what an interruption costs, and what may not be resumed."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from splade_engine.collections import Document
from splade_engine.collections.corpus import Corpus
from splade_engine.engine.encoding import encode_corpus
from splade_engine.engine.encoding.shard import EncodedCounts
from splade_engine.errors import EncoderMismatchError, IndexLockedError, InvalidInputError
from tests import fake_encoder
from tests.fake_encoder import WORDS, FakeEncoder


def documents(n=50):
    return [
        Document(f"d{i}", " ".join(WORDS[1 + (i * j) % 25] for j in range(1, 9)), "", {"n": i})
        for i in range(n)
    ]


def contents(folder):
    return {f.name: f.read_bytes() for f in sorted(folder.iterdir()) if f.name != "lock"}


def test_everything_comes_back_in_order(tmp_path):
    encoder = FakeEncoder()
    encoded = encode_corpus(Corpus(documents()), encoder, tmp_path / "w", shard_docs=8)
    assert len(encoded) == 50
    assert encoded.ids() == [d.id for d in documents()]
    assert encoded.vectors() == FakeEncoder().encode_documents([d.text for d in documents()])
    assert [len(shard) for shard in encoded] == [8] * 6 + [2]
    batches = list(encoded.batches())
    assert [i for batch in batches for i in batch.ids] == encoded.ids()
    assert batches[0].payload.column_names == ["title", "text", "n"]
    assert [n for batch in batches for n in batch.payload["n"].to_pylist()] == list(range(50))
    encoded.remove()
    assert not (tmp_path / "w").exists()


def test_an_interruption_costs_one_shard_and_changes_nothing(tmp_path):
    encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "whole", shard_docs=8)
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(Corpus(documents()), FakeEncoder(fail_after=45), tmp_path / "w", shard_docs=8)
    encoder = FakeEncoder()
    encode_corpus(Corpus(documents()), encoder, tmp_path / "w")  # the plan remembers 8 documents a shard
    assert encoder.encoded == 50 - 40
    assert contents(tmp_path / "w") == contents(tmp_path / "whole")


def test_kill_9_costs_one_shard(tmp_path):
    script = f"""
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("fake_encoder", {str(Path(fake_encoder.__file__))!r})
fake = importlib.util.module_from_spec(spec); spec.loader.exec_module(fake)
from splade_engine.collections.corpus import Corpus
from splade_engine.engine.encoding import encode_corpus
class Killed(fake.FakeEncoder):
    def encode_documents(self, texts, **options):
        if self.encoded == 40:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode_documents(texts, **options)
encode_corpus(Corpus({str(tmp_path / "c.jsonl")!r}), Killed(), {str(tmp_path / "w")!r}, shard_docs=8)
"""
    lines = [json.dumps({"id": d.id, "text": d.text}) for d in documents()]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    (tmp_path / "w" / ".vectors-00005.arrow.1.tmp").write_bytes(b"half a shard")
    encoder = FakeEncoder()
    encode_corpus(Corpus(tmp_path / "c.jsonl"), encoder, tmp_path / "w")
    assert encoder.encoded == 10
    encode_corpus(Corpus(tmp_path / "c.jsonl"), FakeEncoder(), tmp_path / "whole", shard_docs=8)
    assert contents(tmp_path / "w") == contents(tmp_path / "whole")


@pytest.mark.parametrize("name", ["vectors-00002.arrow", "documents-00002.arrow", "shard-00002.json"])
@pytest.mark.parametrize("damage", ["missing", "flipped", "cut"])
def test_a_damaged_shard_is_encoded_again(tmp_path, name, damage):
    encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w", shard_docs=8)
    whole = contents(tmp_path / "w")
    file = tmp_path / "w" / name
    data = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    else:
        data[len(data) // 2] ^= 0x01
        file.write_bytes(data if damage == "flipped" else data[:-3])
    encoder = FakeEncoder()
    encode_corpus(Corpus(documents()), encoder, tmp_path / "w")
    assert encoder.encoded == 8
    assert contents(tmp_path / "w") == whole


def test_a_shard_of_other_work_is_encoded_again(tmp_path):
    """Whole as it is, it holds vectors of another encoder, other documents, or those of another place."""
    corpus, turned = Corpus(documents()), Corpus(documents()[::-1])
    encode_corpus(corpus, FakeEncoder(max_length=32), tmp_path / "encoder", shard_docs=8)
    encode_corpus(turned, FakeEncoder(), tmp_path / "corpus", shard_docs=8)
    encode_corpus(corpus, FakeEncoder(), tmp_path / "w", shard_docs=8)
    before = contents(tmp_path / "w")
    for source, number, place in (("encoder", 1, 1), ("corpus", 2, 2), ("w", 3, 4)):
        for file in (tmp_path / source).glob(f"*-0000{number}.*"):
            (tmp_path / "w" / file.name.replace(str(number), str(place))).write_bytes(file.read_bytes())
    encoder = FakeEncoder()
    encode_corpus(corpus, encoder, tmp_path / "w")
    assert (encoder.encoded, contents(tmp_path / "w")) == (24, before)


def test_another_encoder_is_refused_by_what_differs(tmp_path):
    encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w", shard_docs=8)
    with pytest.raises(EncoderMismatchError, match=r"another encoder \(max_length 64, now 128\); remove"):
        encode_corpus(Corpus(documents()), FakeEncoder(max_length=128), tmp_path / "w")
    encoder = FakeEncoder(max_length=128)
    encode_corpus(Corpus(documents()), encoder, tmp_path / "w", restart=True)
    assert encoder.encoded == 50


def test_another_corpus_and_other_options_are_refused(tmp_path):
    encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w", shard_docs=8)
    with pytest.raises(InvalidInputError, match=r"another corpus \(50 documents, now 49\)"):
        encode_corpus(Corpus(documents(49)), FakeEncoder(), tmp_path / "w")
    changed = [*documents(49), Document("d49", "another text")]
    with pytest.raises(InvalidInputError, match="another corpus"):
        encode_corpus(Corpus(changed), FakeEncoder(), tmp_path / "w")
    with pytest.raises(InvalidInputError, match="another options"):
        encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w", top_k=5)
    with pytest.raises(InvalidInputError, match="another shard_docs"):
        encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w", shard_docs=9)


def test_a_corpus_that_changes_under_the_encoding_is_noticed(tmp_path):
    class Changing(Corpus):
        reads = 0

        def __iter__(self):
            self.reads += 1
            return iter(documents(50 if self.reads == 1 else 51))

    with pytest.raises(InvalidInputError, match="the corpus changed while it was being encoded"):
        encode_corpus(Changing([]), FakeEncoder(), tmp_path / "w", shard_docs=8)


def test_one_process_at_a_time(tmp_path):
    class Second(FakeEncoder):
        def encode_documents(self, texts, **options):
            with pytest.raises(IndexLockedError, match="another process is encoding into it"):
                encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w")
            return super().encode_documents(texts, **options)

    assert len(encode_corpus(Corpus(documents()), Second(), tmp_path / "w")) == 50


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InvalidInputError, match="holds other files"):
        encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(InvalidInputError, match="is a file"):
        encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "thesis.tex")


def test_the_text_of_title_and_text_is_encoded(tmp_path):
    corpus = Corpus([Document("a", "sea", "moon"), Document("b", "tide")])
    vectors = encode_corpus(corpus, FakeEncoder(), tmp_path / "w").vectors()
    assert vectors == FakeEncoder().encode_documents(["moon sea", "tide"])


def test_shard_size_grows_with_the_corpus(tmp_path):
    with pytest.raises(
        InvalidInputError, match="shard_docs: a whole number of at least 1 is expected, got 0"
    ):
        encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w", shard_docs=0)
    encode_corpus(Corpus(documents(600)), FakeEncoder(), tmp_path / "w")
    assert json.loads((tmp_path / "w" / "plan.json").read_bytes())["shard_docs"] == 256


class Counting(FakeEncoder):
    """Cuts every second text, and knows no token of a text that holds "grr"."""

    def encode_counted(self, texts, **options):
        unknown = [row for row, text in enumerate(texts) if "grr" in text]
        return SimpleNamespace(
            vectors=self.encode_documents(texts, **options), truncated=len(texts) // 2, unknown=unknown
        )


def test_what_was_counted_is_reported_once_and_survives_an_interruption(tmp_path, caplog):
    odd = [Document(f"g{i}", "grr") for i in range(5)]
    corpus = [*documents(20), *odd, Document("empty", "")]
    with caplog.at_level(logging.WARNING, "splade_engine"):
        with pytest.raises(KeyboardInterrupt):
            encode_corpus(
                Corpus(corpus, allow_empty=True), Counting(fail_after=24), tmp_path / "w", shard_docs=8
            )
        assert caplog.messages == []
        encoded = encode_corpus(Corpus(corpus, allow_empty=True), Counting(), tmp_path / "w")
    assert caplog.messages == [
        "13 texts were longer than 64 tokens (max_length) and cut there; --passages, or passages=, cuts "
        "documents into passages that are read whole",
        "5 documents hold no token that the encoder knows ('g0', 'g1', 'g2', ...): "
        "kept, but not found by their words",
    ]
    assert encoded.counts == EncodedCounts(13, ("g0", "g1", "g2"), 5)


def test_an_encoder_that_does_not_count_is_judged_by_its_vectors(tmp_path, caplog):
    corpus = Corpus(
        [Document("known", "moon"), Document("foreign", "港口"), Document("none", "")], allow_empty=True
    )
    encode_corpus(corpus, FakeEncoder(), tmp_path / "w")
    assert "1 document holds no token that the encoder knows ('foreign')" in caplog.text


def test_a_call_that_fails_before_its_first_shard_leaves_nothing(tmp_path):
    class Refusing(FakeEncoder):
        def encode_documents(self, texts, **options):
            raise InvalidInputError("top_k must be an integer of at least 1, got 0")

    with pytest.raises(InvalidInputError, match="top_k"):
        encode_corpus(Corpus(documents()), Refusing(), tmp_path / "w", top_k=0)
    assert not (tmp_path / "w").exists()


def test_a_plan_without_a_finished_shard_stands_in_nobodys_way(tmp_path):
    """Killed in its first shard: the corrected command begins, although the plan is another."""
    encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w", top_k=3)
    for file in tmp_path.glob("w/*-0*"):
        file.unlink()
    assert len(encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w", top_k=5)) == 50


def test_the_lock_is_kept_while_the_shards_are_read(tmp_path):
    with encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w", hold=True) as encoded:
        with pytest.raises(IndexLockedError, match="another process is encoding"):
            encode_corpus(Corpus(documents(7)), FakeEncoder(), tmp_path / "w", restart=True)
        assert len(encoded.vectors()) == 50
    assert len(encode_corpus(Corpus(documents(7)), FakeEncoder(), tmp_path / "w", restart=True)) == 7


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"format": 1}', b"[" * 100_000])
def test_a_damaged_plan_is_one_line(tmp_path, content):
    encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w")
    (tmp_path / "w" / "plan.json").write_bytes(content)
    with pytest.raises(InvalidInputError, match="remove the folder"):
        encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w")
    assert len(encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "w", restart=True)) == 50


def test_progress_can_be_a_function(tmp_path):
    calls = []
    encode_corpus(
        Corpus(documents()),
        FakeEncoder(),
        tmp_path / "w",
        shard_docs=20,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(0, 50), (20, 50), (40, 50), (50, 50)]
