"""Two pictures of a result: recall against time, and time against the number of documents.

    python -m search_bench.plot RESULT.json FOLDER [--size N]      (in the folder scripts)

RESULT.json is what `scripts/bench_search --json` writes, with --growth or without.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from search_bench.measure import TARGETS, Result, Run, chosen

mpl.use("svg")
import matplotlib.pyplot as plt

STYLES: dict[str, tuple[str, str, str]] = {  # name, colour, marker
    "splade-engine-blocks": ("splade-engine, blocks", "#2f6fb3", "o"),
    "splade-engine-blocks-pruned": ("splade-engine, pruned blocks", "#1d3f66", "v"),
    "splade-engine": ("splade-engine, impact", "#7ab0dd", "s"),
    "seismic": ("Seismic", "#d97706", "^"),
    "sindi": ("SINDI", "#6b7785", "D"),
    "bmp": ("BMP", "#8b5cf6", "v"),
    "kannolo": ("kannolo", "#b45309", "P"),
}
PLAIN = {"svg.fonttype": "none", "svg.hashsalt": "splade-engine", "font.size": 11, "axes.spines.top": False}


def frontier(runs: list[Run]) -> list[Run]:
    """Of each engine's contenders the settings that no other one beats in both time and recall."""
    best, kept = 0.0, []
    for run in sorted((r for r in runs if r.get("contends")), key=lambda r: r["us"]):
        if run["recall"] > best:
            best = run["recall"]
            kept.append(run)
    return kept


def axes(width: float, height: float) -> Any:
    """A figure and its axes, without a frame."""
    figure, plot = plt.subplots(figsize=(width, height))
    plot.spines["right"].set_visible(False)
    plot.grid(True, color="#e6eaee", linewidth=0.8)
    plot.set_axisbelow(True)
    return figure, plot


def draw_recall(results: list[Result], path: Path) -> None:
    """Time on a logarithmic axis against recall."""
    figure, plot = axes(8.0, 4.0)
    for result in results:
        name, colour, marker = STYLES[result["engine"]]
        runs = [run for run in frontier(result["runs"]) if run["recall"] >= 0.88]
        plot.plot(
            [r["recall"] for r in runs], [r["us"] for r in runs], marker=marker, color=colour, label=name
        )
    plot.set_yscale("log")
    named_ticks(plot.yaxis, plot.get_ylim())
    plot.set_xlabel("recall of the true top 10")
    plot.set_ylabel("microseconds per query")
    plot.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    save(figure, path)


def draw_growth(sizes: list[int], results: list[list[Result]], path: Path) -> None:
    """Documents against time at recall .95, both on logarithmic axes."""
    figure, plot = axes(8.0, 4.0)
    for engine in dict.fromkeys(r["engine"] for at_size in results for r in at_size):
        points = []
        for n, at_size in zip(sizes, results, strict=True):
            for result in at_size:
                best = chosen(result["runs"])[TARGETS.index(0.95)] if result["engine"] == engine else None
                if best is not None:
                    points.append((n, best["us"]))
        name, colour, marker = STYLES[engine]
        if len(points) > 1:
            slope = np.polyfit(*np.log(np.array(points)).T, 1)[0]
            name = f"{name}: n^{slope:.2f}"
        plot.plot(*zip(*points, strict=True), marker=marker, color=colour, label=name)
    plot.set_xscale("log")
    plot.set_yscale("log")
    plot.set_xticks(sizes, [f"{n:,}" for n in sizes])
    plot.minorticks_off()
    named_ticks(plot.yaxis, plot.get_ylim())
    plot.set_xlabel("documents")
    plot.set_ylabel("microseconds per query at recall 0.95")
    plot.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    save(figure, path)


def named_ticks(axis: Any, limits: tuple[float, float]) -> None:
    """Numbers in place of powers of ten."""
    ticks = [n * 10**power for power in range(5) for n in (1, 2, 5)]
    shown = [tick for tick in ticks if limits[0] <= tick <= limits[1]]
    axis.set_ticks(shown, [f"{tick:,}" for tick in shown])
    axis.set_ticks([], minor=True)


def save(figure: Any, path: Path) -> None:
    """Write a picture without its date."""
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Read the arguments, draw both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+", help="more files add sizes or engines")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, help="documents of the first picture; the most where not named")
    options = parser.parse_args()
    by_size: dict[int, list[Result]] = {}
    for file in options.results:
        found = json.loads(file.read_text())
        for at_size in found if isinstance(found[0], list) else [found]:
            by_size.setdefault(at_size[0]["documents"], []).extend(at_size)
    sizes = sorted(by_size)
    options.folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(PLAIN):
        draw_recall(by_size[options.size or sizes[-1]], options.folder / "recall-and-time.svg")
        draw_growth(sizes, [by_size[n] for n in sizes], options.folder / "documents-and-time.svg")


if __name__ == "__main__":
    main()
