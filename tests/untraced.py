"""Where coverage looks away.

`untraced` is for tests that damage files and kill processes by the thousand: a tracer in each of those would
take an hour and see nothing new. `children_untraced` is for processes that may not write, or not take the
memory, that a tracer needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def untraced() -> Iterator[None]:
    """Stop measuring in this process, and in those that the tests start."""
    coverage = sys.modules.get("coverage")
    current = None if coverage is None else coverage.Coverage.current()
    if current is None:
        yield
        return
    config = os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    current.stop()
    try:
        yield
    finally:
        current.start()
        if config is not None:
            os.environ["COVERAGE_PROCESS_CONFIG"] = config


@pytest.fixture
def children_untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no tracer in the processes of this test."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
