"""Which search settings reach a recall on queries that nobody has seen, with little more work than that.

A ladder of settings scores a fixed number of documents in full and walks more list entries from rung to
rung. A fifth of the queries decides which ladder is climbed: the one that gets high enough most cheaply. The
others decide how high: to the least work of which it can be said, with CONFIDENCE, that queries like these
get the recall. What can be said is a lower bound of the share of hits found: Wilson's, over as many hits as
they are worth, since the hits of one query are missed together (design effect: Kish, 1965).

Both halves are needed. Settings chosen and judged by the same 100 queries got .984 on further ones where .99
was asked for; and of few settings, far apart, the first that is good enough is too good (.971 for .95).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import many, real, whole
from splade_engine.errors import InvalidInputError
from splade_engine.index.arguments import MOST_THREADS, check_queries
from splade_engine.index.disk.records import TuningRecord
from splade_engine.index.effort import DEFAULT_BUDGET, Budget, Exact, Work, settings_of
from splade_engine.index.measured_on import drawn_documents
from splade_engine.index.search import Plan, check_k, search
from splade_engine.index.snapshot import Snapshot
from splade_engine.progress import Progress, ProgressBar
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.index.info import TunedSetting

logger = logging.getLogger(__name__)

CONFIDENCE = 0.9  # with which a tuned setting reaches its recall on further queries like those given
# queries with hits from which on that is so. With 24 held out, simulated lower bounds of recalls of .9 to .99
# over hits that are missed together (correlation .05 to .4) held in 83 to 98 of 100 cases, with two in 67 to
# 100
FEWEST = 30
_DEVIATIONS = 1.2815515655446004  # of the normal distribution, for that confidence on one side
# A ladder for each number of documents scored for a hit asked for; its rungs walk so many list entries. By
# steps of a seventh: a quarter to half a point of recall at .95
CANDIDATES_PER_HIT = (2, 4, 7, 10, 15, 24, 40, 80)
POSTINGS = tuple(round(1000 * 1.15**step) for step in range(50))
QUERY_TERMS = 12  # of a query made from a document: its heaviest
_CHOOSING = 5  # every fifth query decides which ladder is climbed
_WORTH = 10  # missed hits that the design effect of all settings counts for, beside that of one setting
_REPEATS = 2  # the faster of two runs counts: the first one warms the caches
# processor time, where it is counted finely enough: the machine may be busy with other work as well
_FINE = time.get_clock_info("process_time").resolution < 1e-5
_clock: Callable[[], float] = time.process_time if _FINE else time.perf_counter


@dataclass(frozen=True)
class Measurement:
    """A search: for each query how many of its exact hits were found, and the time per query."""

    work: Work
    # int64[n_queries]
    found: NDArray[np.int64]
    microseconds: float


@dataclass
class Sample:
    """The queries, their exact hits, and what was measured of them."""

    snapshot: Snapshot
    queries: SparseVectors
    k: int
    threads: int
    # int64[n_queries, k], -1 where there are fewer
    truth: NDArray[np.int64]
    known: dict[Work, Measurement] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hits = np.asarray((self.truth >= 0).sum(axis=1), np.int64)
        self.choosing = np.arange(len(self.truth)) % _CHOOSING == 0
        # one query alone has to do both
        self.held_out = ~self.choosing if len(self.truth) > 1 else self.choosing

    def measured(self, work: Work) -> Measurement:
        """Search all queries this way, unless that was done before."""
        if work not in self.known:
            ordinals, microseconds = timed(self.snapshot, self.queries, self.k, work, self.threads)
            self.known[work] = Measurement(work, found_hits(ordinals, self.truth), microseconds)
        return self.known[work]

    def share(self, measurement: Measurement, part: NDArray[np.bool_]) -> float:
        """Recall on some of the queries, over all their hits together."""
        return float(measurement.found[part].sum() / max(1, self.hits[part].sum()))

    def effect(self, measurement: Measurement) -> float:
        """The design effect of this setting on the held-out queries.

        It is known the better, the more hits are missed: that of all settings together stands in for it.
        """
        part = self.held_out
        others = [design_effect(m.found[part], self.hits[part]) for m in self.known.values()]
        missed = int((self.hits - measurement.found)[part].sum())
        own = design_effect(measurement.found[part], self.hits[part])
        return (missed * own + _WORTH * float(np.mean(others))) / (missed + _WORTH)

    def bound(self, measurement: Measurement) -> float:
        """What its recall is at least, by the held-out queries."""
        found, hits = (int(a[self.held_out].sum()) for a in (measurement.found, self.hits))
        return lower_bound(found, hits, self.effect(measurement))


def measure(
    snapshot: Snapshot,
    queries: SparseVectors | None,
    *,
    k: int,
    targets: Sequence[float],
    sample: int,
    seed: int,
    threads: int,
    progress: Progress,
) -> list[TuningRecord]:
    """The cheapest settings for each target; exact search where nothing approximate is cheaper.

    Raises:
        InvalidInputError: if a target is out of range, or no query has a hit.
    """
    check_k(k, int(snapshot.bases[-1]))
    k, threads = int(k), whole("threads", threads, 1, MOST_THREADS)
    sample, seed = whole("sample", sample, 1), whole("seed", seed)
    targets = many("targets", targets, "numbers", ordered=False)
    wanted = sorted({_target(t) for t in targets})
    if not wanted or not 0.0 < wanted[0] <= wanted[-1] <= 1.0:
        raise InvalidInputError(f"tune: targets must be above 0 and at most 1, got {list(targets)}")
    if queries is None:
        queries = queries_from_documents(snapshot, sample, seed)
    check_queries(queries, snapshot.manifest.n_terms)
    truth, microseconds = timed(snapshot, queries, k, Exact(), threads)
    if not (truth >= 0).any():
        raise InvalidInputError("tune: none of the queries has a hit")
    asked = Sample(snapshot, queries, k, threads, truth)
    exact = Measurement(Exact(), asked.hits, microseconds)
    ladders = _ladders(k, int(snapshot.bases[-1]))
    asked.measured(DEFAULT_BUDGET)  # tells something of how hits are missed together
    documents = drawn_documents(snapshot)
    records = []
    with ProgressBar(progress, len(wanted), label="tuning", unit=" recalls") as bar:
        for target in wanted:
            best = _cheapest(asked, ladders, target)
            # a budget that large is answered exactly, in the same time but for noise
            if best is None or best.microseconds >= 0.95 * exact.microseconds:
                best = exact
            records.append(_record(asked, best, target, documents))
            bar.advance()
    if doubted(records):
        logger.warning(
            "queries that have hits: %d, too few to say that further queries reach these recalls; with %.0f "
            "%% confidence it can be said of %d or more, and a few hundred have less to spare",
            records[0].n_queries,
            100 * CONFIDENCE,
            FEWEST,
        )
    return records


def doubted(measured: Iterable[TuningRecord | TunedSetting]) -> bool:
    """Whether a setting that is not exact rests on fewer queries than CONFIDENCE needs."""
    return any(one.n_queries < FEWEST and not one.settings.get("exact") for one in measured)


def _record(asked: Sample, best: Measurement, target: float, documents: tuple[str, ...]) -> TuningRecord:
    reached, settings = asked.share(best, asked.held_out), settings_of(best.work)
    n_queries, live = int((asked.hits > 0).sum()), asked.snapshot.manifest.live
    return TuningRecord(asked.k, target, reached, best.microseconds, n_queries, settings, live, documents)


def _target(value: object) -> float:
    return real("targets", value, 0, 1)


def _ladders(k: int, n_docs: int) -> list[list[Budget]]:
    counts = sorted({min(k * factor, n_docs) for factor in CANDIDATES_PER_HIT})
    return [[Budget(postings, count) for postings in POSTINGS] for count in counts]


def _cheapest(asked: Sample, ladders: Sequence[Sequence[Budget]], target: float) -> Measurement | None:
    """The least work that reaches the target on held-out queries, on the cheapest ladder that gets there."""
    enough = _enough(asked, target)
    costs = []
    for number, ladder in enumerate(ladders):
        found = _climb(asked, ladder, lambda m: asked.share(m, asked.choosing) >= enough)
        if found is not None:
            costs.append((found.microseconds, number))
    for _, number in sorted(costs):
        best = _climb(asked, ladders[number], lambda m: asked.bound(m) >= target)
        if best is not None:
            return best
    return None


def _enough(asked: Sample, target: float) -> float:
    """The share of held-out hits that must be found for the target to be reached; above 1 if none is."""
    hits = int(asked.hits[asked.held_out].sum())
    part = asked.held_out
    effect = float(np.mean([design_effect(m.found[part], asked.hits[part]) for m in asked.known.values()]))
    low, high = 0, hits + 1
    while high - low > 1:
        middle = (low + high) // 2
        if lower_bound(middle, hits, effect) >= target:
            high = middle
        else:
            low = middle
    return high / max(1, hits)


def _climb(
    asked: Sample, ladder: Sequence[Budget], reached: Callable[[Measurement], bool]
) -> Measurement | None:
    """The lowest rung that is high enough, by bisection; None where not even the highest is."""
    low, high = -1, len(ladder) - 1
    if not reached(asked.measured(ladder[high])):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if reached(asked.measured(ladder[middle])):
            high = middle
        else:
            low = middle
    return asked.measured(ladder[high])


def timed(
    snapshot: Snapshot, queries: SparseVectors, k: int, work: Work, threads: int
) -> tuple[NDArray[np.int64], float]:
    """The hits of all queries, int64[n_queries, k], and microseconds of a query: the faster of a few runs."""
    plan, best = Plan(work, shared=True), float("inf")
    for _ in range(_REPEATS):
        start = _clock()
        result = search(snapshot, queries, k, plan, threads, None)
        best = min(best, _clock() - start)
    return result.ordinals, best / max(1, len(queries)) * 1e6


def design_effect(found: NDArray[np.int64], hits: NDArray[np.int64]) -> float:
    """By how much the variance of a recall exceeds that of as many independent hits; at least 1.

    Args:
        found: int64[n_queries], how many hits of each query were found.
        hits: int64[n_queries], how many each has.
    """
    n, total = len(hits), int(hits.sum())
    share = float(found.sum()) / max(1, total)
    if n < 2 or not 0.0 < share < 1.0:
        return 1.0
    between = n / (n - 1) * float(((found - share * hits) ** 2).sum()) / total**2
    return max(1.0, between / (share * (1.0 - share) / total))


def lower_bound(found: int, hits: int, effect: float) -> float:
    """What a recall of found / hits is at least, with CONFIDENCE.

    Wilson's interval with continuity correction (Newcombe, 1998, method 4), for hits / effect hits.
    """
    if found <= 0:
        return 0.0
    n, share, z2 = hits / effect, found / hits, _DEVIATIONS**2
    spread = _DEVIATIONS * math.sqrt(max(0.0, z2 - 2.0 - 1.0 / n + 4.0 * share * (n * (1.0 - share) + 1.0)))
    return max(0.0, (2.0 * n * share + z2 - 1.0 - spread) / (2.0 * (n + z2)))


def found_hits(ordinals: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[n_queries]: how many of each query's true hits were found."""
    both = [len(np.intersect1d(a[a >= 0], t[t >= 0])) for a, t in zip(ordinals, truth, strict=True)]
    return np.array(both, np.int64)


def recall(ordinals: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Share of the true hits that were found, over all queries together; 1 where there are none."""
    hits = int((truth >= 0).sum())
    return float(found_hits(ordinals, truth).sum() / hits) if hits else 1.0


def queries_from_documents(snapshot: Snapshot, sample: int, seed: int) -> SparseVectors:
    """The heaviest terms of some live documents, as a stand-in for queries.

    Raises:
        InvalidInputError: if sample < 1 or there is no document.
    """
    sample = whole("sample", sample, 1)
    live = snapshot.live_ordinals()
    if not len(live):
        raise InvalidInputError("tune: the index holds no documents")
    chosen = np.random.default_rng(seed).choice(live, min(sample, len(live)), replace=False)
    return snapshot.vectors(np.sort(chosen)).top_k(QUERY_TERMS)
