"""Text in, ranked hits out: an encoder, an index and the documents' text, kept together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from splade_engine.lazy import lazy

if TYPE_CHECKING:
    from splade_engine.encoder.neighbours import NeighbourSettings
    from splade_engine.engine.adapting import Adaptation, adapt
    from splade_engine.engine.engine import SearchEngine
    from splade_engine.engine.expansion import TermExpansion, expanded
    from splade_engine.engine.explain import Explanation, TermMatch
    from splade_engine.engine.feedback import Feedback
    from splade_engine.engine.fusion import Hybrid, Side
    from splade_engine.engine.hits import Hit, Hits
    from splade_engine.engine.options import SearchOptions
    from splade_engine.engine.rerank import Rerank
    from splade_engine.engine.snippets import Snippet

__all__ = [
    "Adaptation",
    "Explanation",
    "Feedback",
    "Hit",
    "Hits",
    "Hybrid",
    "NeighbourSettings",
    "Rerank",
    "SearchEngine",
    "SearchOptions",
    "Side",
    "Snippet",
    "TermExpansion",
    "TermMatch",
    "adapt",
    "expanded",
]

_HOMES = {
    "Adaptation": "adapting",
    "NeighbourSettings": "adapting",
    "adapt": "adapting",
    "Explanation": "explain",
    "Hit": "hits",
    "Feedback": "feedback",
    "Hits": "hits",
    "Hybrid": "fusion",
    "Rerank": "rerank",
    "SearchEngine": "engine",
    "SearchOptions": "options",
    "Side": "fusion",
    "Snippet": "snippets",
    "TermExpansion": "expansion",
    "TermMatch": "explain",
    "expanded": "expansion",
}

# encoding a corpus does not compile the index's kernels
__getattr__ = lazy(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
