"""The Python of docs/howto.md runs, block after block, and its commands name options that exist."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from scripts.docs_pages import commands
from splade_engine import SearchEngine

TEXT = (Path(__file__).parents[2] / "docs" / "howto.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    records = [
        {"id": "returns", "text": "We return what you paid within 14 days, your money back."},
        {"id": "tides", "text": "The moon makes the tides of the sea."},
        {"id": "b", "text": "The dough rises."},
    ]
    engine = SearchEngine.build("other-index", records)
    names = {"SearchEngine": SearchEngine, "engine": engine, "texts": ["The sea."]}
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) >= 7
    for block in blocks:
        if "cuda" in block or ("import pandas" in block and find_spec("pandas") is None):
            continue  # what this machine lacks
        if "SearchEngine.build" in block:
            exec(compile(block, "howto.md", "exec"), dict(names))
            continue
        exec(compile(block, "howto.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "<b>tides</b>" in printed
    assert "'sea': " in printed


def test_every_option_in_its_commands_exists() -> None:
    known = set(re.findall(r"`(--?[\w-]+)`", commands()))
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("splade-engine "):
                assert set(re.findall(r"(?<=\s)--?[a-z][\w-]*", line.partition("#")[0])) <= known, line
