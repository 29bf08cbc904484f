"""Options that several commands share, and the few checks that every one of them makes alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from splade_engine.cli.log import shows_progress
from splade_engine.cli.numbers import LONGEST, THREADS, real, whole

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus
    from splade_engine.encoder import SparseEncoder

IndexFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The index folder.")]
Encoder = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        "-e",
        help="Model folder or hub id; default: the bundled encoder (`bundled`); `tiny` is its smaller size.",
    ),
]
IndexEncoder = Annotated[
    str | None, typer.Option("--encoder", "-e", help="Model folder or hub id; default: the index's own.")
]
Plain = Annotated[
    bool, typer.Option("--plain", help="Read +word, -word and quotes in the query as plain words.")
]
MaxLength = Annotated[
    int | None,
    whole("--max-length", most=LONGEST, help="Tokens read of a text; default: the encoder's."),
]
LongTexts = Literal["cut", "windows"]
LongTextsOption = Annotated[
    LongTexts | None,
    typer.Option(
        "--long-texts",
        help="Texts beyond --max-length: cut, or windows (all is read, slower); default: the encoder's.",
    ),
]
MaxTerms = Annotated[
    int | None,
    whole("--max-terms", help="Keep the heaviest terms of a document; default: all."),
]
BatchTokens = Annotated[int | None, whole("--batch-tokens", help="Tokens encoded at a time.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16, float16, int8.")]
Threads = Annotated[int | None, whole("--threads", most=THREADS, help="Default: all cores.")]
AllowEmpty = Annotated[
    bool, typer.Option("--allow-empty", help="Keep documents without text (they are never found).")
]
PassageTokens = Annotated[
    int | None,
    whole(
        "--passages",
        least=16,
        help="Cut documents into passages of N tokens; default: 256 for files, records are not cut.",
    ),
]
Overlap = Annotated[
    int, whole("--overlap", least=0, help="Tokens that a passage repeats of the one before; default 0.")
]
FileEncoding = Annotated[
    str | None,
    typer.Option(
        "--encoding", metavar="NAME", help="Decode text files that are not UTF-8 as NAME (latin-1)."
    ),
]
ColumnTypes = Annotated[
    str | None,
    typer.Option(
        "--types",
        metavar="COLUMN=TYPE,...",
        help="Types of columns of CSV and TSV: int, float, bool, date, text; default: found in the file.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
K = Annotated[int, whole("--top-k", "-k", help="Number of hits.")]
Accuracy = Annotated[
    float | None,
    real("--accuracy", help="Share of the true top k to find, for example 0.95."),
]


def load_encoder(
    source: str | None,
    *,
    max_length: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    long_texts: LongTexts | None = None,
) -> SparseEncoder:
    """The encoder that the options name; None stands for the bundled one."""
    from splade_engine.encoder import SparseEncoder

    return SparseEncoder.load(
        source, max_length=max_length, device=device, dtype=dtype, long_texts=long_texts
    )


def named_encoder(source: str | None, **how: Any) -> SparseEncoder | None:
    """The encoder that `--encoder` names, None where it was not given: the index knows its own."""
    return None if source is None else load_encoder(source, **how)


def encode_options(max_terms: int | None, batch_tokens: int | None) -> dict[str, Any]:
    """Keyword arguments for `encode_documents`: those that were given."""
    given = {"top_k": max_terms, "batch_tokens": batch_tokens}
    return {name: value for name, value in given.items() if value is not None}


def corpus_of(
    source: Path,
    *,
    allow_empty: bool = False,
    passages: int | None = None,
    overlap: int = 0,
    encoding: str | None = None,
    types: str | None = None,
) -> Corpus:
    """The corpus that the options describe.

    Raises:
        InvalidInputError: options that do not go together.
    """
    from splade_engine.collections.corpus import Corpus
    from splade_engine.collections.passages import DEFAULT_TOKENS, Passages

    how = Passages(passages or DEFAULT_TOKENS, overlap) if passages or overlap else None
    return Corpus(
        source, allow_empty=allow_empty or None, passages=how, encoding=encoding, types=_types(types)
    )


def _types(option: str | None) -> dict[str, str] | None:
    from splade_engine.errors import InvalidInputError

    if option is None:
        return None
    types: dict[str, str] = {}
    for part in option.split(","):
        name, equals, kind = (piece.strip() for piece in part.rpartition("="))
        if not equals or not name:
            raise InvalidInputError(f"--types: {part!r:.60}; give COLUMN=TYPE,..., such as year=int,zip=text")
        if types.setdefault(name, kind) != kind:
            raise InvalidInputError(f"--types: {name!r:.60} is given two types")
    return types


def survey(corpus: Corpus) -> None:
    """Read a corpus before a model is loaded, so that bad input shows at once.

    One that is cut by the model's tokens is read when they are known.
    """
    if not corpus.is_cut:
        corpus.survey(shows_progress())
