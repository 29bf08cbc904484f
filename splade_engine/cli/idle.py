"""Options that would have no effect beside the others: refused, because whoever gave one expects it to act.

`RULES` is a table by command. A rule names parameters of the command's function, and says beside which others
they act. Only what was given on the command line is looked at, never a default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Given = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """Parameters that act under a condition."""

    names: tuple[str, ...]
    # whether they act, by the values of all parameters
    acts: Callable[[Given], bool]
    # what follows the option's name in the message
    needs: str


def _has(name: str) -> Callable[[Given], bool]:
    return lambda given: bool(given[name])


def _lacks(name: str) -> Callable[[Given], bool]:
    return lambda given: given[name] is None or given[name] is False


RULES: dict[str, tuple[Rule, ...]] = {
    "compare": (Rule(("split",), _has("dataset"), "needs --dataset"),),
    "encode": (
        Rule(("format",), _lacks("part"), "does not go with --part, which writes no FILE"),
        Rule(("passages", "overlap"), _lacks("queries"), "does not go with --queries, which are not cut"),
    ),
    "eval": (
        Rule(
            (
                "system", "exact", "accuracy", "measures", "k", "split", "data", "distractors",
                "n_distractors", "drop_own_id", "baseline", "run_file", "output_folder",
            ),
            _lacks("again"),
            "does not go with --from, which repeats what the folder says",
        ),
        Rule(("cache",), _lacks("no_cache"), "does not go with --no-cache"),
        Rule(
            ("exact", "accuracy"),
            lambda given: not given["system"] or "sparse" in given["system"],
            "is for the system 'sparse', which --system leaves out; options of a system stand in brackets",
        ),
    ),
    "export": (
        Rule(("k", "terms", "scale", "measure"), _has("to"), "needs --to SYSTEM"),
        Rule(("format",), _lacks("to"), "is for FILE, not for --to SYSTEM"),
    ),
    "index": (
        Rule(("shard_docs",), _has("ray"), "needs --ray"),
        Rule(("threads",), _lacks("ray"), "does not go with --ray, where the cluster decides"),
        Rule(("adapt",), _lacks("ray"), "does not go with --ray; adapt first, and name the encoder"),
    ),
    "mine": (Rule(("relative_margin", "absolute_margin"), _has("teacher"), "needs --teacher"),),
    "phrases": (
        Rule(
            ("factor",), lambda given: given["terms"] == "pairs", "does not go with --kind words"
        ),
    ),
    "search": (
        Rule(("facets_over",), _has("facets"), "needs --facet"),
        Rule(("rerank_depth",), _has("rerank"), "needs --rerank"),
        Rule(("hybrid_weight",), lambda given: given["hybrid"] != "off", "does not go with --hybrid off"),
        Rule(
            ("form", "as_json", "explain", "full", "total", "facets"),
            _lacks("run_file"),
            "does not go with --run, which holds ids and scores alone",
        ),
        Rule(
            ("explain",),
            lambda given: given["form"] not in ("csv", "table"),
            "needs --format text, json or jsonl",
        ),
    ),
    "serve": (
        Rule(("replicas", "missing"), _has("ray"), "needs --ray"),
        Rule(
            ("verify", "root_path", "rerank", "log_format"),
            _lacks("ray"),
            "does not go with --ray, whose processes the cluster starts",
        ),
        Rule(("rerank_depth",), _has("rerank"), "needs --rerank"),
    ),
    "train": (
        Rule(
            ("recipe", "negatives_file", "corpus", "queries", "show"),
            _lacks("resume"),
            "does not go with --resume, which continues with the recipe in the folder",
        ),
        Rule(("moved",), _has("resume"), "needs --resume"),
        Rule(("negatives_file", "corpus", "queries"), _has("data"), "needs --data"),
        Rule(("steps",), _lacks("epochs"), "does not go with --epochs"),
    ),
    "tune": (Rule(("encoder",), _has("queries"), "needs QUERIES, which it encodes"),),
}  # fmt: skip


def idle_option(command: str, values: Given, given: Callable[[str], bool]) -> tuple[str, str] | None:
    """The first parameter that was given and would not act, and what it needs.

    Args:
        command: its name.
        values: of all its parameters.
        given: whether a parameter stands on the command line.
    """
    for rule in RULES.get(command, ()):
        if not rule.acts(values):
            for name in rule.names:
                if given(name):
                    return name, rule.needs
    return None
