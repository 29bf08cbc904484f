"""Commands that work on a Ray cluster: `--ray ADDRESS`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from splade_engine.extras import needed


@contextmanager
def cluster(address: str, what: str) -> Iterator[None]:
    """Connected to a cluster for as long as the block runs.

    Args:
        address: as `ray.init` takes it; `local` starts a cluster here.
        what: what is done there, for the message where Ray is not installed.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    with needed(what):
        import ray
    ray.init(address=address, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()
