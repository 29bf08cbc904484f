"""Fixtures of the collections' tests."""

from __future__ import annotations

from tests.small_collection import collection, encoder, invented, shared_ir

__all__ = ["collection", "encoder", "invented", "shared_ir"]
