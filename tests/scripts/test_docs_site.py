"""The site is complete: public names, commands, environment variables, errors, examples, workflows."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

import splade_engine
from scripts.docs_links import dead_links
from scripts.docs_pages import DOORS, REQUESTS, USAGE, commands, public_names, raised, root_page
from splade_engine import errors
from splade_engine.cli.commands import COMMANDS
from splade_engine.collections.limits import Limits

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def undocumented(module: str) -> list[str]:
    """Public names of a door without a docstring of their own, and their public methods without one."""
    door = importlib.import_module(module)
    found = []
    for name in public_names(module):
        value = getattr(door, name)
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        # a dataclass without a docstring gets its signature for one
        if not inspect.getdoc(value) or (value.__doc__ or "").startswith(f"{name}("):
            found.append(name)
        if inspect.isclass(value):
            members = {k: inspect.getattr_static(value, k) for k in vars(value) if not k.startswith("_")}
            found += [
                f"{name}.{key}"
                for key, member in members.items()
                if isinstance(member, property | classmethod | staticmethod) or inspect.isfunction(member)
                if not inspect.getdoc(getattr(value, key))
            ]
    return found


@pytest.mark.parametrize("module", [module for module, _, _ in DOORS])
def test_every_public_name_is_documented(module: str) -> None:
    assert public_names(module)
    assert undocumented(module) == []


def test_every_door_is_on_the_site() -> None:
    packages = {f"splade_engine.{p.parent.name}" for p in ROOT.glob("splade_engine/*/__init__.py")}
    inner = {"splade_engine.cli", "splade_engine.files", "splade_engine.integrations"}
    assert packages - inner == {m for m, _, _ in DOORS} - {"splade_engine", "splade_engine.errors"}


def test_the_page_of_commands_has_every_command_with_its_options() -> None:
    page = commands()
    for command in COMMANDS:
        assert f"\n### {command.name}\n" in page
    assert "`-k`, `--top-k`" in page
    assert "`--related`, `--no-related`" in page


def test_the_page_of_environment_variables_is_complete() -> None:
    source = "\n".join(p.read_text(encoding="utf-8") for p in ROOT.glob("splade_engine/**/*.py"))
    used = set(re.findall(r"SPLADE_ENGINE_[A-Z_]*[A-Z]", source))
    used |= set(re.findall(r"environ(?:\.get\(|\[)\"(\w+)\"", source))
    used |= {f"SPLADE_ENGINE_MAX_{field.name.upper()}" for field in fields(Limits)}
    used.discard("SPLADE_ENGINE_MAX")
    page = (DOCS / "environment.md").read_text(encoding="utf-8")
    listed = {name for row in re.findall(r"(?m)^\| (`.*?`) \|", page) for name in re.findall(r"`(\w+)`", row)}
    assert listed == used


def test_troubleshooting_has_every_kind_of_error_and_quotes_what_is_really_said() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    kinds = {n for n, v in vars(errors).items() if inspect.isclass(v) and v.__module__ == errors.__name__}
    assert set(re.findall(r"(?m)^### (\w+)$", page)) == kinds
    source = "\n".join(p.read_text(encoding="utf-8") for p in ROOT.glob("splade_engine/**/*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", source)
    by_kind = page.partition("## By kind of error")[2].partition("## Without an error")[0]
    for row in re.findall(r"(?m)^\| (`.*?`) \|", by_kind):
        for quoted in re.findall(r"`([^`]+)`", row):
            assert quoted in joined, quoted


def test_the_catalogue_of_messages_holds_those_that_span_lines() -> None:
    found = raised()
    assert any("holds a document" in message for message, _ in found["InvalidInputError"])
    assert sum(len(messages) for messages in found.values()) > 900
    assert {USAGE, REQUESTS} <= set(found)
    assert ("{path}: no such result folder or run file", "splade_engine.cli.compare") in found[
        "InvalidInputError"
    ]
    assert "query: the list is empty" in {message for message, _ in found[REQUESTS]}
    assert "give ids, --file or --where" in {message for message, _ in found[USAGE]}


def test_every_example_is_on_a_page_and_every_one_that_is_named_exists() -> None:
    pages = "\n".join(p.read_text(encoding="utf-8") for p in DOCS.glob("*.md"))
    files = [p.name for p in (ROOT / "examples").iterdir() if p.suffix in (".py", ".ipynb")]
    assert [name for name in files if name not in pages] == []
    named = re.findall(r"`(\w+\.(?:py|ipynb))`", (DOCS / "examples.md").read_text(encoding="utf-8"))
    assert [name for name in named if name not in files] == []


def test_links_of_the_roots_documents_lead_into_the_site() -> None:
    text = (
        "see [format](docs/format.md#ids), [changes](CHANGELOG.md), [code](splade_engine/errors.py), [x](#x)"
    )
    assert root_page(text) == ("see [format](../format.md#ids), [changes](changelog.md), `code`, [x](#x)")


def test_a_dead_link_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<h1 id="top">A</h1><a href="b.html#here">b</a><a href="#top">t</a>')
    (tmp_path / "b.html").write_text(
        '<a href="a.html#nowhere">a</a><img src="c.png"><a href="https://x.y">x</a>'
    )
    assert sorted(dead_links(tmp_path)) == ["a.html: b.html#here", "b.html: a.html#nowhere", "b.html: c.png"]


def test_workflows_and_templates_are_yaml_and_call_what_exists() -> None:
    files = [*ROOT.glob(".github/**/*.yml"), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]
    assert len(files) >= 8
    for path in files:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert isinstance(read, dict), path
        for job in (read.get("jobs") or {}).values():
            assert job["runs-on"] or job["uses"]
            needed = job.get("needs") or []
            assert set([needed] if isinstance(needed, str) else needed) <= set(read["jobs"])
            for step in job["steps"]:
                assert ("run" in step) != ("uses" in step), path
                for script in re.findall(r"(?m)(?:^|\s)((?:scripts|\.ci)/\w+)", step.get("run", "")):
                    assert (ROOT / script).exists()


def test_versions_of_the_release_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == splade_engine.__version__
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    ruff = re.search(r"ruff==([\d.]+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert ruff and f"rev: v{ruff[1]}" in hooks
