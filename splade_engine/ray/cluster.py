"""What is asked of a Ray cluster, and what it could never grant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from splade_engine.arguments import check_declared
from splade_engine.errors import InvalidInputError
from splade_engine.extras import needed
from splade_engine.progress import ProgressBar


@dataclass(frozen=True)
class Pool:
    """Actors that each hold an encoder."""

    # how many; None: as many as the cluster has room for, one left out
    actors: int | None = None
    # of a processor, for each; half a one leaves room for reading beside as many actors as processors
    cpus: float = 0.5
    # for each
    gpus: float = 0.0

    def __post_init__(self) -> None:
        check_declared(self)

    def size(self) -> int:
        """The number of actors.

        Raises:
            InvalidInputError: the pool would take every processor of the cluster: then nothing reads what the
                actors wait for, and the job stands still for ever (ray-project/ray#44687); or more GPUs than
                there are.
        """
        held = connected().cluster_resources()
        cpus, gpus = float(held.get("CPU", 0.0)), float(held.get("GPU", 0.0))
        if self.cpus < 0 or self.gpus < 0 or self.cpus + self.gpus == 0:
            raise InvalidInputError("ray: an actor takes a part of a processor or of a GPU")
        if self.actors is None:
            room = [gpus / self.gpus] if self.gpus else [(cpus - 0.5) / self.cpus]
            if self.gpus and self.cpus:
                room.append((cpus - 0.5) / self.cpus)
            size = int(min(room))
        else:
            size = self.actors
        if size < 1 or (self.actors is not None and size * self.cpus >= cpus):
            raise InvalidInputError(
                f"ray: {max(size, 1)} actors of {self.cpus:g} CPUs take all of the {cpus:g} that the cluster "
                "has, and nothing would be left to read with; ask for fewer actors, or less for each"
            )
        if size * self.gpus > gpus:
            raise InvalidInputError(f"ray: {size} actors of {self.gpus:g} GPUs, but the cluster has {gpus:g}")
        return size

    def actor(self, worker: type) -> Any:
        """The class as an actor of the pool, which Ray starts again wherever it dies."""
        ray = connected()
        return ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_restarts=-1, max_task_retries=-1)(
            worker
        )


DEFAULT_POOL = Pool()


def connected() -> Any:
    """Ray, connected to a cluster.

    Raises:
        MissingExtraError: it is not installed.
        InvalidInputError: `ray.init` has not been called.
    """
    with needed("encoding and building on a cluster"):
        import ray
    if not ray.is_initialized():
        raise InvalidInputError("ray: not connected; call ray.init() or ray.init(address=...) first")
    return ray


def run_all(actors: Sequence[Any], work: Sequence[tuple[Any, ...]], bar: ProgressBar) -> None:
    """Call `work` of the actors with each of these arguments; an actor that is done gets the next.

    Raises:
        SpladeEngineError: what went wrong in an actor, without its traceback.
    """
    ray = connected()
    waiting = list(reversed(work))
    running: dict[Any, Any] = {}

    def start(one: Any) -> None:
        running[one.work.remote(*waiting.pop())] = one

    for one in actors:
        start(one)
    while running:
        (ready, *_), _ = ray.wait(list(running), num_returns=1)
        one = running.pop(ready)
        try:
            ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        bar.advance()
        if waiting:
            start(one)


def made_encoder(source: Any, options: dict[str, Any]) -> Any:
    """The encoder of an actor: called if it can be, else loaded by `SparseEncoder.load`."""
    if callable(source):
        return source()
    from splade_engine.encoder import SparseEncoder

    return SparseEncoder.load(source, **options)
