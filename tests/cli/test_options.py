"""Every option of every command, given what nobody can mean: one line and exit code 2, or a result.

The commands are walked by their signatures, so that an option that is added is tested too.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import get_args, get_origin, get_type_hints

import pytest
import typer

from splade_engine.cli.commands import COMMANDS
from splade_engine.cli.numbers import Real, Whole

# what a command needs before its options are looked at; nothing of it exists
NEEDED = {
    "adapt": ["no-corpus", "-o", "encoder"],
    "add": ["no-index", "no-corpus"],
    "sync": ["no-folder", "no-index"],
    "bench": ["no-index", "no-queries"],
    "check": ["no-index"],
    "collect": ["no-index", "-o", "c"],
    "compact": ["no-index"],
    "compare": ["no-results"],
    "delete": ["no-index", "no-id"],
    "encode": ["no-corpus", "-o", "v.arrow"],
    "eval": ["no-collection"],
    "export": ["no-index", "v.arrow"],
    "explain": ["no-index", "query", "no-id"],
    "get": ["no-index", "no-id"],
    "import": ["no-vectors.npz", "-o", "ix"],
    "index": ["no-corpus", "-o", "ix"],
    "info": ["no-index"],
    "mcp": ["no-index"],
    "merge": ["no-index", "-o", "ix"],
    "mine": ["no-data", "-o", "mined.jsonl"],
    "onnx": ["-o", "no-folder"],
    "phrases": ["-o", "no-folder"],
    "push": ["no-index", "someone/notes"],
    "search": ["no-index", "moon"],
    "serve": ["no-index"],
    "train": ["-o", "run", "-d", "no-data", "-r", "splade"],
    "tune": ["no-index"],
}


def declared():
    """(command, option name, type, typer's record) of all options that take a value."""
    for command in COMMANDS:
        function = import_module(f"splade_engine.cli.{command.name}").run
        hints = get_type_hints(function, include_extras=True)
        for name in inspect.signature(function).parameters:
            kind, *records = get_args(hints[name])
            record = next(r for r in records if isinstance(r, typer.models.ParameterInfo))
            if isinstance(record, typer.models.OptionInfo) and kind is not bool:
                # the first name stands in the place of the default, where typer's record is an annotation
                names = [n for n in (record.default, *(record.param_decls or ())) if isinstance(n, str)]
                given = [n for n in names if n.startswith("--")] or names or ["--" + name.replace("_", "-")]
                yield command.name, given[0], kind, record


def scalar(kind):
    """The scalar type of `int`, `int | None` and `list[int] | None`."""
    while get_origin(kind) is not None and kind is not None:
        kind = next(k for k in get_args(kind) if k is not type(None))
    return kind


OPTIONS = list(declared())
NUMBERS = [(c, o, r) for c, o, k, r in OPTIONS if scalar(k) in (int, float)]


def test_the_walk_finds_the_options():
    assert len(NUMBERS) > 30
    assert {"train", "mine", "eval", "search", "tune", "index", "bench"} <= {c for c, _, _ in NUMBERS}


@pytest.mark.parametrize(
    ("command", "option", "record"), NUMBERS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_every_number_has_bounds(command, option, record):
    assert isinstance(record.parser, Whole | Real)
    assert record.parser.most < float("inf")


@pytest.mark.parametrize(
    ("command", "option", "record"), NUMBERS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_numbers_that_cannot_be_meant(refused, command, option, record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parser = record.parser
    for value in ("0", "-1", "nan", "1" + 30 * "0"):
        message = refused("-q", command, *NEEDED[command], option, value)
        if value == "0" and (parser.closed if isinstance(parser, Real) else parser.least <= 0):
            continue
        assert "Invalid value" in message
        assert option in message
        assert repr(value) in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["inf", "1e999", "9" * 5000, "x", "\x1b[2J", "0x10", " ", "٣a", "1,5"])
@pytest.mark.parametrize("option", ["--top-k", "--accuracy"])
def test_what_is_no_number(refused, option, value):
    message = refused("search", "no-index", "moon", option, value)
    assert option in message
    assert len(message) < 2100


@pytest.mark.parametrize(("command", "option"), [(c, o) for c, o, _, _ in OPTIONS if c != "demo"])
def test_an_empty_value(refused, command, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"{option} is empty" in refused(command, *NEEDED[command], option, "")
    if option.startswith("--"):
        assert f"{option} is empty" in refused(command, *NEEDED[command], f"{option}=")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_choice_a_missing_argument_and_an_unknown_option(refused):
    assert "nothing" in refused("mine", "d", "-o", "m.jsonl", "--sampling", "nothing")
    assert "QUERY" in refused("search", "ix")
    assert "--nothing" in refused("search", "ix", "moon", "--nothing")
    assert "requires an argument" in refused("search", "ix", "moon", "-k")


def takes_one(option, kind):
    return "/" not in option and list not in [get_origin(k) for k in (kind, *get_args(kind))]


@pytest.mark.parametrize(("command", "option"), [(c, o) for c, o, k, _ in OPTIONS if takes_one(o, k)])
def test_an_option_of_one_value_given_twice(refused, command, option, tmp_path, monkeypatch):
    """Only the last would act."""
    monkeypatch.chdir(tmp_path)
    message = refused(command, *NEEDED.get(command, ()), option, "1", option, "2")
    assert f"{option} is given " in message and " times, and takes one value" in message
    assert list(tmp_path.iterdir()) == []


def test_options_given_twice_in_their_other_ways(refused, cli):
    assert "--top-k is given 3 times" in refused("search", "ix", "moon", "-k", "5", "--top-k=6", "-k7")
    both = "--words and --no-words do not go together"
    assert both in refused("index", "docs", "-o", "ix", "--words", "--no-words")
    assert "do not go together" in refused("--progress", "--no-progress", "info", "ix")
    old = cli("add", "ix", "docs", "--top-k", "5", "--max-terms", "5", code=2).stderr
    assert "--max-terms is given 2 times" in old
    # a query, a switch and an option that takes several
    assert "given" not in refused("search", "no-index", "--json", "--json", "-k", "5", "--", "-k")
    assert "given" not in refused("tune", "no-index", "--target", "0.9", "--target", "0.95")


def test_without_arguments_the_help_is_the_error(cli):
    assert cli(code=2).stderr.startswith("Usage: ")
