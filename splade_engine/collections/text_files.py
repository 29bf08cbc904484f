"""Text and Markdown files as passages of about 200 words.

A learned sparse encoder reads a few hundred tokens of a text, and a person who searches their notes wants
the place, not the file. So a long file is cut between paragraphs into passages of up to 200 words
(Elasticsearch cuts at 250); a paragraph that is longer is cut between sentences. Ids are the path below the
folder; a file of several passages gives `notes/plan.md#1`, `notes/plan.md#2`, ... The title is the file's
first heading, else its name. A heading stays with the paragraph that follows it. Hidden files and folders
are left out.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from splade_engine.collections.limits import Limits
from splade_engine.collections.text_lines import check_regular
from splade_engine.errors import DatasetError

logger = logging.getLogger(__name__)

TEXT_SUFFIXES = (".txt", ".md", ".markdown", ".rst")
MARKDOWN_SUFFIXES = (".md", ".markdown")
PASSAGE_WORDS = 200
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*$")
_PARAGRAPH_END = re.compile(r"\n\s*\n")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage of a file: `path` below the folder that was read, `number` from 1."""

    id: str
    path: str
    number: int
    title: str
    text: str


def read_text_files(source: Path, root: Path | None = None) -> Iterator[Passage]:
    """The passages of one file, or of every text file below a folder, by path. Files without text give none.

    Args:
        source: a file or a folder.
        root: the folder from which the path of a single file is told; None: the one that it lies in.

    Raises:
        DatasetError: naming a file that is not UTF-8, and the line.
    """
    for file, relative in _text_files(source, root):
        if file.is_file():
            yield from _passages(file, relative)
        else:  # a pipe, a device, a link to nowhere: reading one could wait for ever
            logger.warning("%s: is left out, not a file", readable(str(file)))


def text_paths(source: Path, root: Path | None = None) -> Iterator[str]:
    """The `path` of every file that `read_text_files` reads, those without text included."""
    return (readable(relative) for _, relative in _text_files(source, root))


def passage_id(path: str, number: int, count: int) -> str:
    """The id of passage `number` (from 1) of a file that is cut into `count`."""
    return path if count == 1 else f"{path}#{number}"


def _text_files(source: Path, root: Path | None) -> Iterator[tuple[Path, str]]:
    if not source.is_dir():
        yield source, source.name if root is None else source.absolute().relative_to(root).as_posix()
        return
    for folder, subfolders, names in os.walk(source):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in TEXT_SUFFIXES:
                file = Path(folder) / name
                yield file, file.relative_to(source).as_posix()


def readable(name: str) -> str:
    """A file name as text: bytes that are not UTF-8 become `\\xe9`, so that an id can hold them."""
    return os.fsencode(name).decode("utf-8", "backslashreplace") if not _is_text(name) else name


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _passages(file: Path, relative: str) -> Iterator[Passage]:
    text = _read(file)
    markdown = file.suffix.lower() in MARKDOWN_SUFFIXES
    relative = readable(relative)
    title = (_first_heading(text) if markdown else None) or readable(file.stem)
    texts = split_passages(text)
    longest = Limits.of_environment()
    for number, passage in enumerate(texts, start=1):
        if len(passage) > longest.document_bytes:
            raise DatasetError(
                f"{readable(str(file))}: a passage of more than {longest.document_bytes:,} characters "
                f"without a space ({longest.hint('document_bytes')})"
            )
        yield Passage(passage_id(relative, number, len(texts)), relative, number, title, passage)


def _read(file: Path) -> str:
    place, limits = readable(str(file)), Limits.of_environment()
    try:
        check_regular(file)
        size = file.stat().st_size
        if size > limits.file_bytes:
            raise DatasetError(
                f"{place}: {size:,} bytes, more than {limits.file_bytes:,} ({limits.hint('file_bytes')})"
            )
        raw = file.read_bytes()
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{place}:{line}: invalid UTF-8 (byte 0x{raw[error.start]:02x})") from None
    except OSError as error:
        raise DatasetError(f"{place}: cannot be read ({error.strerror or error})") from None


def _first_heading(text: str) -> str | None:
    for line in text.splitlines():
        match = _HEADING.match(line)
        if match and match[1]:
            return match[1]
    return None


def split_passages(text: str, words: int = PASSAGE_WORDS) -> list[str]:
    """Cut a text between paragraphs into passages of at most `words` words, where its sentences allow it."""
    passages: list[str] = []
    held: list[str] = []
    n_held = 0
    for piece, n_words in _pieces(text, words):
        if held and n_held + n_words > words and not _HEADING.match(held[-1]):
            passages.append("\n\n".join(held))
            held, n_held = [], 0
        held.append(piece)
        n_held += n_words
    if held:
        passages.append("\n\n".join(held))
    return passages


def _pieces(text: str, words: int) -> Iterator[tuple[str, int]]:
    """Paragraphs with their number of words; one longer than `words` in groups of sentences, or of words."""
    for block in _PARAGRAPH_END.split(text):
        paragraph = block.strip()
        n_words = len(paragraph.split())
        if n_words <= words:
            if paragraph:
                yield paragraph, n_words
            continue
        held: list[str] = []
        n_held = 0
        for sentence in _SENTENCE_END.split(paragraph):
            tokens = sentence.split()
            for start in range(0, len(tokens), words):
                part = tokens[start : start + words]
                if held and n_held + len(part) > words:
                    yield " ".join(held), n_held
                    held, n_held = [], 0
                held.append(sentence if len(tokens) <= words else " ".join(part))
                n_held += len(part)
        yield " ".join(held), n_held
