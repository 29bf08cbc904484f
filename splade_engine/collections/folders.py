"""Folders of files: which are read, what each gives, and what could not be read.

The id of a document is the path of its file below the folder, with `/`. One file that cannot be read does
not keep the others out: it is named, and so are kinds of files that nobody reads. Hidden files and folders
are left out, and folders that programs fill (`node_modules`, caches, virtual environments).
"""

from __future__ import annotations

import codecs
import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from splade_engine.collections.cutting import cut_document
from splade_engine.collections.documents import Document
from splade_engine.collections.formats import RECORD_SUFFIXES
from splade_engine.collections.limits import Limits
from splade_engine.collections.metadata import FILE_STATE
from splade_engine.collections.passages import Passages, TokenMeter
from splade_engine.collections.readers import FileKind, FileName, kind_of_file
from splade_engine.collections.readers.decoding import is_unicode
from splade_engine.collections.text_lines import check_regular
from splade_engine.errors import DatasetError, MissingExtraError, SpladeEngineError, reason_of
from splade_engine.files import digest, digest_64

logger = logging.getLogger(__name__)

_NEVER = {"node_modules", "__pycache__"}
_MARKED = ("CACHEDIR.TAG", "pyvenv.cfg")  # a folder with one of them is a program's own
_LONGEST = 300  # characters of a problem
_SHOWN = 20  # problems that are told one by one, and files of one problem that are named
_READERS = 1  # counts up when the same file is read or cut in another way: then `sync` reads it again


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that is read. `path` is below the folder that was scanned."""

    file: Path
    path: str
    kind: FileKind


@dataclass
class FolderReport:
    """What was found in a folder beside the documents."""

    # files that were read
    n_files: int = 0
    # (path, why) of files and folders that could not be read
    failed: list[tuple[str, str]] = field(default_factory=list)
    # what would help some of them, each once
    advice: list[str] = field(default_factory=list)
    # paths of files without text
    empty: list[str] = field(default_factory=list)
    # paths of folders that are links: they are not followed, as they may lead in a circle
    linked: list[str] = field(default_factory=list)
    # suffix -> (how many, the first one) of files of other kinds
    skipped: dict[str, tuple[int, str]] = field(default_factory=dict)

    def fail(self, file: SourceFile, error: SpladeEngineError) -> None:
        """Note a file that could not be read, and what would help."""
        reason, advice = (error.reason, error.advice) if isinstance(error, DatasetError) else (str(error), "")
        reason = reason.removeprefix(readable(str(file.file))).lstrip(": ")
        self.failed.append((file.path, reason[:_LONGEST]))
        if advice and advice not in self.advice:
            self.advice.append(advice)

    def warnings(self) -> list[str]:
        """One line for each thing that a reader would want to know; files with one problem share a line."""
        lines = []
        reasons: dict[str, list[str]] = {}
        for path, why in self.failed:
            reasons.setdefault(why, []).append(path)
        for why, paths in list(reasons.items())[:_SHOWN]:
            others = f" and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else ""
            lines.append(f"left out: {', '.join(paths[:_SHOWN])}{others}: {why}")
        if len(reasons) > _SHOWN:
            rest = sum(map(len, list(reasons.values())[_SHOWN:]))
            lines.append(f"left out: {rest:,} more that cannot be read; --verbose names all")
        lines += self.advice
        if self.empty:
            lines.append(f"{_files(len(self.empty))} without text ({_listed(self.empty)})")
        if self.linked:
            one = len(self.linked) == 1
            what = "1 folder is a link and is" if one else f"{len(self.linked):,} folders are links and are"
            lines.append(f"{what} not followed ({_listed(self.linked)}); index its target by itself")
        if self.skipped:
            total = sum(count for count, _ in self.skipped.values())
            kinds = sorted(self.skipped.items(), key=lambda item: -item[1][0])
            some = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, (count, _) in kinds[:6])
            more = ", ..." if len(kinds) > 6 else ""
            lines.append(
                f"{_files(total)} of kinds that are not read ({some}{more}), such as {kinds[0][1][1]}"
            )
            records = sorted(set(self.skipped) & RECORD_SUFFIXES)
            if records:
                verb = "hold" if len(records) > 1 else "holds"
                lines.append(f"{', '.join(records)} {verb} records: index such a file by itself")
        return lines

    def others(self) -> list[str]:
        """A line for each file that `warnings` may not name."""
        if len(self.failed) <= _SHOWN:
            return []
        return [f"left out: {path}: {why}" for path, why in self.failed]


@dataclass(frozen=True, slots=True)
class FileState:
    """What a document remembers of its file, so that `sync` knows whether it has changed."""

    # see `origin_of`
    origin: str
    # how the file was cut
    tokens: int
    overlap: int
    # the version of the readers
    readers: int
    # xxh3-128 of the content
    digest: str
    # how text that is not UTF-8 was decoded; "" for other files
    encoding: str = ""

    def __str__(self) -> str:
        how = f":{self.encoding}" if self.encoding else ""
        return f"{self.origin}:{self.tokens}+{self.overlap}:{self.readers}:{self.digest}{how}"

    @classmethod
    def parse(cls, text: str) -> FileState | None:
        """The state that was written so; None for another text."""
        match = _STATE.fullmatch(text)
        if match is None:
            return None
        origin, tokens, overlap, readers, digest, encoding = match.groups()
        return cls(origin, int(tokens), int(overlap), int(readers), digest, encoding or "")


def is_state(value: object) -> bool:
    """Whether it is what we write of how a document was cut: of a file its state, of a record that alone."""
    return isinstance(value, str) and (FileState.parse(value) or Passages.parse(value)) is not None


_STATE = re.compile(r"([0-9a-f]{16}):(\d{1,9})\+(\d{1,9}):(\d{1,4}):([0-9a-f]{32})(?::([\w-]{1,40}))?")


@dataclass(frozen=True)
class FileReading:
    """How files become documents."""

    passages: Passages = field(default_factory=Passages)
    meter: TokenMeter = field(default_factory=TokenMeter, compare=False)
    # how text that is not UTF-8 is decoded; None: such a file is left out
    encoding: str | None = None
    # what `sync` knows the folder by; None: its place
    name: str | None = None

    def state(self, data: bytes, origin: str) -> FileState:
        """What a document remembers of its file."""
        how = self.passages
        encoding = "" if self.encoding is None or is_unicode(data) else codecs.lookup(self.encoding).name
        return FileState(origin, how.tokens, how.overlap, _READERS, digest(data), encoding)


def origin_of(source: Path, name: str | None = None) -> str:
    """What tells a folder from others: its name if it has one, else its place; 16 hexadecimal digits."""
    folder = source if source.is_dir() else source.parent
    what = b"name " + name.encode() if name else b"place " + os.fsencode(folder.resolve())
    return f"{digest_64(what):016x}"


def scan(source: Path, report: FolderReport, root: Path | None = None) -> Iterator[SourceFile]:
    """The files to read, by path; what else is there goes into the report.

    Args:
        source: a folder, or a file of a kind that is read.
        report: is told.
        root: the folder from which the path of a single file is told; None: the one that it lies in.
    """
    if not source.is_dir():
        kind = kind_of_file(source.suffix.lower())
        assert kind is not None, source
        path = source.name if root is None else source.absolute().relative_to(root).as_posix()
        yield SourceFile(source, readable(path), kind)
        return

    def unreadable(error: OSError) -> None:
        path = readable(os.path.relpath(error.filename or source, source))
        report.failed.append((path, f"cannot be read ({error.strerror or error})"))

    for folder, subfolders, names in os.walk(source, onerror=unreadable):
        if any(name in _MARKED for name in names) and folder != str(source):
            subfolders.clear()
            continue
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name not in _NEVER)
        below = os.path.relpath(folder, source).replace(os.sep, "/")
        for name in subfolders:
            if os.path.islink(f"{folder}/{name}"):  # noqa: PTH114  # as above
                report.linked.append(readable(name if below == "." else f"{below}/{name}"))
        for name in sorted(names):
            if name.startswith("."):
                continue
            path = readable(name if below == "." else f"{below}/{name}")
            suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122  # ten times as fast as Path's
            kind = kind_of_file(suffix)
            if kind is None:
                count, first = report.skipped.get(suffix, (0, path))
                report.skipped[suffix] = (count + 1, first)
                continue
            yield SourceFile(Path(folder) / name, path, kind)


def read_files(
    files: Iterable[SourceFile], reading: FileReading, origin: str, report: FolderReport, *, strict: bool
) -> Iterator[Document]:
    """The passages of files; `strict`: a file that cannot be read is an error and not left out."""
    for file in files:
        try:
            documents = file_documents(file, read_bytes(file), reading, origin)
        except (DatasetError, MissingExtraError) as error:
            if strict:
                raise
            report.fail(file, error)
            continue
        report.n_files += 1
        if not documents:
            report.empty.append(file.path)
        yield from documents


def file_documents(file: SourceFile, data: bytes, reading: FileReading, origin: str) -> list[Document]:
    """The passages of one file; none where it has no text.

    Raises:
        DatasetError: naming the file, and the line where there is one.
    """
    place = readable(str(file.file))
    try:
        found = file.kind.read(data, FileName(place, file.file.suffix.lower(), reading.encoding))
    except (SpladeEngineError, MemoryError):
        raise
    except Exception as error:  # a parser raises what it likes over a damaged file; the others are read
        raise DatasetError(f"{place}: not readable as {file.kind.name} ({reason_of(error):.100})") from error
    if not found.blocks:
        return []
    title = found.title or readable(file.file.stem)
    metadata = {"path": file.path, FILE_STATE: str(reading.state(data, origin))}
    document = Document(file.path, found.text, title, metadata)
    passages = cut_document(
        document, reading.passages, reading.meter, blocks=found.blocks, places=found.places
    )
    longest = Limits.of_environment()
    for passage in passages:
        if len(passage.text) > longest.document_bytes:
            raise DatasetError(
                f"{place}: a passage of more than {longest.document_bytes:,} characters without a space "
                f"({longest.hint('document_bytes')})"
            )
    return passages


def read_bytes(file: SourceFile) -> bytes:
    """The content of a file.

    Raises:
        DatasetError: it is no file, too large, or the disk refuses.
    """
    place, limits = readable(str(file.file)), Limits.of_environment()
    try:
        check_regular(file.file)  # a pipe could be waited for for ever
        size = file.file.stat().st_size
        if size > limits.file_bytes:
            raise DatasetError(
                f"{place}: {size:,} bytes, more than {limits.file_bytes:,} ({limits.hint('file_bytes')})"
            )
        return file.file.read_bytes()
    except OSError as error:
        raise DatasetError(f"{place}: cannot be read ({error.strerror or error})") from None


def readable(name: str) -> str:
    r"""A file name as text: bytes that are not UTF-8 become `\xe9`, so that an id can hold them."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
