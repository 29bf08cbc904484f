"""Two evaluations that share a cache: the second waits for the first, or encodes for itself."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace as Invented

import pytest

from splade_engine.eval import Settings, evaluate
from splade_engine.eval.systems import sparse_collection
from splade_engine.locks import HeldLock, take_lock


def held(cache: Path) -> HeldLock:
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    lock = take_lock(folder / "lock")
    assert lock is not None
    return lock


@pytest.fixture
def cached(collection: Path, invented: Invented, tmp_path: Path):
    """A cache whose only shard is lost again, and the result that it belongs to."""
    settings = Settings(encoder=invented.WordEncoder(), cache=tmp_path / "cache")
    result = evaluate("sparse-exact", collection, settings=settings)
    for shard in settings.cache.rglob("*.arrow"):
        shard.unlink()
    return settings.cache, result


def test_the_second_evaluation_waits(cached, collection: Path, invented: Invented):
    cache, result = cached
    lock = held(cache)
    freed = threading.Timer(0.6, lock.release)
    freed.start()
    again = evaluate(
        "sparse-exact", collection, settings=Settings(encoder=invented.WordEncoder(), cache=cache)
    )
    assert freed.finished.is_set()
    assert (again.effectiveness, again.hashes) == (result.effectiveness, result.hashes)


def test_one_that_does_not_go_on_is_not_waited_for(
    cached, collection: Path, invented: Invented, monkeypatch: pytest.MonkeyPatch, caplog
):
    cache, result = cached
    monkeypatch.setattr(sparse_collection, "PATIENCE", 0.3)
    before = sorted(cache.rglob("*"))
    encoder = invented.WordEncoder()
    with held(cache), caplog.at_level("INFO", "splade_engine"):
        again = evaluate("sparse-exact", collection, settings=Settings(encoder=encoder, cache=cache))
    assert encoder.encoded == 9
    assert (again.effectiveness, again.hashes) == (result.effectiveness, result.hashes)
    assert [p for p in sorted(cache.rglob("*")) if p.is_dir()] == [p for p in before if p.is_dir()]
    assert "another process is encoding into it" in caplog.text
    assert "waiting for it" in caplog.text and "encoding without it" in caplog.text
