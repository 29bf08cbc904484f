"""`Plan`: machines, memory, time and money for so many passages, and what gives way first."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scripts.scale.figures import GIB, Figures
from splade_engine.errors import InvalidInputError


@dataclass(frozen=True)
class Wanted:
    """What is asked of a collection."""

    documents: int
    queries_per_second: float = 100.0
    recall: str = "0.95"
    # machines that hold each shard
    replicas: int = 2
    # in which all passages are to be encoded
    encode_hours: float = 24.0
    # of an answer, 99 of 100
    p99_ms: float = 100.0
    # share of time in which every shard answers
    available: float = 0.999

    def __post_init__(self) -> None:
        if self.documents < 1 or self.queries_per_second <= 0 or self.replicas < 1 or self.encode_hours <= 0:
            raise InvalidInputError("documents, queries per second, replicas and hours must be above 0")


@dataclass(frozen=True)
class Plan:
    """What that takes."""

    wanted: Wanted
    # of the collection; each fills the memory of one machine at most
    shards: int
    index_gib: float
    search_ms: float
    # share of the cores of a machine that searching keeps busy
    load: float
    encode_core_hours: float
    encode_machines: int
    build_minutes: float
    machines: int
    price_per_hour: float
    # share of time in which every shard has a machine that works
    available: float


def planned(figures: Figures, wanted: Wanted) -> Plan:
    """The smallest number of shards whose memory and processors suffice.

    Raises:
        InvalidInputError: for a recall that was not measured.
    """
    if wanted.recall not in figures.search:
        raise InvalidInputError(f"recall {wanted.recall}: measured are {', '.join(figures.search)}")
    shards = math.ceil(wanted.documents / figures.documents_per_machine)
    while True:
        search = figures.search_ms(wanted.recall, wanted.documents / shards)
        load = wanted.queries_per_second * search / 1000 / wanted.replicas / figures.cores
        if load <= 0.5 or shards > wanted.documents:
            break
        shards = math.ceil(shards * 1.1) if shards > 10 else shards + 1
    encode = wanted.documents / figures.passages_per_second_core / 3600
    build = wanted.documents / shards / 1e6 * figures.seconds_per_million_core / figures.cores / 60
    machines = shards * wanted.replicas
    return Plan(
        wanted=wanted,
        shards=shards,
        index_gib=wanted.documents * figures.passage_bytes / GIB,
        search_ms=search,
        load=load,
        encode_core_hours=encode,
        encode_machines=math.ceil(encode / figures.cores / wanted.encode_hours),
        build_minutes=build,
        machines=machines,
        price_per_hour=machines * figures.price_per_hour,
        available=(1 - (1 - figures.availability) ** wanted.replicas) ** shards,
    )


def first_to_break(figures: Figures, plan: Plan, p99_ms: float) -> list[tuple[str, str]]:
    """What does not hold at this size, the worst first, and the knob that moves it."""
    wanted, broken = plan.wanted, []
    if plan.shards > figures.shards:
        knob = f"a level of collections above the {figures.shards} shards of one; machines with more memory"
        broken.append((plan.shards / figures.shards, f"{plan.shards:,} shards in one collection", knob))
    if p99_ms > wanted.p99_ms:
        knob = "replicas and a second request to another replica after the p95; fewer, larger shards"
        broken.append((p99_ms / wanted.p99_ms, f"p99 of {p99_ms:.0f} ms for {wanted.p99_ms:.0f}", knob))
    if plan.available < wanted.available:
        lost = (1 - plan.available) / (1 - wanted.available)
        knob = "one more replica; `--missing tell`, which answers without a shard and says so"
        broken.append((lost, f"all shards answer {plan.available:.4%} of the time", knob))
    if plan.encode_machines > plan.machines:
        knob = "GPUs for encoding; a smaller encoder; more hours"
        what = f"{plan.encode_machines:,} machines to encode in {wanted.encode_hours:.0f} h"
        broken.append((plan.encode_machines / plan.machines, what, knob))
    if plan.shards > 1 and not broken:
        broken.append(
            (1.0, f"memory: {plan.index_gib:,.0f} GiB", "8-bit weights (`--weights uint8`); more machines")
        )
    return [(what, knob) for _, what, knob in sorted(broken, key=lambda row: -row[0])]
