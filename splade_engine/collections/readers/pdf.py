"""PDF files, with pypdfium2: the text that is in them. Scanned pages have none, and are no error."""

from __future__ import annotations

import re

from splade_engine.collections.passages import plain_blocks
from splade_engine.collections.readers.kind import FileName, FileText, TextBuilder
from splade_engine.errors import DatasetError, reason_of
from splade_engine.extras import needed

_HYPHEN = re.compile(r"(?<=\w)(?:\ufffe|\u00ad|\u0002)\n?|(?<=[a-z])-\n(?=[a-z])")
_NO_TITLE = re.compile(r"(?i)^(?:untitled|microsoft word -.*|.*\.(?:docx?|tex|dvi|indd|pdf))?$")


def pdf(data: bytes, file: FileName) -> FileText:
    """Its pages in order; words that a line break has divided are joined."""
    with needed("reading PDF files"):
        import pypdfium2
    builder = TextBuilder()
    title = ""
    try:
        document = pypdfium2.PdfDocument(data)
        try:
            title = " ".join(document.get_metadata_value("Title").split())
            for number in range(len(document)):
                page = document[number]
                found = page.get_textpage().get_text_bounded()
                text = _HYPHEN.sub("", found.replace("\r\n", "\n").replace("\r", "\n")).replace("\0", "")
                text = text.encode("utf-8", "replace").decode()
                builder.add_all(text, plain_blocks(text), number=number + 1)
                page.close()
        finally:
            document.close()
    except pypdfium2.PdfiumError as error:
        raise DatasetError(f"{file.place}: not readable as PDF ({reason_of(error):.100})") from None
    return builder.finished("" if _NO_TITLE.match(title) else title, "page")
