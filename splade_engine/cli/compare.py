"""`splade-engine compare`: results and runs side by side, as a page, LaTeX and Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splade_engine.cli import output
from splade_engine.cli.targets import check_files, check_like


def run(
    paths: Annotated[list[Path], typer.Argument(help="Result folders of `eval --output`, or TREC runs.")],
    page: Annotated[Path, typer.Option("--output", "-o", help="The HTML page to write.")] = Path(
        "comparison.html"
    ),
    dataset: Annotated[
        str | None, typer.Option(help="Judgments for run files: a BEIR folder or an ir_datasets id.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which qrels of that folder (default: test).")] = None,
    baseline: Annotated[str | None, typer.Option(help="Test significance against this system.")] = None,
    measures: Annotated[
        str | None,
        typer.Option("--measures", "-m", help="Shown first; computed where a run or result lacks them."),
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Retrieval evaluation",
    latex: Annotated[Path | None, typer.Option(help="Also write the tables as LaTeX.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the tables as Markdown.")] = None,
) -> None:
    """Compare systems: one HTML page with sortable tables, significance, cost, and queries won and lost.

    The page needs no network and holds a table per measure. The first of them is printed.

    \b
    Examples:
      splade-engine compare results -o report.html --latex tables.tex
      splade-engine compare a.run b.run --dataset my-collection --baseline a
    """
    from splade_engine.collections.loading import load_dataset
    from splade_engine.errors import InvalidInputError
    from splade_engine.eval.measures.effectiveness import DEFAULT_MEASURES, parse_measures
    from splade_engine.eval.report.comparison import load_comparison
    from splade_engine.eval.report.page import html_page
    from splade_engine.eval.report.written import latex_tables, markdown_tables
    from splade_engine.files import write_text

    for path in paths:
        if not path.exists():
            raise output_error(path)
    check_files([page, latex, markdown], [*paths, dataset], reports=True)
    check_like(page, "page of compare")
    check_like(latex, "file of LaTeX tables")
    check_like(markdown, "file of Markdown tables")
    files_given = any(path.is_file() for path in paths)
    names = parse_measures(measures) if measures else DEFAULT_MEASURES if files_given else ()
    if dataset is not None and not files_given:
        raise InvalidInputError("--dataset: is for run files; result folders hold their judgments")
    judged = load_dataset(dataset, split) if dataset else None
    comparison = load_comparison(paths, judged, names, baseline)
    write_text(page, html_page(comparison, title))
    if markdown is not None:
        write_text(markdown, markdown_tables(comparison))
    if latex is not None:
        write_text(latex, latex_tables(comparison))
    output.write_block(markdown_tables(comparison, main=True))
    others = len(comparison.measures) - 1
    output.note(f"the page is {page}" + (f", with {others} more measures" if others > 0 else ""))


def output_error(path: Path) -> Exception:
    """The error for an argument that does not exist."""
    from splade_engine.errors import InvalidInputError

    return InvalidInputError(f"{path}: no such result folder or run file")
