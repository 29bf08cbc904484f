"""`application`: a collection as a Ray Serve application, a deployment per shard behind a router.

The router is the server of `splade-engine serve`: the same routes, page and limits. It encodes each query
once, asks all shards (`remote.py`), and merges. Each shard has as many replicas as asked for; a request to
one that dies goes to another. A new generation of the collection, published on the disk that all nodes share,
is taken up between requests: every answer is of the one generation that it names.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_engine.arguments import check_declared, path_of
from splade_engine.errors import InvalidInputError
from splade_engine.index import ShardedIndex, SparseIndex
from splade_engine.index.collection import is_collection
from splade_engine.ray.cluster import connected, made_encoder
from splade_engine.ray.remote import Missing, Pending, RemoteIndex, Request, Routing, Shard

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from splade_engine.index import SearchResult
    from splade_engine.server import Settings

NAME = "splade-engine"  # of the application on the cluster
ONGOING = 64  # requests that a replica works on or keeps waiting


@dataclass(frozen=True)
class Deployed:
    """How a collection is deployed."""

    # processes that search each shard
    replicas: int = 1
    # processes that encode queries, merge and answer HTTP
    routers: int = 1
    # of a processor, for each of either; None: a half, or less where the cluster has too few for that
    cpus: float | None = None
    # where a shard does not answer: an error (503), or the hits of the others with a note that says so
    missing: Missing = "error"
    # that a shard may take to answer; then other replicas are asked, and all takes at most twice as long
    seconds: float = 4.0
    # where routers encode queries, for encoders that need a model for that
    device: str = "auto"

    def __post_init__(self) -> None:
        check_declared(self)
        for name in ("replicas", "routers"):
            value = getattr(self, name)
            if value < 1:
                raise InvalidInputError(f"ray: {name} must be at least 1, got {value!r}")
        for name in ("cpus", "seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidInputError(f"ray: {name} must be above 0, got {value!r}")
        Routing({}, self.missing)

    def share(self, shards: int, held: float) -> float:
        """Of a processor, for each process of so many shards and their routers.

        Raises:
            InvalidInputError: the cluster holds less than was asked for: a process that never starts would be
                waited for without a word.
        """
        processes = shards * self.replicas + self.routers
        if self.cpus is None:
            return min(0.5, int(held / processes * 1000) / 1000)
        if processes * self.cpus > held:
            raise InvalidInputError(
                f"ray: {shards} shards with {self.replicas} replicas each and {self.routers} routers, "
                f"{self.cpus:g} CPUs for each process, are more than the {held:g} that the cluster has"
            )
        return self.cpus


DEFAULT = Deployed()


class Replica:
    """A `Shard` whose searches run in threads: kernels release the GIL."""

    def __init__(self, path: str) -> None:
        self._shard = Shard(path)

    async def search(self, request: Request) -> SearchResult | None:
        """See `Shard.search`."""
        return await asyncio.to_thread(self._shard.search, request)


class Router:
    """The ingress: an application of `splade_engine.server` over shards that are elsewhere."""

    def __init__(
        self, path: str, shards: dict[str, Any], encoder: Any, how: Deployed, settings: Settings
    ) -> None:
        self._path, self._encoder, self._how, self._settings = Path(path), encoder, how, settings
        self._askers = {Path(folder): Asked(handle) for folder, handle in shards.items()}

    def __serve_build_asgi_app__(self) -> ASGIApp:
        with ThreadPoolExecutor(1) as thread:  # a query warms it up, and Ray waits for none in its own thread
            return thread.submit(self._application).result()

    def _application(self) -> ASGIApp:
        from splade_engine.engine import SearchEngine
        from splade_engine.server import ServedIndex, create_app

        device = self._how.device
        encoder = made_encoder(self._encoder, {"device": device}) if self._encoder is not None else None
        engine = SearchEngine.open(self._path, encoder, verify="offsets", device=device)
        assert isinstance(engine.index, ShardedIndex)
        routing = Routing(self._askers, self._how.missing, self._how.seconds)
        routed = SearchEngine(self._path, RemoteIndex.route(engine.index, routing), engine.encoder)
        return create_app([ServedIndex(self._path.name, routed, device=device, remote=True)], self._settings)


@dataclass(frozen=True)
class Asked:
    """An `Asker`: sends to the replicas of a deployment."""

    handle: Any

    def __call__(self, request: Request) -> Pending:
        """Send a request; see `Asker`."""
        pending: Pending = self.handle.search.remote(request)
        return pending


def opened_collection(path: str | Path) -> ShardedIndex:
    """The collection in a folder.

    Raises:
        InvalidInputError: the folder holds one index.
        SpladeEngineError: it, or one of its shards, cannot be opened.
    """
    folder = path_of("path", path).absolute()
    if not is_collection(folder):
        SparseIndex.open(folder, verify="offsets")  # what is wrong with it comes first
        raise InvalidInputError(f"{folder}: one index, not a collection; serve it without Ray, or collect it")
    return ShardedIndex.open(folder, verify="offsets")


def application(
    path: str | Path,
    encoder: str | Path | Callable[[], Any] | None = None,
    *,
    how: Deployed = DEFAULT,
    settings: Settings | None = None,
) -> Any:
    """The collection as a Ray Serve application, for `ray.serve.run`.

    Args:
        path: folder of the collection, on a disk that all nodes share.
        encoder: as for `build`; None: the one that the collection names.
        how: replicas and what is done where a shard does not answer.
        settings: of the server, see `splade_engine.server.Settings`. Documents are not written through it.

    Raises:
        MissingExtraError: Ray or the server's packages are not installed.
        InvalidInputError: Ray is not connected; the folder holds no collection, or writing was asked for.
        SpladeEngineError: a shard cannot be opened.
    """
    ray = connected()
    from ray import serve

    from splade_engine.server import Settings

    settings = settings or Settings()
    if settings.access.write:
        raise InvalidInputError(
            "ray: serves only; write documents with `add`, `sync` or a server that writes"
        )
    index = opened_collection(path)
    actor = {"num_cpus": how.share(len(index.shards), float(ray.cluster_resources().get("CPU", 0.0)))}
    deployment = serve.deployment(
        num_replicas=how.replicas, ray_actor_options=actor, max_ongoing_requests=ONGOING
    )(Replica)
    shards = {
        str(shard.path): deployment.options(name=f"shard-{number:05d}").bind(str(shard.path))
        for number, shard in enumerate(index.shards)
    }
    router = serve.deployment(num_replicas=how.routers, ray_actor_options=actor, max_ongoing_requests=ONGOING)
    source = str(encoder) if isinstance(encoder, Path) else encoder
    return router(serve.ingress()(Router)).bind(str(index.path), shards, source, how, settings)


def serve(
    app: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_start: Callable[[str], None] = lambda address: None,
) -> None:
    """Run what `application` has made, until Ctrl-C or SIGTERM; then take it off the cluster.

    Args:
        app: the application.
        host: that the proxy of each node listens on.
        port: a number above 0.
        on_start: is told the address once the shards and routers answer.

    Raises:
        InvalidInputError: the application cannot start; the log of its router says why.
    """
    from ray import serve as ray_serve

    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        ray_serve.start(http_options={"host": host, "port": port})
        try:
            ray_serve.run(app, name=NAME, route_prefix="/")
        except RuntimeError as error:
            raise InvalidInputError(f"ray: the application does not start: {error}"[:400]) from None
        on_start(f"http://{host}:{port}")
        with suppress(KeyboardInterrupt):
            ended.wait()
    finally:
        ray_serve.shutdown()
        signal.signal(signal.SIGTERM, before)
