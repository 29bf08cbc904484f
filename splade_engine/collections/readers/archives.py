"""DOCX (with mammoth) and EPUB: archives whose text is, or becomes, HTML."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote
from xml.etree import ElementTree

from splade_engine.collections.limits import Limits
from splade_engine.collections.readers.decoding import decoded
from splade_engine.collections.readers.html import add_html
from splade_engine.collections.readers.kind import FileName, FileText, TextBuilder
from splade_engine.errors import DatasetError, reason_of
from splade_engine.extras import needed

_CONTAINER = "META-INF/container.xml"


def docx(data: bytes, file: FileName) -> FileText:
    """Word documents: headings by their styles, lists and tables; pictures are left out."""
    with needed("reading DOCX files"):
        import mammoth
    builder = TextBuilder()
    with _archive(data, file, "DOCX") as archive:
        names = [info.filename for info in archive.infolist()]
        _check_sizes(archive, file, names)
        _check_elements(archive, file, [name for name in names if name.endswith(".xml")])
        without_pictures = mammoth.images.img_element(lambda image: {})
        page = mammoth.convert_to_html(io.BytesIO(data), convert_image=without_pictures).value
        title = _core_title(archive)
    add_html(builder, page)
    heading = next((block.title for block in builder.blocks if block.kind == "heading"), "")
    return builder.finished(title or heading, None)


def epub(data: bytes, file: FileName) -> FileText:
    """Books: the pages of the spine, in order."""
    builder = TextBuilder()
    with _archive(data, file, "EPUB") as archive:
        _check_sizes(archive, file, [_CONTAINER])
        root = ElementTree.fromstring(archive.read(_CONTAINER))
        package = next(e.attrib["full-path"] for e in root.iter() if _local(e.tag) == "rootfile")
        _check_sizes(archive, file, [package])
        book = ElementTree.fromstring(archive.read(package))
        names = {e.attrib["id"]: e.attrib["href"] for e in book.iter() if _local(e.tag) == "item"}
        title = next((e.text or "" for e in book.iter() if _local(e.tag) == "title"), "")
        order = [e.attrib["idref"] for e in book.iter() if _local(e.tag) == "itemref"]
        for id in order:
            if id not in names:
                raise DatasetError(f"{file.place}: not readable as EPUB (a page {id!r:.60} is not listed)")
        # a page that is listed once for each of its parts (`#part`) is one page
        spine = dict.fromkeys(names[id].partition("#")[0] for id in order)
        pages = [posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(n))) for n in spine]
        _check_sizes(archive, file, pages)
        for page in pages:
            add_html(builder, decoded(archive.read(page), f"{file.place}: {page}", file.encoding))
    return builder.finished(" ".join(title.split()), None)


@contextmanager
def _archive(data: bytes, file: FileName, what: str) -> Iterator[zipfile.ZipFile]:
    """The archive; whatever is wrong with it, or within it, becomes one line."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive
    except DatasetError:
        raise
    except (KeyError, StopIteration) as error:
        missing = str(error).strip("'\"") or "its parts are not listed"
        raise DatasetError(f"{file.place}: not readable as {what} ({missing[:100]})") from None
    except (
        Exception
    ) as error:  # zipfile, mammoth and the XML parser raise what they like over a damaged document
        raise DatasetError(f"{file.place}: not readable as {what} ({reason_of(error):.100})") from None


def _check_sizes(archive: zipfile.ZipFile, file: FileName, names: list[str]) -> None:
    """Refuse an archive of some kilobytes that unpacks to gigabytes.

    Raises:
        DatasetError: more than `Limits.file_bytes` in all.
    """
    limits = Limits.of_environment()
    size = sum(archive.getinfo(name).file_size for name in names if not name.startswith("word/media/"))
    if size > limits.file_bytes:
        raise DatasetError(
            f"{file.place}: unpacks to {size:,} bytes, more than {limits.file_bytes:,} "
            f"({limits.hint('file_bytes')})"
        )


def _check_elements(archive: zipfile.ZipFile, file: FileName, names: list[str]) -> None:
    """Refuse a document that would be read for minutes.

    Raises:
        DatasetError: more than `Limits.elements` in all.
    """
    limits = Limits.of_environment()
    count = 0
    for name in names:
        content = archive.read(name)
        count += content.count(b"<") - content.count(b"</")
    if count > limits.elements:
        raise DatasetError(
            f"{file.place}: {count:,} XML elements, more than {limits.elements:,} ({limits.hint('elements')})"
        )


def _core_title(archive: zipfile.ZipFile) -> str:
    """The title among a DOCX file's properties, "" where it has none."""
    if "docProps/core.xml" not in archive.namelist():
        return ""
    root = ElementTree.fromstring(archive.read("docProps/core.xml"))
    return " ".join(next((e.text or "" for e in root.iter() if _local(e.tag) == "title"), "").split())


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
