"""Checksums are xxh3 of the bytes."""

from __future__ import annotations

from splade_engine.files import Digest, digest, digest_64, digest_of_file, digest_of_json


def test_digests_are_xxh3_of_the_bytes(tmp_path):
    assert digest(b"") == "99aa06d3014798d86001c324468d497f"  # XXH3_128bits of nothing, seed 0
    (tmp_path / "a").write_bytes(b"abc" * 3_000_000)
    assert digest_of_file(tmp_path / "a") == digest(b"abc" * 3_000_000)
    pieces = Digest()
    pieces.update(b"x")
    pieces.update_from(tmp_path / "a")
    assert pieces.text() == digest(b"x" + b"abc" * 3_000_000)
    assert digest_64(b"") == 0x2D06800538D394C2  # XXH3_64bits of nothing, seed 0
    assert (
        digest_of_json({"a": 1, "b": [2]}) == digest_of_json({"b": [2], "a": 1}) != digest_of_json({"a": 1})
    )
