"""A picture of a run: losses, terms, held-out quality over steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from splade_engine.errors import MissingExtraError
from splade_engine.files import atomic_file
from splade_engine.training.objective.penalties import REGULARIZERS
from splade_engine.training.run.monitor import LOSSES

_PANELS = (
    ("loss", ("loss", *LOSSES)),
    ("terms", ("document_terms", "query_terms")),
    ("penalty", tuple(f"{kind}_{each.name}" for kind in ("penalty", "lambda") for each in REGULARIZERS)),
    ("FLOPS", ("flops",)),
    ("dead terms", ("dead_terms",)),
    ("nDCG@10, held out", ("ndcg@10",)),
)

_MARKED = 12  # points up to which each is marked


def draw_curves(rows: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """Write a PNG of the rows of `log.jsonl`.

    Raises:
        MissingExtraError: without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("the curves need matplotlib: pip install 'splade-engine[train]'") from None
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    FigureCanvasAgg(figure)  # no display, no global state
    axes = figure.subplots(2, 3).flat
    for axis, (name, keys) in zip(axes, _PANELS, strict=True):
        drawn = False
        for key in keys:
            points = [(row["step"], row[key]) for row in rows if key in row and "step" in row]
            if points:
                # a line through one point shows nothing
                mark = "o" if len(points) <= _MARKED else ""
                axis.plot(*zip(*points, strict=True), label=key, linewidth=1.2, marker=mark, markersize=4)
                drawn = True
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
        if drawn:
            axis.legend(fontsize=7)
        if name == "penalty" and drawn:
            axis.set_yscale("symlog", linthresh=1e-6)
    figure.suptitle(title, fontsize=11)
    with atomic_file(path) as file:
        figure.savefig(file, dpi=110, format="png")
