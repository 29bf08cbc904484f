"""Evaluation: datasets, systems, measures, reports.

from splade_engine.eval import evaluate

result = evaluate("sparse", "beir/scifact/test", ["nDCG@10", "R@100"])
result.effectiveness.mean, result.cost.latency, result.run
"""

from __future__ import annotations

from splade_engine.collections.dataset import Dataset, Split
from splade_engine.collections.distractors import distractor_corpus, with_distractors
from splade_engine.collections.loading import load_dataset
from splade_engine.eval.measures.effectiveness import Effectiveness, measure, parse_measures
from splade_engine.eval.run.results import Cost, Latency, Result, Sparsity, records
from splade_engine.eval.run.runner import evaluate
from splade_engine.eval.run.runs import Ranking, Run, read_run, write_run
from splade_engine.eval.run.workbench import Workbench
from splade_engine.eval.systems.bench import Settings
from splade_engine.eval.systems.function import as_system

__all__ = [
    "Cost",
    "Dataset",
    "Effectiveness",
    "Latency",
    "Ranking",
    "Result",
    "Run",
    "Settings",
    "Sparsity",
    "Split",
    "Workbench",
    "as_system",
    "distractor_corpus",
    "evaluate",
    "load_dataset",
    "measure",
    "parse_measures",
    "read_run",
    "records",
    "with_distractors",
    "write_run",
]
