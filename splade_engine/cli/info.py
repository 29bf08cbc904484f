"""`splade-engine info`: what an index holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from splade_engine.cli import options, output

if TYPE_CHECKING:
    from splade_engine.index import IndexInfo


def run(folder: options.IndexFolder, as_json: options.Json = False) -> None:
    """What an index holds: documents, terms, size on disk, metadata, encoder, tuned settings.

    \b
    Examples:
      splade-engine info my-index
      splade-engine info my-index --json | jq .n_docs
    """
    from splade_engine.collections.metadata import FILE_STATE
    from splade_engine.index import SparseIndex
    from splade_engine.index.lists import to_record

    info = SparseIndex.open(folder, verify="offsets").info()
    if as_json:
        content = {**asdict(info), "total_bytes": info.total_bytes, "terms_per_doc": info.terms_per_doc}
        output.write_json(content | {"lists": to_record(info.lists)})
        return
    encoder = dict(info.encoder or {})
    columns = [f"{name} ({kind})" for name, kind in info.columns.items() if name != FILE_STATE]
    sizes = ", ".join(f"{kind} {output.megabytes(size)}" for kind, size in info.bytes.items())
    stored = {name: value for name, value in info.config.items() if name != "lists"}
    output.write_pairs(
        [
            ("index", str(folder)),
            ("documents", f"{info.n_docs:,}" + (f" ({info.n_deleted:,} deleted)" if info.n_deleted else "")),
            ("terms per document", f"{info.terms_per_doc:.1f} of {info.n_terms:,}"),
            ("size", f"{output.megabytes(info.total_bytes)} ({sizes})"),
            ("stored", ", ".join(columns) or "vectors only"),
            ("encoder", ", ".join(f"{k} {v}" for k, v in encoder.items()) or "not recorded"),
            ("segments", f"{info.n_segments}, generation {info.generation}"),
            ("format", f"{info.format_version}, " + ", ".join(f"{k} {v}" for k, v in stored.items())),
            ("posting lists", _lists(info)),
            ("fingerprint", info.fingerprint),
            ("tuned", "" if info.tuned else "no (splade-engine tune)"),
        ]
    )
    if info.tuned:
        rows = [
            (
                f"{t.target:.2f}",
                str(t.k),
                f"{t.recall:.3f}",
                f"{t.microseconds:.0f}",
                "unknown" if t.n_docs is None else f"{t.n_docs:,}",
            )
            for t in info.tuned
        ]
        for line in output.table_lines(("  accuracy", "k", "recall", "us per query", "of documents"), rows):
            output.write(line)
        from splade_engine.index.measured_on import ADVICE

        doubt = next((t.doubt for t in info.tuned if t.doubt), None)
        if doubt is not None:
            output.note(f"{folder}: {doubt}: {ADVICE}")


def _lists(info: IndexInfo) -> str:
    """The kind of posting lists, parameters that are not the default, and what pruning left out."""
    from splade_engine.index.lists import written

    told = written(info.lists)
    if info.n_pruned:
        told += f"; {info.n_pruned:,} of {info.nnz:,} entries left out"
    if info.n_unlisted:
        more = ", ..." if info.n_unlisted > 5 else ""
        names = ", ".join(info.unlisted[:5]) + more
        told += f"; {info.n_unlisted:,} documents in no list, found by exact search only: {names}"
    return told
