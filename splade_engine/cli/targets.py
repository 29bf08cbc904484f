"""What a command may write over: asked before any work, so that a slip costs seconds and no data.

A file that the command reads is never replaced, whatever options are given, nor one inside a folder that it
reads. Nothing new is written into a folder of ours, such as an index. With --overwrite a folder is replaced
only by its like; so is a run, a page or a table, which need no --overwrite.
"""

from __future__ import annotations

import errno
import os
import re
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from splade_engine.errors import IndexExistsError, InvalidInputError

if TYPE_CHECKING:
    from splade_engine.vectors.files import Format


def refuse_existing(path: Path, overwrite: bool, mark: str = "") -> None:
    """Refuse a name that is taken.

    Args:
        path: where the command writes.
        overwrite: whether --overwrite was given.
        mark: with it, a folder is replaced only if it has a file of this name, or is empty.

    Raises:
        IndexExistsError: if there is something at `path`, and not `overwrite`.
        InvalidInputError: if it is a folder of another kind, or lies in a folder of ours.
    """
    from splade_engine.files import check_replaceable, refuse_ours

    refuse_ours(path)
    if overwrite and mark:
        check_replaceable(path, mark)
    taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if taken and not overwrite:
        raise IndexExistsError(f"{path}: exists already; choose another name or give --overwrite")


def check_files(
    outputs: Iterable[Path | None], inputs: Iterable[str | Path | None] = (), *, reports: bool = False
) -> None:
    """Check that files can be written, before the work that fills them.

    Args:
        outputs: the files; None is passed over.
        inputs: what the command reads; names that are no path here (hub ids, ir_datasets) are passed over.
        reports: the files are runs, tables or pages, which may lie in a folder of results.

    Raises:
        InvalidInputError: one is a folder or -, is named twice, is an input or lies in one, or in a folder of
            ours (`files.ours`).
        StorageError: its folder is not there or cannot be written to.
    """
    from splade_engine.files import refuse_ours

    read = [path for name in inputs if name is not None and _exists(path := Path(name))]
    written: list[Path] = []
    for file in outputs:
        if file is None:
            continue
        if str(file) == "-":
            raise InvalidInputError("-: the name of a file is expected; /dev/stdout is standard output")
        if file.is_dir():
            raise InvalidInputError(f"{file}: is a folder, the name of a file is expected")
        real = file.resolve()
        if real in written:
            raise InvalidInputError(f"{file}: two outputs have this name")
        written.append(real)
        for path in read if file.exists() else ():
            if path.is_file() and file.samefile(path):
                raise InvalidInputError(f"{file}: is read by this command; choose another name to write to")
            if path.is_dir() and path.resolve() in real.parents:
                raise InvalidInputError(
                    f"{file}: belongs to {path}, which this command reads; choose another name to write to"
                )
        refuse_ours(file, report=reports)
        _check_folder(file)


# how a file of each kind begins
_BEGINS = {
    "TREC run": re.compile(rb"\S+\s+\S+\s+\S+\s+\d+\s+\S+\s+\S+\s*\n"),
    "page of compare": re.compile(rb'\s*<!doctype html>(?s:.*)name="generator" content="splade-engine'),
    "file of LaTeX tables": re.compile(rb"% needs \\usepackage"),
    "file of Markdown tables": re.compile(rb"(- .*\n)*\n?\| .*\n\|[-:| ]+\n"),
}
_BEGINNING = 1 << 16  # bytes


def check_like(file: Path | None, kind: str) -> None:
    """Refuse to replace a file of another kind: one slip of the tab key, and a corpus was a run.

    Args:
        file: where the command writes; None is passed over.
        kind: of what it writes, of `_BEGINS`.

    Raises:
        InvalidInputError: there is a file that is neither empty nor of this kind.
        StorageError: it cannot be read.
    """
    from splade_engine.files import disk_errors

    if file is None or not file.is_file():
        return
    with disk_errors(file, "read"), file.open("rb") as opened:
        begin = opened.read(_BEGINNING)
    if begin.startswith(b"\x1f\x8b"):
        with suppress(zlib.error):
            begin = zlib.decompressobj(31).decompress(begin, _BEGINNING)
    if begin and not _BEGINS[kind].match(begin):
        raise InvalidInputError(f"{file}: is no {kind}, and would be replaced by one; choose another name")


def checked_format(file: Path, format: Format | None) -> Format:
    """The format of a file of vectors: the one that was given, else by its suffix.

    Raises:
        InvalidInputError: the suffix says another one, by which the file would be read; or it says none.
    """
    from splade_engine.vectors.files import format_of

    if format is None:
        return format_of(file)
    try:
        named = format_of(file)
    except InvalidInputError:  # a suffix that says nothing
        return format
    if named != format and {named, format} != {"seismic", "anserini"}:
        raise InvalidInputError(f"{file}: its name says {named}, --format {format}")
    return format


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _check_folder(file: Path) -> None:
    from splade_engine.files import disk_errors

    folder = file.absolute().parent
    with disk_errors(file):
        if not folder.is_dir():
            folder.stat()
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(folder, os.W_OK) and not file.exists():
            raise PermissionError(13, "Permission denied")
