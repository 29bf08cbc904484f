from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from splade_engine.index import BuildConfig, index
from splade_engine.index.arguments import checked_config
from tests.index import made


@pytest.fixture(scope="module", params=["impact", "blocks"])
def lists(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test once for each kind of posting lists: what an index gets that does not say which.

    `pytestmark = pytest.mark.usefixtures("lists")` asks for it in a whole module.
    """
    kind = str(request.param)
    with pytest.MonkeyPatch.context() as patch:
        chosen = BuildConfig(lists=kind)
        patch.setattr(
            index, "checked_config", lambda given: chosen if given is None else checked_config(given)
        )
        yield kind


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """A temporary folder in memory where the system has one, for tests that publish hundreds of times."""
    with tempfile.TemporaryDirectory(prefix="splade-engine-", dir=made.MEMORY) as folder:
        yield Path(folder)
