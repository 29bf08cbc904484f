"""Documents that were kept on the disk, read by several at once."""

from __future__ import annotations

import copy
import os
import pickle  # noqa: TID251 - of our own making
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from splade_engine.collections import spool
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.documents import Document
from splade_engine.collections.spool import Spool


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Spool, list[Document]]]:
    """A spool that is read in many small steps, by threads that take turns as often as they can."""
    monkeypatch.setattr(spool, "_BLOCK", 64)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    documents = [Document(str(i), f"text {i} " * (i % 7), metadata={"n": i}) for i in range(3000)]
    made = Spool()
    assert list(made.filled(documents)) == documents
    yield made, documents
    sys.setswitchinterval(interval)


def test_threads_read_each_from_its_own_place(kept: tuple[Spool, list[Document]]):
    made, documents = kept
    with ThreadPoolExecutor(6) as threads:
        assert all(found == documents for found in threads.map(lambda _: list(made), range(12)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork there")
def test_processes_that_were_forked_read_each_from_its_own_place(kept: tuple[Spool, list[Document]]):
    made, documents = kept
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            right = False
            try:
                right = all(list(made) == documents for _ in range(3))
            finally:
                os._exit(0 if right else 1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_a_corpus_of_files_that_was_read_is_copied_and_pickled(tmp_path: Path, again):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"of {name}\n" * 3)
    corpus = Corpus(tmp_path)
    summary, documents = corpus.survey(), list(corpus)
    other = again(corpus)
    assert list(other) == documents
    assert other.survey() == summary
    assert list(other) == list(corpus) == documents
