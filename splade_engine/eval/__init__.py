"""Evaluation: datasets, systems, measures, reports.

from splade_engine.eval import evaluate

result = evaluate("sparse", "beir/scifact/test", ["nDCG@10", "R@100"])
result.effectiveness.mean, result.cost.latency, result.run
"""

from __future__ import annotations

from splade_engine.eval.dataset import Dataset, Split
from splade_engine.eval.datasets import load_dataset
from splade_engine.eval.distractors import distractor_corpus, with_distractors
from splade_engine.eval.measures import Effectiveness, measure, parse_measures
from splade_engine.eval.results import Cost, Latency, Result, Sparsity, records
from splade_engine.eval.runner import as_system, evaluate
from splade_engine.eval.runs import Ranking, Run, read_run, write_run
from splade_engine.eval.workbench import Settings, Workbench

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
