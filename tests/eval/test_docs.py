"""The first steps of docs/evaluation.md, as they are written there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace as Invented

import pytest
from typer.testing import CliRunner

from splade_engine.cli import app
from splade_engine.eval.run.suite import load_suite, suite_names
from splade_engine.eval.systems.base import parse_system

TEXT = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


def test_a_newcomers_collection(tmp_path: Path, invented: Invented, monkeypatch: pytest.MonkeyPatch):
    making, _, last = _blocks("bash")[0].strip().rpartition("\n")
    assert last == "splade-engine eval my-collection"
    subprocess.run(["bash", "-ec", making], cwd=tmp_path, check=True)
    monkeypatch.setattr(
        "splade_engine.eval.systems.sparse_collection.load_encoder",
        lambda source, length: invented.WordEncoder(),
    )
    monkeypatch.setenv("SPLADE_ENGINE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, last.split()[1:])
    assert found.exit_code == 0, found.output
    assert "my-collection: 3 documents, 3 judged queries (test)" in found.stdout


def test_the_suite_in_the_text_is_one(tmp_path: Path):
    (tmp_path / "mine.toml").write_text(_blocks("toml")[0])
    assert len(load_suite(tmp_path / "mine.toml").collections) == 2


def test_suites_and_systems_are_all_described():
    for name in suite_names():
        assert f"`{name}`" in TEXT, name
    rows = TEXT.split("| specification | system |")[1].split("\n\n")[0]
    for spec in re.findall(r"^\| (.*?) \|", rows, re.M):
        for text in re.findall(r"`([^`]*)`", spec):
            if text.startswith("-") or "..." in text:
                continue
            parse_system(re.sub(r"\b[AB]\b", "bm25", text))


def test_links_inside_the_page_lead_somewhere():
    headings = {
        re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-")
        for h in re.findall(r"^###? (.*)$", TEXT, re.M)
    }
    for target in re.findall(r"\]\(#([^)]*)\)", TEXT):
        assert target in headings, target
