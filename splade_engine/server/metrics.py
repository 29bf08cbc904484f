"""What is measured, under which names (docs/operations.md lists them), in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

if TYPE_CHECKING:
    from splade_engine.server.served import ServedIndex
    from splade_engine.server.work import DocumentQueue, SearchThreads

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_REQUESTS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one application; each has its own, so that several can live in one process."""

    def __init__(
        self, indexes: Sequence[ServedIndex], threads: SearchThreads, documents: DocumentQueue
    ) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        prefix = "splade_engine_"
        self.requests = Counter(
            f"{prefix}requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            f"{prefix}request_seconds",
            "From the head of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.search_seconds = Histogram(
            f"{prefix}search_seconds",
            "Encoding and searching the queries of a request, without waiting.",
            ["index"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.batches = Histogram(
            f"{prefix}document_batch_requests",
            "Requests that were encoded or written together.",
            buckets=_REQUESTS,
            registry=registry,
        )
        self._gauge(f"{prefix}search_requests", "Searches that run or wait.", lambda: threads.busy)
        self._gauge(f"{prefix}document_tokens", "Tokens that wait to be encoded.", lambda: documents.waiting)
        held: tuple[tuple[str, str, Callable[[ServedIndex], float]], ...] = (
            ("index_documents", "Documents of the index.", lambda s: len(s.current)),
            ("index_generation", "Generation that is searched.", lambda s: s.current.index.generation),
            ("index_bytes", "Size on disk.", lambda s: s.current.index.info().total_bytes),
            ("index_refreshes", "New generations taken up.", lambda s: s.refreshes),
            ("index_refresh_failures", "New generations that could not be opened.", lambda s: s.failures),
        )
        for name, text, read in held:
            gauge = Gauge(prefix + name, text, ["index"], registry=registry)
            for served in indexes:
                gauge.labels(served.name).set_function(_reading(read, served))

    def _gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)


def _reading(read: Callable[[ServedIndex], float], served: ServedIndex) -> Callable[[], float]:
    return lambda: read(served)
