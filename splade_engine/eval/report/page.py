"""One self-contained HTML page from a comparison: tables, charts, queries won and lost. It loads nothing.

`page.html.jinja` is the page, with autoescape on: whatever comes from outside is text in it. What goes in as
markup is ours: the style sheet, the script, and the charts, which escape their words themselves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from splade_engine.errors import MissingExtraError
from splade_engine.eval.measures.significance import (
    BASELINE_TESTS,
    LETTER_TEST,
    against_baseline,
    letter,
    letters,
)
from splade_engine.eval.report.comparison import OF_DATA, Comparison
from splade_engine.eval.report.headline import headlines
from splade_engine.eval.report.page_data import page_data
from splade_engine.eval.report.published import published
from splade_engine.eval.report.quantities import collection_line
from splade_engine.eval.report.table import Table
from splade_engine.eval.report.tables import (
    cost_table,
    effectiveness_table,
    measures_table,
    significance_table,
)
from splade_engine.eval.run.machine import described

if TYPE_CHECKING:
    from jinja2 import Template

TALL = 20  # rows from which a table scrolls in a frame of its own, below a header that stays


def html_page(comparison: Comparison, title: str) -> str:
    """The page as text.

    Raises:
        MissingExtraError: without jinja2.
    """
    from markupsafe import Markup

    from splade_engine import __version__
    from splade_engine.eval.report import figures

    c = comparison
    data = json.dumps(page_data(c), ensure_ascii=False, separators=(",", ":"))
    return _template().render(
        title=title,
        version=__version__,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        c=c,
        keys={system: _Key(letter(i), i % 10) for i, system in enumerate(c.systems)},
        tall=TALL,
        lead=_lead(c),
        headlines=headlines(c),
        letter_test=LETTER_TEST,
        baseline_tests=BASELINE_TESTS,
        measures=_measures(c),
        collections=list({r.dataset: collection_line(r) for r in c.results}.values()),
        significance=_significance(c),
        cost=cost_table(c.results) if any(r.cost.latency for r in c.results) else None,
        tradeoff=figures.tradeoff(c),
        recall=figures.recall(c),
        sparsity=figures.sparsity(c),
        choices=_choices(c),
        about=[(name, value) for name, value in _about(c) if value not in (None, "")],
        css=Markup(_text("page.css")),
        js=Markup(_text("page.js")),
        # "<" cannot close the script element, and U+2028 is no line end in JSON either
        data=Markup(data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")),
    )


@dataclass(frozen=True)
class _Key:
    """The letter in its colour that stands for a system."""

    letter: str
    colour: int


@cache
def _template() -> Template:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise MissingExtraError("the page needs jinja2: pip install 'splade-engine[eval]'") from None
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_text("page.html.jinja"))


def _text(name: str) -> str:
    return (files("splade_engine.eval.report") / name).read_text(encoding="utf-8")


def _lead(c: Comparison) -> str:
    judged = sum({r.dataset: r.n_judged for r in c.results}.values())
    text = f"{_count(len(c.systems), 'system')} on {_count(len(c.datasets), 'collection')}, "
    return text + f"{judged:,} judged queries." + (f" Baseline: {c.baseline}." if c.baseline else "")


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _measures(c: Comparison) -> list[tuple[str, Table]]:
    """A heading and a table for each measure; one table of all measures where there is one collection.

    Numbers from the literature are about one measure each: where there are any, measures have tables.
    """
    literature = any(published(measure, c.published, c.sizes) for measure in c.measures)
    if len(c.datasets) == 1 and not literature and not c.groups:
        return [(f"{c.datasets[0]}: mean and 95 % interval", measures_table(c.results, c.baseline))]
    return [(measure, _measure_table(c, measure, i)) for i, measure in enumerate(c.measures)]


def _measure_table(c: Comparison, measure: str, number: int) -> Table:
    table = effectiveness_table(
        c.results,
        measure,
        letters(c.results, measure),
        c.groups,
        c.means,
        published=published(measure, c.published, c.sizes),
        baseline=c.baseline,
        means_first=True,
    )
    heads = (replace(table.columns[0], label="system"), *table.columns[1:])
    return replace(table, columns=heads, name=f"measure-{number}")


def _significance(c: Comparison) -> Table | None:
    if not c.is_tested:
        return None
    return significance_table(against_baseline(c.results, c.baseline, c.measures[0], c.seed))


def _choices(c: Comparison) -> list[tuple[str, str, list[tuple[Any, str]], Any]]:
    """(name, label, options, chosen) of what is compared query by query.

    When the page opens, another system is compared with the baseline.
    """
    if len(c.systems) < 2:
        return []
    base = c.systems.index(c.baseline) if c.baseline else 0
    other = next(i for i in range(len(c.systems)) if i != base)
    systems = list(enumerate(c.systems))
    return [
        ("dataset", "Collection", [(name, name) for name in c.datasets], c.datasets[0]),
        ("measure", "Measure", [(name, name) for name in c.measures], c.measures[0]),
        ("a", "System", systems, other),
        ("b", "Compared with", systems, base),
    ]


def _about(c: Comparison) -> list[tuple[str, Any]]:
    entries: list[tuple[str, Any]] = []
    for e in c.experiments:
        entries += [
            ("command", e.get("command")),
            ("run on", described(e.get("machine", {}))),
            ("started", e.get("started")),
            ("seed", e.get("seed")),
            ("versions", ", ".join(f"{name} {version}" for name, version in e.get("versions", {}).items())),
        ]
        entries += [(name, text) for name, text in e.get("state", {}).items() if text != "done"]
    for system in c.systems:
        own = [r for r in c.results if r.system == system]
        notes = dict.fromkeys(f"{r.dataset}: {note}" for r in own for note in r.notes)
        entries.append((f"system {system}", "; ".join([own[0].spec, *notes])))
    hashes: dict[str, dict[str, None]] = {}
    for r in c.results:
        for name, value in r.hashes.items():
            if name not in OF_DATA:
                hashes.setdefault(name, {})[str(value)] = None
    entries += [(name, ", ".join(values)) for name, values in hashes.items()]
    return entries + [(f"data {dataset}", _data_hashes(c, dataset)) for dataset in c.datasets]


def _data_hashes(c: Comparison, dataset: str) -> str:
    """Hashes of one collection and of the indexes over it; "" where only runs were given."""
    found = {name: value for r in c.results if r.dataset == dataset for name, value in r.hashes.items()}
    return ", ".join(f"{label} {found[name]}" for name, label in OF_DATA.items() if name in found)
