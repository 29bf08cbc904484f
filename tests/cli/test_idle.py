"""Options without effect are refused, by their names; a default is never taken for a wish."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from splade_engine.cli.commands import COMMANDS
from splade_engine.cli.idle import RULES, idle_option

CASES = [
    (["search", "ix", "moon", "--facets-over", "matches"], "--facets-over needs --facet"),
    (["search", "ix", "moon", "--rerank-depth", "3"], "--rerank-depth needs --rerank"),
    (["search", "ix", "moon", "--hybrid", "off", "--hybrid-weight", "2"], "--hybrid-weight does not go with"),
    (["search", "ix", "--queries", "q", "--run", "r", "--json"], "--json does not go with --run"),
    (["search", "ix", "--queries", "q", "--run", "r", "--format", "csv"], "--format does not go with --run"),
    (
        ["search", "ix", "moon", "--format", "csv", "--explain"],
        "--explain needs --format text, json or jsonl",
    ),
    (["export", "ix", "v.csr", "--max-terms", "9"], "--max-terms needs --to SYSTEM"),
    (["export", "ix", "v.csr", "--no-measure"], "--no-measure needs --to SYSTEM"),
    (["export", "ix", "v.csr", "-k", "10"], "--top-k needs --to SYSTEM"),
    (["export", "ix", "--to", "qdrant", "-o", "x", "--format", "csr"], "--format is for FILE"),
    (["index", "c", "-o", "ix", "--shard-docs", "9"], "--shard-docs needs --ray"),
    (["encode", "c", "-o", "v.csr", "--part", "1/2", "--format", "csr"], "--format does not go with --part"),
    (
        ["encode", "c", "-o", "v.csr", "--queries", "--passages", "99"],
        "--passages does not go with --queries",
    ),
    (["eval", "--from", "r", "-s", "bm25"], "--system does not go with --from"),
    (["eval", "--from", "r", "--keep-own-id"], "--keep-own-id does not go with --from"),
    (["eval", "c", "--cache", "x", "--no-cache"], "--cache does not go with --no-cache"),
    (["eval", "c", "-s", "bm25", "--exact"], "--exact is for the system 'sparse'"),
    (["compare", "r", "--split", "dev"], "--split needs --dataset"),
    (["mine", "d", "-o", "m", "--relative-margin", "0.1"], "--relative-margin needs --teacher"),
    (["train", "-o", "r", "--resume", "-r", "splade"], "--recipe does not go with --resume"),
    (["train", "-o", "r", "-r", "splade", "--corpus", "c"], "--corpus needs --data"),
    (["train", "-o", "r", "-r", "splade", "-d", "d", "--steps", "9", "--epochs", "1"], "--steps does not go"),
    (["phrases", "-o", "x", "--kind", "words", "--factor", "1"], "--factor does not go with --kind words"),
    (["serve", "ix", "--rerank-depth", "9"], "--rerank-depth needs --rerank"),
    (["serve", "ix", "--missing", "tell"], "--missing needs --ray"),
    (["serve", "ix", "--ray", "local", "--root-path", "/x"], "--root-path does not go with --ray"),
    (["serve", "ix", "--ray", "local", "--verify", "full"], "--verify does not go with --ray"),
    (["tune", "ix", "-e", "bundled"], "--encoder needs QUERIES"),
]


@pytest.mark.parametrize(("command", "message"), CASES, ids=lambda v: v if isinstance(v, str) else v[0])
def test_an_option_without_effect_is_refused(refused, command, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(*command).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_every_rule_names_parameters_of_its_command():
    assert set(RULES) <= {command.name for command in COMMANDS}
    for command, rules in RULES.items():
        parameters = inspect.signature(import_module(f"splade_engine.cli.{command}").run).parameters
        for rule in rules:
            assert set(rule.names) <= set(parameters), command
            # beside nothing but defaults, a rule may refuse what was given and never fails
            rule.acts({name: p.default for name, p in parameters.items()})


def test_a_default_is_no_wish():
    values = {"facets_over": "hits", "facets": None, "rerank_depth": 50, "rerank": None, "hybrid": None}
    values |= {"run_file": None, "form": None}
    assert idle_option("search", values, lambda name: False) is None
    assert idle_option("search", values, lambda name: name == "rerank_depth") == (
        "rerank_depth",
        "needs --rerank",
    )
    assert idle_option("get", {}, lambda name: True) is None
