"""A training run in a folder."""

from __future__ import annotations

from splade_engine.training.run.run import TrainingResult, train

__all__ = ["TrainingResult", "train"]
