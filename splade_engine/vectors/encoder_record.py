"""What vectors remember of the encoder that made them: when two records are of one, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping

SOURCE = "source"  # key of a record: what `SparseEncoder.load` takes to load the encoder again


def same_encoder(a: Mapping[str, str | int], b: Mapping[str, str | int]) -> bool:
    """Whether two fingerprints stand for one encoder: everything but its name and place is the same."""
    where = ("name", SOURCE)
    return {k: v for k, v in a.items() if k not in where} == {k: v for k, v in b.items() if k not in where}


def describe_difference(
    expected: Mapping[str, str | int], got: Mapping[str, str | int], limit: int = 3
) -> str:
    """Which entries of two fingerprints differ: "max_length 256, now 128"."""
    names = [n for n in {**expected, **got} if n != SOURCE and expected.get(n) != got.get(n)]
    parts = [f"{n} {expected.get(n, 'absent')}, now {got.get(n, 'absent')}" for n in names[:limit]]
    return "; ".join(parts) + ("; ..." if len(names) > limit else "")
