from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from splade_engine.errors import IndexCorruptError
from splade_engine.index import BuildConfig, SparseIndex
from splade_engine.index.disk.publish import IndexWriter
from splade_engine.index.disk.records import TuningRecord
from splade_engine.index.words import build
from splade_engine.index.words.text import words_of
from tests.index import made

pytestmark = pytest.mark.usefixtures("lists")


def forge(ix: SparseIndex, **changed: np.ndarray) -> None:
    """Publish the first segment with other arrays, under right checksums."""
    segment = ix.reader.snapshot.segments[0]
    with IndexWriter(ix.path) as writer:
        stored = {name: segment.arrays[name] for name in segment.record.postings.sections}
        postings = writer.add_file("postings", {**stored, **changed})
        others = writer.current().segments[1:]
        writer.commit(writer.current().next(segments=(replace(segment.record, postings=postings), *others)))


def test_a_good_index_passes(tmp_path: Path, lists: str) -> None:
    ix = made.changed_index(tmp_path / "ix")
    assert ix.info().lists.kind == lists  # the fixture does what it says, in this module and the others
    ix.check()


def test_weights_that_float16_does_not_hold_pass(tmp_path: Path) -> None:
    v = made.vectors(1, 30)
    large = type(v)(v.indptr, v.terms, v.weights * np.float32(1e6 + 1), v.n_terms)
    odd = type(v)(v.indptr, v.terms, v.weights / np.float32(3), v.n_terms)
    for name, vectors in (("large", large), ("odd", odd)):
        SparseIndex.build(tmp_path / name, vectors).check()


@pytest.mark.parametrize("change", ["scale", "code"])
def test_codes_that_no_build_gives_are_found_by_the_deep_check(
    tmp_path: Path, change: str, lists: str
) -> None:
    """A row whose largest code is not 255 is sound, but merging would store it anew."""
    config = BuildConfig("uint8", "split", lists)
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 30), config=config, threads=1)
    ix.check()
    arrays = ix.reader.snapshot.segments[0].arrays
    scales, codes = arrays["doc_scales"].copy(), arrays["doc_weights_8"].copy()
    if change == "scale":
        scales[0] *= np.float32(0.5)
    else:
        codes[codes == 255] = 254
    forge(ix, doc_scales=scales, doc_weights_8=codes)
    ix.check(deep=False)
    with pytest.raises(IndexCorruptError, match=r"segment 0: .* does not belong"):
        ix.check()


def test_lists_of_other_vectors_are_found_only_by_the_deep_check(tmp_path: Path, lists: str) -> None:
    ix = made.changed_index(tmp_path / "ix")
    name = {"impact": "list_codes", "blocks": "block_codes"}[lists]
    codes = ix.reader.snapshot.segments[0].arrays[name].copy()
    codes[np.argmax(codes > 1)] -= 1  # an upper bound that is none: hits could be lost without a word
    forge(ix, **{name: codes})
    ix.check(deep=False)
    with pytest.raises(IndexCorruptError, match=f"segment 0: {name} does not belong"):
        ix.check()


def test_stored_settings_are_checked(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix")
    with IndexWriter(ix.path) as writer:
        record = TuningRecord(10, 0.9, 0.95, 1.0, 5, {"n_candidates": 10**12})
        writer.commit(writer.current().next(tuning=(record,)))
    for use in (ix.check, ix.refresh, lambda: SparseIndex.open(ix.path, verify="offsets")):
        with pytest.raises(IndexCorruptError, match=r"manifest.json: stored search settings: .*n_candidates"):
            use()


def test_word_lists_of_earlier_releases_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They listed a letter apart from the accent behind it, as "zu" and "rich"."""
    payload = pa.table({"text": pa.array(["moon in Zu\u0308rich", "moon"], pa.large_string())})
    vectors = made.vectors(1, 2, 30, 5)
    with monkeypatch.context() as earlier:
        earlier.setattr(build, "words_of", lambda text, form: words_of(text, form=0))
        ix = SparseIndex.build(tmp_path / "ix", vectors, payload=payload, config=BuildConfig(words=True))
    ix.check()
    # joined with segments of this release
    ix.add(made.vectors(4, 1, 30, 5), payload=payload.slice(0, 1))
    assert ix.compact() == 1
    ix.check()
    assert "words are listed as an earlier release did; build the index again" in caplog.text
    with monkeypatch.context() as damaged:
        damaged.setattr(build, "words_of", lambda text, form: words_of(text[1:]))
        ix = SparseIndex.build(tmp_path / "no", vectors, payload=payload, config=BuildConfig(words=True))
    with pytest.raises(IndexCorruptError, match="does not belong to the stored texts"):
        ix.check()
