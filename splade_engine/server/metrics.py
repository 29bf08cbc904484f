"""What is measured, under which names (docs/operations.md lists them), in Prometheus' text format.

Where several processes serve, requests are counted over all of them (prometheus_client's multiprocess mode,
in the folder that `PROMETHEUS_MULTIPROC_DIR` names). What a process holds is said of the one that answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from splade_engine.server.served import ServedIndex
    from splade_engine.server.threads import SearchThreads
    from splade_engine.server.work import DocumentQueue

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "splade_engine_"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_REQUESTS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one application; each has its own, so that several can live in one process.

    Args:
        indexes: those of the application.
        threads: where it searches.
        documents: its line of documents.
        shared: whether other processes serve with it, and are counted with it.
    """

    def __init__(
        self,
        indexes: Sequence[ServedIndex],
        threads: SearchThreads,
        documents: DocumentQueue,
        *,
        shared: bool = False,
    ) -> None:
        held, counted = CollectorRegistry(), CollectorRegistry()
        ProcessCollector(registry=held)
        PlatformCollector(registry=held)
        held.register(_Held(indexes, threads, documents))
        self.requests = Counter(
            f"{PREFIX}requests", "Requests answered.", ["route", "method", "status"], registry=counted
        )
        self.seconds = Histogram(
            f"{PREFIX}request_seconds",
            "From the head of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=counted,
        )
        self.search_seconds = Histogram(
            f"{PREFIX}search_seconds",
            "Encoding and searching the queries of a request, without waiting.",
            ["index"],
            buckets=_SECONDS,
            registry=counted,
        )
        self.batches = Histogram(
            f"{PREFIX}document_batch_requests",
            "Requests that were encoded or written together.",
            buckets=_REQUESTS,
            registry=counted,
        )
        if shared:
            counted = CollectorRegistry()
            multiprocess.MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        self._registries = held, counted

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return b"".join(generate_latest(registry) for registry in self._registries)


class _Held(Collector):
    """What one process holds at the moment that it is asked."""

    def __init__(
        self, indexes: Sequence[ServedIndex], threads: SearchThreads, documents: DocumentQueue
    ) -> None:
        self._indexes, self._threads, self._documents = indexes, threads, documents

    def collect(self) -> Iterator[Metric]:
        """One family per gauge."""
        searches = GaugeMetricFamily(f"{PREFIX}search_requests", "Searches that run or wait.")
        searches.add_metric([], self._threads.busy)
        tokens = GaugeMetricFamily(f"{PREFIX}document_tokens", "Tokens that wait to be encoded.")
        tokens.add_metric([], self._documents.waiting)
        yield from (searches, tokens)
        for name, text, read in _OF_AN_INDEX:
            family = GaugeMetricFamily(PREFIX + name, text, labels=["index"])
            for served in self._indexes:
                family.add_metric([served.name], read(served))
            yield family


_OF_AN_INDEX: tuple[tuple[str, str, Callable[[ServedIndex], float]], ...] = (
    ("index_documents", "Documents of the index.", lambda s: len(s.current)),
    ("index_generation", "Generation that is searched.", lambda s: s.current.index.generation),
    ("index_bytes", "Size on disk.", lambda s: s.current.index.info().total_bytes),
    ("index_refreshes", "New generations taken up.", lambda s: s.refreshes),
    ("index_refresh_failures", "New generations that could not be opened.", lambda s: s.failures),
)
