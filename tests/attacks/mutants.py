"""Test 26: take each single check and each single flush out of the source, and see that some test notices."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.trials import Tally, scratch

REPOSITORY = Path(__file__).resolve().parents[2]
# source file -> the tests that have to notice
TESTS = {
    "disk/manifest.py": ["index/disk/test_manifest.py", "attacks/test_oddities.py"],
    "disk/storage.py": ["index/disk/test_storage.py", "attacks/test_oddities.py", "crash/test_crash.py"],
    "disk/publish.py": ["index/disk/test_publish.py", "crash/test_crash.py"],
    "disk/ids.py": ["index/disk/test_ids.py"],
    "disk/payload.py": ["index/disk/test_payload.py", "index/test_changes.py"],
    "segment/segment.py": ["index/segment/test_segment.py", "index/test_sparse_index.py"],
    "opening.py": ["index/segment/test_segment.py", "index/disk/test_publish.py", "index/test_check.py"],
    "snapshot.py": ["index/segment/test_segment.py", "index/disk/test_publish.py", "index/test_check.py"],
    "config.py": ["index/test_check.py", "index/segment/test_build.py", "index/segment/test_list_kinds.py"],
    "effort.py": ["index/test_effort.py"],
}
CHECKS = {
    "_check_id",
    "_size",
    "_offsets",
    "check_settings",
    "check_structure",
    "check_offsets",
    "_check_unique",
}
CHECKS |= {"sync_folder", "_delete_except", "validate"}


@dataclass(frozen=True)
class Mutant:
    """One statement of one file, replaced by `pass`."""

    file: str
    line: int
    end: int
    text: str


def _is_check(node: ast.stmt) -> bool:
    """An `if` whose body only refuses, or a call that only checks or flushes."""
    if isinstance(node, ast.If) and not node.orelse:
        last = node.body[-1]
        call = last.value if isinstance(last, ast.Expr) else None
        refuses = isinstance(call, ast.Call) and getattr(call.func, "id", "") == "_refuse"
        return isinstance(last, ast.Raise) or refuses
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        return name in CHECKS or name == "fsync"
    return False


def all_mutants(folder: Path = REPOSITORY / "splade_engine" / "index") -> list[Mutant]:
    """Every check and flush of the files that guard the index."""
    found = []
    for name in TESTS:
        source = (folder / name).read_text()
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.stmt) and _is_check(node):
                assert node.end_lineno is not None
                text = " ".join(line.strip() for line in lines[node.lineno - 1 : node.end_lineno])
                found.append(Mutant(name, node.lineno, node.end_lineno, text[:90]))
    return sorted(found, key=lambda m: (m.file, m.line))


def _survives(mutant: Mutant, work: Path) -> bool:
    """Whether the tests pass without this check."""
    name = mutant.file.replace("/", ".")
    tree = work / f"{name}-{mutant.line}"
    ignored = shutil.ignore_patterns("__pycache__", "models", "*.safetensors", "corpus")
    for part in ("splade_engine", "tests"):
        shutil.copytree(REPOSITORY / part, tree / part, ignore=ignored)
    shutil.copy(REPOSITORY / "pyproject.toml", tree)
    path = tree / "splade_engine" / "index" / mutant.file
    lines = path.read_text().splitlines()
    first = lines[mutant.line - 1]
    indent = first[: len(first) - len(first.lstrip())]
    lines[mutant.line - 1 : mutant.end] = [f"{indent}pass"]
    path.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += [str(tree / "tests" / test) for test in TESTS[mutant.file]]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, timeout=180, check=False
        )
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        shutil.rmtree(tree)


def killed(count: int, seed: int) -> Tally:
    """Run every mutant (or the first `count`, in an order given by the seed)."""
    import random

    mutants = all_mutants()
    random.Random(seed).shuffle(mutants)
    tally = Tally()
    with scratch() as work, ThreadPoolExecutor(2) as pool:
        for mutant, survives in zip(
            mutants[:count], pool.map(lambda m: _survives(m, work), mutants[:count]), strict=True
        ):
            tally.trials += 1
            tally.outcomes["SURVIVED" if survives else "killed"] += 1
            if survives:
                tally.losses.append(f"{mutant.file}:{mutant.line} is not missed: {mutant.text}")
    return tally
