"""The tiny model of the training tests, and a run without a drawing."""

from __future__ import annotations

from tests.training.conftest import bert_folder, no_curves

__all__ = ["bert_folder", "no_curves"]
