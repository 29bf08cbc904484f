"""What the adapters share: an index to search, and a hit as a text with fields beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splade_engine.engine import Hit, SearchEngine


def opened(index: SearchEngine | str | Path) -> SearchEngine:
    """An engine, or the one of an index folder."""
    return index if isinstance(index, SearchEngine) else SearchEngine.open(index)


def fields_of(hit: Hit, **ours: Any) -> dict[str, Any]:
    """The title and metadata of a hit, with what a framework wants beside them.

    A field of the document that has a name of ours, such as `score` or `title`, is called `document.score`.
    """
    own: Mapping[str, Any] = hit.metadata
    ours = {**({"title": hit.title} if hit.title else {}), **ours}
    return {**{f"document.{name}" if name in ours else name: own[name] for name in own}, **ours}
