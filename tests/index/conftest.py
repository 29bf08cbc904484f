from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.index import made


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """A temporary folder in memory where the system has one, for tests that publish hundreds of times."""
    with tempfile.TemporaryDirectory(prefix="splade-engine-", dir=made.MEMORY) as folder:
        yield Path(folder)
