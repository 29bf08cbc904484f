"""The last table of an evaluation over several collections: systems by collections, with significance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from splade_engine.eval.measures.significance import against_baseline, marks
from splade_engine.eval.report.markup import markdown
from splade_engine.eval.report.tables import effectiveness_table, measure_rows
from splade_engine.eval.run.results import Result


def summary(
    results: Sequence[Result],
    baseline: str = "",
    seed: int = 42,
    groups: Mapping[str, str] | None = None,
    parts: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """One Markdown table per measure, means as in `measure_table`; "" for a single collection without a
    baseline.
    """
    several = len({r.dataset for r in results}) > 1
    if not results or not (several or baseline):
        return ""
    out = []
    tested = baseline if len({r.system for r in results}) > 1 else ""
    for row in measure_rows(results):
        found = marks(against_baseline(results, tested, row.label, seed)) if tested else {}
        header, rows = effectiveness_table(results, row.label, found, groups, parts)
        out.append(markdown(header, rows))
    text = "\n".join(out)
    if tested:
        text += (
            f"\n+ / -: better / worse than {tested}, paired t-test and randomisation test, both p < .05 after"
            " Holm's correction over the systems of a collection\n"
        )
    return text
