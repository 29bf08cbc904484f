"""`Miss`: at which step an approximate search lost a document, and by how much; found for lists over blocks.

The search is repeated by the functions that it is compiled of, run as Python: so what is told is what
happened, not what should have.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from splade_engine.index.kernels.block_sizes import BLOCK, LANES

if TYPE_CHECKING:
    from splade_engine.index.kernels.groups import Allowed, Blocks, BlockScratch, Limits, Queries


@dataclass(frozen=True)
class Miss:
    """Why an approximate search did not score a document that is good enough."""

    # "skipped": its block was not visited, `estimate` being what the query's heaviest terms can give a
    # document of the block at most; "unread": lists in order of impact were left before its first entry;
    # "outscored": it was no candidate, `estimate` being what the entries that were read give it
    step: Literal["skipped", "unread", "outscored"]
    # both in the units of scores, and too small by less than a thousandth of the largest possible score
    estimate: float
    # the least estimate that was enough
    threshold: float
    # ids of the query's terms from whose lists the document was pruned, which lowers its estimates
    pruned: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the numbers, and `told`, what `str` says."""
        return {**asdict(self), "told": str(self)}

    def __str__(self) -> str:
        """In one line, as for a log."""
        if self.step == "skipped":
            told = f"its block was skipped: heavy terms give a document of it {self.estimate:.3f} at most"
        elif self.step == "unread":
            told = "the lists were left before its first entry: nothing was known of it"
        else:
            told = f"it was outscored: what was read gives it {self.estimate:.3f}"
        told += f", {self.threshold:.3f} was needed"
        numbers = ", ".join(map(str, self.pruned))
        return told + (f"; pruned from the lists of the terms {numbers}" if numbers else "")


def find_miss(
    blocks: Blocks,
    scratch: BlockScratch,
    limits: Limits,
    queries: Queries,
    allowed: Allowed,
    doc: int,
    held: frozenset[int],
) -> Miss | None:
    """What became of document `doc` in the search for the one query of a batch; None where it was scored.

    Args:
        blocks: the lists.
        scratch: room to work in, clean.
        limits: of the search; not exact.
        queries: a batch of one.
        allowed: documents that may be returned.
        doc: the document.
        held: the terms that it holds, by number.
    """
    from splade_engine.index.kernels import block_search as search
    from splade_engine.index.kernels.visit import bound_blocks, clear_blocks, least_of_largest, visit_blocks

    with np.errstate(over="ignore"):  # words wrap round in Python as they do when compiled
        count = search.load_terms(queries, 0, blocks, scratch)
        total = search.count_entries(blocks, count, scratch)
        share = len(blocks.docs) / max(allowed.total, 1)
        wanted = search.wanted_blocks(float(limits.postings) * share, blocks, total)
        scale = search.set_multipliers(count, scratch)
        ranking = search.ranking_terms(search.VISIT_BEST, count, scratch)
        bound_blocks(blocks, ranking, scratch)
        clear_blocks(blocks, allowed, scratch)
        threshold = int(least_of_largest(scratch.bounds, blocks.n_blocks, wanted))
        block, place = divmod(int(np.flatnonzero(blocks.docs == doc)[0]), BLOCK)
        pruned = _pruned(blocks, scratch.terms.numbers[:count].tolist(), block * BLOCK + place, held)
        bound = int(scratch.bounds[block])
        if bound < threshold:
            return Miss("skipped", float(bound / scale), float(threshold / scale), pruned)
        heavy = search.heaviest_terms(count, search.MASS, scratch)
        kept = search.best_sums(blocks, wanted, heavy, limits.candidates, allowed, scratch)
        if doc in scratch.found.docs[:kept]:
            return None
        least = int(scratch.found.bounds[:kept].min()) if kept else 1
        scratch.visited[0] = block
        visit_blocks(blocks, 0, 1, heavy, scratch)
        return Miss("outscored", float(scratch.sums[place] / scale), float(least / scale), pruned)


def _pruned(blocks: Blocks, numbers: list[int], place: int, held: frozenset[int]) -> tuple[int, ...]:
    """Ids of the terms that the document at this place holds and in whose lists it does not stand."""
    return tuple(int(blocks.term_ids[t]) for t in numbers if t in held and not _listed(blocks, t, place))


def _listed(blocks: Blocks, t: int, place: int) -> bool:
    column = int(blocks.columns[t])
    if column >= 0:
        mask = int(blocks.masks[column * blocks.n_groups + place // LANES])
        return bool(mask >> (place % LANES) & 1)
    heads = slice(int(blocks.head_starts[t]), int(blocks.head_starts[t + 1]))
    at = np.flatnonzero(blocks.heads[heads] == place // BLOCK)
    return bool(len(at)) and bool(int(blocks.head_masks[heads][at[0]]) >> (place % BLOCK) & 1)
