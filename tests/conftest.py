"""Shared by all tests: where the real collections are, when they are there at all."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SPLADE_ENGINE_SHARED", REPOSITORY.parent / "shared"))

# how fast a machine that does other things at the same time makes inputs says nothing about the code
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# A shell starts jobs in the background with these ignored, and so would every process be that a test starts.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)


def pytest_configure(config: pytest.Config) -> None:
    """Let several workers take the files in the order of their names: long attacks and crashes come first.

    pytest-xdist would begin with the files of most tests. Those of few and long tests would come last, and
    one worker would be left alone with them.
    """
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real collections; tests that ask for it are skipped, with the reason, where absent."""
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip(f"no real collections at {data}: set SPLADE_ENGINE_SHARED to the folder that holds data/")
    return data
