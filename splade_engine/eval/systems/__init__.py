"""Systems that can be evaluated: the base and its grammar, and one file per system."""

from __future__ import annotations

from splade_engine.eval.systems.base import Answer, System, make_system, one_of, parse_system, within

__all__ = ["Answer", "System", "make_system", "one_of", "parse_system", "within"]
