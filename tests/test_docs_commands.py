"""Commands in the documents have the options that are shown, and their Python and TOML can be read."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import typer

from splade_engine.cli.commands import COMMANDS, app

ROOT = Path(__file__).parents[1]
DOCS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    ROOT / "splade_engine" / "models" / "default" / "README.md",
    ROOT / "splade_engine" / "models" / "tiny" / "README.md",
]
FENCED = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


@cache
def options() -> dict[str, set[str]]:
    """The options of every command."""
    group = typer.main.get_command(app)
    context = group.context_class(group, info_name="splade-engine")
    out = {"": {name for p in group.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}}
    for command in COMMANDS:
        params = group.get_command(context, command.name).params
        out[command.name] = {name for p in params for name in (*p.opts, *p.secondary_opts)} | {"-h", "--help"}
    return out


def unknown(line: str) -> list[str]:
    """What a `splade-engine` command line names and the program does not have."""
    words = shlex.split(line, comments=True)[1:]
    before = [word for word in words if not word.startswith("-")]
    command = before[0] if before else ""
    if command not in options():
        return [command]
    wrong = []
    for word in words[words.index(command) + 1 :] if command else words:
        if not re.fullmatch(r"--?[a-z][\w-]*(=.*)?", word):
            continue
        name = word.partition("=")[0]
        if name not in options()[command] | options()[""]:
            wrong.append(f"{command} {name}")
    return wrong or missing(command, words[words.index(command) + 1 :] if command else [])


def missing(command: str, words: list[str]) -> list[str]:
    """What a command needs and its line does not give. Options alone, and a line with `...`, need nothing."""
    if all(word.startswith("-") for word in words) or any("..." in word for word in words):
        return []
    group = typer.main.get_command(app)
    found = group.get_command(group.context_class(group, info_name="splade-engine"), command)
    given, _, _ = found.make_parser(found.context_class(found)).parse_args(list(words))
    return [f"{command}: {p.name} is missing" for p in found.params if p.required and not given.get(p.name)]


def command_lines(text: str) -> list[str]:
    """What calls the program in fenced blocks and in code spans; pipes and `&&` separate calls."""
    lines: list[str] = []
    for _, language, block in FENCED.findall(text):
        if language not in ("", "sh", "bash", "shell"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            lines += re.split(r"\s(?:\|\|?|&&|;)\s", line.split("  #")[0])
    lines += re.findall(r"`([^`]+)`", FENCED.sub("", text))  # in a sentence or a table
    calls = (line.strip().split(" > ")[0] for line in lines)
    return [line for line in calls if line.startswith("splade-engine ") and line[14].islower()]


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_commands_that_are_shown_exist_with_their_options(path: Path) -> None:
    wrong = {}
    for line in command_lines(path.read_text(encoding="utf-8")):
        try:
            found = unknown(line)
        except ValueError:  # a quotation that goes on: the line is a part of something longer
            continue
        if found:
            wrong[line] = found
    assert wrong == {}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_python_and_toml_can_be_read(path: Path) -> None:
    for _, language, block in FENCED.findall(path.read_text(encoding="utf-8")):
        if language == "python":
            ast.parse(block)
        elif language == "toml":
            tomllib.loads(block)


def test_an_option_that_is_not_there_is_noticed() -> None:
    assert unknown("splade-engine tune my-index --recall 0.95 -k 3") == ["tune --recall"]
    assert unknown("splade-engine nothing here") == ["nothing"]
    assert unknown("splade-engine bench my-index") == ["bench: queries is missing"]
    assert command_lines("```sh\nx | splade-engine get a b   # why\n```\n") == ["splade-engine get a b"]
    assert len(command_lines((ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8"))) > 8


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_what_is_imported_from_us_is_there(path: Path) -> None:
    for _, language, block in FENCED.findall(path.read_text(encoding="utf-8")):
        for node in ast.walk(ast.parse(block if language == "python" else "")):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if module.partition(".")[0] == "splade_engine":
                found = import_module(module)
                assert [a.name for a in node.names if not hasattr(found, a.name)] == []
