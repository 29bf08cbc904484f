from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from splade_engine.index import BuildConfig, index
from tests.index import made


@pytest.fixture(scope="module", params=["impact", "blocks"])
def lists(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test once for each kind of posting lists: what an index gets that does not say which.

    `pytestmark = pytest.mark.usefixtures("lists")` asks for it in a whole module.
    """
    kind = str(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "BuildConfig", partial(BuildConfig, lists=kind))
        yield kind


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """A temporary folder in memory where the system has one, for tests that publish hundreds of times."""
    with tempfile.TemporaryDirectory(prefix="splade-engine-", dir=made.MEMORY) as folder:
        yield Path(folder)
