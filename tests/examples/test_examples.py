"""Every file of `examples/` runs as it stands, in an empty folder, and prints what it says it prints.

A file may end with a comment `# prints:`, under which its output stands; numbers may differ by 5 %.
An example of a framework that is not installed is skipped.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
_NUMBER = re.compile(r"\d+\.\d+")


def imported(source: str) -> set[str]:
    """The packages that the file imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def promised(source: str) -> list[str] | None:
    """The lines below `# prints:` at the end of the file; None where it promises nothing."""
    _, found, after = source.rpartition("\n# prints:\n")
    return [line.removeprefix("#").removeprefix(" ") for line in after.splitlines()] if found else None


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_prints_what_it_says(example, tmp_path):
    source = example.read_text(encoding="utf-8")
    missing = sorted(name for name in imported(source) if find_spec(name) is None)
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(example)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    expected = promised(source)
    printed = [line.rstrip() for line in done.stdout.splitlines()]
    if expected is None:
        assert printed
        return
    assert [_NUMBER.sub("#", line) for line in printed] == [_NUMBER.sub("#", line) for line in expected]
    numbers = [float(number) for line in printed for number in _NUMBER.findall(line)]
    wanted = [float(number) for line in expected for number in _NUMBER.findall(line)]
    assert numbers == pytest.approx(wanted, rel=0.05, abs=0.05)
