"""A fixture for tests that damage files and kill processes by the thousand: coverage looks away.

A tracer in each of those processes would take an hour and see nothing new.
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
