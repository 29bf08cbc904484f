"""The corpus in which the bundled encoder's training queries find their `competitors`, from the same
collections.

Wikipedia passages, the other sentences of the passages whose single sentences are trained on (what a question
must tell apart), and the training documents of all other sources. What `default_data.py` keeps for evaluation
is kept for it here: the distractors, and texts that share 13 words with a test text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from splade_engine.atomic_file import atomic_file
from splade_engine.documents.text_lines import read_lines
from splade_engine.training import default_data
from splade_engine.training.copies import Copies

PASSAGES = 100_000  # of Wikipedia: as many as evaluation has distractors


def write_corpus(
    folder: str | Path, sources: Sequence[Path], output: str | Path, apart: Sequence[str | Path] = ()
) -> int:
    """Write the corpus, `{"_id", "text"}` a line, each text once.

    Args:
        folder: the collections, laid out as `default_data.py` says.
        sources: what `default_data.write_sources` wrote.
        output: the file.
        apart: BEIR folders whose texts must not be in it.

    Returns:
        The number of documents.

    Raises:
        DatasetError: naming the file that is missing or not readable.
    """
    copies = Copies(apart)
    seen: set[str] = set()
    with atomic_file(Path(output)) as file:
        for text in _documents(Path(folder), sources):
            if text not in seen and not copies.has(text):
                row = {"_id": str(len(seen)), "text": text}
                file.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
                seen.add(text)
    return len(seen)


def _documents(folder: Path, sources: Sequence[Path]) -> Iterator[str]:
    single = [path for path in sources if path.stem == "wikipedia-sentences"]
    trained = {text for path in single for text in _positives(path)}
    first, last = default_data.DISTRACTORS, default_data.DISTRACTORS + PASSAGES
    for number, row in enumerate(default_data.wikipedia_rows(folder)):
        if number < first:
            continue
        if number < last:
            yield f"{row['title']} {row['text']}"
        fitting = default_data.sentences(row["text"])
        if not trained.isdisjoint(fitting):
            yield from fitting
    for path in sorted(sources):
        if not path.name.startswith("wikipedia"):
            yield from _positives(path)


def _positives(path: Path) -> Iterator[str]:
    for _, line in read_lines(path):
        yield json.loads(line)["positive"]
