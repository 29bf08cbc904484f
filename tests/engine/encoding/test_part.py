"""Parts of an encoding: together they are the encoding, however often those who make them are killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from splade_engine.collections import Document
from splade_engine.collections.corpus import Corpus
from splade_engine.engine.encoding import Part, encode_corpus, encode_part
from splade_engine.errors import EncoderMismatchError, IndexLockedError, InvalidInputError
from splade_engine.vectors import write_vectors
from tests import fake_encoder
from tests.fake_encoder import WORDS, FakeEncoder


def documents(n=50):
    return [
        Document(f"d{i}", " ".join(WORDS[1 + (i * j) % 25] for j in range(1, 9)), "", {"n": i})
        for i in range(n)
    ]


def contents(folder):
    return {f.name: f.read_bytes() for f in sorted(folder.iterdir()) if not f.name.startswith("lock")}


def joined(folder, encoder):
    """The file of all vectors, as `encode` writes it."""
    encoded = encode_corpus(Corpus(documents()), encoder, folder)
    file = folder.with_suffix(".arrow")
    write_vectors(file, encoded.vectors(), encoded.ids(), encoder=encoder.fingerprint())
    return file.read_bytes()


@pytest.fixture
def whole(tmp_path):
    encode_corpus(Corpus(documents()), FakeEncoder(), tmp_path / "whole", shard_docs=8)
    return contents(tmp_path / "whole"), joined(tmp_path / "whole", FakeEncoder())


@pytest.mark.parametrize("of", [1, 2, 3, 7, 9])
def test_parts_in_any_order_are_the_encoding_byte_for_byte(tmp_path, whole, of):
    encoded = []
    for number in reversed(range(1, of + 1)):
        encoder = FakeEncoder()
        done = encode_part(Corpus(documents()), encoder, tmp_path / "w", Part(number, of), shard_docs=8)
        encoded.append(encoder.encoded)
        assert done.n_docs == encoder.encoded
        assert done.n_shards == len(range(number - 1, 7, of))
        assert done.missing == 7 - sum(len(range(n - 1, 7, of)) for n in range(number, of + 1))
    assert sum(encoded) == 50
    assert contents(tmp_path / "w") == whole[0]
    encoder = FakeEncoder()
    assert joined(tmp_path / "w", encoder) == whole[1]
    assert encoder.encoded == 0


def test_parts_of_different_cuts_go_together(tmp_path, whole):
    for part in (Part(1, 2), Part(2, 4), Part(4, 4)):
        encode_part(Corpus(documents()), FakeEncoder(), tmp_path / "w", part, shard_docs=8)
    assert contents(tmp_path / "w") == whole[0]


def test_an_interrupted_part_goes_on(tmp_path, whole):
    with pytest.raises(KeyboardInterrupt):
        encode_part(Corpus(documents()), FakeEncoder(fail_after=20), tmp_path / "w", Part(1, 2), shard_docs=8)
    encoder = FakeEncoder()
    encode_part(Corpus(documents()), encoder, tmp_path / "w", Part(1, 2))
    assert encoder.encoded == 26 - 16
    encode_part(Corpus(documents()), FakeEncoder(), tmp_path / "w", Part(2, 2))
    assert contents(tmp_path / "w") == whole[0]


@pytest.mark.parametrize("damage", ["missing", "flipped", "cut", "record"])
def test_joining_checks_every_record_and_makes_good_what_does_not_hold(tmp_path, whole, damage):
    for number in (1, 2, 3):
        encode_part(Corpus(documents()), FakeEncoder(), tmp_path / "w", Part(number, 3), shard_docs=8)
    file = tmp_path / "w" / ("shard-00004.json" if damage == "record" else "vectors-00004.arrow")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(data[:-1] if damage == "cut" else data)
    encoder = FakeEncoder()
    assert joined(tmp_path / "w", encoder) == whole[1]
    assert encoder.encoded == 8


def busy_with(tmp_path, call):
    """Make `call` while part 1 of 2 is at work on its second shard; its error."""

    class During(FakeEncoder):
        def encode_documents(self, texts, **options):
            if self.encoded == 8:
                with pytest.raises(IndexLockedError) as raised:
                    call(tmp_path / "w")
                self.refusal = str(raised.value)
            return super().encode_documents(texts, **options)

    encoder = During()
    encode_part(Corpus(documents()), encoder, tmp_path / "w", Part(1, 2), shard_docs=8)
    assert {f"shard-0000{n}.json" for n in (0, 2, 4, 6)} <= set(contents(tmp_path / "w"))
    return encoder.refusal


@pytest.mark.parametrize("again", [Part(1, 2), Part(1, 1), Part(3, 4)])
def test_the_same_part_or_one_that_meets_it_is_refused(tmp_path, again):
    refusal = busy_with(tmp_path, lambda w: encode_part(Corpus(documents()), FakeEncoder(), w, again))
    assert "another process is encoding shard 2 of it (process " in refusal


def test_all_of_it_is_refused_while_a_part_is_at_work(tmp_path):
    refusal = busy_with(tmp_path, lambda w: encode_corpus(Corpus(documents()), FakeEncoder(), w))
    assert "another process is encoding shard 2 of it" in refusal


def test_nobody_starts_anew_while_a_part_is_at_work(tmp_path):
    def anew(work):
        encode_part(Corpus(documents(9)), FakeEncoder(), work, Part(2, 2), restart=True)

    assert "another process is encoding shard 2 of it" in busy_with(tmp_path, anew)


def test_a_part_is_refused_while_all_of_it_is_encoded(tmp_path, monkeypatch):
    monkeypatch.setattr("splade_engine.engine.encoding.part._PATIENCE", 0.0)

    class During(FakeEncoder):
        def encode_documents(self, texts, **options):
            with pytest.raises(IndexLockedError, match="another process is encoding into it"):
                encode_part(Corpus(documents()), FakeEncoder(), tmp_path / "w", Part(2, 2))
            return super().encode_documents(texts, **options)

    assert len(encode_corpus(Corpus(documents()), During(), tmp_path / "w", shard_docs=8)) == 50


def test_another_part_may_work_at_the_same_time(tmp_path, whole):
    class During(FakeEncoder):
        def encode_documents(self, texts, **options):
            if self.encoded == 8:
                encode_part(Corpus(documents()), FakeEncoder(), tmp_path / "w", Part(2, 2))
            return super().encode_documents(texts, **options)

    encode_part(Corpus(documents()), During(), tmp_path / "w", Part(1, 2), shard_docs=8)
    assert contents(tmp_path / "w") == whole[0]


def test_the_plan_of_the_first_is_the_plan_of_all(tmp_path):
    encode_part(Corpus(documents()), FakeEncoder(), tmp_path / "w", Part(1, 2), shard_docs=8)
    with pytest.raises(EncoderMismatchError, match="another encoder"):
        encode_part(Corpus(documents()), FakeEncoder(max_length=9), tmp_path / "w", Part(2, 2))
    with pytest.raises(InvalidInputError, match="another corpus"):
        encode_part(Corpus(documents(49)), FakeEncoder(), tmp_path / "w", Part(2, 2))
    with pytest.raises(InvalidInputError, match="another options"):
        encode_part(Corpus(documents()), FakeEncoder(), tmp_path / "w", Part(2, 2), top_k=4)
    encode_part(Corpus(documents(9)), FakeEncoder(), tmp_path / "w", Part(1, 2), restart=True)
    assert len(encode_corpus(Corpus(documents(9)), FakeEncoder(), tmp_path / "w")) == 9


def test_a_part_that_fails_before_its_first_shard_leaves_nothing(tmp_path):
    class Refusing(FakeEncoder):
        def encode_documents(self, texts, **options):
            raise InvalidInputError("top_k must be an integer of at least 1, got 0")

    with pytest.raises(InvalidInputError, match="top_k"):
        encode_part(Corpus(documents()), Refusing(), tmp_path / "w", Part(1, 2), top_k=0)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    "text", ["0/8", "9/8", "2", "2/", "/8", "2/8/1", "-1/8", "1.0/2", "a/b", "٢/٨", "1/" + "9" * 99]
)
def test_what_is_no_part_is_refused(text):
    with pytest.raises(InvalidInputError, match="part: "):
        Part.parse(text)


SCRIPT = """
import importlib.util, os, signal, sys, time
spec = importlib.util.spec_from_file_location("fake_encoder", {fake!r})
fake = importlib.util.module_from_spec(spec); spec.loader.exec_module(fake)
from splade_engine.collections.corpus import Corpus
from splade_engine.engine.encoding import Part, encode_part
class Slow(fake.FakeEncoder):
    def encode_documents(self, texts, **options):
        if self.encoded >= {dies}:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(.02)
        return super().encode_documents(texts, **options)
encode_part(Corpus({corpus!r}), Slow(), {work!r}, Part({number}, 3), shard_docs=4)
"""


def test_processes_that_are_killed_lose_and_double_nothing(tmp_path):
    """Three parts at once, each killed after two shards until nothing is left."""
    corpus = tmp_path / "c.jsonl"
    corpus.write_text("\n".join(json.dumps({"id": d.id, "text": d.text}) for d in documents()))
    fake, work = str(Path(fake_encoder.__file__)), str(tmp_path / "w")
    rounds = 0
    codes = [-signal.SIGKILL]
    while any(codes) and rounds < 4:
        rounds, codes = rounds + 1, []
        processes = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    SCRIPT.format(fake=fake, corpus=str(corpus), work=work, number=number, dies=8),
                ],
                stderr=subprocess.PIPE,
            )
            for number in (1, 2, 3)
        ]
        for process in processes:
            _, errors = process.communicate(timeout=60)
            codes.append(process.returncode)
            assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    assert rounds == 3  # 13 shards, two a life and a third life to find that all are there
    encode_corpus(Corpus(corpus), FakeEncoder(), tmp_path / "whole", shard_docs=4)
    assert contents(tmp_path / "w") == contents(tmp_path / "whole")
