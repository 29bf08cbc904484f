"""A folder of files as pages that link to one another, for pairs made from plain documents.

The collection that comes of it is a JSONL file like any other: `_id` (the path of the file below the folder),
`text` (paragraphs with a blank line between them), `links` (ids of the pages that it links to).
"""

from __future__ import annotations

import json
import logging
import posixpath
from collections.abc import Collection
from pathlib import Path
from urllib.parse import unquote, urlsplit

from splade_engine.collections.folders import FolderReport, SourceFile, read_bytes, scan
from splade_engine.collections.readers import FileName, FileText
from splade_engine.collections.readers.decoding import decoded
from splade_engine.errors import DatasetError, MissingExtraError
from splade_engine.files import atomic_file, digest_64

logger = logging.getLogger(__name__)

_INDEX = ("index", "README", "readme", "_index")  # the page of a folder


def pages_file(folder: Path, cache: Path) -> Path:
    """Write the pages of a folder into `cache`; files that cannot be read are left out, with a warning.

    Raises:
        DatasetError: if no file has text.
    """
    report = FolderReport()
    files = list(scan(folder, report))
    names = _Names([file.path for file in files])
    target = cache / f"pages-{digest_64(str(folder.resolve()).encode()):016x}.jsonl"
    cache.mkdir(parents=True, exist_ok=True)
    written = 0
    with atomic_file(target) as out:
        for file in files:
            try:
                text, links = _page(file)
            except (DatasetError, MissingExtraError) as error:
                report.fail(file, error)
                continue
            if not text.strip():
                report.empty.append(file.path)
                continue
            found = dict.fromkeys(filter(None, (names.of(link, file.path) for link in links)))
            record = {"_id": file.path, "text": text, "links": [name for name in found if name != file.path]}
            out.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            written += 1
        for warning in report.warnings():
            logger.warning("%s: %s", folder, warning)
        if not written:  # told before there is a file
            raise DatasetError(
                f"{folder}: neither a collection (corpus.jsonl) nor a folder of files with text"
            )
    return target


def _page(file: SourceFile) -> tuple[str, list[str]]:
    data = read_bytes(file)
    name = FileName(str(file.file), file.file.suffix.lower())
    text = _paragraphs(file.kind.read(data, name))
    return text, file.kind.links(decoded(data, name.place)) if file.kind.links else []


def _paragraphs(found: FileText) -> str:
    """Blocks with a blank line between them; a heading is a sentence of the block that follows."""
    out = ""
    for block in found.blocks:
        text = found.text[block.start : block.end]
        if block.kind == "heading":
            title = (block.title or text).strip()
            out += title + ("\n" if title[-1:] in ".!?:" else ".\n")
        else:
            out += text.strip() + "\n\n"
    return out.strip()


class _Names:
    """Which page a link means."""

    def __init__(self, paths: Collection[str]) -> None:
        self._paths = set(paths)
        self._short: dict[str, str] = {}
        for path in sorted(paths, key=lambda p: (p.count("/"), p)):  # the nearest to the top has the name
            stem = posixpath.splitext(path)[0]
            self._short.setdefault(stem.lower(), path)
            self._short.setdefault(posixpath.basename(stem).lower(), path)

    def of(self, link: str, page: str) -> str | None:
        """The page that a link of `page` leads to; None where it leads elsewhere."""
        try:
            parts = urlsplit(link)
        except ValueError:
            return None
        path = unquote(parts.path)
        if parts.scheme or parts.netloc or not path:
            return None
        base = "" if path.startswith("/") else posixpath.dirname(page)
        place = posixpath.normpath(posixpath.join(base, path.lstrip("/") if not base else path))
        if place in self._paths:
            return place
        stem = posixpath.splitext(place)[0] if posixpath.splitext(place)[1] in (".html", ".htm") else place
        for name in (stem, *(posixpath.normpath(f"{place}/{index}") for index in _INDEX)):
            if name.lower() in self._short:
                return self._short[name.lower()]
        # a wiki's [[page]] is told by its name alone, wherever the page lies
        return self._short.get(path.lower()) if "/" not in path else None
